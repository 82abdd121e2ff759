"""The `terraform` step: the real daemon and the real terraform. Its builtin terraform_data needs no
provider; what a resource does while it is made is a local-exec."""
import contextlib
import json
import os
import signal
import subprocess

import pytest

from metabaselib import needs_terraform
from nightlib import Night, is_alive, lines_of, pids_in, until

pytestmark = needs_terraform

TOKEN = "a-token-that-nobody-may-see"
BACKEND = 'terraform {\n  backend "local" {}\n}\n'
WORD = 'variable "word" {\n  type = string\n  default = "one"\n}\n'


def slow(name, folder, then=""):
    """A resource whose making says who makes it and waits for a file."""
    return (f'resource "terraform_data" "{name}" {{\n  provisioner "local-exec" {{\n    command = '
            f'"echo $PPID $$ >> {folder}/up; while [ ! -e {folder}/go ]; do sleep 0.05; done{then}"\n'
            "  }\n}\n")


def stage(more="", step="", name="apply", environment="", action="apply"):
    return (f'{{ name = "{name}"; {environment} steps: ( {{ name = "{name}"; {step} terraform: {{ '
            f'action = "{action}"; directory = "@folder@/tf"; '
            f'backend_config = {{ path = "@folder@/state/tf.${{run.name}}.tfstate"; }}; {more} }}; }} ); }}')


class Bench:
    def __init__(self, night):
        self.night = night
        self.directory = night.folder / "tf"
        self.directory.mkdir()
        self.state = night.folder / "own.tfstate"

    def hcl(self, text, name="main.tf"):
        (self.directory / name).write_text(text)

    def stages(self, more="", step="", **rest):
        """One state for all runs."""
        return stage(more, step, **rest).replace("@folder@/state/tf.${run.name}.tfstate", str(self.state))

    def resources(self):
        state = json.loads(self.state.read_text())
        return {f"{r['type']}.{r['name']}": r["instances"][0] for r in state["resources"]}

    def up(self, n=1):
        """Pids of terraform and of the shell it runs, one pair for each."""
        pids = pids_in(self.night.folder / "up", 2 * n)
        return pids[-2], pids[-1]

    def go(self):
        (self.night.folder / "go").touch()


@pytest.fixture
def bench():
    with Night() as night:
        yield Bench(night)


def run(bench, number=1):
    night = bench.night
    name = night.start()
    assert name == f"nightly#{number}"
    return night.wait_run(name)


def step_of(run):
    return run["cells"][0]["steps"][0]


def actions(bench, number=1):
    return [a for a, in bench.night.sql(
        "SELECT a.name FROM nightjar.action a JOIN nightjar.run r ON r.id = a.run_id WHERE r.number = %s"
        " ORDER BY a.attempt, a.ordinal", number)]


def plans(bench):
    return bench.night.sql("SELECT changes, summary, environment FROM nightjar.plan ORDER BY made_at")


def test_a_plan_is_applied_and_kept_with_addresses(bench):
    bench.hcl(BACKEND + WORD + 'resource "terraform_data" "a" {\n  input = var.word\n}\n'
              'resource "terraform_data" "b" {\n  triggers_replace = var.word\n}\n')
    bench.night.configure(bench.stages())
    bench.night.begin()
    first = run(bench)
    attempt = step_of(first)["attempts"][0]
    assert (first["outcome"], attempt["reason"]) == ("ok", "2 added")
    assert attempt["progress"]["done"] == attempt["progress"]["total"] == 2
    assert actions(bench) == ["init", "plan", "show", "apply"]
    assert set(bench.resources()) == {"terraform_data.a", "terraform_data.b"}
    bench.hcl('word = "two"\n', "terraform.tfvars")
    assert step_of(run(bench, 2))["attempts"][0]["reason"] == "1 changed, 1 replaced"
    assert step_of(run(bench, 3))["attempts"][0]["reason"] == "nothing to change"
    kept = plans(bench)
    assert kept[1][0] == [{"address": "terraform_data.a", "action": "update"},
                          {"address": "terraform_data.b", "action": "replace"}]
    assert kept[1][1] == {"add": 0, "change": 1, "destroy": 0, "replace": 1}
    assert kept[2][0] == []


