"""Starts nightjar-shim as the daemon does: an order in a sealed memfd, a folder, a held lock."""

import ctypes
import fcntl
import json
import os
import re
import select
import signal
import struct
import time
from pathlib import Path

BUILD = Path(os.environ.get("NIGHTJAR_BUILD", Path(__file__).resolve().parents[2] / "build"))
SHIM = BUILD / "shim" / "nightjar-shim"

ARGV, ENV, CWD, FILE, MASK, LOG_CAP, TIMEOUT, KILL_AFTER = range(1, 9)
STOP_SIGNAL, STOP_GROUP, START_BEFORE, PRIVATE, MAKE_DIRECTORY = range(9, 14)
END = 0
SECOND = 1_000_000

LINE = re.compile(
    rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)$"
)
OFFSET = re.compile(rb"^# offset (\d+)$")

_close_range = ctypes.CDLL(None, use_errno=True).close_range


def field(tag, data):
    data = data.encode() if isinstance(data, str) else bytes(data)
    return struct.pack("=II", tag, len(data)) + data


def order_bytes(argv, env=("PATH=/usr/bin:/bin",), cwd="/tmp", files=(), masks=(), log_cap=None,
                timeout=0, kill_after=5 * SECOND, stop_signal=signal.SIGTERM, stop_group=True,
                start_before=0, private=None, directories=(), more=b""):
    out = [b"NJSHIM01"]
    out += [field(ARGV, a) for a in argv]
    out += [field(ENV, e) for e in env]
    out += [field(MASK, m) for m in masks]
    out += [field(MAKE_DIRECTORY, str(d)) for d in directories]
    out += [field(FILE, n.encode() + b"\0" + e.encode() + b"\0" + c) for n, e, c in files]
    if cwd:
        out.append(field(CWD, str(cwd)))
    if private:
        out.append(field(PRIVATE, str(private)))
    if log_cap is not None:
        out.append(field(LOG_CAP, struct.pack("=Q", log_cap)))
    out += [
        field(TIMEOUT, struct.pack("=q", timeout)),
        field(KILL_AFTER, struct.pack("=q", kill_after)),
        field(STOP_SIGNAL, struct.pack("=i", stop_signal)),
        field(STOP_GROUP, struct.pack("=B", stop_group)),
        field(START_BEFORE, struct.pack("=q", start_before)),
        more,
        struct.pack("=I", END),
    ]
    return b"".join(out)


def sealed(data, seals=fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK):
    fd = os.memfd_create("order", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Action:
    """One action's folder and its shim."""

    def __init__(self, folder, argv=None, order=None, cgroup=None, seals=True, **fields):
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        memfd = sealed(order if order is not None else order_bytes(argv, **fields),
                       *([] if seals else [0]))
        where = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.pid = self._spawn(memfd, where, lock, cgroup)
        for fd in (memfd, where, lock):
            os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)
        self.exit_code = None

    @staticmethod
    def _spawn(memfd, where, lock, cgroup):
        null = os.open("/dev/null", os.O_RDWR)
        # High first, so that no dup2 hits one that is still needed.
        plan = [null, null, null, memfd, where, lock] + ([cgroup] if cgroup is not None else [])
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in plan]
        pid = os.fork()
        if pid == 0:
            try:
                for i, fd in enumerate(high):
                    os.dup2(fd, i)
                _close_range(len(high), 0xFFFFFFFF, 0)
                os.chdir("/")
                os.execve(SHIM, ["nightjar-shim"], {})
            finally:
                os._exit(125)
        for fd in high + [null]:
            os.close(fd)
        return pid

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.exit_code is None:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.wait()
        os.close(self.pidfd)

    def wait(self, seconds=30):
        """The shim's end; its status.json, or None."""
        if not select.select([self.pidfd], [], [], seconds)[0]:
            raise TimeoutError("the shim does not end")
        self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status()

    def status(self):
        try:
            return json.loads((self.folder / "status.json").read_text())
        except FileNotFoundError:
            return None

    def stop(self, reason="cancelled"):
        (self.folder / "stop.new").write_text(reason)
        (self.folder / "stop.new").rename(self.folder / "stop")
        signal.pidfd_send_signal(self.pidfd, signal.SIGUSR1)

    def lines(self, name="output.log"):
        """(stream, flag, text) of every line; a malformed one is an error."""
        found = []
        for line in (self.folder / name).read_bytes().split(b"\n")[:-1]:
            if name != "output.log" and OFFSET.match(line):
                continue
            match = LINE.match(line)
            assert match, line
            found.append((match[2].decode(), match[3].decode(), match[4]))
        return found

    def text(self, stream="stdout", name="output.log"):
        """What one stream printed, put together again."""
        return b"".join(t + (b"\n" if flag == "F" else b"")
                        for s, flag, t in self.lines(name) if s == stream)

    def wait_for(self, text, seconds=20):
        """Until the log holds it."""
        return until(lambda: text in (self.folder / "output.log").read_bytes()
                     if (self.folder / "output.log").exists() else False, seconds)

    def lock_is_free(self):
        fd = os.open(self.folder / "lock", os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(fd)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.005)
    return True


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
