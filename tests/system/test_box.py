"""The installed unit under a real systemd: boxlib.py makes the box, whose life these tests follow."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from boxlib import ROOT, Box, NoBox, until, why_not

RUN_ENDED = "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b003"  # see nightjar-journal(7)
UNIT_CGROUP = "/system.slice/nightjard.service"
SECRET = "of-staging-alone"

USERS = """\
u olga - "an operator"
u rita - "a reader"
m olga nightjar-admin
"""

CONFIG = """\
store: {{ conninfo = "host=/run/postgresql dbname=nightjar"; }};
socket: {{ operators = "nightjar-admin"; }};

environments:
{{
  staging: {{ vars: {{ DB_HOST = "/run/postgresql"; DB_PORT = "5432"; DB_NAME = "nightjar";
                       DB_USER = "nightjar"; DUCKDB_FILE = "/srv/box/staging.duckdb"; }}; }};
}};

checks: ( {{ name = "gone"; environments = ["staging"]; url = "http://127.0.0.1:9/"; fall = 1; interval = "1h"; }} );

jobs:
(
  {{ name = "minute"; schedule = "* * * * *";
     stages: ( {{ name = "say"; steps: ( {{ name = "say"; run = ["/usr/bin/true"]; }} ); }} ); }},

  {{ name = "hello"; environment = "staging";
     stages: ( {{ name = "say"; secrets = ["DB_PASS"];
                  steps: ( {{ name = "say"; shell = "echo user=$(id -un) umask=$(umask); printf %s \\"$DB_PASS\\" | sha256sum; "
                                                    "echo cgroup=$(sed -n s/^0:://p /proc/self/cgroup); echo $DB_PASS"; }} ); }} ); }},

  # waits until the test writes a line into its fifo
  {{ name = "wait";
     stages: ( {{ name = "wait"; steps: ( {{ name = "wait"; shell = "read line </srv/box/fifo; echo got $line"; }} ); }} ); }},

  {{ name = "polite";
     stages: ( {{ name = "a"; steps: ( {{ name = "a"; cwd = "/srv/box";
                  shell = "trap 'sleep 1; echo stopped >stopped; exit 0' TERM; echo >begun; while :; do read line <fifo; done"; }} ); }} ); }},

  {{ name = "chatter";
     stages: ( {{ name = "a"; steps: ( {{ name = "a"; shell = "seq -f '%06.0f words that fill the queue' 30000"; }} ); }} ); }},

  # leaves its session and its parent, and takes no signal
  {{ name = "tree";
     stages: ( {{ name = "a"; steps: ( {{ name = "a"; timeout = "1s"; kill_after = "500ms"; cwd = "/srv/box";
                  shell = "trap '' TERM; (setsid sh -c 'trap \\"\\" TERM INT HUP; exec sleep 5123' &) ; sleep 5123"; }} ); }} ); }},

  {{ name = "dbt"; environment = "staging";
     stages: ( {{ name = "build"; matrix: {{ target = ["postgres", "duckdb"]; }}; secrets = ["DB_PASS"];
                  steps: ( {{ name = "build"; timeout = "2m";
                              dbt: {{ command = "build"; project = "/srv/dbt"; profiles = "/srv/dbt";
                                      target = "${{matrix.target}}"; executable = "{dbt}"; }}; }} ); }} ); }}
);
"""


def find_dbt():
    beside = Path(sys.executable).parent / "dbt"
    return str(beside) if beside.exists() else shutil.which("dbt")


def furnish(box):
    box.furnish(USERS)
    nightjar = box.uid("nightjar")
    dbt = find_dbt()
    for path in (dbt, sys.prefix, Path(sys.prefix, "bin/python3"), ROOT) if dbt else ():
        box.open_path(path)
    shutil.copytree(ROOT / "etc/demo/dbt", box.root / "srv/dbt")
    (box.root / "srv/box").mkdir()
    os.mkfifo(box.root / "srv/box/fifo")
    for path in (box.root / "srv").rglob("*"):
        os.chown(path, nightjar, nightjar)
    box.write("/etc/nightjar/credentials/staging.DB_PASS", SECRET + "\n", 0o600)
    box.write("/etc/nightjar/nightjar.conf", CONFIG.format(dbt=dbt))
    box.write("/etc/systemd/system/nightjard.service.d/box.conf", "[Service]\nWatchdogSec=3\n")


@pytest.fixture(scope="module")
def box():
    reason = why_not()
    if reason:
        pytest.skip(reason)
    try:
        box = Box()
    except NoBox as e:
        pytest.skip(str(e))
    try:
        furnish(box)
        try:
            box.boot()
        except NoBox as e:
            pytest.skip(str(e))
        until(lambda: box.property("ActiveState", "postgresql") == "active")
        box.run("createdb", "-h", "/run/postgresql", "nightjar", user="nightjar")
        until(lambda: leads(box))
        yield box
    finally:
        box.close()


def leads(box):
    p = box.nightjar("--json", "status", check=False)
    return '"store":"ok"' in p.stdout.replace(" ", "") and '"leader":true' in p.stdout.replace(" ", "")


def start(box, job):
    """Starts it and waits until its step runs; the run's name."""
    name = box.json("start", job)["run"]
    until(lambda: attempts(box, name) and attempts(box, name)[0]["started_at"])
    return name


