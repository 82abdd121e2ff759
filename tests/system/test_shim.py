"""nightjar-shim by itself: what it makes of an order, and what it leaves in the folder."""

import json
import os
import signal
import stat
import struct
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from shimlib import (ARGV, END, LINE, OFFSET, SECOND, SHIM, Action, field, is_alive, order_bytes,
                     until)

SECRET = b"correct-horse-battery"


def run(tmp_path, argv, name="action", **fields):
    with Action(tmp_path / name, argv, **fields) as action:
        action.wait()
        return action


def sh(tmp_path, script, **fields):
    return run(tmp_path, ["/bin/sh", "-c", script], **fields)


def begin(tmp_path, script, **fields):
    return Action(tmp_path / "action", ["/bin/sh", "-c", script], **fields)


def boot_usec():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def pids(path):
    return [int(p) for p in Path(path).read_text().split()]


# --- how it ends -----------------------------------------------------------------------------


def test_an_exit_code_is_reported(tmp_path):
    before = datetime.now(timezone.utc)
    action = sh(tmp_path, "exit 3")
    status = action.status()
    assert action.exit_code == 0
    assert status["version"] == 1
    assert (status["end"], status["code"], status["signal"]) == ("exited", 3, None)
    assert (status["stop"], status["message"]) == (None, None)
    assert status["lease_over"] is False and status["oom_killed"] is False
    started, ended = (datetime.fromisoformat(status[k]) for k in ("started_at", "ended_at"))
    assert before <= started <= ended <= datetime.now(timezone.utc)


def test_a_signal_is_reported(tmp_path):
    status = sh(tmp_path, "kill -SEGV $$").status()
    assert (status["end"], status["code"], status["signal"]) == ("signalled", None, signal.SIGSEGV)
    assert status["stop"] is None


def test_usage_covers_the_whole_tree(tmp_path):
    status = sh(tmp_path, "(dd if=/dev/zero of=/dev/null bs=40M count=8 2>/dev/null); true").status()
    assert status["max_rss"] > 40 << 20
    assert status["cpu_ms"] > 0


@pytest.mark.parametrize("argv, fields, message", [
    (["no-such-program"], {}, "cannot run no-such-program: it is in no folder of PATH"),
    (["/no/such"], {}, "cannot run /no/such: No such file or directory"),
    (["/etc/passwd"], {}, "cannot run /etc/passwd: Permission denied"),
    (["true"], {"cwd": "/no/where"}, "cannot enter /no/where: No such file or directory"),
    (["true"], {"directories": ["/no/where/x"]},
     "cannot make /no/where/x: No such file or directory"),
    (["true"], {"private": "/tmp"}, "cannot make /tmp: File exists"),
    (["bad\x1b[1m\"\\name"], {}, None),
])
def test_what_cannot_start_says_why(tmp_path, argv, fields, message):
    status = run(tmp_path, argv, **fields).status()
    assert (status["end"], status["code"], status["signal"]) == ("not_started", None, None)
    assert status["started_at"] is None and status["lease_over"] is False
    assert message is None or status["message"] == message
    assert all(c >= " " for c in status["message"])


def test_a_script_without_an_interpreter_line_is_no_program(tmp_path):
    script = tmp_path / "script"
    script.write_text("echo\n")
    script.chmod(0o755)
    assert "#!" in run(tmp_path, [str(script)]).status()["message"]


@pytest.mark.parametrize("order", [
    b"", b"NJSHIM", b"NJSHIM99" + struct.pack("=I", END), b"NJSHIM01",
    b"NJSHIM01" + struct.pack("=I", END),
    b"NJSHIM01" + struct.pack("=II", ARGV, 4000) + b"true",
    b"NJSHIM01" + struct.pack("=II", ARGV, 0xFFFFFFFF),
    b"NJSHIM01" + field(ARGV, "true") + b"\0\0",
    b"NJSHIM01" + field(ARGV, "tr\0ue") + struct.pack("=I", END),
    order_bytes(["true"], env=["NOEQUALS"]),
    order_bytes(["true"], env=["=x"]),
    order_bytes(["true"], stop_signal=0),
    order_bytes(["true"], timeout=-1),
    order_bytes(["true"], cwd="relative"),
    order_bytes(["true"], files=[("a", "A", b"x")]),
    order_bytes(["true"], files=[("../a", "A", b"x")], private="/tmp/not-made"),
    order_bytes(["true"], files=[("", "A", b"x")], private="/tmp/not-made"),
])
def test_a_malformed_order_runs_nothing(tmp_path, order):
    with Action(tmp_path / "action", order=order) as action:
        status = action.wait()
    assert status["end"] == "not_started" and "order" in status["message"]
    assert not (action.folder / "started").exists()
    assert not Path("/tmp/not-made").exists()


