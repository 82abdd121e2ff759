"""A real systemd in a box: an overlay of this machine's own /, its changes in memory, booted by
systemd-nspawn without a network, with nightjar installed in it and a PostgreSQL beside it.

The box may be switched off and booted again; its disk stays until it is closed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NIGHTJAR_BUILD", ROOT / "build"))

POSTGRES_UNIT = """\
[Unit]
Description=the store

[Service]
Type=notify
User=postgres
RuntimeDirectory=postgresql
ExecStart={bin}/postgres -D /var/lib/box-postgres -k /run/postgresql -c listen_addresses= -c fsync=off
KillSignal=SIGINT

[Install]
WantedBy=multi-user.target
"""

JOURNALD = """\
[Journal]
Storage=persistent
RateLimitIntervalSec=0
SyncIntervalSec=1s
"""


def postgres_bin():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def cgroup2():
    """Where cgroup version 2 is mounted; None: nowhere."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    return None


def why_not():
    """Why there can be no box here; None: nothing is known against it."""
    if os.geteuid() != 0:
        return "a box needs root"
    for program in ("systemd-nspawn", "nsenter", "dbus-daemon", "systemctl", "meson"):
        if not shutil.which(program):
            return f"a box needs {program}"
    if not Path("/lib/systemd/systemd").exists():
        return "a box needs systemd"
    if not postgres_bin():
        return "a box needs a PostgreSQL server"
    if not cgroup2() or not os.access(cgroup2(), os.W_OK):
        return "a box needs cgroups of version 2"
    return None


class NoBox(Exception):
    """This machine lets no box be booted."""


def plain_build():
    """A build without the sanitizers, which do not live under a sandbox; made once."""
    build = BUILD / "box"
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", build, ROOT, "--prefix=/usr"], check=True,
                       stdout=subprocess.DEVNULL)
    listed = subprocess.run(["meson", "introspect", "--targets", build], check=True,
                            capture_output=True, text=True)
    wanted = [Path(f).relative_to(build) for t in json.loads(listed.stdout) if t["installed"]
              for f in t["filename"]]
    subprocess.run(["ninja", "-C", build, "--quiet", *wanted], check=True,
                   stdout=subprocess.DEVNULL)
    return build