def attempts(box, run):
    return [a for c in box.json("show", run)["cells"] for s in c["steps"] for a in s["attempts"]]


def ended(box, run, seconds=30):
    return until(lambda: (r := box.json("show", run))["state"] == "ended" and r, seconds)


def let_go(box):
    box.run("timeout", "10", "sh", "-c", "echo on >/srv/box/fifo")


def logs(box, run):
    return box.nightjar("logs", run).stdout


def main_pid(box):
    return int(box.property("MainPID"))


def in_order(box):
    assert box.property("ActiveState") == "active"
    until(lambda: leads(box))


def boot(box):
    box.boot()
    until(lambda: box.property("ActiveState") == "active")
    until(lambda: leads(box))


def clear(box):
    for name in ("begun", "stopped"):
        (box.root / "srv/box" / name).unlink(missing_ok=True)


def said(box):
    return [e["MESSAGE"] for e in box.journal("-u", "nightjard", "-n", "50")]


def cgroups(box):
    return box.run("ls", f"/sys/fs/cgroup{UNIT_CGROUP}").stdout.count("nightjar-")


def test_a_started_unit_listens(box):
    box.run("systemctl", "stop", "nightjard")
    assert box.nightjar("status", check=False).returncode == 3
    box.run("sh", "-c", "systemctl start nightjard && nightjar status")
    until(lambda: box.property("StatusText").startswith("store ok"))


def test_a_wrong_configuration_never_becomes_ready(box):
    box.run("systemctl", "stop", "nightjard")
    good = (box.root / "etc/nightjar/nightjar.conf").read_text()
    box.write("/etc/nightjar/nightjar.conf", good.replace("minute", "minute!", 1))
    assert box.run("systemctl", "start", "nightjard", check=False).returncode != 0
    until(lambda: any("/etc/nightjar/nightjar.conf:" in m and "minute!" in m for m in said(box)))
    box.write("/etc/nightjar/nightjar.conf", good)
    until(lambda: box.property("ActiveState") == "active")  # tried again by itself
    in_order(box)


def test_a_step_is_the_user_nightjar_with_its_secret_in_a_cgroup_of_its_own(box):
    box.nightjar("start", "hello", "--wait")
    text = logs(box, "hello")
    assert "user=nightjar umask=0077" in text
    assert hashlib.sha256(SECRET.encode()).hexdigest() in text
    assert SECRET not in text and "***" in text
    assert f"cgroup={UNIT_CGROUP}/nightjar-" in text
    until(lambda: cgroups(box) == 0)
    # no controller: systemd could not attach a restarted daemon
    assert box.run("cat", f"/sys/fs/cgroup{UNIT_CGROUP}/cgroup.subtree_control").stdout.strip() == ""