def test_an_order_that_is_not_sealed_is_refused(tmp_path):
    with Action(tmp_path / "action", ["true"], seals=False) as action:
        assert action.wait()["message"] == "the order is not sealed"


def test_fields_of_a_newer_daemon_are_skipped(tmp_path):
    assert run(tmp_path, ["true"], more=field(999, b"whatever")).status()["code"] == 0


def test_past_start_before_nothing_is_run(tmp_path):
    action = sh(tmp_path, f"touch {tmp_path}/ran", start_before=boot_usec() - 1)
    status = action.status()
    assert status["end"] == "not_started" and status["lease_over"] is True
    assert not (tmp_path / "ran").exists()


def test_before_start_before_it_runs(tmp_path):
    assert sh(tmp_path, "exit 5", start_before=boot_usec() + 60 * SECOND).status()["code"] == 5


# --- what the child finds ---------------------------------------------------------------------


def test_the_environment_is_the_orders_alone(tmp_path):
    private = tmp_path / "private"
    action = run(tmp_path, ["/usr/bin/env"], env=["A=1", "B=two words"], private=private)
    assert sorted(action.text().decode().splitlines()) == [
        "A=1", "B=two words", f"TMPDIR={private}/tmp"]


def test_a_tmpdir_that_was_given_stays(tmp_path):
    action = run(tmp_path, ["/usr/bin/env"], env=["TMPDIR=/x"], private=tmp_path / "private")
    assert action.text() == b"TMPDIR=/x\n"


def test_no_descriptor_leaks_and_stdin_is_empty(tmp_path):
    action = sh(tmp_path, "readlink /proc/self/fd/0; ls /proc/self/fd; cat")
    null, *fds = action.text().decode().split()
    assert null == "/dev/null"
    assert fds == ["0", "1", "2", "3"]  # 3: the folder that ls reads


def test_signals_are_at_their_default_in_a_group_of_its_own(tmp_path):
    action = sh(tmp_path, "cat /proc/self/status | grep -E '^Sig(Blk|Ign|Cgt)' | tr '\\t' ' '; "
                "cut -d' ' -f5 /proc/$$/stat; echo $$; umask; pwd", cwd="/usr")
    *masks, group, pid, umask, cwd = action.text().decode().splitlines()
    assert all(int(m.split()[1], 16) == 0 for m in masks) and len(masks) == 3
    assert group == pid and umask == "0077" and cwd == "/usr"


