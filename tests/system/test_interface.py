"""What people and programs see of a real daemon: every command, its document and its exit status.

The documents are held against the daemon's own description of its interface, and that against what
was promised. NIGHTJAR_BUILD names the build folder; run it with tests/with-postgres.
"""

import datetime
import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess

import pytest
import varlink

from nightlib import NIGHTJAR, NIGHTJARD, PATIENCE, ROOT, Night, until

pytestmark = pytest.mark.timeout(120)

INTERFACE = "org.nightjar.Scheduler"
WELL, FAILED, USAGE, NO_DAEMON, NOT_ALLOWED = range(5)

# production/duckdb fails until it is repaired, and holds up publish/production.
JOBS = """
environments: { staging: { }; production: { }; };
jobs: (
{ name = "nightly"; schedule = "0 6 * * *";
  stages: (
    { name = "build";
      matrix: { environment = ["staging", "production"]; target = ["postgres", "duckdb"]; };
      steps: ( { name = "say"; shell = "echo hello; echo oops >&2"; cwd = "@folder@/tree/dbt"; },
               { name = "build"; retry: { attempts = 2; delay = "10ms"; on = ["failed"]; };
                 shell = "echo try $NIGHTJAR_ATTEMPT; case $NIGHTJAR_CELL in *production/duckdb) test -e @folder@/repaired;; esac"; } ); },
    { name = "publish"; needs = ["build"]; matrix: { environment = ["staging", "production"]; };
      steps: ( { name = "publish"; run = ["true"]; } ); } ); },
{ name = "slow"; schedule = "30 7 * * *"; timezone = "Europe/Paris";
  stages: ( { name = "wait"; steps: ( { name = "wait";
    shell = "echo begun; while ! [ -e @folder@/go ]; do sleep 0.05; done; echo done"; } ); } ); },
{ name = "release"; manual: { choose = ["environment"]; };
  stages: ( { name = "apply"; matrix: { environment = ["staging", "production"]; };
    steps: ( { name = "apply"; run = ["true"]; } ); } ); }
);
"""

PROMISED = {
    "Status": "store leader runs checks",
    "run": "job number name id trigger state outcome scheduled_for started_at ended_at retry_of commit",
    "cell": "name stage matrix state outcome reason steps",
    "step": "name kind state outcome reason attempts",
    "attempt": "number outcome reason exit_code signal started_at ended_at max_rss cpu_ms progress plan waits_for",
}


@pytest.fixture
def night():
    with Night() as n:
        (n.folder / "tree" / "dbt").mkdir(parents=True)
        n.write(JOBS)
        n.begin()
        yield n


@pytest.fixture
def bare():
    with Night() as n:
        yield n


# --- documents -------------------------------------------------------------------------------


class Description:
    """The types and methods of a varlink description, to hold documents against."""

    def __init__(self, text):
        text = re.sub(r"#.*", "", text)
        self.tokens = re.findall(r"->|\[string\]|\[\]|[A-Za-z][\w.]*|[?():,]", text)
        self.types, self.methods = {}, {}
        assert self.take() == "interface"
        self.name = self.take()
        while self.tokens:
            word, name = self.take(), self.take()
            shape = self.shape()
            if word == "type":
                self.types[name] = shape
            elif word == "method":
                assert self.take() == "->"
                self.methods[name] = self.shape()

    def take(self):
        return self.tokens.pop(0)

    def shape(self):
        token = self.take()
        if token in ("?", "[]", "[string]"):
            return (token, self.shape())
        if token != "(":
            return token
        fields = {}
        while self.tokens[0] != ")":
            name = self.take()
            assert self.take() == ":"
            fields[name] = self.shape()
            if self.tokens[0] == ",":
                self.take()
        self.take()
        return fields

    def check(self, value, shape, where):
        """Exactly the keys, each of its type, null only where it may be."""
        if isinstance(shape, tuple):
            kind, inner = shape
            if kind == "?":
                return value is None or self.check(value, inner, where)
            assert isinstance(value, list if kind == "[]" else dict), where
            for key, item in enumerate(value) if kind == "[]" else value.items():
                self.check(item, inner, f"{where}[{key}]")
        elif isinstance(shape, dict):
            assert isinstance(value, dict) and set(value) == set(shape), where
            for key, inner in shape.items():
                self.check(value[key], inner, f"{where}.{key}")
        elif shape in self.types:
            self.check(value, self.types[shape], where)
        else:
            python = {"string": str, "int": int, "bool": bool, "object": (dict, list)}[shape]
            assert isinstance(value, python), (where, value)
            assert shape == "bool" or not isinstance(value, bool), where
        return True

    def check_reply(self, method, value):
        self.check(value, self.methods[method], method)


