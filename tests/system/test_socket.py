"""The socket and the client: framing, bounds, rights, every command and its exit status.

The daemon here is control_demo: the real socket over a made-up core (tests/unit/fake_core.h says
what its jobs do). NIGHTJAR_BUILD names the build folder, else build/ beside this tree.
"""

import json
import os
import pathlib
import pwd
import select
import shutil
import socket
import stat
import subprocess
import tempfile
import time

import pytest
import varlink

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NIGHTJAR_BUILD", ROOT / "build"))
DEMO = BUILD / "tests/unit/control_demo"
CLIENT = BUILD / "client/nightjar"
INTERFACE = "org.nightjar.Scheduler"
GROUP = 4242  # the operators of these tests; needs no name

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user of a child")


class Daemon:
    def __init__(self, path, group=GROUP, still=False):
        self.path = str(path)
        self.process = subprocess.Popen(
            [DEMO, self.path, str(group), *(["still"] if still else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.first = self.process.stdout.readline().strip()
        self.lines = []

    def line(self, prefix, seconds=10):
        """The next line of its output that begins so."""
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], seconds)
            assert ready, f"the daemon did not say {prefix!r}"
            line = self.process.stdout.readline()
            assert line, "the daemon is gone"
            if line.startswith(prefix):
                return line.strip()

    def close(self):
        self.process.stdin.close()
        self.rest = self.process.stdout.read()
        return self.process.wait(20)


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="nightjar-socket-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(folder):
    d = Daemon(folder / "run/nightjar.sock")
    assert d.first == "ready"
    yield d
    assert d.close() == 0
    assert not os.path.exists(d.path)


def connect(daemon):
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.path)  # before the timeout is set, which makes a full backlog an error
    s.settimeout(20)
    return s


def send(s, method, more=False, interface=INTERFACE, **parameters):
    message = {"method": f"{interface}.{method}", "parameters": parameters}
    if more:
        message["more"] = True
    s.sendall(json.dumps(message).encode() + b"\0")


def receive(s):
    data = b""
    while not data.endswith(b"\0"):
        piece = s.recv(1 if not data else 65536)
        if not piece:
            return None
        data += piece
    messages = data[:-1].split(b"\0")
    assert len(messages) == 1, "ask for one at a time"
    return json.loads(messages[0])


def call(s, method, **parameters):
    send(s, method, **parameters)
    return receive(s)


