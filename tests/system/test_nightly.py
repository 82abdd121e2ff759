"""The night with the real daemon, real dbt, real PostgreSQL: what nightjar is for.

NIGHTJAR_BUILD names the build folder, else build/ beside this tree; run it with tests/with-postgres.
"""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from nightlib import (
    NIGHTJARD, PATIENCE, Night, Server, duckdb_output, environment_text, is_alive, lines_of, pids_in,
    postgres_output, until, write_profiles,
)

pytestmark = pytest.mark.timeout(180)

PASSWORD = "warehouse-password-1"


@pytest.fixture
def night():
    with Night() as n:
        yield n


@pytest.fixture(scope="module")
def second():
    """A server that a test may stop; it is started again by who stops it."""
    server = Server.second()
    yield server
    server.close()


def dbt_step(project, more="", command="build", target="${matrix.target}"):
    return f'''{{ name = "{command}"; {more}
        dbt: {{ command = "{command}"; project = "{project}"; profiles = "{project}";
               target = "{target}"; executable = "@dbt@"; }}; }}'''


def warehouse(night, server=None):
    """Environments staging and production with a database each; their names."""
    server = server or night.server
    night.secret("DB_USER", "nightjar")
    night.secret("DB_PASS", PASSWORD)
    names = {e: server.new_database() for e in ("staging", "production")}
    text = "".join(environment_text(e, night.folder, server, db) for e, db in names.items())
    return text, names


MATRIX = '''matrix: { environment = ["staging", "production"]; target = ["postgres", "duckdb"]; };
    secrets = ["DB_USER", "DB_PASS"];'''


def only_step(run, cell):
    (step,) = next(c for c in run["cells"] if c["name"] == cell)["steps"]
    return step


def outcomes(step):
    return [a["outcome"] for a in step["attempts"]]


# --- a dbt project that is not ours -------------------------------------------------------------


def starter_project(folder):
    """What `dbt init` makes, as it ships it."""
    import dbt.include.starter_project as starter

    project = folder / "starter"
    shutil.copytree(Path(starter.__file__).parent, project,
                    ignore=shutil.ignore_patterns("__init__.py", "__pycache__"))
    file = project / "dbt_project.yml"
    file.write_text(file.read_text().replace("{project_name}", "starter")
                    .replace("{profile_name}", "starter"))
    write_profiles(project, "starter", {"postgres": postgres_output(), "duckdb": duckdb_output()})
    return project


def test_the_starter_project_runs_as_a_matrix_and_fails_honestly_when_broken(night):
    project = starter_project(night.folder)
    environments, databases = warehouse(night)
    retry = 'retry: { attempts = 3; delay = "1s"; };'
    night.configure(f'{{ name = "build"; {MATRIX} steps: ( {dbt_step(project, retry)} ); }}',
                    environments=environments, more="max_attempts = 4;")
    night.begin()

    # As it ships it fails a test of its own: one row is NULL.
    night.start("nightly", "--only", "environment=staging", "--only", "target=duckdb")
    run = night.wait_run("nightly#1")
    step = only_step(run, "build/staging/duckdb")
    assert run["outcome"] == "failed" and outcomes(step) == ["failed"]
    assert "not_null_my_first_dbt_model_id" in step["reason"], step["reason"]

    # As its own comment says, it is well.
    first = project / "models" / "example" / "my_first_dbt_model.sql"
    first.write_text(first.read_text().replace("-- where", "where"))
    night.start()
    run = night.wait_run("nightly#2")
    assert run["outcome"] == "ok", run
    assert [c["name"] for c in run["cells"]] == [
        "build/staging/postgres", "build/staging/duckdb",
        "build/production/postgres", "build/production/duckdb"]
    assert all(outcomes(only_step(run, c["name"])) == ["ok"] for c in run["cells"])
    rows = night.sql("SELECT cell, resource_type, status, count(*) FROM nightjar.node_result"
                     " WHERE run_id = %s GROUP BY 1, 2, 3 ORDER BY 1, 2", run["id"])
    assert rows == [row for cell in range(4)
                    for row in ((cell, "model", "success", 2), (cell, "test", "pass", 4))]
    built = night.sql("SELECT DISTINCT note -> 'built' -> 0 ->> 1, jsonb_array_length(note -> 'built')"
                      " FROM nightjar.action WHERE run_id = %s", run["id"])
    assert built == [("my_first_dbt_model", 2)]
    for database in databases.values():
        assert night.server.sql("SELECT count(*) FROM analytics.my_second_dbt_model",
                                database=database) == [(1,)]

    # Broken: failed once, not retried, the model named with its message.
    second = project / "models" / "example" / "my_second_dbt_model.sql"
    second.write_text(second.read_text().replace("where id = 1", "where wl_id = 1"))
    night.start("nightly", "--only", "environment=staging")
    run = night.wait_run("nightly#3")
    assert run["outcome"] == "failed"
    for cell in run["cells"][:2]:
        step = only_step(run, cell["name"])
        assert outcomes(step) == ["failed"]
        for reason in (cell["reason"], step["reason"], step["attempts"][0]["reason"]):
            assert "model my_second_dbt_model: " in reason and "wl_id" in reason, reason
    red = night.status()["red"]
    assert [r["outcome"] for r in red] == ["failed"] * 2
    assert all("my_second_dbt_model" in r["reason"] and "wl_id" in r["reason"] for r in red)
    assert all("2" in h or "unique" in h or "not_null" in h for r in red for h in r["holds_up"])
    for words in (["status"], ["show", "nightly"]):
        text = night.call(*words).stdout
        assert "my_second_dbt_model" in text and "wl_id" in text
    assert "wl_id" in night.call("logs", "nightly", "--failed").stdout
    rows = night.sql("SELECT cell, status, message FROM nightjar.node_result WHERE run_id = %s"
                     " AND unique_id = 'model.starter.my_second_dbt_model' ORDER BY 1", run["id"])
    assert [(cell, status) for cell, status, _ in rows] == [(c, "error") for c in range(2)]
    assert all("wl_id" in message for _, _, message in rows)
    assert PASSWORD not in night.log.read_text()