def description(night):
    with varlink.Client(f"unix:{night.socket}") as client:
        with client.open("org.varlink.service") as service:
            return Description(service.GetInterfaceDescription(INTERFACE)["description"])


def promised(thing):
    return set(PROMISED[thing].split())


def is_instant(text):
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)


def finish(night, job="nightly", *words):
    run = night.start(job, *words)
    return night.wait_run(run)


def test_every_document_has_the_keys_that_the_interface_declares(night):
    shapes = description(night)
    assert finish(night)["outcome"] == "failed"
    running = night.start("slow")
    night.wait("attempt-started", run=running)
    asked = {
        "Status": ["status"],
        "ListJobs": ["jobs"],
        "ListRuns": ["runs", "-n", "2"],
        "GetRun": ["show", "nightly"],
        "Why": ["why", "nightly", "2030-01-01T06:00:00Z"],
        "Next": ["next"],
        "RetryRun": ["retry", "nightly#1", "--dry-run"],
        "StartRun": ["start", "release", "--only", "environment=staging"],
        "Pause": ["pause", "release"],
        "Resume": ["resume", "release"],
        "Reload": ["reload"],
        "CancelRun": ["cancel", "slow"],
    }
    for method, words in asked.items():
        answer = night.call("--json", *words)
        assert answer.returncode == WELL and answer.stdout.count("\n") == 1, (words, answer)
        shapes.check_reply(method, json.loads(answer.stdout))
    for line in night.call("--json", "logs", "nightly").stdout.splitlines():
        shapes.check_reply("Logs", json.loads(line))
    for event in night.events:
        shapes.check_reply("Watch", event)


def test_what_was_promised_is_always_there(night):
    status = night.status()
    assert promised("Status") <= set(status)
    assert (status["store"], status["leader"], status["runs"], status["checks"]) == ("ok", True, [], [])
    run = finish(night)
    assert promised("run") | {"cells"} <= set(run)
    for cell in run["cells"]:
        assert promised("cell") <= set(cell)
        for step in cell["steps"]:
            assert promised("step") <= set(step)
            for attempt in step["attempts"]:
                assert promised("attempt") <= set(attempt)
    listed, = night.ask("runs", "-n", "1")["runs"]
    assert listed == {key: value for key, value in run.items() if key != "cells"}
    assert night.ask("runs", "release") == {"runs": []}


def test_a_run_in_every_state_says_what_it_knows_and_null_for_the_rest(night):
    name = night.start("slow", "--reason", "to see it")
    night.wait("attempt-started", run=name)
    run = night.show(name)
    attempt, = run["cells"][0]["steps"][0]["attempts"]
    assert run["state"] == "running" and run["who"].startswith("root" if os.geteuid() == 0 else "")
    assert (run["trigger"], run["why"], run["number"]) == ("manual", "to see it", 1)
    assert is_instant(run["started_at"]) and is_instant(attempt["started_at"])
    for key in ("outcome", "scheduled_for", "ended_at", "retry_of", "reason"):
        assert run[key] is None, key
    for key in ("outcome", "reason", "exit_code", "signal", "ended_at", "max_rss", "cpu_ms"):
        assert attempt[key] is None, key
    assert night.status()["runs"][0] == {k: v for k, v in run.items() if k != "cells"}
    (night.folder / "go").touch()
    run = night.wait_run(name)
    attempt, = run["cells"][0]["steps"][0]["attempts"]
    assert (run["state"], run["outcome"], attempt["exit_code"]) == ("ended", "ok", 0)
    assert attempt["max_rss"] > 0 and attempt["cpu_ms"] >= 0 and attempt["signal"] is None
    assert run == night.show("slow"), "the same from memory and from the store"


