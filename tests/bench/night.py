"""A daemon of the release build for a benchmark, and what /proc says of it."""

import calendar
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ["NIGHTJAR_BENCH_BUILD"])
NIGHTJARD = BUILD / "root/usr/bin/nightjard"
SHIM = BUILD / "root/usr/lib/nightjar/nightjar-shim"
STAMP = BUILD / "tests/bench/stamp"
SCHEDULES = BUILD / "tests/bench/schedules"


class Client:
    """One connection to the socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(str(path))
        self.rest = b""

    def ask(self, method, **parameters):
        call = {"method": f"org.nightjar.Scheduler.{method}", "parameters": parameters}
        self.socket.sendall(json.dumps(call).encode() + b"\0")
        return self.answer()

    def answer(self):
        pieces = [self.rest]
        while b"\0" not in pieces[-1]:
            piece = self.socket.recv(1 << 18)
            if not piece:
                raise ConnectionError("the daemon hung up")
            pieces.append(piece)
        text, self.rest = b"".join(pieces).split(b"\0", 1)
        reply = json.loads(text)
        if "error" in reply:
            raise RuntimeError(text.decode())
        return reply["parameters"]

    def close(self):
        self.socket.close()


class Daemon:
    """Started on a store of its own; `under` is where its state folder goes."""

    def __init__(self, jobs, under, head="", secrets=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nightjar-bench-", dir=under))
        self.conf = self.folder / "nightjar.conf"
        self.path = self.folder / "sock"
        credentials = self.folder / "credentials"
        credentials.mkdir(mode=0o700)
        for name, value in secrets:
            (credentials / name).write_text(value)
            (credentials / name).chmod(0o600)
        self.conf.write_text(
            f'store: {{ conninfo = "{os.environ["NIGHTJAR_TEST_CONNINFO"]}"; }};\n'
            f'socket: {{ path = "{self.path}"; }};\nstate = "{self.folder}/state";\n'
            f'secrets: {{ directory = "{credentials}"; }};\n{head}\njobs: (\n{jobs}\n);\n'
        )
        subprocess.run(
            ["psql", "-qXc", "DROP SCHEMA IF EXISTS nightjar CASCADE"],
            check=True,
            env=os.environ | {"PGOPTIONS": "-c client_min_messages=warning"},
        )
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.folder / "log", "ab")
        before = time.monotonic()
        env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        self.process = subprocess.Popen(
            [NIGHTJARD, "--config", self.conf], stderr=self.log, env=env, cwd="/"
        )
        while True:
            try:
                self.client = Client(self.path)
                status = self.client.ask("Status")
                if status["leader"] and status["store"] == "ok":
                    break
                self.client.close()
            except (ConnectionError, FileNotFoundError):
                pass
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.005)
        return time.monotonic() - before

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.client.close()
        self.path.unlink(missing_ok=True)

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # --- runs

    def run(self, job, poll=0.2):
        """Starts it and waits; the run's row as the store has it."""
        name = self.client.ask("StartRun", job=job)["run"]
        return self.wait(job, name, poll)

    def wait(self, job, name, poll=0.2):
        while True:
            for row in self.client.ask("ListRuns", job=job, limit=5)["runs"]:
                if row["name"] == name and row["state"] == "ended":
                    if row["outcome"] not in ("ok", "cancelled"):
                        raise RuntimeError(f"{name} ended {row['outcome']}: {row['reason']}")
                    return row
            time.sleep(poll)

    # --- what /proc says

    def memory(self, pid=None):
        """PSS and private dirty, in KiB."""
        return memory_of(self.process.pid)

    def switches(self):
        """Voluntary context switches of all its threads so far."""
        return sum(
            int(line.split()[1])
            for status in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/status")
            for line in status.read_text().splitlines()
            if line.startswith("voluntary_ctxt")
        )

    def cpu(self):
        """Seconds of CPU so far: itself alone, children apart."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_ms(self):
        """The same in milliseconds, as exact as the scheduler counts, of all its threads."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6

    def sockets(self):
        """How many it has open."""
        links = pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(os.readlink(link).startswith("socket:") for link in links)


def memory_of(pid):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0])
    return fields["Pss"], fields["Private_Dirty"]


def at(instant):
    """An RFC 3339 instant in seconds since 1970."""
    text = instant.rstrip("Z")
    whole, _, fraction = text.partition(".")
    seconds = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(seconds) + float("0." + (fraction or "0"))