# --- warehouses that go away, refuse, or hang ------------------------------------------------------

FIRST_TRY_SLEEPS = """{{ config(materialized='table') }}
select 1 as id
{% if env_var('NIGHTJAR_ATTEMPT') == '1' %}, pg_sleep(300)::text as waited{% endif %}
"""


def one_cell(night, project, environments, more=""):
    night.configure(
        '{ name = "build"; matrix: { environment = ["staging"]; };'
        ' secrets = ["DB_USER", "DB_PASS"]; steps: ('
        f'{dbt_step(project, more, target="postgres")} ); }}', environments=environments)


def test_a_warehouse_restarted_in_the_middle_is_transient_and_a_retry_succeeds(night, second):
    project = night.project({"slow": FIRST_TRY_SLEEPS}, {"postgres": postgres_output()})
    environments, databases = warehouse(night, second)
    one_cell(night, project, environments, 'retry: { attempts = 2; delay = "100ms"; };')
    night.begin()
    night.start()
    until(lambda: second.queries(databases["staging"], "pg_sleep"), "the slow query")
    second.control("restart")
    run = night.wait_run()
    step = only_step(run, "build/staging")
    assert outcomes(step) == ["transient", "ok"], step
    assert "slow" in step["attempts"][0]["reason"], step["attempts"][0]
    assert run["outcome"] == "ok"
    assert second.sql("SELECT count(*) FROM analytics.slow", database=databases["staging"]) == [(1,)]


def test_a_cancel_interrupts_dbt_so_that_its_query_ends_in_the_warehouse(night):
    project = night.project({"slow": FIRST_TRY_SLEEPS}, {"postgres": postgres_output()})
    environments, databases = warehouse(night)
    one_cell(night, project, environments, 'kill_after = "30s";')
    night.begin()
    night.start()
    until(lambda: night.server.queries(databases["staging"], "pg_sleep"), "the slow query")
    night.ask("cancel", "nightly#1/build/staging")
    run = night.wait_run()
    step = only_step(run, "build/staging")
    assert run["outcome"] == "cancelled" and outcomes(step) == ["cancelled"], run
    assert "cancelled by root" in step["reason"], step["reason"]
    assert step["attempts"][0]["signal"] is None  # it ended by itself
    assert night.server.queries(databases["staging"], "pg_sleep") == []
    status, = night.sql("SELECT status ->> 'stop' FROM nightjar.action")[0]
    assert status == "cancelled"