def is_dropped(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def nightjar(daemon, *words, **options):
    return subprocess.run(
        [CLIENT, "--socket", daemon.path, *words],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


# --- what it says of itself ------------------------------------------------------------------


def test_an_independent_client_finds_the_interface_and_calls_it(daemon):
    with varlink.Client(f"unix:{daemon.path}") as client:
        assert INTERFACE in [str(i) for i in client.get_interfaces()]
        with client.open(INTERFACE) as scheduler:
            assert scheduler.Status()["store"] == "ok"
            assert scheduler.ListJobs()["jobs"][0]["name"] == "nightly"
            assert scheduler.GetRun("nightly#128")["cells"][0]["matrix"]["target"] == "postgres"
            assert len(scheduler.Next("nightly", 3)["slots"]) == 3
            with pytest.raises(varlink.VarlinkError) as error:
                scheduler.GetRun("nope")
            assert error.value.error() == f"{INTERFACE}.NoSuch"
            assert error.value.parameters()["message"]


def test_every_method_of_the_design_is_declared(daemon):
    with varlink.Client(f"unix:{daemon.path}") as client:
        interface = client.get_interface(INTERFACE)
        for name in (
            "Status ListJobs ListRuns GetRun StartRun CancelRun RetryRun Approve Reject Pause "
            "Resume Reload Logs Watch Next Checks Metrics Why Drain GetApproval"
        ).split():
            assert interface.get_method(name)
        for name in (
            "NotThereYet NoSuch Usage Refused NoStore NotLeader NotAllowed ConfigRefused"
        ).split():
            assert name in interface.members


def test_every_declared_method_is_answered_by_something_else_than_method_not_found(daemon):
    with varlink.Client(f"unix:{daemon.path}") as client:
        interface = client.get_interface(INTERFACE)
    methods = [n for n, m in interface.members.items() if type(m).__name__ == "_Method"]
    assert len(methods) == 20
    for name in methods:
        with connect(daemon) as s:
            send(s, name, more=name in ("Watch", "Logs"))
            assert "MethodNotFound" not in receive(s).get("error", "")


def test_replies_have_no_key_that_is_not_declared(daemon):
    with varlink.Client(f"unix:{daemon.path}") as client:
        interface = client.get_interface(INTERFACE)
    with connect(daemon) as s:
        for name, parameters in (
            ("Status", {}),
            ("ListJobs", {}),
            ("ListRuns", {}),
            ("GetRun", {"ref": "nightly#128"}),
            ("Why", {"job": "nightly", "instant": "2026-03-29T06:00:00Z"}),
            ("Next", {}),
        ):
            got = set(call(s, name, **parameters)["parameters"])
            assert got == set(interface.get_method(name).out_type.fields)


def test_unknown_interfaces_methods_and_parameters_have_varlinks_errors(daemon):
    service = "org.varlink.service"
    with connect(daemon) as s:
        send(s, "Ping", interface="org.example.ping")
        assert receive(s) == {
            "error": f"{service}.InterfaceNotFound",
            "parameters": {"interface": "org.example.ping"},
        }
        assert call(s, "Explode")["error"] == f"{service}.MethodNotFound"
        assert call(s, "Logs", ref="nightly#128")["error"] == f"{service}.ExpectedMore"
        for parameters in (
            {},
            {"job": 7},
            {"job": None},
            {"job": "nightly", "onyl": []},
            {"job": "nightly", "only": {"environment": "staging"}},
            {"job": "nightly", "only": [{"key": "environment"}]},
            {"job": "nightly", "only": [{"key": "environment", "value": 1}]},
            {"job": "nightly", "reason": False},
        ):
            reply = call(s, "StartRun", **parameters)
            assert reply["error"] == f"{service}.InvalidParameter", parameters
        assert call(s, "ListRuns", limit=1.5)["parameters"] == {"parameter": "limit"}
        assert call(s, "ListRuns", limit=1001)["error"] == f"{INTERFACE}.Usage"
        assert call(s, "ListRuns", limit=1000)["parameters"]["runs"]


# --- framing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\0",
        b"hello\0",
        b"[]\0",
        b'"text"\0',
        b'{"method":7}\0',
        b'{"parameters":{}}\0',
        b'{"method":"org.nightjar.Scheduler.Status"} x\0',
        b'{"method":"org.nightjar.Scheduler.Status","parameters":[]}\0',
        b'{"method":"org.nightjar.Scheduler.Status","more":1}\0',
        b'{"method":"org.nightjar.Scheduler.Status","upgrade":true}\0',
        b'{"method":"org.nightjar.Scheduler.\\u0000Status"}\0',
        b'{"method":"org.nightjar.Scheduler.Status","method":"x"}\0',
        b'{"method":"\xff\xfe"}\0',
        b'{"method":"\xed\xa0\x80"}\0',
        b'{"method":"a","parameters":{"a":' + b"[" * 100 + b"]" * 100 + b"}}\0",
        b"[" * 60000 + b"\0",
        b"\x16\x03\x01\x02\0",
        b'{"method":"' + b"a" * 70000 + b'"}\0',
        b"x" * 70000,
    ],
    ids=lambda b: repr(b[:24]),
)
@pytest.mark.scoreboard(24)
def test_what_is_no_varlink_is_dropped_and_others_are_served(daemon, bytes_):
    with connect(daemon) as other, connect(daemon) as s:
        try:
            s.sendall(bytes_)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert is_dropped(s)
        assert call(other, "Status")["parameters"]["store"] == "ok"


@pytest.mark.scoreboard(24)
def test_the_largest_request_is_64_kib(daemon):
    with connect(daemon) as s:
        frame = b'{"method":"org.nightjar.Scheduler.GetRun","parameters":{"ref":"%s"}}'
        s.sendall(frame % (b"a" * (65536 - len(frame) + 2)) + b"\0")
        assert receive(s)["error"] == f"{INTERFACE}.NoSuch"


def test_a_message_may_come_a_byte_at_a_time(daemon):
    with connect(daemon) as s:
        for byte in b'{"method":"org.nightjar.Scheduler.Status"}\0':
            s.send(bytes([byte]))
        assert receive(s)["parameters"]["leader"] is True