def test_what_waits_is_no_part_of_an_attempt_and_alike_ones_are_one_line(bare):
    bare.write("""max_attempts = 1;
jobs: ( { name = "many"; stages: ( { name = "load"; matrix: { tenant = ["a", "b", "c", "d"]; };
  steps: ( { name = "s"; shell = "while ! [ -e @folder@/go ]; do sleep 0.05; done"; } ); } ); } );
""")
    bare.begin()
    bare.start("many")
    bare.wait("attempt-started")
    assert len(bare.status()["waiting"]) == 3
    text = bare.call("status").stdout.splitlines()
    assert re.fullmatch(r"WAIT  many#1/load/b  since \S+: waits for a place: max_attempts is 1 "
                        r"\(and 2 more\)", text[1]), text
    assert re.fullmatch(r"RUN   many#1/load/a  \S+", text[2]), text
    (bare.folder / "go").touch()
    run = bare.wait_run("many#1")
    first, *_, last = [cell["steps"][0]["attempts"][0] for cell in run["cells"]]
    assert last["started_at"] > first["ended_at"]


def test_a_failed_run_says_what_broke_and_what_it_holds_up(night):
    run = finish(night)
    cells = {cell["name"]: cell for cell in run["cells"]}
    bad = cells["build/production/duckdb"]
    assert list(bad["matrix"].items()) == [("environment", "production"), ("target", "duckdb")]
    assert (bad["state"], bad["outcome"]) == ("ended", "failed") and bad["reason"]
    assert [a["number"] for a in bad["steps"][1]["attempts"]] == [1, 2]
    assert [a["exit_code"] for a in bad["steps"][1]["attempts"]] == [1, 1]
    held = cells["publish/production"]
    assert held["outcome"] == "skipped" and "build/production/duckdb" in held["reason"]
    red, = night.status()["red"]
    assert red["cell"] == "nightly#1/build/production/duckdb" and red["attempts"] == 2
    assert "publish/production" in red["holds_up"]
    text = night.call("status").stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\dZ  store ok  1 red  0 runs", text[0])
    assert re.fullmatch(r"RED   nightly#1/build/production/duckdb  failed \d\d:\d\dZ, "
                        r"after 2 attempts: .*", text[1])
    assert text[2] == "      holds up publish/production"


def test_the_commit_is_that_of_the_steps_work_tree(night):
    tree = night.folder / "tree"
    git = ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert finish(night)["commit"] is None, "nothing is committed yet"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    first = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    run = finish(night)
    assert run["commit"] == first.stdout.strip()
    assert f"commit {run['commit'][:12]}" in night.call("show", run["name"]).stdout
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    assert finish(night)["commit"] == run["commit"]
    night.end()
    night.begin()
    assert night.show(run["name"])["commit"] == run["commit"]


# --- exit status -----------------------------------------------------------------------------


def test_exit_statuses(night):
    cases = [
        (WELL, ["start", "release", "--only", "environment=staging"], ""),
        (FAILED, ["start", "nope"], '"nope"'),
        (FAILED, ["show", "nightly#99"], "nightly has no run #99"),
        (FAILED, ["cancel", "nightly"], "no such active run"),
        (FAILED, ["why", "nope", "2026-03-29T06:00"], '"nope"'),
        (FAILED, ["next", "nope"], '"nope"'),
        (FAILED, ["pause", "nope"], '"nope"'),
        (USAGE, ["start"], "JOB"),
        (USAGE, ["strat", "nightly"], "did you mean start"),
        (USAGE, ["runs", "-n", "0"], "1 to 1000"),
        (USAGE, ["why", "nightly", "yesterday"], "RFC 3339"),
        (USAGE, ["logs", "nightly", "--wait"], "--wait"),
        (USAGE, ["start", "nightly", "--only", "environment"], "KEY=VALUE"),
        (USAGE, ["start", "nightly", "--only", "enviroment=staging"], "environment"),
        (USAGE, ["start", "nightly", "--only", "target=bigquery"], "postgres"),
        (USAGE, ["start", "release"], "environment"),
        (FAILED, ["approve", "nightly", "--yes"], "no such active run"),
        (FAILED, ["reject", "nightly", "--yes"], "no such active run"),
        (USAGE, ["approve", "nightly"], "no terminal to ask on; say --yes"),
        (USAGE, ["reject", "nightly"], "no terminal to ask on; say --yes"),
    ]
    for status, words, said in cases:
        answer = night.call(*words)
        assert answer.returncode == status, (words, answer)
        assert said in answer.stderr and answer.stderr.count("\n") <= 1, (words, answer.stderr)
    assert night.ask("runs", "nightly") == {"runs": []}, "what is refused makes nothing"
    night.end()
    gone = night.call("status")
    assert gone.returncode == NO_DAEMON and str(night.socket) in gone.stderr


