"""A person's word: the real daemon, and steps that wait for it."""
import json
import os
import pty
import shutil
import socket
import subprocess

import pytest

from nightlib import NIGHTJAR, PATIENCE, Night, until

FAILED, USAGE, NOT_ALLOWED = 1, 2, 4

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")

RELEASE = """{ name = "release"; @job@
  stages: ( { name = "apply"; matrix: { environment = ["staging"]; };
    steps: ( { name = "apply"; shell = "echo applied >> @folder@/applied";
      gate: { approval: { message = "QA done for ${run.name}?"; @expires@ }; }; } ); } ); }"""
OTHER = """, { name = "other"; stages: ( { name = "a"; steps: ( { name = "s"; run = ["true"]; } ); } ); }"""


def write(night, job="", expires="", more="", top=""):
    text = RELEASE.replace("@job@", job).replace("@expires@", expires)
    night.write(f"environments: {{ staging: {{}}; }};\n{top}\njobs: (\n{text}{more}\n);\n")


@pytest.fixture
def night():
    with Night() as n:
        write(n)
        n.begin()
        yield n


def awaited(night, job="release"):
    """A run that waits for approval."""
    run = night.start(job)
    until(lambda: any("waits for approval" in w["reason"] for w in night.status()["waiting"]),
          "a step that waits for approval")
    return run


def applied(night):
    path = night.folder / "applied"
    return len(path.read_text().splitlines()) if path.exists() else 0


def attempt(night, run):
    return night.show(run)["cells"][0]["steps"][0]["attempts"][-1]


def note(night):
    (found,), = night.sql("SELECT note FROM nightjar.action WHERE name = 'gate_approval'")
    return found