def test_calls_sent_at_once_are_answered_in_order(daemon):
    with connect(daemon) as s:
        one = b'{"method":"org.nightjar.Scheduler.Next","parameters":{"count":%d}}\0'
        s.sendall(b"".join(one % n for n in range(1, 200)))
        data = b""
        while data.count(b"\0") < 199:
            data += s.recv(65536)
        counts = [len(json.loads(m)["parameters"]["slots"]) for m in data.split(b"\0")[:-1]]
        assert counts == list(range(1, 200))


def test_a_oneway_call_is_done_and_not_answered(daemon):
    with connect(daemon) as s:
        s.sendall(
            b'{"method":"org.nightjar.Scheduler.StartRun","parameters":{"job":"nightly"},"oneway":true}\0'
            b'{"method":"org.nightjar.Scheduler.Status","oneway":true}\0'
        )
        assert set(call(s, "ListJobs")["parameters"]) == {"jobs"}
    assert "StartRun|nightly" in daemon.line("audit")


def test_a_client_that_ends_its_side_is_still_answered(daemon):
    with connect(daemon) as s:
        send(s, "StartRun", job="nightly")
        s.shutdown(socket.SHUT_WR)
        assert receive(s)["parameters"]["run"].startswith("nightly#")
        assert is_dropped(s)


def test_half_a_message_is_dropped_after_ten_seconds_however_slowly_it_grows(daemon):
    with connect(daemon) as s, connect(daemon) as idle:
        begun = time.monotonic()
        s.settimeout(0.5)
        while time.monotonic() - begun < 20:
            try:
                s.send(b" ")
                if s.recv(1) == b"":
                    break
            except socket.timeout:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        assert 8 < time.monotonic() - begun < 15
        assert call(idle, "Status")["parameters"], "one between messages may stay"


def test_a_call_whose_client_goes_away_harms_nobody(daemon):
    for _ in range(50):
        with connect(daemon) as s:
            send(s, "StartRun", job="hang")
        with connect(daemon) as s:
            send(s, "Watch", more=True)
        with connect(daemon) as s:
            send(s, "Logs", more=True, ref="chatty")
    with connect(daemon) as s:
        assert call(s, "Status")["parameters"]["store"] == "ok"


# --- bounds ----------------------------------------------------------------------------------


def crowd(path, uid, n):
    """As that user: opens n connections and says how many are answered."""
    code = (
        "import socket, sys\n"
        "n = 0; keep = []\n"
        "for i in range(int(sys.argv[2])):\n"
        "    s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n"
        "    try:\n"
        "        s.connect(sys.argv[1])\n"
        "        s.sendall(b'{\"method\":\"org.varlink.service.GetInfo\"}\\0')\n"
        "        if s.recv(1000): n += 1; keep.append(s)\n"
        "    except OSError: pass\n"
        "print(n, flush=True)\n"
        "sys.stdin.read()\n"
    )
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", code, path, str(n)],
        user=uid,
        group=uid,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.scoreboard(25)
@as_root
def test_one_user_has_128_connections_at_most_and_root_still_comes_in(daemon):
    crowds = [crowd(daemon.path, 60001, 140), crowd(daemon.path, 60002, 10)]
    try:
        assert int(crowds[0].stdout.readline()) == 128
        assert int(crowds[1].stdout.readline()) == 10
        with connect(daemon) as s:
            assert call(s, "Status")["parameters"]["store"] == "ok"
    finally:
        for c in crowds:
            c.stdin.close()
            c.wait(20)
    with connect(daemon) as s:
        assert call(s, "Status")["parameters"]["store"] == "ok"


def test_a_large_reply_reaches_whoever_reads_it(daemon):
    with connect(daemon) as s:
        send(s, "GetRun", ref="big")
        run = receive(s)["parameters"]
        assert len(run["cells"]) == 10000
    show = nightjar(daemon, "show", "big")
    assert show.returncode == 0 and show.stdout.count("build/staging/postgres") == 10000