def test_usage_errors_name_the_choices(night):
    unknown = night.call("start", "nightly", "--only", "target=bigquery").stderr
    assert "postgres" in unknown and "duckdb" in unknown
    key = night.call("start", "nightly", "--only", "colour=red").stderr
    assert "environment" in key and "target" in key
    choice = night.call("start", "release").stderr
    assert "staging" in choice and "production" in choice
    retry = night.call("retry", "nightly#1", "--only", "target=bigquery")
    assert retry.returncode == FAILED and "no run #1" in retry.stderr
    finish(night)
    retry = night.call("retry", "nightly#1", "--only", "target=bigquery")
    assert retry.returncode == USAGE and "duckdb" in retry.stderr


def test_an_active_job_is_not_started_again_under_skip(night):
    name = night.start("slow")
    refused = night.call("start", "slow")
    assert refused.returncode == FAILED and f"{name} is active" in refused.stderr
    assert len(night.ask("runs", "slow")["runs"]) == 1
    assert night.call("retry", name).returncode == FAILED
    assert night.call("cancel", name, "--reason", "enough").returncode == WELL
    run = night.wait_run(name)
    assert run["outcome"] == "cancelled" and "enough" in run["cells"][0]["reason"]


@pytest.mark.scoreboard(26)
def test_a_peer_that_is_no_operator_reads_and_leaves_a_trace(night):
    if os.geteuid() != 0:
        pytest.skip("changes the user of a child")
    client = night.folder / "nightjar"
    shutil.copy(NIGHTJAR, client)

    def as_nobody(*words):
        return subprocess.run([client, "--socket", night.socket, *words], capture_output=True, text=True,
                              user="nobody", group="nogroup", extra_groups=[], timeout=PATIENCE)

    assert stat.S_IMODE(night.socket.stat().st_mode) == 0o666
    assert as_nobody("status").returncode == WELL
    denied = as_nobody("start", "slow", "--reason", "please")
    assert denied.returncode == NOT_ALLOWED and "operators" in denied.stderr
    audit = "SELECT method, subject, reason, granted, answer FROM nightjar.audit WHERE who LIKE 'nobody%'"
    row, = until(lambda: night.sql(audit), "an audit row")
    assert row == ("StartRun", "slow", "please", False, "NotAllowed")
    assert night.ask("runs") == {"runs": []}


# --- operating -------------------------------------------------------------------------------


def test_a_retry_runs_what_is_not_ok_and_nothing_else(night):
    finish(night)
    dry = night.ask("retry", "nightly#1", "--dry-run")
    assert dry == {"run": None, "cells": ["build/production/duckdb", "publish/production"]}
    assert night.call("retry", "nightly#1", "--dry-run").stdout.splitlines() == dry["cells"]
    assert len(night.ask("runs")["runs"]) == 1
    (night.folder / "repaired").touch()
    answer = night.call("retry", "nightly", "--reason", "repaired")
    assert answer.stdout == "nightly#2\n" and answer.stderr.splitlines() == dry["cells"]
    run = night.wait_run("nightly#2")
    assert (run["trigger"], run["retry_of"], run["outcome"]) == ("retry", "nightly#1", "ok")
    assert [cell["name"] for cell in run["cells"]] == dry["cells"]
    assert night.status()["red"] == []
    again = night.call("retry", "nightly#2")
    assert again.returncode == FAILED and "no cell that is not ok" in again.stderr


def test_a_pause_outlives_a_restart(night):
    slot = night.ask("next", "slow", "-n", "1")["slots"][0]["utc"]
    assert night.call("pause", "slow", "--reason", "moving house").returncode == WELL
    night.end()
    night.begin()
    job, = [job for job in night.ask("jobs")["jobs"] if job["name"] == "slow"]
    assert job["paused"] and job["next"] is None
    assert night.status()["paused"] == ["slow"] and "OFF   slow  paused" in night.call("status").stdout
    assert "paused" in night.ask("why", "slow", slot)["reason"]
    assert night.ask("next", "slow")["slots"] == []
    assert night.call("start", "slow").returncode == WELL, "by hand it may"
    assert night.call("resume", "slow").returncode == WELL
    night.end()
    night.begin()
    assert night.status()["paused"] == []
    assert night.ask("next", "slow", "-n", "1")["slots"][0]["utc"] == slot