class Box:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="nightjar-box-"))
        self.root = self.folder / "root"
        self.nspawn = None
        self.leader = None  # the pid of its systemd, as seen from here
        self.cgroup = cgroup2() / self.folder.name
        self.mounts = contextlib.ExitStack()
        try:
            self._mount()
        except subprocess.CalledProcessError as e:
            self.close()
            raise NoBox(f"no overlay of /: {e.stderr.strip()}") from e

    def _mount_one(self, *words):
        subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
        self.mounts.callback(subprocess.run, ["umount", "-l", words[-1]])

    def _mount(self):
        self.folder.chmod(0o755)
        self._mount_one("-t", "tmpfs", "-o", "mode=755", "box", str(self.folder))
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self._mount_one("-t", "overlay", "-o",
                        f"lowerdir=/,upperdir={self.folder}/upper,workdir={self.folder}/work",
                        "overlay", str(self.root))

    def write(self, path, text, mode=0o644):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def open_path(self, path):
        """Lets everybody in the box pass through to a path of this machine."""
        for parent in Path(path).resolve().parents:
            inside = self.root / str(parent).lstrip("/")
            inside.chmod(inside.stat().st_mode | 0o055)

    def uid(self, name):
        for line in (self.root / "etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2])
        raise KeyError(name)

    # --- what is in it ---

    def furnish(self, users):
        """nightjar, its users and folders and the store; of this machine's own services none."""
        system = self.root / "etc/systemd/system"
        for wants in system.glob("*.wants"):
            shutil.rmtree(wants)
        for unit in ("systemd-timesyncd", "systemd-udevd", "systemd-udev-trigger", "systemd-logind",
                     "systemd-networkd", "systemd-resolved", "getty@tty1", "console-getty",
                     "systemd-update-utmp", "e2scrub_reap"):
            (system / f"{unit}.service").unlink(missing_ok=True)
            (system / f"{unit}.service").symlink_to("/dev/null")
        shutil.rmtree(self.root / "var/log/journal", ignore_errors=True)
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("/etc/systemd/journald.conf.d/box.conf", JOURNALD)
        subprocess.run(["meson", "install", "-C", plain_build(), "--quiet", "--no-rebuild"],
                       env={**os.environ, "DESTDIR": str(self.root)}, check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(self.root / "etc/postgresql", ignore_errors=True)
        self.write("/usr/lib/sysusers.d/box.conf", users)
        subprocess.run(["systemd-sysusers", f"--root={self.root}"], check=True, capture_output=True)
        subprocess.run(["systemd-tmpfiles", f"--root={self.root}", "--create", "nightjar.conf"],
                       check=True, capture_output=True)
        self._make_store()
        for unit in ("postgresql", "nightjard"):
            subprocess.run(["systemctl", f"--root={self.root}", "enable", "--quiet", unit],
                           check=True, capture_output=True)

    def _make_store(self):
        uid, data = self.uid("postgres"), self.root / "var/lib/box-postgres"
        data.mkdir()
        os.chown(data, uid, -1)
        subprocess.run([postgres_bin() / "initdb", "-D", data, "-U", "nightjar", "-A", "peer",
                        "--locale=C", "-E", "UTF8", "-N", "--no-instructions"],
                       user=uid, cwd="/", check=True, capture_output=True)
        self.write("/etc/systemd/system/postgresql.service",
                   POSTGRES_UNIT.format(bin=postgres_bin()))

    # --- on and off ---

    def boot(self):
        """Switches it on; returns when systemd answers (the units may still be starting)."""
        console = open(self.folder / "console", "ab")
        self.cgroup.mkdir(exist_ok=True)
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit",
             f"--machine=box{os.getpid()}", "--private-network", "--link-journal=no",
             "--resolv-conf=off", "--timezone=off", "--console=pipe", "--boot",
             "systemd.unit=multi-user.target"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text("0"))
        console.close()
        self.leader = self._wait_for("systemd", self._find_leader)
        self._wait_for("its bus", lambda: self._answers())

    def _find_leader(self):
        for task in Path(f"/proc/{self.nspawn.pid}/task").glob("*"):
            for pid in (task / "children").read_text().split():
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                        return int(pid)
        return None

    def _answers(self):
        p = self.run("systemctl", "is-active", "dbus.socket", check=False)
        return p.stdout.strip() == "active"

    def _wait_for(self, what, found, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            result = found()
            if result:
                return result
            if self.nspawn.poll() is not None:
                break
            time.sleep(0.05)
        raise NoBox(f"no {what} in the box: {self.console()[-800:]}")

    def console(self):
        return (self.folder / "console").read_text(errors="replace")

    def wait_off(self, seconds=60):
        self.nspawn.wait(seconds)
        self.nspawn = self.leader = None
        self._remove_cgroups()

    def poweroff(self):
        self.run("systemctl", "poweroff", check=False)
        self.wait_off()

    def cut(self):
        """Ends everything in it at once."""
        (self.cgroup / "cgroup.kill").write_text("1")
        self.wait_off()

    def close(self):
        if self.nspawn:
            self.cut()
        self.mounts.close()
        self.folder.rmdir()

    def _remove_cgroups(self):
        if not self.cgroup.exists():
            return
        until(lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text())
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(folder)

    # --- inside ---

    def run(self, *words, user=None, check=True, seconds=30, **options):
        """A command in the box, as root or a user of the box; its CompletedProcess."""
        become = []
        if user:
            become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        p = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", *become, *map(str, words)],
            capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}, **options)
        assert not check or p.returncode == 0, f"{words}: {p.returncode}: {p.stdout}{p.stderr}"
        return p

    def nightjar(self, *words, **options):
        return self.run("nightjar", *words, **options)

    def json(self, *words, **options):
        return json.loads(self.run("nightjar", "--json", *words, **options).stdout)

    def property(self, name, unit="nightjard"):
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def commands(self):
        """The command lines of all that runs in it."""
        found = []
        for procs in self.cgroup.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                with contextlib.suppress(OSError):
                    found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        return found

    def journal(self, *matches):
        """The entries that match, oldest first, each a dict of its fields."""
        p = self.run("journalctl", "-o", "json", "--all", *matches, check=False)
        assert p.returncode == 0 or not p.stderr, p.stderr  # 1: nothing matches
        return [json.loads(line) for line in p.stdout.splitlines()]


def until(what, seconds=20):
    """Asks again until the answer is true; that answer."""
    end = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