def test_logs_that_nobody_reads_are_not_read_from_the_disk_either(daemon):
    with connect(daemon) as s:
        send(s, "Logs", more=True, ref="chatty", follow=True)
        daemon.line("piece 1")
        seen = 1
        while True:
            ready, _, _ = select.select([daemon.process.stdout], [], [], 1)
            if not ready:
                break
            seen += 1 if daemon.process.stdout.readline().startswith("piece") else 0
        assert seen < 40
        for _ in range(200):
            assert s.recv(65536)
        daemon.line("piece", 5)


@pytest.mark.scoreboard(25)
def test_a_watcher_that_does_not_read_learns_how_much_it_lost(daemon):
    with connect(daemon) as s:
        send(s, "Watch", more=True, output=True)
        with connect(daemon) as starter:
            for _ in range(60):
                assert "parameters" in call(starter, "StartRun", job="nightly")
            time.sleep(0.5)
            assert call(starter, "Status")["parameters"]["store"] == "ok"
        assert s.recv(1) == b"{"


# --- rights ----------------------------------------------------------------------------------


def as_user(daemon, words, uid, groups=()):
    return nightjar(daemon, *words, user=uid, group=uid, extra_groups=list(groups))


@pytest.fixture
def readable_client(folder, monkeypatch):
    """The client where every user may run it."""
    copy = folder / "nightjar"
    shutil.copy(CLIENT, copy)
    copy.chmod(0o755)
    monkeypatch.setitem(globals(), "CLIENT", copy)


OPERATE = (
    ["start", "nightly"],
    ["cancel", "nightly#128"],
    ["retry", "nightly#128"],
    ["approve", "nightly#128/a/b", "--yes"],
    ["reject", "nightly#128/a/b", "--yes"],
    ["pause", "nightly"],
    ["resume", "nightly"],
    ["reload"],
    ["drain"],
)


@pytest.mark.scoreboard(26)
@as_root
def test_anybody_reads_and_only_operators_operate(daemon, readable_client):
    assert stat.S_IMODE(os.stat(daemon.path).st_mode) == 0o666
    for words in (["status"], ["jobs"], ["runs"], ["show", "nightly#128"], ["next"]):
        assert as_user(daemon, words, 60001).returncode == 0
    for words in OPERATE:
        denied = as_user(daemon, words, 60001)
        assert denied.returncode == 4, words
        assert "operators" in denied.stderr
        assert "|denied|" in daemon.line("audit uid 60001|")
    assert as_user(daemon, ["start", "nightly"], 60001, [GROUP]).returncode == 0
    assert as_user(daemon, ["start", "nightly"], GROUP).returncode == 0, "its primary group"
    assert "granted" in daemon.line("audit uid 60001|StartRun")


@pytest.mark.scoreboard(26)
@as_root
def test_what_is_denied_names_who_and_what_and_is_recorded_60_times_a_minute_at_most(
    daemon, readable_client
):
    user = pwd.getpwnam("nobody")
    assert as_user(daemon, ["start", "x\ny", "--reason", "be\x1bcause"], user.pw_uid).returncode == 4
    line = daemon.line("audit")
    assert line == f"audit nobody (uid {user.pw_uid})|StartRun|x y|be\\x1bcause|denied|NotAllowed"
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "for i in range(100):\n"
        "    s.sendall(b'{\"method\":\"org.nightjar.Scheduler.Drain\"}\\0')\n"
        "    assert b'NotAllowed' in s.recv(1000)\n"
    )
    subprocess.run(
        ["/usr/bin/python3", "-c", code, daemon.path], user=60001, group=60001, extra_groups=[],
        check=True, timeout=30,
    )
    daemon.close()
    assert daemon.rest.count("Drain") == 59
    daemon.close = lambda: 0