def test_the_journal_has_the_fields(box):
    box.nightjar("start", "hello", "--wait")
    run = box.json("runs", "hello")["runs"][0]["name"]
    entries = until(lambda: [e for e in box.journal(f"NIGHTJAR_RUN={run}")
                             if e.get("MESSAGE_ID") == RUN_ENDED])
    assert entries[0]["SYSLOG_IDENTIFIER"] == "nightjard"
    assert entries[0]["_SYSTEMD_UNIT"] == "nightjard.service"
    assert entries[0]["NIGHTJAR_JOB"] == "hello"
    assert entries[0]["NIGHTJAR_OUTCOME"] == "ok"
    of_cell = box.journal(f"NIGHTJAR_RUN={run}", "NIGHTJAR_CELL=say")
    assert {e.get("NIGHTJAR_STEP") for e in of_cell} >= {"say"}
    assert {e.get("NIGHTJAR_ATTEMPT") for e in of_cell} >= {"1"}
    assert not [e for e in box.journal() if SECRET in str(e.get("MESSAGE"))]
    check = until(lambda: box.journal("NIGHTJAR_CHECK=gone", "NIGHTJAR_ENVIRONMENT=staging"))[0]
    assert check["PRIORITY"] == "4" and "check gone of staging is down" in check["MESSAGE"]


def test_a_reload_is_all_or_nothing(box):
    good = (box.root / "etc/nightjar/nightjar.conf").read_text()
    box.write("/etc/nightjar/nightjar.conf", good.replace('name = "minute"', 'name = "moment"'))
    box.run("systemctl", "reload", "nightjard")
    assert "moment" in box.nightjar("jobs").stdout
    box.write("/etc/nightjar/nightjar.conf", good.replace("schedule", "shedule"))
    assert box.run("systemctl", "reload", "nightjard", check=False).returncode != 0
    assert "moment" in box.nightjar("jobs").stdout
    until(lambda: any("nightjar.conf:" in m and "shedule" in m for m in said(box)))
    box.write("/etc/nightjar/nightjar.conf", good)
    box.run("systemctl", "reload", "nightjard")
    assert "minute" in box.nightjar("jobs").stdout
    in_order(box)


def test_an_operator_may_start_and_a_reader_may_read(box):
    box.nightjar("start", "hello", "--wait", user="olga")
    refused = box.nightjar("start", "hello", user="rita", check=False)
    assert refused.returncode == 4
    box.nightjar("status", user="rita")
    assert "***" in box.nightjar("logs", "hello", user="rita").stdout
    # nor may a step, whose user is the daemon's own
    assert box.nightjar("start", "hello", user="nightjar", check=False).returncode == 4


def kill(box):
    box.run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "nightjard")


def restart(box):
    box.run("systemctl", "restart", "nightjard")


def stop_and_start(box):
    box.run("systemctl", "stop", "nightjard")
    box.run("systemctl", "start", "nightjard")


@pytest.mark.scoreboard(1)
@pytest.mark.parametrize("end", [kill, restart, stop_and_start])
def test_a_step_goes_on_without_its_daemon(box, end):
    run, before = start(box, "wait"), main_pid(box)
    end(box)
    until(lambda: main_pid(box) not in (0, before))
    until(lambda: leads(box))
    until(lambda: box.json("show", run)["state"] == "running")
    let_go(box)
    assert ended(box, run)["outcome"] == "ok"
    assert len(attempts(box, run)) == 1
    assert "got on" in logs(box, run)
    until(lambda: cgroups(box) == 0)