def test_drain_waits_for_what_runs_and_then_the_daemon_ends(night):
    name = night.start("slow")
    night.wait("attempt-started", run=name)
    draining = subprocess.Popen([NIGHTJAR, "--socket", night.socket, "drain"])
    until(lambda: night.status()["draining"], "the drain")
    assert "draining" in night.call("status").stdout.splitlines()[0]
    refused = night.call("start", "nightly")
    assert refused.returncode == FAILED and "draining" in refused.stderr
    assert draining.poll() is None and night.daemon.poll() is None
    (night.folder / "go").touch()
    assert draining.wait(PATIENCE) == WELL
    assert night.daemon.wait(PATIENCE) == 0
    assert night.sql("SELECT state, outcome FROM nightjar.run") == [("ended", "ok")]


# --- slots -----------------------------------------------------------------------------------

OFTEN = """
jobs: (
{ name = "often"; schedule = "* * * * *"; %s
  stages: ( { name = "wait"; steps: ( { name = "wait";
    shell = "while ! [ -e @folder@/go ]; do sleep 0.05; done"; } ); } ); } );
"""


def begun_late(night, more, minutes):
    """A daemon that comes back after so many minutes; the last whole minute before that."""
    night.write(OFTEN % more)
    night.begin()
    until(lambda: night.sql("SELECT 1 FROM nightjar.job"), "the job's row")
    night.end()
    night.sql("DELETE FROM nightjar.slot")
    night.sql("UPDATE nightjar.job SET last_slot = date_trunc('minute', now()) - %s * interval '1 minute'",
              minutes)
    last, = night.sql("SELECT last_slot FROM nightjar.job")[0]
    night.begin()
    until(lambda: night.sql("SELECT 1 FROM nightjar.slot WHERE fate = 'run'"), "a slot that runs")
    return last


def why(night, at):
    text = at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = night.ask("why", "often", text)
    assert (answer["job"], answer["scheduled_for"]) == ("often", text)
    if text.endswith(":00Z"):
        said = night.call("why", "often", text[:16]).stdout
        assert said.startswith(f"often  {text}  {answer['fate']}")
    return answer


def test_why_says_what_became_of_any_slot(bare):
    minute = datetime.timedelta(minutes=1)
    last = begun_late(bare, 'start_grace = "3m30s";', 60)
    rows = bare.sql("SELECT scheduled_for, fate, count FROM nightjar.slot ORDER BY 1")
    ran = next(at for at, fate, _ in rows if fate == "run")
    flood = why(bare, last + 10 * minute)
    assert flood["fate"] == "skipped" and "missed" in flood["reason"] and flood["run"] is None
    assert flood == {**why(bare, last + minute), "scheduled_for": flood["scheduled_for"]}
    assert rows[0][0] == last + minute and rows[0][2] > 50
    assert why(bare, ran) == {"job": "often", "fate": "run", "run": "often#1", "reason": None,
                              "scheduled_for": ran.astimezone(datetime.timezone.utc).strftime(
                                  "%Y-%m-%dT%H:%M:%SZ")}
    skipped = why(bare, ran + minute)
    assert skipped["fate"] == "skipped" and "often#1" in skipped["reason"]
    assert "overlap" in skipped["reason"]
    assert why(bare, ran + 1000 * minute)["fate"] == "waiting"
    assert "no slot" in why(bare, ran + datetime.timedelta(seconds=30))["reason"]
    assert why(bare, last - minute)["fate"] == "never"
    bare.ask("pause", "often")
    assert "paused" in why(bare, ran + 1000 * minute)["reason"]
    run = bare.show("often#1")
    assert run["trigger"] == "schedule" and run["scheduled_for"] == \
        ran.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_missed_slot_that_is_caught_up_is_a_run(bare):
    last = begun_late(bare, 'start_grace = "1ms"; catch_up_window = "1h";', 5)
    run = bare.show("often#1")
    assert run["trigger"] == "catch_up" and run["outcome"] is None
    slot = datetime.datetime.fromisoformat(run["scheduled_for"].replace("Z", "+00:00"))
    assert slot > last and why(bare, slot)["run"] == "often#1"