class BigQuery(http.server.ThreadingHTTPServer):
    """Says who you are, then refuses: 403 accessDenied, or 503 backendError."""

    def __init__(self, code, reason):
        super().__init__(("127.0.0.1", 0), Handler)
        self.code, self.reason = code, reason
        self.keys = []  # (path, mode, content) of the key file while dbt ran
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def look_for_keys(self):
        for folder in Path("/proc").iterdir():
            try:
                variables = dict(v.partition("=")[::2] for v in
                                 (folder / "environ").read_text().split("\0"))
                path = Path(variables["GOOGLE_APPLICATION_CREDENTIALS"])
                self.keys.append((path, path.stat().st_mode, path.read_text()))
            except (OSError, KeyError, UnicodeDecodeError):
                continue


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/token"):
            self.server.look_for_keys()
            self.answer(200, {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
        else:
            self.refuse()

    def do_GET(self):
        self.refuse()

    def refuse(self):
        message = "Access Denied: project p" if self.server.code == 403 else "try again"
        self.answer(self.server.code, {"error": {
            "code": self.server.code, "message": message,
            "errors": [{"reason": self.server.reason, "message": message}]}})

    def log_message(self, *_):
        pass


def key_file(port):
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True)
    return json.dumps({
        "type": "service_account", "project_id": "p", "private_key_id": "1", "client_id": "1",
        "client_email": "nightjar@p.iam.gserviceaccount.com", "private_key": key.stdout,
        "auth_uri": f"http://127.0.0.1:{port}/auth", "token_uri": f"http://127.0.0.1:{port}/token"})


def test_a_bigquery_cell_fails_alone_and_its_key_file_is_gone_afterwards(night):
    servers = {"staging": BigQuery(403, "accessDenied"), "production": BigQuery(503, "backendError")}
    project = night.project({"one": "select 1 as id"}, {
        "duckdb": duckdb_output(),
        "bigquery": {"type": "bigquery", "method": "service-account", "project": "p",
                     "dataset": "analytics", "threads": 1, "job_retries": 0,
                     "job_execution_timeout_seconds": 5,
                     "keyfile": "{{ env_var('GOOGLE_APPLICATION_CREDENTIALS') }}",
                     "api_endpoint": "{{ env_var('BIGQUERY') }}"}})
    environments = ""
    for name, server in servers.items():
        night.secret(f"{name}.GCP_SA_KEY", key_file(server.server_port))
        environments += environment_text(
            name, night.folder, night.server, "none",
            f'BIGQUERY = "http://127.0.0.1:{server.server_port}"; ')
    night.configure('''{ name = "build"; max_parallel = 2;
        matrix: { environment = ["staging", "production"]; target = ["duckdb", "bigquery"]; };
        files: ( { only: { target = ["bigquery"]; }; content = "${secret.GCP_SA_KEY}";
                   env = "GOOGLE_APPLICATION_CREDENTIALS"; } );
        steps: ( ''' + dbt_step(project) + " ); }", environments=environments)
    night.begin()
    night.start()
    run = night.wait_run()
    found = {c["name"]: (c["outcome"], c["reason"]) for c in run["cells"]}
    assert found["build/staging/duckdb"][0] == "ok" and found["build/production/duckdb"][0] == "ok"
    assert found["build/staging/bigquery"][0] == "failed", found
    assert "Access Denied" in found["build/staging/bigquery"][1], found
    assert found["build/production/bigquery"][0] == "transient", found
    for name, server in servers.items():
        server.shutdown()
        server.server_close()
        assert server.keys, name
        for path, mode, content in server.keys:
            assert mode & 0o7777 == 0o600
            assert json.loads(content)["type"] == "service_account"
            assert not path.exists() and not path.parent.exists()
            # a file system in memory, where this machine has one
            if os.access("/dev/shm", os.W_OK):
                assert path.is_relative_to(os.environ.get("RUNTIME_DIRECTORY", "/dev/shm"))
    secret = json.loads(night.credentials.joinpath("staging.GCP_SA_KEY").read_text())
    line = secret["private_key"].splitlines()[5]
    for file in night.state.rglob("*"):
        assert not file.is_file() or line not in file.read_text(errors="replace"), file


# --- the daemon dies, and comes back -------------------------------------------------------------


WAITS = "{{ config(materialized='table') }} select 1 as id, pg_advisory_xact_lock(1)::text as waited"
ADOPTED = "still runs: followed again"
COUNTS_STARTS = """on-run-start:
  - create table if not exists starts (at timestamptz)
  - insert into starts values (now())
"""


@pytest.mark.scoreboard(1)
def test_a_build_goes_on_over_kill_9_of_the_daemon_and_its_attempt_ends_ok(night):
    project = night.project({"slow": WAITS}, {"postgres": postgres_output()}, more=COUNTS_STARTS)
    environments, databases = warehouse(night)
    database = databases["staging"]
    one_cell(night, project, environments)
    night.begin()
    with night.server.held(database):
        night.start()
        until(lambda: night.server.queries(database, "advisory"), "the slow query")
        (shim,) = night.shims()
        night.kill()
        night.begin()
        until(lambda: ADOPTED in night.log.read_text(), "the adoption")
        assert night.shims() == [shim]
        until(lambda: "slow" in json.dumps(night.status()["running"]), "its progress")
    run = night.wait_run()
    step = only_step(run, "build/staging")
    assert run["outcome"] == "ok" and outcomes(step) == ["ok"], step
    assert night.server.sql("SELECT count(*) FROM starts", database=database) == [(1,)]
    assert night.sql("SELECT status FROM nightjar.node_result WHERE unique_id LIKE %s",
                     "model.%") == [("success",)]


COUNTING = """{ name = "count";
    matrix: { a = ["1", "2", "3", "4", "5"]; b = ["1", "2", "3", "4"]; };
    steps: ( { name = "one"; shell = "echo $NIGHTJAR_CELL/one >>@folder@/count; sleep 0.2"; },
             { name = "two"; shell = "sleep 0.1; echo $NIGHTJAR_CELL/two >>@folder@/count"; } ); }"""


@pytest.mark.scoreboard(1)
def test_ten_kills_of_the_daemon_lose_no_step_and_double_none(night):
    night.configure(COUNTING, more="max_attempts = 3;")
    night.begin()
    night.start()
    for n in range(10):
        # somewhere between an intent, a spawn and an end: not always at the same place
        until(lambda: len(lines_of(night.folder / "count")) >= 3 * n, f"{3 * n} steps")
        if n % 2:
            night.wait("attempt-ended", since=night.here())
        night.kill()
        night.begin()
    run = night.wait_run()
    assert run["outcome"] == "ok", run
    names = sorted(f"{c['name']}/{s['name']}" for c in run["cells"] for s in c["steps"])
    assert sorted(lines_of(night.folder / "count")) == names and len(names) == 40
    assert night.sql("SELECT count(*) FROM nightjar.attempt WHERE outcome = 'ok'") == [(40,)]


@pytest.mark.scoreboard(4)
def test_an_action_whose_shim_was_killed_is_interrupted_and_its_child_ends(night):
    night.configure('''{ name = "s"; steps: ( { name = "long";
        retry: { attempts = 2; delay = "100ms"; on = ["interrupted"]; };
        shell = "[ $NIGHTJAR_ATTEMPT = 2 ] && exit 0; echo $$$$ $PPID >@folder@/pids; sleep 300"; } ); }''')
    night.begin()
    night.start()
    child, shim = pids_in(night.folder / "pids", 2)
    assert night.shims() == [shim]
    os.kill(shim, signal.SIGKILL)
    run = night.wait_run()
    step = only_step(run, "s")
    assert outcomes(step) == ["interrupted", "ok"] and run["outcome"] == "ok", step
    until(lambda: not is_alive(child), "the end of the child", 10)


def test_sigterm_leaves_the_shims_and_the_next_daemon_adopts_them(night):
    night.configure('''{ name = "s"; steps: ( { name = "long";
        shell = "echo $$$$ $PPID >@folder@/pids; read x <@folder@/go; echo done $x"; } ); }''')
    os.mkfifo(night.folder / "go")
    night.begin()
    night.start()
    _, shim = pids_in(night.folder / "pids", 2)
    night.end()
    assert night.shims() == [shim]
    night.begin()
    until(lambda: ADOPTED in night.log.read_text(), "the adoption")
    (night.folder / "go").write_text("well\n")
    run = night.wait_run()
    assert run["outcome"] == "ok" and outcomes(only_step(run, "s")) == ["ok"]
    assert "done well" in night.call("logs", "nightly").stdout


def test_what_ended_while_no_daemon_ran_is_collected(night):
    night.configure('''{ name = "s"; steps: (
        { name = "long"; shell = "echo $PPID >@folder@/pids; read x <@folder@/go; exit 7"; } ); }''')
    os.mkfifo(night.folder / "go")
    night.begin()
    night.start()
    pids_in(night.folder / "pids")
    night.kill()
    (night.folder / "go").write_text("well\n")
    until(lambda: not night.shims(), "the end of the shim")
    night.begin()
    run = night.wait_run()
    (attempt,) = only_step(run, "s")["attempts"]
    assert (attempt["outcome"], attempt["exit_code"]) == ("failed", 7)


def test_a_second_daemon_on_the_state_folder_exits_with_a_message(night):
    night.configure('{ name = "s"; steps: ( { name = "true"; run = ["/bin/true"]; } ); }')
    night.begin()
    other = night.folder / "other.conf"
    other.write_text(night.file.read_text().replace(str(night.socket), f"{night.socket}2"))
    for file in (night.file, other):
        answer = subprocess.run([NIGHTJARD, "--config", file], capture_output=True, text=True,
                                timeout=PATIENCE, env={**os.environ, "NIGHTJAR_SHIM": "/bin/true"})
        assert answer.returncode == 1
        assert f"another nightjard runs on the state folder {night.state}" in answer.stderr
    assert night.status()["leader"]
    night.start()
    assert night.wait_run()["outcome"] == "ok"


# --- ends that are asked for ------------------------------------------------------------------------

STUBBORN = """trap '' TERM INT HUP
(trap '' TERM INT HUP; sh -c 'echo $$$$ >>@folder@/pids; sleep 301') &
setsid sh -c 'trap \\"\\" TERM INT HUP; echo $$$$ >>@folder@/pids; sleep 302' &
echo $$$$ >>@folder@/pids
while :; do sleep 303; done"""


def stubborn_step(more):
    text = STUBBORN.replace("\n", "\\n")
    return f'''{{ name = "s"; steps: ( {{ name = "stubborn"; kill_after = "1s"; {more}
        shell = "{text}"; }} ); }}'''


@pytest.mark.scoreboard(15)
def test_a_cancel_ends_the_whole_tree_though_it_ignores_sigterm_and_holds_the_pipe(night):
    night.configure(stubborn_step(""))
    night.begin()
    night.start()
    pids = pids_in(night.folder / "pids", 3)
    assert all(is_alive(pid) for pid in pids)
    night.ask("cancel", "nightly")
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the tree", 3)
    run = night.wait_run()
    assert run["outcome"] == "cancelled" and outcomes(only_step(run, "s")) == ["cancelled"]


def test_a_timeout_ends_the_whole_tree_and_the_step_is_timed_out(night):
    night.configure(stubborn_step('timeout = "1s";'))
    night.begin()
    night.start()
    pids = pids_in(night.folder / "pids", 3)
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the tree", 4)
    run = night.wait_run()
    assert run["outcome"] == "timed_out" and outcomes(only_step(run, "s")) == ["timed_out"]


# --- what writes into a project -----------------------------------------------------------------------


def listing(folder):
    found = {}
    for path in [folder, *folder.rglob("*")]:
        s = path.lstat()
        found[str(path.relative_to(folder))] = (s.st_mode, s.st_size, s.st_mtime_ns, s.st_ino)
    return found


def test_deps_is_alone_in_a_project_and_nothing_else_writes_into_it(night):
    project = night.project({"one": "select 1 as id"}, {"duckdb": duckdb_output()})
    package = night.folder / "package"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: package\nversion: '1.0.0'\n")
    (project / "packages.yml").write_text(f"packages:\n  - local: {package}\n")
    environments, _ = warehouse(night)
    deps = '{ name = "%s"; steps: ( ' + dbt_step(project, command="deps", target="duckdb") + " ); }"
    build = '{ name = "%s"; steps: ( ' + dbt_step(project, target="duckdb") + " ); }"
    night.configure(", ".join([deps % "deps1", deps % "deps2",
                               '{ name = "build"; needs = ["deps1"]; steps: ( '
                               + dbt_step(project, target="duckdb") + " ); }"]),
                    job='environment = "staging";', environments=environments)
    night.begin()
    night.start()
    run = night.wait_run()
    assert run["outcome"] == "ok", run
    assert (project / "dbt_packages" / "package").exists()
    times = sorted(night.sql("SELECT started_at, ended_at FROM nightjar.action"))
    assert len(times) == 3
    assert all(before[1] <= after[0] for before, after in zip(times, times[1:])), times

    before = listing(project)
    night.configure(build % "again", job='environment = "staging";', environments=environments)
    night.ask("reload")
    night.start()
    assert night.wait_run("nightly#2")["outcome"] == "ok"
    assert listing(project) == before


# --- reload ---------------------------------------------------------------------------------------------

TWO_STEPS = """{ name = "s"; steps: (
    { name = "one"; shell = "echo $PPID >@folder@/pids; read x <@folder@/go"; },
    { name = "two"; shell = "echo %s >>@folder@/said"; } ); }"""


@pytest.mark.scoreboard(23)
def test_a_bad_reload_keeps_the_configuration_and_names_file_and_line(night):
    good = '{ name = "s"; steps: ( { name = "true"; run = ["/bin/true"]; } ); }'
    night.configure(good)
    night.begin()
    night.configure(good.replace("run =", "rum ="))
    bad = next(n for n, line in enumerate(lines_of(night.file), 1) if "rum =" in line)
    place = f"{night.file}:{bad}: "
    answer = night.call("reload")
    assert answer.returncode == 1 and place in answer.stderr, answer
    assert 'did you mean "run"' in answer.stderr
    night.daemon.send_signal(signal.SIGHUP)
    until(lambda: night.log.read_text().count("the one in force stays") == 2, "the complaint")
    assert night.log.read_text().count(place) >= 2
    night.start()
    assert night.wait_run()["outcome"] == "ok"

    night.configure(good, name="other")
    assert night.call("reload").returncode == 0
    assert [j["name"] for j in night.ask("jobs")["jobs"]] == ["other"]
    night.configure(good, name="third")
    night.daemon.send_signal(signal.SIGHUP)
    until(lambda: [j["name"] for j in night.ask("jobs")["jobs"]] == ["third"], "the third job")
    assert night.show("nightly#1")["outcome"] == "ok"
    assert night.call("start", "nightly").returncode == 1


def test_a_run_keeps_its_definition_over_a_reload_and_over_a_restart(night):
    os.mkfifo(night.folder / "go")
    night.configure(TWO_STEPS % "first")
    night.begin()
    night.start()
    pids_in(night.folder / "pids")
    night.configure(TWO_STEPS.replace('"two"', '"renamed"') % "second", name="nightly")
    night.ask("reload")
    night.kill()
    night.configure('{ name = "x"; steps: ( { name = "x"; run = ["/bin/false"]; } ); }', name="else")
    night.begin()
    (night.folder / "go").write_text("on\n")
    run = night.wait_run()
    assert run["outcome"] == "ok" and [s["name"] for s in run["cells"][0]["steps"]] == ["one", "two"]
    assert lines_of(night.folder / "said") == ["first"]


# --- the store away ---------------------------------------------------------------------------------------


@pytest.mark.scoreboard(6)
def test_a_store_that_stops_leaves_children_alone_and_gets_their_results_later(second):
    with Night(store=second) as night:
        os.mkfifo(night.folder / "go")
        night.configure(TWO_STEPS % "well")
        night.begin()
        night.start()
        pid, = pids_in(night.folder / "pids")
        second.control("stop")
        try:
            night.wait("store-away")
            status = night.status()
            assert status["store"] == "away" and status["store_reason"]
            assert [r["run"] for r in status["running"]] == ["nightly#1"]
            answer = night.call("start", "nightly")
            assert answer.returncode == 1 and "the store is away" in answer.stderr, answer
            assert night.shims() == [pid]
            (night.folder / "go").write_text("on\n")
            until(lambda: not night.shims(), "the end of the child")
            assert lines_of(night.folder / "said") == []  # the next needs its intent
        finally:
            since = night.here()
            second.control("start")
        night.wait("store-ready", since=since)
        run = night.wait_run()
        assert run["outcome"] == "ok" and lines_of(night.folder / "said") == ["well"]
        assert [outcomes(s) for s in run["cells"][0]["steps"]] == [["ok"], ["ok"]]
        assert night.sql("SELECT count(*) FROM nightjar.run") == [(1,)]
        assert night.status()["store"] == "ok"