@as_root
def test_the_daemons_own_user_is_no_operator(folder, readable_client):
    folder.chmod(0o777)
    demo = folder / "demo"
    shutil.copy(DEMO, demo)
    process = subprocess.Popen(
        [demo, folder / "s"], user=60003, group=60003, extra_groups=[],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        run = subprocess.run(
            [folder / "nightjar", "--socket", folder / "s", "start", "nightly"],
            user=60003, group=60003, extra_groups=[], timeout=20,
        )
        assert run.returncode == 4
        assert nightjar(type("D", (), {"path": str(folder / "s")}), "start", "nightly").returncode == 0
    finally:
        process.stdin.close()
        process.wait(20)


# --- the socket file -------------------------------------------------------------------------


def test_a_live_daemons_socket_is_left_alone(daemon):
    second = Daemon(daemon.path)
    assert second.process.wait(10) == 1
    assert "in use" in second.first
    assert nightjar(daemon, "status").returncode == 0


def test_a_dead_daemons_socket_is_replaced_and_another_file_is_not(folder):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "s"))
    d = Daemon(folder / "s")
    assert d.first == "ready"
    assert d.close() == 0
    (folder / "file").write_text("mine")
    d = Daemon(folder / "file")
    assert d.process.wait(10) == 1 and (folder / "file").read_text() == "mine"
    d = Daemon(folder / ("long" * 40))
    assert d.process.wait(10) == 1