# --- logs and watch --------------------------------------------------------------------------


def test_logs_of_a_run_or_any_part_of_it(night):
    finish(night)
    whole = night.call("logs", "nightly").stdout
    assert whole.count("==>") == 9, "4 cells of 2 steps, one tried twice; publish prints nothing"
    texts = {
        "nightly#1/build": 9,
        "nightly#1/build/production": 5,
        "nightly#1/build/production/duckdb": 3,
        "nightly#1/build/production/duckdb/build": 2,
    }
    for ref, attempts in texts.items():
        answer = night.call("logs", ref)
        assert answer.returncode == WELL and answer.stdout.count("==>") == attempts, (ref, answer)
    one = night.call("logs", "nightly#1/build/production/duckdb/build.2").stdout
    assert re.fullmatch(r"\d\d:\d\d:\d\d try 2\n", one)
    say = night.call("logs", "nightly#1/build/staging/postgres/say").stdout
    assert re.search(r" hello\n", say) and re.search(r" oops\n", say)
    failed = night.call("logs", "nightly#1", "--failed").stdout
    assert re.findall(r"==> (.*) <==", failed) == [
        f"nightly#1/build/production/duckdb/build.{n}" for n in (1, 2)]
    for ref in ("nightly#1/nope", "nightly#1/build/qa", "nightly#1/build/staging/postgres/build.9"):
        assert night.call("logs", ref).returncode == FAILED, ref


def test_following_logs_ends_with_the_run(night):
    name = night.start("slow")
    follower = subprocess.Popen([NIGHTJAR, "--socket", night.socket, "logs", "-f", name],
                                stdout=subprocess.PIPE, text=True)
    assert follower.stdout.readline() == f"==> {name}/wait/wait.1 <==\n"
    assert follower.stdout.readline().endswith(" begun\n")
    assert follower.poll() is None
    (night.folder / "go").touch()
    rest, _ = follower.communicate(timeout=PATIENCE)
    assert rest.endswith(" done\n") and follower.returncode == WELL


def test_the_messages_of_dbt_are_shown_and_raw_lines_where_asked_for(bare):
    events = bare.folder / "events"
    lines = [{"info": {"msg": "\n1 of 2 START model\n", "level": "info"}, "data": {}},
             {"info": {"msg": "", "level": "info"}, "data": {}},
             {"info": {"msg": "Database Error\n  column x", "level": "error"}, "data": {}},
             {"info": {"msg": "m" * 40000, "level": "warn"}, "data": {}},
             {"other": 1}]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines) + "plain\n")
    bare.configure('{ name = "a"; steps: ( { name = "s"; run = ["cat", "@folder@/events"]; } ); }')
    bare.begin()
    finish(bare)
    shown = re.sub(r"(?m)^\d\d:\d\d:\d\d ", "T ", bare.call("logs", "nightly#1/a/s.1").stdout)
    assert shown == ("T 1 of 2 START model\nT Database Error\n           column x\n" + "T " + "m" * 40000 +
                     '\nT {"other": 1}\nT plain\n')
    raw = bare.call("logs", "nightly#1/a/s.1", "--raw").stdout
    assert re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", raw) == events.read_text()
    coloured = bare.call("--color=always", "logs", "nightly#1/a/s.1").stdout
    assert "\x1b[1;31mDatabase Error\x1b[0m\n" in coloured and "\x1b[33mmm" in coloured
    document = json.loads(bare.call("--json", "logs", "nightly#1").stdout.splitlines()[0])
    assert json.loads(document["lines"][0]["text"]) == lines[0]