def test_the_program_is_sought_in_the_childs_path(tmp_path):
    for folder, mode in (("one", 0o644), ("two", 0o755)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text("#!/bin/sh\necho found in $0\n")
        (tmp_path / folder / "tool").chmod(mode)
    path = f"/no/where::{tmp_path}/one:{tmp_path}/two"
    action = run(tmp_path, ["tool"], env=[f"PATH={path}"])
    assert action.text().decode() == f"found in {tmp_path}/two/tool\n"


def test_directories_are_made(tmp_path):
    wanted = tmp_path / "made"
    run(tmp_path, ["true"], directories=[wanted, wanted / "below"])
    assert stat.S_IMODE((wanted / "below").stat().st_mode) == 0o700
    assert run(tmp_path, ["true"], name="b", directories=[wanted]).status()["code"] == 0


def test_secret_files_are_there_and_then_gone(tmp_path):
    private = tmp_path / "private"
    action = sh(tmp_path, 'stat -c "%a %n" "$KEY" "$TMPDIR" "$(dirname "$KEY")"; wc -c < "$KEY"; '
                'mkdir -p "$TMPDIR/a/b"; chmod 0 "$TMPDIR/a"; ln -s /etc "$TMPDIR/etc"; ls -A "$(dirname "$KEY")"',
                private=private, env=["PATH=/usr/bin:/bin", "KEY=overwritten"],
                files=[("key.json", "KEY", b"{}\n" * 1000), ("other", "", b"x")])
    assert action.text().decode().splitlines() == [
        f"600 {private}/key.json", f"700 {private}/tmp", f"700 {private}", "3000",
        "key.json", "other", "tmp"]
    assert not private.exists()
    assert Path("/etc/passwd").exists()


def test_secret_files_go_too_when_nothing_could_start(tmp_path):
    action = run(tmp_path, ["nope"], private=tmp_path / "private", files=[("k", "K", b"x")])
    assert action.status()["end"] == "not_started"
    assert not (tmp_path / "private").exists()


def test_a_deep_tree_in_tmpdir_goes(tmp_path):
    deep = "import os\nos.chdir(os.environ['TMPDIR'])\nfor i in range(400): os.mkdir('d'); os.chdir('d')"
    action = run(tmp_path, [sys.executable, "-c", deep], private=tmp_path / "private")
    assert action.status()["code"] == 0 and action.status()["message"] is None
    assert not (tmp_path / "private").exists()


def test_the_shim_has_no_secret_in_its_own_environment(tmp_path):
    with begin(tmp_path, "echo up; sleep 60", env=["PATH=/bin", "TOKEN=" + SECRET.decode()]) as action:
        action.wait_for(b"up")
        try:
            assert Path(f"/proc/{action.pid}/environ").read_bytes() == b""
        except PermissionError:
            assert os.geteuid() != 0  # not even its own user may look into it
        assert SECRET not in Path(f"/proc/{action.pid}/cmdline").read_bytes()


# --- the folder -------------------------------------------------------------------------------


def test_started_tells_who_it_is(tmp_path):
    with begin(tmp_path, "echo up; sleep 60") as action:
        action.wait_for(b"up")
        started = json.loads((action.folder / "started").read_text())
        own = Path(f"/proc/{action.pid}/stat").read_text().rpartition(")")[2].split()
        assert started["version"] == 1 and started["pid"] == action.pid
        assert started["start_time"] == int(own[19])
        assert started["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert not action.lock_is_free() and action.status() is None
        action.stop()
        action.wait()
        assert action.lock_is_free()


def test_the_lock_is_held_until_status_json_is_there(tmp_path):
    with begin(tmp_path, "exit 0") as action:
        while not action.lock_is_free():
            pass
        assert action.status()["code"] == 0
        action.wait()


def test_the_child_does_not_keep_the_lock(tmp_path):
    with begin(tmp_path, "echo $$; sleep 60", stop_signal=signal.SIGUSR2) as action:
        action.wait_for(b"stdout")
        child = int(action.text())
        os.kill(action.pid, signal.SIGKILL)
        action.wait()
        assert action.lock_is_free() and action.status() is None
        until(lambda: not is_alive(child))  # nobody would stop it any more


def test_what_is_left_is_private(tmp_path):
    action = sh(tmp_path, "echo x")
    names = {p.name: stat.S_IMODE(p.stat().st_mode) for p in action.folder.iterdir()}
    assert names == dict.fromkeys(["lock", "output.log", "started", "status.json"], 0o600)


def test_a_folder_that_was_used_is_not_used_again(tmp_path):
    sh(tmp_path, "echo once")
    again = sh(tmp_path, "echo twice")
    assert again.status()["end"] == "not_started"
    assert again.text() == b"once\n"


# --- the end ----------------------------------------------------------------------------------


def test_a_timeout_stops_it_the_way_its_kind_wants(tmp_path):
    started = time.monotonic()
    status = sh(tmp_path, "trap 'exit 7' INT; echo up; while :; do sleep 0.05; done",
                timeout=SECOND // 5, stop_signal=signal.SIGINT).status()
    assert (status["end"], status["code"], status["stop"]) == ("exited", 7, "timed_out")
    assert 0.2 <= time.monotonic() - started < 5


@pytest.mark.scoreboard(15)
def test_at_a_timeout_the_whole_tree_goes_though_it_ignores_sigterm(tmp_path):
    script = f"""trap '' TERM
        (trap '' TERM INT HUP; echo $BASHPID >> {tmp_path}/pids; sleep 60) &
        setsid bash -c "trap '' TERM; echo \\$BASHPID >> {tmp_path}/pids; (setsid sleep 61 & echo \\$! >> {tmp_path}/pids; wait)" &
        sleep 62"""
    with Action(tmp_path / "action", ["/bin/bash", "-c", script], timeout=SECOND // 2,
                kill_after=SECOND // 5) as action:
        until(lambda: (tmp_path / "pids").exists() and len(pids(tmp_path / "pids")) == 3)
        begun = time.monotonic()
        status = action.wait()
    assert (status["end"], status["signal"]) == ("signalled", signal.SIGKILL)
    assert status["stop"] == "timed_out" and time.monotonic() - begun < 2.5
    assert not any(is_alive(p) for p in pids(tmp_path / "pids"))


@pytest.mark.parametrize("reason", ["cancelled", "timed_out", "fail_fast", "shutdown"])
def test_a_stop_file_ends_it_for_its_reason(tmp_path, reason):
    with begin(tmp_path, "echo up; sleep 60") as action:
        action.wait_for(b"up")
        action.stop(reason)
        status = action.wait()
    assert (status["end"], status["signal"]) == ("signalled", signal.SIGTERM)
    assert status["stop"] == reason


def test_sigterm_to_the_shim_is_a_shutdown(tmp_path):
    with begin(tmp_path, "trap 'exit 0' INT; echo up; while :; do sleep 0.05; done",
               stop_signal=signal.SIGINT) as action:
        action.wait_for(b"up")
        os.kill(action.pid, signal.SIGTERM)
        status = action.wait()
    assert (status["end"], status["code"], status["stop"]) == ("exited", 0, "shutdown")


def test_other_signals_to_the_shim_do_nothing(tmp_path):
    with begin(tmp_path, f"echo up; until test -e {tmp_path}/go; do sleep 0.02; done") as action:
        action.wait_for(b"up")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
            os.kill(action.pid, number)  # SIGUSR1: there is no `stop`
        (tmp_path / "go").touch()
        assert action.wait()["code"] == 0 and action.status()["stop"] is None


def test_the_stop_signal_comes_once(tmp_path):
    with begin(tmp_path, "trap 'echo got it' INT; echo up; while :; do sleep 0.02; done",
               stop_signal=signal.SIGINT, stop_group=False, kill_after=SECOND // 2) as action:
        action.wait_for(b"up")
        for _ in range(3):
            action.stop()
            os.kill(action.pid, signal.SIGTERM)
            action.wait_for(b"got it")
        status = action.wait()
    assert action.text() == b"up\ngot it\n"
    assert (status["signal"], status["stop"]) == (signal.SIGKILL, "cancelled")


@pytest.mark.parametrize("group", [False, True])
def test_the_stop_signal_goes_to_the_child_alone_or_to_its_group(tmp_path, group):
    script = ("trap 'wait; exit 0' USR2; bash -c 'trap \"echo below; exit\" USR2; echo up; "
              "for i in $(seq 25); do sleep 0.02; done' & wait")
    with Action(tmp_path / "action", ["/bin/bash", "-c", script],
                stop_signal=signal.SIGUSR2, stop_group=group) as action:
        action.wait_for(b"up")
        action.stop()
        assert action.wait()["stop"] == "cancelled"
    assert (b"below" in action.text()) == group


def test_a_stopped_process_is_woken_to_end(tmp_path):
    with begin(tmp_path, "echo $$; kill -STOP $$; sleep 60") as action:
        action.wait_for(b"stdout")
        child = int(action.text())
        until(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        action.stop()
        assert action.wait()["signal"] == signal.SIGTERM


def test_a_stop_before_the_child_runs_nothing(tmp_path):
    ran = 0
    for i in range(20):
        with Action(tmp_path / str(i), ["/bin/sh", "-c", "sleep 60"]) as action:
            (action.folder / "stop").write_text("cancelled")
            os.kill(action.pid, signal.SIGUSR1)
            status = action.wait()
        if status is None:  # too early even for the shim
            assert not (action.folder / "started").exists()
        else:
            ran += status["end"] == "signalled"
            assert status["stop"] == "cancelled" and action.exit_code == 0
    assert ran <= 20


@pytest.mark.scoreboard(16)
def test_a_grandchild_that_holds_the_pipe_costs_two_seconds_at_most(tmp_path):
    begun = time.monotonic()
    action = sh(tmp_path, f"(trap '' TERM; echo early; sleep 61) & echo $! > {tmp_path}/pids; exit 4")
    assert time.monotonic() - begun < 3
    assert action.status()["code"] == 4 and action.status()["stop"] is None
    assert action.text() == b"early\n"
    assert not is_alive(pids(tmp_path / "pids")[0])


def test_a_grandchild_may_print_for_a_moment(tmp_path):
    action = sh(tmp_path, "(sleep 0.3; echo late) & exit 0")
    assert action.text() == b"late\n"


def test_a_daemon_left_behind_gets_sigterm(tmp_path):
    script = ("setsid bash -c 'trap \"touch %s/asked; exit\" TERM; exec >/dev/null 2>&1; touch %s/up; "
              "while :; do sleep 0.05; done' & until test -e %s/up; do sleep 0.02; done"
              % ((tmp_path,) * 3))
    action = sh(tmp_path, script)
    assert (tmp_path / "asked").exists() and action.status()["code"] == 0


def test_after_a_stop_what_is_left_goes_within_a_second(tmp_path):
    script = f"(trap '' TERM; echo $$ up; sleep 61) & echo $! > {tmp_path}/pids; exec sleep 62"
    with begin(tmp_path, script, stop_group=False) as action:
        action.wait_for(b"up")
        begun = time.monotonic()
        action.stop()
        status = action.wait()
    assert time.monotonic() - begun < 1.8 and status["signal"] == signal.SIGTERM
    assert not is_alive(pids(tmp_path / "pids")[0])


def test_orphans_are_reaped(tmp_path):
    with begin(tmp_path, "for i in $(seq 50); do (true &) ; done; echo up; sleep 60") as action:
        action.wait_for(b"up")
        children = Path(f"/proc/{action.pid}/task/{action.pid}/children")
        until(lambda: len(children.read_text().split()) == 1)
        action.stop()
        action.wait()


# --- its own cgroup ---------------------------------------------------------------------------


@pytest.fixture
def cgroup():
    """A folder below our own cgroup, version 2."""
    mounts = [l.split() for l in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [m[1] for m in mounts if m[2] == "cgroup2"]
    own = [l[3:] for l in Path("/proc/self/cgroup").read_text().splitlines() if l.startswith("0::")]
    if not roots or not own:
        pytest.skip("no cgroup v2 here")
    folder = Path(roots[0] + own[0]) / f"nightjar-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no cgroup may be made here")
    yield folder
    until(lambda: "populated 0" in (folder / "cgroup.events").read_text())
    folder.rmdir()


def test_the_child_is_made_in_its_cgroup_and_killed_there(tmp_path, cgroup):
    script = f"""trap '' TERM; grep ^0:: /proc/self/cgroup
        setsid bash -c "trap '' TERM; (setsid sleep 61 & echo \\$! > {tmp_path}/pids); sleep 60" &
        sleep 62"""
    fd = os.open(cgroup, os.O_PATH | os.O_DIRECTORY)
    with begin(tmp_path, script, cgroup=fd, kill_after=SECOND // 10) as action:
        action.wait_for(b"stdout")
        until(lambda: (tmp_path / "pids").exists() and pids(tmp_path / "pids"))
        assert str(action.pid) not in (cgroup / "cgroup.procs").read_text().split()
        action.stop()
        status = action.wait()
    os.close(fd)
    assert action.text().decode().strip().endswith("/" + cgroup.name)
    assert status["stop"] == "cancelled" and status["signal"] == signal.SIGKILL
    assert "populated 0" in (cgroup / "cgroup.events").read_text()
    assert status["oom_killed"] is False


def test_a_stray_descriptor_is_no_cgroup(tmp_path):
    with open("/dev/null") as stray:
        action = Action(tmp_path / "action", ["/bin/ls", "/proc/self/fd"], cgroup=stray.fileno())
        assert action.wait()["code"] == 0
    assert action.text().split() == [b"0", b"1", b"2", b"3"]


# --- the log ----------------------------------------------------------------------------------


def python(tmp_path, program, **fields):
    return run(tmp_path, [sys.executable, "-c", "import sys,os,time\no=os.write\n" + program], **fields)


def test_both_streams_are_kept_with_their_times(tmp_path):
    action = sh(tmp_path, "echo out; echo err >&2; printf 'no newline'")
    assert sorted(action.lines()) == [
        ("stderr", "F", b"err"), ("stdout", "F", b"no newline"), ("stdout", "F", b"out")]
    status = action.status()
    assert (status["output_bytes"], status["output_dropped"]) == (18, 0)
    stamp = LINE.match((action.folder / "output.log").read_bytes().splitlines()[0])[1].decode()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(stamp[:26] + "Z")
    assert abs(age.total_seconds()) < 60


@pytest.mark.parametrize("raw, shown", [
    (b"a\tb\x07\x1b[31m\n", rb"a\x09b\x07\x1b[31m"),
    (b"\xff\xfe ok\n", rb"\xff\xfe ok"),
    ("é ☃ 🦉\n".encode(), "é ☃ 🦉".encode()),
    (b"cut \xe2\x98\n", rb"cut \xe2\x98"),
    (b"dos\r\n", b"dos"),
    (b"nul\0\n", rb"nul\x00"),
    ("\u202egnp\n".encode(), rb"\u202egnp"),
    (b"\n", b""),
])
@pytest.mark.scoreboard(28)
@pytest.mark.parametrize("slowly", [False, True])
def test_bytes_are_made_harmless(tmp_path, raw, shown, slowly):
    each = "for b in %r: o(1, bytes([b])); time.sleep(0.001)" if slowly else "o(1, %r)"
    assert python(tmp_path, each % raw).lines() == [("stdout", "F", shown)]


def test_a_long_line_comes_in_parts(tmp_path):
    action = python(tmp_path, "sys.stdout.write('é' * 30000 + 'end\\nnext\\n')")
    lines = action.lines()
    assert [flag for _, flag, _ in lines] == ["P", "P", "P", "F", "F"]
    assert all(len(text) <= 16384 for _, _, text in lines)
    assert action.text() == ("é" * 30000 + "end\nnext\n").encode()


def test_a_line_without_end_is_kept_in_bounded_memory(tmp_path):
    action = sh(tmp_path, "head -c 100000000 /dev/zero | tr '\\0' x", log_cap=1 << 20)
    assert action.status()["output_bytes"] == 100_000_000
    assert {flag for _, flag, _ in action.lines()} == {"P"}


def test_masks_hold_over_cut_writes(tmp_path):
    action = python(tmp_path, f"""
o(1, b'x {SECRET[:7].decode()}'); time.sleep(0.05); o(1, b'{SECRET[7:].decode()} y\\n')
for b in {SECRET!r} + b' z\\n': o(1, bytes([b])); time.sleep(0.002)
o(1, {SECRET!r} * 3 + b'\\n')
o(2, {SECRET[:9]!r} + b'|' + {SECRET!r} + b'\\n')
o(1, {SECRET[:12]!r})
""", masks=[SECRET, b"another-secret"])
    assert action.text().splitlines() == [b"x *** y", b"*** z", b"***", SECRET[:12]]
    assert action.text("stderr") == SECRET[:9] + b"|***\n"
    assert all(SECRET not in p.read_bytes() for p in action.folder.iterdir())


def test_head_and_tail_are_kept_within_the_cap(tmp_path):
    cap = 64 << 10
    action = sh(tmp_path, "seq -f 'line %g' 1 20000; echo the end", log_cap=cap)
    files = ["output.log", "output.1", "output.2"]
    sizes = [(action.folder / f).stat().st_size for f in files]
    assert sizes[0] <= cap // 2 and max(sizes[1:]) <= cap // 4
    openings = {f: int(OFFSET.match((action.folder / f).read_bytes().split(b"\n")[0])[1])
                for f in files[1:]}
    older, newer = sorted(files[1:], key=openings.get)
    body = sizes[files.index(older)] - len(b"# offset %d\n" % openings[older])
    assert openings[newer] == openings[older] + body
    assert openings[older] > sizes[0]
    head = action.text().splitlines()
    tail = (action.text(name=older) + action.text(name=newer)).splitlines()
    assert head[0] == b"line 1" and tail[-1] == b"the end" and tail[-2] == b"line 20000"
    printed = len("".join(f"line {i}\n" for i in range(1, 20001))) + len("the end\n")
    kept = sum(len(l) + 1 for l in head + tail)
    status = action.status()
    assert status["output_bytes"] == printed and status["output_dropped"] == printed - kept


def test_no_tail_file_without_need(tmp_path):
    action = sh(tmp_path, "seq 1 100", log_cap=64 << 10)
    assert not (action.folder / "output.1").exists()


@pytest.mark.parametrize("cap", [0, 4096])
def test_a_tiny_cap_still_keeps_something(tmp_path, cap):
    action = sh(tmp_path, "seq 1 5000; head -c 50000 /dev/zero | tr '\\0' y; echo; echo last", log_cap=cap)
    total = sum((action.folder / f).stat().st_size for f in ("output.log", "output.1", "output.2"))
    assert total <= 4096
    assert b"last\n" in action.text(name="output.1") + action.text(name="output.2")


@pytest.mark.scoreboard(17)
def test_huge_output_takes_little_memory(tmp_path):
    with begin(tmp_path, "head -c 20000000 /dev/urandom; head -c 20000000 /dev/zero; yes | head -c 60000000; seq 1 500000",
               log_cap=8 << 20, masks=[SECRET]) as action:
        peak = 0
        until((action.folder / "started").exists)  # before that it may still be this program
        while action.status() is None:
            rss = Path(f"/proc/{action.pid}/status").read_text()
            peak = max([peak] + [int(l.split()[1]) for l in rss.splitlines() if l.startswith("VmHWM")])
            time.sleep(0.02)
        status = action.wait(120)
    assert status["output_bytes"] > 100_000_000 and status["code"] == 0
    files = [action.folder / f for f in ("output.log", "output.1", "output.2")]
    assert sum(f.stat().st_size for f in files) <= 8 << 20
    assert b" 500000\n" in b"".join(f.read_bytes() for f in files)
    if not is_sanitized():
        assert peak < 8 << 10  # KiB


def is_sanitized():
    return b"__asan_init" in SHIM.read_bytes()


@pytest.mark.scoreboard(20)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_a_full_disk_costs_lines_and_nothing_else(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k none {small}") != 0:
        pytest.skip("no mount here")
    try:
        # The second time the pipe is empty, all that was written before the first is in the log.
        script = f"""import fcntl, os, sys, termios, time
def say(text):
    os.write(1, text)
    while fcntl.ioctl(1, termios.FIONREAD, bytes(4)) != bytes(4): time.sleep(0.01)
say(b"".join(b"%d\\n" % i for i in range(20000)))
say(b"full\\n")
os.unlink("{small}/ballast")
say(b"room again\\n")
sys.exit(6)"""
        (small / "ballast").write_bytes(b"x" * 32768)
        with Action(small / "action", [sys.executable, "-c", script]) as action:
            status = action.wait()
        assert (status["end"], status["code"]) == ("exited", 6)
        assert status["output_dropped"] > 0
        text = (action.folder / "output.log").read_bytes()
        assert b"room again" in text and text.endswith(b"\n")
        assert status["output_bytes"] == sum(len(str(i)) + 1 for i in range(20000)) + 16
    finally:
        os.system(f"umount {small}")


@pytest.mark.scoreboard(20)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_on_a_disk_full_from_the_start_nothing_is_run(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=16k none {small}") != 0:
        pytest.skip("no mount here")
    try:
        (small / "ballast").write_bytes(b"x" * 16384)
        with Action(small / "action", ["/bin/sh", "-c", f"touch {tmp_path}/ran"]) as action:
            assert action.wait() is None and action.exit_code == 1
        assert not (action.folder / "started").exists() and not (tmp_path / "ran").exists()
        assert action.lock_is_free()
    finally:
        os.system(f"umount {small}")