def test_a_plan_alone_tells_drift(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n')
    bench.night.configure(bench.stages(action="plan"))
    bench.night.begin()
    assert step_of(run(bench))["attempts"][0]["reason"] == "drift: 1 to add"
    assert not bench.state.exists()
    bench.hcl(BACKEND)
    assert step_of(run(bench, 2))["attempts"][0]["reason"] == "no drift"


def test_a_failure_says_where_and_the_files_with_values_are_gone(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {\n  lifecycle {\n    precondition {\n'
              '      condition     = terraform.workspace == "x"\n'
              '      error_message = "It is not x."\n    }\n  }\n}\n')
    bench.night.configure(bench.stages())
    bench.night.begin()
    ended = run(bench)
    assert ended["outcome"] == "failed"
    assert step_of(ended)["reason"] == (
        "terraform: Resource precondition failed: It is not x. (main.tf:7)")
    assert not list(bench.night.state.glob("actions/*/*/*/plan*.out"))


def test_a_workspace_that_is_not_there_is_no_empty_one(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n')
    bench.night.configure(bench.stages('workspace = "blue";'))
    bench.night.begin()
    assert step_of(run(bench))["reason"] == 'terraform: there is no workspace "blue"'


def test_a_cancel_is_one_interrupt_and_the_state_is_kept(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n' +
              slow("b", bench.night.folder, "; exit 0").replace(
                  'provisioner', 'depends_on = [terraform_data.a]\n  provisioner'))
    bench.night.configure(bench.stages())
    bench.night.begin()
    bench.night.start()
    terraform, shell = bench.up()
    bench.night.ask("cancel", "nightly#1")
    ended = bench.night.wait_run()
    assert ended["outcome"] == "cancelled"
    assert "terraform_data.a" in bench.resources()
    assert not is_alive(terraform) and not is_alive(shell)
    log = bench.night.call("logs", "nightly#1").stdout
    assert log.count("Interrupt received") == 1
    assert "Two interrupts received" not in log


def test_a_killed_terraform_is_planned_again_and_what_it_began_needs_a_person(bench):
    bench.hcl(BACKEND + slow("a", bench.night.folder))
    bench.night.configure(bench.stages())
    bench.night.begin()
    bench.night.start()
    terraform, shell = bench.up()
    os.kill(terraform, signal.SIGKILL)
    ended = bench.night.wait_run()
    assert ended["outcome"] == "needs_person"
    assert "terraform_data.a may have been made" in step_of(ended)["reason"]
    assert actions(bench) == ["init", "plan", "show", "apply", "plan_2", "show_2", "tidy"]
    until(lambda: not is_alive(shell), "the end of what it ran")


def test_a_killed_terraform_goes_on_where_nothing_is_in_doubt(bench):
    folder = bench.night.folder
    bench.hcl(BACKEND + f'resource "terraform_data" "a" {{\n  input = fileexists("{folder}/second") ? '
              '"new" : "old"\n}\n')
    bench.night.configure(bench.stages())
    bench.night.begin()
    run(bench)
    (folder / "second").touch()
    bench.hcl(BACKEND + f'resource "terraform_data" "a" {{\n  input = "new"\n}}\n'
              'resource "terraform_data" "b" {\n  depends_on = [terraform_data.a]\n}\n' +
              slow("c", folder).replace("terraform_data\" \"c\" {", "terraform_data\" \"c\" {\n  count = 0"))
    assert step_of(run(bench, 2))["attempts"][0]["reason"] == "1 added, 1 changed"


def test_an_apply_outlives_the_daemon(bench):
    bench.hcl(BACKEND + slow("a", bench.night.folder))
    bench.night.configure(bench.stages())
    bench.night.begin()
    bench.night.start()
    terraform, _ = bench.up()
    bench.night.kill()
    assert is_alive(terraform)
    bench.night.begin()
    bench.go()
    ended = bench.night.wait_run()
    assert (ended["outcome"], step_of(ended)["attempts"][0]["reason"]) == ("ok", "1 added")
    assert len(lines_of(bench.night.folder / "up")) == 1
    assert step_of(ended)["attempts"][0]["progress"]["done"] == 1


def test_an_apply_that_ended_while_no_daemon_was_there_is_collected(bench):
    bench.hcl(BACKEND + slow("a", bench.night.folder))
    bench.night.configure(bench.stages())
    bench.night.begin()
    bench.night.start()
    bench.up()
    bench.night.kill()
    bench.go()
    until(lambda: not bench.night.shims(), "the end of the shim")
    bench.night.begin()
    ended = bench.night.wait_run()
    assert (ended["outcome"], step_of(ended)["attempts"][0]["reason"]) == ("ok", "1 added")
    assert actions(bench) == ["init", "plan", "show", "apply"]


def test_two_environments_share_one_directory(bench):
    night = bench.night
    bench.hcl(BACKEND + WORD + 'resource "terraform_data" "a" {\n  input = var.word\n'
              '  provisioner "local-exec" {\n    command = "touch '
              f'{night.folder}/${{var.word}}; while [ ! -e {night.folder}/staging ] || '
              f'[ ! -e {night.folder}/production ]; do sleep 0.05; done"\n  }}\n}}\n')
    night.configure(
        stage(step='env: { TF_VAR_word = "${matrix.environment}"; };',
              environment='matrix: { environment = ["staging", "production"]; };')
        .replace("tf.${run.name}", "${matrix.environment}").replace("@folder@/state", "@folder@"),
        environments="staging: {}; production: {};")
    night.begin()
    ended = run(bench)
    assert ended["outcome"] == "ok", ended
    for name in ("staging", "production"):
        state = json.loads((night.folder / f"{name}.tfstate").read_text())
        assert state["resources"][0]["instances"][0]["attributes"]["input"]["value"] == name
    assert len(list((night.state / "terraform").iterdir())) == 2
    assert {e for _, _, e in plans(bench)} == {"staging", "production"}


@contextlib.contextmanager
def locked_by_somebody(bench):
    """An apply by hand, with a data folder of its own."""
    environment = {**os.environ, "TF_DATA_DIR": str(bench.night.folder / "by-hand"),
                   "CHECKPOINT_DISABLE": "1"}
    subprocess.run(["terraform", "init", "-input=false", f"-backend-config=path={bench.state}"],
                   cwd=bench.directory, env=environment, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(["terraform", "apply", "-auto-approve", "-input=false"],
                               cwd=bench.directory, env=environment, stdout=subprocess.DEVNULL)
    try:
        bench.up()
        yield
    finally:
        bench.go()
        assert process.wait(60) == 0


def test_a_busy_state_lock_is_transient_and_tried_again(bench):
    bench.hcl(BACKEND + slow("a", bench.night.folder))
    bench.night.configure(bench.stages(step='retry: { attempts = 2; delay = "100ms"; };'))
    bench.night.begin()
    with locked_by_somebody(bench):
        bench.night.start()
        first = bench.night.wait("attempt-ended")
        assert "Error acquiring the state lock" in first["message"]
        assert "transient" in first["message"]
    # the second may have met the lock as well: the one that holds it needs its time
    ended = bench.night.wait_run()
    assert ended["outcome"] in ("ok", "transient")
    assert len(step_of(ended)["attempts"]) == 2


def test_a_lock_timeout_waits_for_a_busy_lock(bench):
    bench.hcl(BACKEND + slow("a", bench.night.folder))
    bench.night.configure(bench.stages('lock_timeout = "60s";'))
    bench.night.begin()
    with locked_by_somebody(bench):
        bench.night.start()
        bench.night.wait("attempt-started")
    ended = bench.night.wait_run()
    assert (ended["outcome"], step_of(ended)["attempts"][0]["reason"]) == ("ok", "nothing to change")


def test_a_retry_that_would_replace_needs_a_person(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n'
              '    command = "exit 3"\n  }\n}\n')
    bench.night.configure(bench.stages(
        step='retry: { attempts = 3; delay = "100ms"; on = ["failed"]; };'))
    bench.night.begin()
    ended = run(bench)
    assert ended["outcome"] == "needs_person"
    assert [a["outcome"] for a in step_of(ended)["attempts"]] == ["failed", "needs_person"]
    assert "would replace terraform_data.a" in step_of(ended)["reason"]


def test_an_errored_state_needs_a_person(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n')
    (bench.directory / "errored.tfstate").write_text("{}")
    bench.night.configure(bench.stages())
    bench.night.begin()
    ended = run(bench)
    assert ended["outcome"] == "needs_person"
    assert f"{bench.directory}/errored.tfstate" in step_of(ended)["reason"]


def apply_by_hand(bench):
    environment = {**os.environ, "TF_DATA_DIR": str(bench.night.folder / "by-hand"),
                   "CHECKPOINT_DISABLE": "1"}
    for words in (["init", f"-backend-config=path={bench.state}"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *words, "-input=false"], cwd=bench.directory, env=environment,
                       check=True, stdout=subprocess.DEVNULL)


def test_an_approved_plan_is_applied_and_a_stale_one_is_asked_about_again(bench):
    night = bench.night
    bench.hcl(BACKEND + WORD + 'resource "terraform_data" "a" {\n  input = var.word\n}\n')
    night.configure(bench.stages(step='gate: { approval: { message = "QA done?"; expires = "1h"; }; };'))
    night.begin()
    night.start()
    night.wait("approval-awaited")
    assert not bench.state.exists()
    bench.hcl(BACKEND + WORD + 'resource "terraform_data" "a" {\n  input = "by hand"\n}\n')
    apply_by_hand(bench)
    bench.hcl(BACKEND + WORD + 'resource "terraform_data" "a" {\n  input = var.word\n}\n')
    here = night.here()
    night.ask("approve", "--yes", "nightly#1")
    night.wait("approval-awaited", since=here)
    assert night.ask("approve", "--yes", "nightly#1") is not None
    ended = night.wait_run()
    assert (ended["outcome"], step_of(ended)["attempts"][0]["reason"]) == ("ok", "1 changed")
    assert actions(bench) == ["init", "plan", "show", "approve", "apply", "plan_2", "show_2", "approve_2",
                              "apply_2"]
    decision, = night.sql("SELECT decision, decided_by FROM nightjar.plan")
    assert decision[0] == "approved" and "uid" in decision[1]


def test_a_rejected_plan_is_not_applied(bench):
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n')
    bench.night.configure(bench.stages(step="gate: { approval: { expires = \"1h\"; }; };"))
    bench.night.begin()
    bench.night.start()
    bench.night.wait("approval-awaited")
    bench.night.ask("reject", "--yes", "nightly#1")
    assert bench.night.wait_run()["outcome"] == "failed"
    assert not bench.state.exists()


def everywhere(night):
    """All that is kept: the store, every file of the daemon's, its log, the events."""
    for table, in night.sql("SELECT table_name FROM information_schema.tables WHERE table_schema ="
                            " 'nightjar' AND table_type = 'BASE TABLE'"):
        yield f"table {table}", repr(night.sql(f'SELECT t::text FROM nightjar."{table}" t')).encode()
    for path in night.state.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield str(path), path.read_bytes()
    yield "the log", night.log.read_bytes()
    yield "the events", repr(night.events).encode()
    yield "show", night.call("--json", "show", "nightly").stdout.encode()


def test_secrets_in_variables_outputs_and_plans_are_nowhere(bench):
    night = bench.night
    night.secret("TOKEN", TOKEN)
    bench.hcl(BACKEND + 'variable "login" {\n  type = object({ name = string, token = string })\n}\n'
              'resource "terraform_data" "a" {\n  input = var.login.token\n'
              '  provisioner "local-exec" {\n    command = "echo $WORD"\n'
              '    environment = { WORD = var.login.token }\n  }\n}\n'
              'resource "terraform_data" "b" {\n  input = "x"\n  lifecycle {\n    precondition {\n'
              '      condition     = length(var.login.token) < 3\n'
              '      error_message = "The token ${var.login.token} is too long."\n    }\n  }\n}\n'
              'output "token" {\n  value = var.login.token\n}\n')
    night.configure(bench.stages(
        step='env: { TF_VAR_login: { name = "x"; token = "${secret.TOKEN}"; }; };'))
    night.begin()
    failed = run(bench)
    assert "The token *** is too long." in step_of(failed)["reason"]
    text = (bench.directory / "main.tf").read_text()
    bench.hcl(text.replace("< 3", "> 3"))
    assert run(bench, 2)["outcome"] == "ok"
    assert TOKEN in bench.state.read_text()
    for where, data in everywhere(night):
        assert TOKEN.encode() not in data, where

def test_a_secret_of_the_backend_is_nowhere(bench):
    night = bench.night
    night.secret("TOKEN", f"{night.folder}/secret.tfstate")
    bench.hcl(BACKEND + 'resource "terraform_data" "a" {}\n')
    night.configure(stage().replace("@folder@/state/tf.${run.name}.tfstate", "${secret.TOKEN}"))
    night.begin()
    ended = run(bench)
    assert ended["outcome"] == "ok", ended
    assert (night.folder / "secret.tfstate").exists()
    for where, data in everywhere(night):
        assert b"secret.tfstate" not in data, where