def test_a_daemon_leaves_the_socket_of_its_successor(folder):
    d = Daemon(folder / "s")
    os.unlink(d.path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(d.path)
        assert d.close() == 0
        assert os.path.exists(d.path)


# --- the client ------------------------------------------------------------------------------


def test_status_says_the_worst_first(daemon):
    bare = nightjar(daemon)
    assert bare.returncode == 0
    assert bare.stdout == nightjar(daemon, "status").stdout
    assert bare.stdout == (
        "07:02Z  store ok  1 red  1 runs  1 waiting\n"
        "RED   nightly#128/build/production/postgres  failed 06:14Z, not retried: dbt: model "
        'mart_screener_data: column "wl_id" does not exist\n'
        "      holds up 4 models, sync/production\n"
        "WAIT  nightly#128/build/production/duckdb  since 07:00Z: the lock warehouse\n"
        "RUN   nightly#128/build/staging/bigquery  12m, 31 of 44 nodes, now stg_events; "
        "usually 14m\n"
        "DUE   nightly  tomorrow 06:00Z\n"
    )
    document = json.loads(nightjar(daemon, "--json").stdout)
    assert document["store"] == "ok" and document["leader"] is True
    assert isinstance(document["runs"], list) and isinstance(document["checks"], list)


@pytest.mark.parametrize(
    "words, status, out, err",
    [
        (["jobs"], 0, "nightly#127 ok", ""),
        (["runs"], 0, "nightly#128", ""),
        (["runs", "nightly", "-n", "5"], 0, "nightly#128", ""),
        (["runs", "nostore"], 1, "", "the store is away"),
        (["show", "nightly#128"], 0, "exit 1  connection lost", ""),
        (["show", "nope"], 1, "", "no such run"),
        (["logs", "nightly#128"], 0, "06:00:01 half a line \\x1b[31m\n", ""),
        (["logs", "nope"], 1, "", "no such run"),
        (["start", "nightly"], 0, "nightly#129\n", ""),
        (["start", "nightly", "--only", "environment=staging"], 0, "nightly#129\n", ""),
        (["start", "nightly", "--only", "a=b"], 2, "", "there are: environment"),
        (["start", "nightly", "--only", "a"], 2, "", "KEY=VALUE"),
        (["start", "nightly", "--wait"], 0, "nightly#129  ok", ""),
        (["start", "broken", "--wait"], 1, "broken#129  failed", ""),
        (["start", "nope"], 1, "", "no such job"),
        (["start", "refused"], 1, "", "still active"),
        (["start", "nostore"], 1, "", "store is away"),
        (["start", "notleader"], 1, "", "leads"),
        (["start", "later"], 1, "", "not there yet"),
        (["start", "usage"], 2, "", "staging, production"),
        (["start"], 2, "", "it needs JOB"),
        (["cancel", "nope"], 1, "", "no such run"),
        (["retry", "nightly#128"], 0, "nightly#200\n", "build/production/postgres"),
        (["retry", "nightly#128", "--dry-run"], 0, "build/production/postgres\n", ""),
        (["approve", "x", "--yes"], 0, "  -/+ metabase_database.b\n", ""),
        (["approve", "x", "--yes"], 0, "      2 to add, 0 to change, 1 to destroy\n", ""),
        (["reject", "x", "--yes"], 0, "the same plan: nightly#127/apply/production  ok ", ""),
        (["approve", "later", "--yes"], 1, "", "not there yet"),
        (["approve", "x"], 2, "", "no terminal to ask on; say --yes"),
        (["checks"], 0, "holds up", ""),
        (["checks", "-n", "0"], 2, "", "1 to 1000"),
        (["metrics"], 0, "nightjar_leader 1\n", ""),
        (["why", "nightly", "2026-03-29T06:00"], 0, "skipped: paused by root", ""),
        (["why", "nightly", "2026-03-29T08:00:00+02:00"], 0, "2026-03-29T06:00:00Z", ""),
        (["why", "nightly", "soon"], 2, "", "RFC 3339"),
        (["pause", "nightly"], 0, "", ""),
        (["resume", "nightly"], 0, "", ""),
        (["reload"], 0, "", ""),
        (["drain"], 0, "", ""),
        (["next", "nightly", "-n", "2"], 0, "2026-03-30T08:00:00+02:00", ""),
        (["next", "nope"], 1, "", "no job"),
        (["next", "-n", "0"], 2, "", "1 to 1000"),
        (["next", "--after", "2026-03-29T06:00:00Z"], 2, "", "--cron"),
        (["statsu"], 2, "", "did you mean status"),
        (["jobs", "--wait"], 2, "", "takes no --wait"),
        (["jobs", "x"], 2, "", "too much"),
        (["--bogus"], 2, "", "no option --bogus"),
        (["start", "nightly", "--only"], 2, "", "--only needs a value"),
        (["--color", "blue", "jobs"], 2, "", "auto, always or never"),
        (["--version"], 0, "nightjar ", ""),
        (["--help"], 0, "usage: nightjar", ""),
        (["help", "start"], 0, "usage: nightjar start", ""),
        (["help", "nope"], 2, "", "no command"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_command_says_its_piece_and_exits_so(daemon, words, status, out, err):
    run = nightjar(daemon, *words)
    assert (run.returncode, out in run.stdout, err in run.stderr) == (status, True, True), run
    assert run.returncode == 0 or "--wait" in words or run.stderr.startswith("nightjar: ")


def test_next_with_an_expression_needs_no_daemon(folder):
    if not (ROOT / "client/next_cron.c").exists():
        pytest.skip("next --cron is not there yet")
    run = subprocess.run(
        [CLIENT, "--socket", folder / "none", "--json", "next", "--cron", "30 2 * * *",
         "--timezone", "Europe/Paris", "--after", "2026-03-28T12:00:00Z", "-n", "2"],
        capture_output=True, text=True, timeout=20,
    )
    assert run.returncode == 0, run.stderr
    slots = [json.loads(line) for line in run.stdout.splitlines()]
    assert slots[0] == {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"}
    assert len(slots) == 2


def test_every_command_has_help(daemon):
    listed = nightjar(daemon, "help").stdout.split("\n\n")[1]
    names = [line.split()[0] for line in listed.splitlines()]
    assert names == sorted(names) and len(names) == 20
    for name in names:
        run = nightjar(daemon, name, "--help")
        assert run.returncode == 0 and run.stdout.startswith(f"usage: nightjar {name}")


def test_a_refused_reload_names_file_and_line(daemon):
    assert nightjar(daemon, "reload").returncode == 0
    refused = nightjar(daemon, "reload")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[0] == "/etc/nightjar.conf:3: no such key"
    assert daemon.line("audit") == "audit root (uid 0)|Reload|-|-|granted|ok" or os.geteuid()


def test_json_is_one_document_and_streams_are_one_a_line(daemon):
    for words in (["jobs"], ["runs"], ["show", "nightly#128"], ["next"], ["reload"], ["drain"]):
        assert isinstance(json.loads(nightjar(daemon, "--json", *words).stdout), dict)
    assert json.loads(nightjar(daemon, "start", "nightly", "--json").stdout)["run"]
    waited = json.loads(nightjar(daemon, "start", "nightly", "--json", "--wait").stdout)
    assert waited["state"] == "ended" and waited["outcome"] == "ok" and waited["cells"]
    lines = nightjar(daemon, "logs", "nightly#128", "--json").stdout.splitlines()
    assert [json.loads(line)["attempt"][-1] for line in lines] == ["1", "2"]


def test_logs_have_a_heading_an_attempt_and_say_what_is_gone(daemon):
    whole = nightjar(daemon, "logs", "nightly#128").stdout
    assert whole.startswith(
        "==> nightly#128/build/staging/postgres/build.1 <==\n"
        "... 17 bytes are no longer there ...\n"
        "06:00:00 hello\n"
    )
    assert whole.count("==>") == 2
    assert nightjar(daemon, "logs", "nightly#128", "--failed").stdout.count("==>") == 1
    one = nightjar(daemon, "logs", "nightly#128/build/staging/postgres/build.2", "--failed").stdout
    assert "==>" not in one


def test_following_logs_ends_with_the_run(daemon):
    run = nightjar(daemon, "start", "nightly").stdout.strip()
    followed = nightjar(daemon, "logs", "-f", run)
    assert followed.returncode == 0 and followed.stdout.count("==>") == 2


def test_watch_shows_what_happens_until_it_is_interrupted(daemon):
    watch = subprocess.Popen(
        [CLIENT, "--socket", daemon.path, "--json", "watch"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert json.loads(watch.stdout.readline())["event"] == "watching"
        run = nightjar(daemon, "start", "nightly").stdout.strip()
        events = []
        while "run-ended" not in events:
            event = json.loads(watch.stdout.readline())
            assert event["run"] == run
            events.append(event["event"])
        assert events[0] == "run-started" and "output" not in events
    finally:
        watch.terminate()
        watch.wait(10)


def test_waiting_outlives_a_restart_of_the_daemon(folder):
    first = Daemon(folder / "s", still=True)
    waiting = subprocess.Popen(
        [CLIENT, "--socket", first.path, "start", "nightly", "--wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout.readline() == "nightly#129\n"
    assert first.close() == 0
    second = Daemon(folder / "s")
    assert nightjar(second, "start", "nightly").stdout == "nightly#129\n"
    out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0 and "nightly#129  ok" in out and "went away" in err
    assert second.close() == 0


def test_colours_are_for_terminals(daemon):
    assert "\x1b[" not in nightjar(daemon).stdout
    assert "\x1b[" in nightjar(daemon, "--color=always").stdout
    assert "\x1b[" not in nightjar(daemon, "--color=never").stdout
    master, slave = os.openpty()
    env = {"NIGHTJAR_SOCKET": daemon.path, "TERM": "xterm"}
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        subprocess.run([CLIENT], stdout=slave, env={**env, **extra}, timeout=20, check=True)
        assert (b"\x1b[" in os.read(master, 65536)) == coloured
    os.close(master)
    os.close(slave)


def test_where_no_daemon_is_the_client_says_so(folder):
    nobody = type("D", (), {"path": str(folder / "none")})
    run = nightjar(nobody, "status")
    assert run.returncode == 3 and "no daemon answers" in run.stderr
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(nobody.path)
    assert nightjar(nobody, "start", "nightly").returncode == 3


@as_root
def test_a_socket_that_may_not_be_opened_is_not_allowed(daemon, readable_client):
    os.chmod(daemon.path, 0o600)
    assert as_user(daemon, ["status"], 60001).returncode == 4


def test_an_answer_that_is_no_varlink_is_no_daemon(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        client = subprocess.Popen(
            [CLIENT, "--socket", str(folder / "s"), "status"], stderr=subprocess.PIPE, text=True
        )
        peer, _ = server.accept()
        peer.recv(1000)
        peer.sendall(b"220 hello\0")
        _, err = client.communicate(timeout=20)
        assert client.returncode == 3 and "varlink" in err
        peer.close()


@pytest.mark.scoreboard(28)
def test_control_characters_never_reach_the_terminal(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        client = subprocess.Popen(
            [CLIENT, "--socket", str(folder / "s"), "jobs"], stdout=subprocess.PIPE
        )
        peer, _ = server.accept()
        peer.recv(1000)
        peer.sendall(
            json.dumps(
                {"parameters": {"jobs": [{"name": "a\x1b]0;x\x07\u202eb\n", "active": []}]}}
            ).encode()
            + b"\0"
        )
        out, _ = client.communicate(timeout=20)
        assert b"\x1b" not in out and b"\x07" not in out and "\u202e".encode() not in out
        assert len(out.splitlines()) == 2
        peer.close()