def varlink(night, method, parameters):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(str(night.socket))
        call = {"method": f"org.nightjar.Scheduler.{method}", "parameters": parameters}
        s.sendall(json.dumps(call).encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            data += s.recv(65536)
        return json.loads(data[:-1])


# --- the word --------------------------------------------------------------------------------


def test_a_step_waits_for_approval_says_so_and_goes_on_with_it(night):
    since = night.here()
    run = awaited(night)
    waiting, = night.status()["waiting"]
    assert waiting["reason"] == \
        "waits for approval: QA done for release#1? (nightjar approve release#1/apply/staging)"
    assert waiting["since"]
    assert attempt(night, run)["waits_for"] == "approval" and attempt(night, run)["plan"] is None
    assert "waits for approval" in night.call("show", run).stdout
    assert night.wait("approval-awaited", since=since)["step"] == "apply"
    shown = night.call("approve", "release", "--yes", "--reason", "seen it")
    assert shown.returncode == 0 and "QA done for release#1?" in shown.stdout
    assert night.wait("approved", since=since)["outcome"] == "ok"
    assert night.wait_run(run)["outcome"] == "ok" and applied(night) == 1
    assert note(night)["decision"] == "approved" and note(night)["reason"] == "seen it"
    assert "uid" in note(night)["by"] and note(night)["at"]
    assert night.sql("SELECT method, subject, reason, granted FROM nightjar.audit"
                     " WHERE method = 'approve'") == [
        ("approve", "release#1/apply/staging/apply", "seen it", True)]
    late = night.call("approve", run, "--yes")
    assert late.returncode == FAILED and "no such active run" in late.stderr


def test_a_rejected_step_has_failed_with_who_and_why(night):
    run = awaited(night)
    answer = night.ask("reject", "release#1/apply", "--yes", "--reason", "not tonight")
    assert answer == {"ref": "release#1/apply/staging/apply"}
    ended = night.wait_run(run)
    assert ended["outcome"] == "failed" and applied(night) == 0
    reason = ended["cells"][0]["reason"]
    assert reason.startswith("rejected by ") and reason.endswith(": not tonight")


def test_what_nobody_approves_expires_and_needs_a_person(night):
    write(night, expires='expires = "1s";')
    night.call("reload")
    run = night.start("release")
    ended = night.wait_run(run)
    assert ended["outcome"] == "needs_person" and applied(night) == 0
    assert ended["cells"][0]["reason"] == "nobody approved it within 1s"
    assert note(night)["decision"] == "expired"


def test_the_word_for_another_plan_is_refused(night):
    awaited(night)
    refused = varlink(night, "Approve", {"ref": "release", "plan": "0123"})
    assert refused["error"].endswith(".Refused") and "another plan" in refused["parameters"]["message"]
    assert varlink(night, "GetApproval", {"ref": "release"})["parameters"]["approvals"][0]["hash"] is None
    assert applied(night) == 0


def test_what_a_plan_would_do_and_where_it_went_before_is_shown_first(night):
    """The rows of plans are put there by hand, and read by a new daemon."""
    write(night, more=OTHER)
    night.call("reload")
    before = night.start("other")
    night.wait_run(before)
    run = awaited(night)
    changes = [{"address": "metabase_card.a", "action": "create"},
               {"address": "metabase_database.b", "action": "replace"}]
    for job, environment, by in (("other", "production", "alice"), ("release", "staging", None)):
        night.sql("INSERT INTO nightjar.plan (run_id, cell, step, attempt, hash, changes, summary, made_at,"
                  " environment, decision, decided_by) SELECT id, 0, 0, 1, %s, %s,"
                  """ '{"add":1,"change":0,"destroy":0,"replace":1}', clock_timestamp(), %s, %s, %s"""
                  " FROM nightjar.run WHERE job = %s", "hash of " + job, json.dumps(changes), environment,
                  by and "approved", by, job)
    night.kill()
    night.begin()
    approval, = varlink(night, "GetApproval", {"ref": run})["parameters"]["approvals"]
    assert approval["plan"]["changes"] == changes and approval["plan"]["hash"] == "hash of release"
    there, = approval["elsewhere"]
    assert (there["ref"], there["environment"], there["same"], there["outcome"], there["decided_by"]) \
        == (f"{before}/a", "production", "plan", "ok", "alice") and there["ended_at"]
    shown = night.call("approve", "release", "--yes", "--color", "never").stdout.splitlines()
    assert "    + metabase_card.a" in shown and "  -/+ metabase_database.b" in shown
    assert "      2 to add, 0 to change, 1 to destroy" in shown
    assert any(line.startswith("      the same plan: other#1/a  ok ") and
               line.endswith(", approved by alice") for line in shown)
    assert night.wait_run(run)["outcome"] == "ok"
    assert attempt(night, run)["plan"]["decision"] == "approved"
    assert "plan: 2 to add, 0 to change, 1 to destroy, approved by " in night.call("show", run).stdout
    assert night.sql("SELECT decision, decided_by LIKE '%% (uid %%' FROM nightjar.plan"
                     " WHERE hash = 'hash of release'") == [("approved", True)]


# --- who asks, and who may answer ------------------------------------------------------------


def test_on_a_terminal_it_asks_first(night):
    run = awaited(night)
    for typed, code in ((b"\n", FAILED), (b"n\n", FAILED), (b"y\n", 0)):
        master, slave = pty.openpty()
        try:
            os.write(master, typed)
            answer = subprocess.run([NIGHTJAR, "--socket", night.socket, "approve", "release"],
                                    stdin=slave, capture_output=True, text=True, timeout=PATIENCE)
        finally:
            os.close(master)
            os.close(slave)
        assert answer.returncode == code, answer
        assert "Approve? [y/N]" in answer.stdout and "QA done" in answer.stdout
    assert night.wait_run(run)["outcome"] == "ok" and applied(night) == 1


def test_without_a_terminal_it_must_be_told_to_go_ahead(night):
    awaited(night)
    for words in (["approve", "release"], ["reject", "release"], ["--json", "approve", "release"]):
        answer = night.call(*words)
        assert answer.returncode == USAGE and "say --yes" in answer.stderr, words
    assert attempt(night, "release")["waits_for"] == "approval"


@as_root
def test_only_an_operator_may_say_it(night):
    awaited(night)
    client = night.folder / "nightjar"
    shutil.copy(NIGHTJAR, client)
    client.chmod(0o755)
    answer = subprocess.run([client, "--socket", night.socket, "approve", "release", "--yes"],
                            capture_output=True, text=True, timeout=PATIENCE, user=60001,
                            group=60001, extra_groups=[])
    assert answer.returncode == NOT_ALLOWED and "QA done" in answer.stdout, answer
    assert attempt(night, "release")["waits_for"] == "approval"
    assert night.sql("SELECT count(*) FROM nightjar.audit WHERE NOT granted") == [(1,)]


# --- crashes ---------------------------------------------------------------------------------


def test_a_restart_goes_on_waiting(night):
    run = awaited(night)
    before = night.status()["waiting"]
    night.kill()
    night.begin()
    assert night.status()["waiting"] == before
    night.ask("approve", "release", "--yes")
    assert night.wait_run(run)["outcome"] == "ok" and applied(night) == 1


def test_a_word_that_was_answered_survives_a_crash_at_once(night):
    for n in range(1, 6):
        run = awaited(night)
        night.ask("approve", "release", "--yes")
        night.kill()
        night.begin()
        assert night.wait_run(run)["outcome"] == "ok" and applied(night) == n


# --- what it costs ---------------------------------------------------------------------------


def test_who_waits_takes_no_place(night):
    write(night, more=OTHER, top="max_attempts = 1;")
    night.call("reload")
    awaited(night)
    assert night.wait_run(night.start("other"))["outcome"] == "ok"
    assert attempt(night, "release")["waits_for"] == "approval"


def test_a_deadline_does_not_count_the_wait(night):
    write(night, job='deadline = "3s";', more=OTHER)
    night.call("reload")
    run = awaited(night)
    (first,), = night.sql("SELECT deadline_at FROM nightjar.run")
    until(lambda: night.sql("SELECT clock_timestamp() > deadline_at + interval '1s'"
                            " FROM nightjar.run") == [(True,)], "the deadline's instant")
    night.kill()
    night.begin()
    assert night.show(run)["state"] == "running"
    night.ask("approve", "release", "--yes")
    assert night.wait_run(run)["outcome"] == "ok"
    (second,), = night.sql("SELECT deadline_at FROM nightjar.run")
    assert second > first


# --- between plan and apply ------------------------------------------------------------------

PLAN = """resource "terraform_data" "a" { input = "one" }
resource "terraform_data" "b" { input = "two" }
"""


@pytest.fixture
def planned():
    """A run of the real terraform that waits with its plan; it needs no provider but its own."""
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    with Night() as n:
        (n.folder / "tf").mkdir()
        (n.folder / "tf" / "main.tf").write_text(PLAN)
        n.write("""environments: { staging: {}; };
jobs: ( { name = "release"; environment = "staging"; stages: ( { name = "apply";
  steps: ( { name = "apply"; terraform: { action = "apply"; directory = "@folder@/tf"; };
    gate: { approval: { message = "QA done?"; expires = "24h"; }; }; } ); } ); } );
""")
        n.begin()
        awaited(n)
        yield n


def terraform_state(night):
    path = night.folder / "tf" / "terraform.tfstate"
    return [r["name"] for r in json.loads(path.read_text())["resources"]] if path.exists() else []


def test_a_plan_waits_is_shown_and_is_what_is_applied(planned):
    approval, = varlink(planned, "GetApproval", {"ref": "release"})["parameters"]["approvals"]
    assert approval["hash"] == approval["plan"]["hash"]
    assert {(c["address"], c["action"]) for c in approval["plan"]["changes"]} == {
        ("terraform_data.a", "create"), ("terraform_data.b", "create")}
    assert terraform_state(planned) == []
    old = varlink(planned, "Approve", {"ref": "release", "plan": "0" * 64})
    assert "another plan" in old["parameters"]["message"] and terraform_state(planned) == []
    planned.kill()
    planned.begin()
    shown = planned.call("approve", "release", "--yes", "--color", "never")
    assert shown.returncode == 0 and "    + terraform_data.a\n" in shown.stdout
    assert "      2 to add, 0 to change, 0 to destroy\n" in shown.stdout
    assert planned.wait_run("release#1")["outcome"] == "ok"
    assert sorted(terraform_state(planned)) == ["a", "b"]
    plan = attempt(planned, "release#1")["plan"]
    assert plan["decision"] == "approved" and plan["hash"] == approval["hash"]
    assert planned.sql("SELECT outcome, decision, add FROM nightjar.plan_history") == [("ok", "approved", 2)]


def test_a_rejected_plan_is_not_applied(planned):
    planned.ask("reject", "release", "--yes", "--reason", "not tonight")
    assert planned.wait_run("release#1")["outcome"] == "failed"
    assert terraform_state(planned) == []
    assert planned.sql("SELECT decision, decision_reason FROM nightjar.plan") == [
        ("rejected", "not tonight")]