def test_watch_goes_on_until_it_is_interrupted(night):
    watch = subprocess.Popen([NIGHTJAR, "--socket", night.socket, "watch"], stdout=subprocess.PIPE,
                             text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert "watching from here on" in watch.stdout.readline()
    name = night.start("release", "--only", "environment=staging")
    lines = []
    while not lines or f"{name} ended ok" not in lines[-1]:
        lines.append(watch.stdout.readline())
        assert lines[-1]
    assert all(re.match(r"\d\d:\d\d:\d\dZ  ", line) for line in lines)
    assert watch.poll() is None
    watch.send_signal(signal.SIGINT)
    watch.communicate(timeout=PATIENCE)
    assert watch.returncode == -signal.SIGINT


# --- a terminal ------------------------------------------------------------------------------


def on_a_terminal(night, *words, meanwhile=lambda: None):
    """All that the client writes to a terminal of 80 columns; its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.environ.pop("NO_COLOR", None)
        os.execv(NIGHTJAR, [NIGHTJAR, "--socket", night.socket, *words])
    written = b""
    meanwhile()
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        written += piece
    os.close(terminal)
    return written.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


def test_waiting_on_a_terminal_draws_in_place_and_ends_with_the_run(night):
    def go():
        until(lambda: night.status()["running"], "the step")
        (night.folder / "go").touch()

    written, status = on_a_terminal(night, "start", "slow", "--wait", meanwhile=go)
    assert status == WELL
    assert "\x1b[2A\r\x1b[J" in written, "two lines, drawn over"
    last = plain(written.rsplit("\x1b[J", 1)[1]).splitlines()
    assert re.fullmatch(r"slow#1  ok  manual by root .*  started \d\d:\d\d:\d\dZ, took .*", last[0])
    assert last[1:] == ["  wait  ok"]
    assert on_a_terminal(night, "start", "nightly", "--wait")[1] == FAILED


def test_waiting_never_misses_the_end(night):
    for i in range(15):
        answer = night.call("start", "release", "--only", "environment=staging", "--wait")
        assert answer.returncode == WELL and answer.stdout.startswith(f"release#{i + 1}\n")
        assert f"release#{i + 1}  ok" in answer.stdout


# --- the socket ------------------------------------------------------------------------------


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(night):
    other = night.folder / "other.conf"
    other.write_text(night.file.read_text().replace(f'state = "{night.state}"',
                                                    f'state = "{night.folder}/state2"'))
    second = subprocess.run([NIGHTJARD, "--config", other], capture_output=True, text=True,
                            timeout=PATIENCE, env={**os.environ, "NIGHTJAR_SHIM": os.environ.get(
                                "NIGHTJAR_SHIM", str(NIGHTJARD.parents[1] / "shim/nightjar-shim"))})
    assert second.returncode == 1 and str(night.socket) in second.stderr
    assert night.status()["leader"]
    night.kill()
    assert night.socket.is_socket() and night.call("status").returncode == NO_DAEMON
    night.begin()
    assert stat.S_IMODE(night.socket.stat().st_mode) == 0o666
    night.end()
    assert not night.socket.exists()


def test_an_independent_varlink_client_reads_and_operates(night):
    with varlink.Client(f"unix:{night.socket}") as client:
        assert INTERFACE in [str(i) for i in client.get_interfaces()]
        with client.open(INTERFACE) as scheduler:
            run = scheduler.StartRun("release", [{"key": "environment", "value": "staging"}], "by hand")["run"]
            night.wait_run(run)
            shown = scheduler.GetRun(run)  # which leaves out what is null
            assert shown["why"] == "by hand" and shown["cells"][0]["outcome"] == "ok"
            assert shown["id"] == night.show(run)["id"]
            for error, ask in {
                "Usage": lambda: scheduler.StartRun("release", [], None),
                "NoSuch": lambda: scheduler.GetRun("nope"),
                "Refused": lambda: scheduler.RetryRun(run, [], None, None),
            }.items():
                with pytest.raises(varlink.VarlinkError) as raised:
                    ask()
                assert raised.value.error() == f"{INTERFACE}.{error}"


# --- the manual ------------------------------------------------------------------------------


def test_the_manual_page_of_the_journal_lists_the_events():
    table = re.findall(r'\{"([a-z-]+)",\s+LOG_\w+,\s+"([0-9a-f]{32})"',
                       (ROOT / "lib/core/event.c").read_text())
    page = (NIGHTJARD.parents[1] / "man/nightjar-journal.7").read_text()
    listed = re.findall(r"\.It ([a-z\\-]+) Pq Li \w+\n(?:.*\n)*?\.Li ([0-9a-f]{32})", page)
    assert [(name.replace("\\-", "-"), id) for name, id in listed] == \
        [event for event in table if event[0] != "progress"]