@pytest.mark.scoreboard(15)
def test_a_timeout_ends_the_whole_tree_by_its_cgroup(box):
    run = box.json("start", "tree")["run"]
    assert ended(box, run)["outcome"] == "timed_out"
    assert not [c for c in box.commands() if "5123" in c]
    until(lambda: cgroups(box) == 0)


def test_the_watchdog_replaces_a_daemon_that_hangs(box):
    run, before = start(box, "wait"), main_pid(box)
    box.run("kill", "-STOP", str(before))
    until(lambda: main_pid(box) not in (0, before), 20)
    until(lambda: leads(box))
    let_go(box)
    assert ended(box, run)["outcome"] == "ok"
    assert len(attempts(box, run)) == 1


@pytest.mark.scoreboard(22)
def test_a_journal_that_hangs_holds_nothing_up(box):
    journald = box.property("MainPID", "systemd-journald")
    before = main_pid(box)
    box.run("kill", "-STOP", journald)
    try:
        box.nightjar("start", "chatter", "--wait", seconds=20)
        box.nightjar("status", seconds=2)
    finally:
        box.run("kill", "-CONT", journald)
    assert main_pid(box) == before
    until(lambda: box.journal("-t", "nightjard", "-g", "messages were dropped"))


def test_the_sandbox_is_as_tight_as_said(box):
    unit = "/usr/lib/systemd/system/nightjard.service"
    assert box.run("systemd-analyze", "verify", unit).stderr == ""
    p = box.run("systemd-analyze", "security", "--offline=true", unit)
    figure = p.stdout.strip().splitlines()[-1].split("nightjard.service: ")[1].split()[0]
    text = (box.root / unit.lstrip("/")).read_text()
    assert f"systemd-analyze security says {figure}." in text
    assert float(figure) <= 2.7


@pytest.mark.skipif(not find_dbt(), reason="no dbt here")
def test_dbt_builds_under_the_sandbox(box):
    p = box.nightjar("start", "dbt", "--wait", check=False, seconds=120)
    assert p.returncode == 0, p.stdout + logs(box, "dbt")[-3000:]
    cells = box.json("show", "dbt")["cells"]
    assert [(c["name"], c["outcome"]) for c in cells] == [("build/postgres", "ok"), ("build/duckdb", "ok")]


@pytest.mark.parametrize("stopped_before", [None, "postgresql", "nightjard"])
def test_going_down_interrupts_and_keeps_the_result(box, stopped_before):
    run = start(box, "polite")
    until(lambda: (box.root / "srv/box/begun").exists())
    if stopped_before:
        box.run("systemctl", "stop", stopped_before)
    box.poweroff()
    assert (box.root / "srv/box/stopped").read_text() == "stopped\n"
    boot(box)
    assert ended(box, run)["outcome"] == "interrupted"
    assert attempts(box, run)[0]["reason"] == "interrupted: the machine was shutting down"
    before = [e["MESSAGE"] for e in box.journal("-b", "-1", "-t", "nightjard")]
    if stopped_before != "nightjard":  # the daemon itself waited for it
        assert any("the machine goes down: 1 running" in m for m in before), before
        assert any(m.startswith(f"{run} ended interrupted") for m in before), before
    clear(box)


@pytest.mark.scoreboard(4)
def test_a_power_cut_interrupts(box):
    run = start(box, "polite")
    until(lambda: (box.root / "srv/box/begun").exists())
    box.cut()
    assert not (box.root / "srv/box/stopped").exists()
    boot(box)
    assert ended(box, run)["outcome"] == "interrupted"
    clear(box)


def test_a_schedule_was_kept_meanwhile(box):
    runs = until(lambda: [r for r in box.json("runs", "minute")["runs"] if r["state"] == "ended"], 70)
    assert {r["trigger"] for r in runs} <= {"schedule", "catch_up"}
    assert "ok" in {r["outcome"] for r in runs}
    slots = [r["scheduled_for"] for r in runs]
    assert len(set(slots)) == len(slots)
