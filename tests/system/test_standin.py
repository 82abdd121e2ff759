"""The stand-in Metabase and the stand-in Terraform provider are like the real ones, where it matters."""
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from metabaselib import (API_KEY, PASSWORD, STANDIN, USER, Metabase, Terraform, Warehouse,
                         needs_terraform)
from nightlib import until

STEPS = ["sync", "sync-dbms-version", "sync-timezone", "sync-tables", "sync-fields", "sync-fks",
         "sync-indexes", "sync-metabase-metadata", "analyze", "fingerprint-fields", "classify-fields",
         "classify-tables"]


@pytest.fixture
def mb():
    with Metabase() as metabase:
        yield metabase


@pytest.fixture
def warehouse():
    with Warehouse() as w:
        yield w


def ask(mb, method, path, body=None, headers=None, timeout=20):
    """(status, content type, answer: of JSON its value, else text)."""
    headers = {"X-API-Key": API_KEY} if headers is None else headers
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(mb.base + path, data, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as e:
        answer = e
    with answer:
        text = answer.read().decode()
        kind = answer.headers["Content-Type"]
        return answer.status, kind.partition(";")[0], json.loads(text) if "json" in kind and text else text


def get(mb, path):
    status, _, answer = ask(mb, "GET", path)
    assert status == 200
    return answer


def add(mb, warehouse, name="NC", **more):
    role = warehouse.role(name.lower())
    return mb.add_database(name, **warehouse.details(role), **more)["id"]


def trigger(mb, number):
    assert ask(mb, "POST", f"/api/database/{number}/sync_schema") == (
        200, "application/json", {"status": "ok"})


def statuses(mb, name):
    return {key: (t["initial_sync_status"], t["active"]) for key, t in mb.tables(name).items()}


# --- health, and who may ask --------------------------------------------------------------------


def test_it_starts_as_metabase_does():
    with Metabase(starting=float("inf")) as mb:
        assert ask(mb, "GET", "/api/health", headers={}) == (
            503, "application/json", {"status": "initializing", "progress": 0.3})
        for path in ("/api/task", "/api/session/properties", "/api/nothing"):
            assert ask(mb, "GET", path) == (
                503, "text/plain", "Metabase is still initializing. Please sit tight...")
        mb.begin()
        assert ask(mb, "GET", "/api/health", headers={}) == (200, "application/json", {"status": "ok"})
        mb.be_ill()
        assert ask(mb, "GET", "/api/health") == (
            503, "application/json", {"status": "Unable to get app-db connection"})


def test_only_its_key_or_a_session_opens_it(mb):
    for headers in ({}, {"X-API-Key": "mb_wrong"}, {"X-Metabase-Session": "none"}):
        assert ask(mb, "GET", "/api/database", headers=headers) == (401, "text/plain", "Unauthenticated")
    status, _, session = ask(mb, "POST", "/api/session", {"username": USER, "password": PASSWORD}, {})
    assert status == 200
    headers = {"X-Metabase-Session": session["id"]}
    assert ask(mb, "GET", "/api/user/current", headers=headers)[2]["email"] == USER
    mb.expire_sessions()
    assert ask(mb, "GET", "/api/user/current", headers=headers)[0] == 401
    assert ask(mb, "GET", "/api/database/77") == (404, "text/plain", "Not found.")


def test_a_log_in_that_fails_is_told_why_and_is_throttled():
    with Metabase(throttle_scale=0.02) as mb:
        def log_in(password):
            return ask(mb, "POST", "/api/session", {"username": USER, "password": password}, {})

        for _ in range(10):
            assert log_in("x") == (401, "application/json", {
                "errors": {"password": "did not match stored password"}})
        status, _, answer = log_in(PASSWORD)
        assert status == 401
        assert answer["errors"]["username"].startswith("Too many attempts! You must wait ")
        until(lambda: not mb.throttled(USER), "the end of the throttle", 10)
        assert log_in(PASSWORD)[0] == 200
        mb.disable()
        assert log_in(PASSWORD)[2] == {"errors": {"_error": "Your account is disabled."}}
        assert ask(mb, "POST", "/api/session", {"username": USER}, {})[0] == 400


# --- databases, and their syncs -------------------------------------------------------------------


def test_a_database_is_made_only_where_its_warehouse_answers(mb, warehouse):
    body = {"name": "NC", "engine": "postgres", "details": {**warehouse.details("nightjar"), "port": 1}}
    status, kind, answer = ask(mb, "POST", "/api/database", body)
    assert (status, kind) == (400, "application/json") and set(answer) == {"message", "errors"}
    body["details"] = warehouse.details("nightjar", "its-password-1")
    status, _, answer = ask(mb, "POST", "/api/database", body)
    assert status == 200 and answer["details"]["password"] == "**MetabasePass**"
    number = answer["id"]
    details = {**answer["details"], "schema-filters-type": "all"}
    assert ask(mb, "PUT", f"/api/database/{number}", {"details": details})[0] == 200
    assert mb.database("NC")["details"]["password"] == "its-password-1"
    listed = get(mb, "/api/database")
    assert [d["name"] for d in listed["data"]] == ["Sample Database", "NC"] and listed["total"] == 2
    mb.wait(mb.is_idle)
    assert mb.tasks("NC", "sync")  # its first sync went onto the queue
    assert ask(mb, "DELETE", f"/api/database/{number}")[0] == 204
    assert ask(mb, "GET", f"/api/database/{number}")[0] == 404


def test_a_table_appears_incomplete_then_gets_its_fields_then_is_complete(mb, warehouse):
    warehouse.table("orders", "id int, total numeric")
    number = add(mb, warehouse)
    for phase in ("sync-tables", "sync-fields", "sync-fks"):
        mb.hold(phase)
    trigger(mb, number)
    mb.wait_at("sync-tables", "NC")
    assert mb.tables("NC") == {}
    assert [(t["task"], t["status"]) for t in mb.tasks("NC")][0::3] == [
        ("sync", "started"), ("sync-tables", "started")]
    mb.release("sync-tables")
    mb.wait_at("sync-fields", "NC")
    assert statuses(mb, "NC") == {"analytics.orders": ("incomplete", True)}
    assert mb.fields("NC", "analytics.orders") == []
    mb.release("sync-fields")
    mb.wait_at("sync-fks", "NC")
    assert statuses(mb, "NC") == {"analytics.orders": ("incomplete", True)}
    mb.release("sync-fks")
    mb.wait(mb.is_idle)
    assert statuses(mb, "NC") == {"analytics.orders": ("complete", True)}
    table = get(mb, "/api/table")[0]
    fields = get(mb, f"/api/table/{table['id']}/query_metadata")["fields"]
    assert [f["name"] for f in fields] == ["id", "total"]
    assert [(t["task"], t["status"]) for t in mb.tasks("NC")] == [(s, "success") for s in STEPS]


def test_what_the_task_list_says(mb, warehouse):
    number = add(mb, warehouse)
    mb.sync("NC")
    answer = get(mb, "/api/task?task=sync&status=success&limit=10&offset=0")
    row, = answer.pop("data")
    assert answer == {"total": 1, "limit": 10, "offset": 0}
    assert row["db_id"] == number and row["duration"] >= 0 and row["ended_at"] > row["started_at"]
    newest, oldest = (get(mb, f"/api/task?sort_column=id&sort_direction={d}&limit=1")["data"][0]["id"]
                      for d in ("desc", "asc"))
    assert (newest, oldest) == (len(STEPS), 1)
    assert [t["id"] for t in get(mb, "/api/task")["data"]][-1] == row["id"]
    second = get(mb, "/api/task?sort_column=id&sort_direction=asc&limit=2&offset=1")["data"]
    assert [t["id"] for t in second] == [2, 3]


def test_the_tables_are_those_that_the_role_may_read(mb, warehouse):
    warehouse.table("open")
    warehouse.table("closed")
    warehouse.sql("CREATE VIEW analytics.seen AS SELECT 1 AS n; CREATE SCHEMA other;"
                  "CREATE TABLE other.t (id int)")
    add(mb, warehouse)
    role = warehouse.roles[0]
    warehouse.sql(f"REVOKE SELECT ON analytics.closed FROM {role}; GRANT USAGE ON SCHEMA other TO {role};"
                  f"GRANT SELECT ON other.t TO {role}")
    mb.sync("NC")
    assert set(mb.tables("NC")) == {"analytics.open", "analytics.seen", "other.t"}
    mb.add_database("Filtered", schemas="analy*", **warehouse.details(role))
    mb.sync("Filtered")
    assert set(mb.tables("Filtered")) == {"analytics.open", "analytics.seen"}


def test_what_goes_is_inactive_and_what_comes_back_begins_again(mb, warehouse):
    warehouse.table("orders", "id int, old int")
    number = add(mb, warehouse)
    mb.sync("NC")
    before = mb.tables("NC")["analytics.orders"]["id"]
    warehouse.sql("DROP TABLE analytics.orders")
    mb.sync("NC")
    assert statuses(mb, "NC") == {"analytics.orders": ("complete", False)}
    assert get(mb, "/api/table") == []
    path = f"/api/database/{number}/metadata?include_hidden=true&skip_fields=true"
    assert [t["active"] for t in get(mb, path)["tables"]] == [False]
    assert get(mb, path + "&remove_inactive=true")["tables"] == []
    warehouse.table("orders", "id int, new int")
    mb.hold("sync-fields")
    trigger(mb, number)
    mb.wait_at("sync-fields", "NC")
    assert statuses(mb, "NC") == {"analytics.orders": ("incomplete", True)}
    mb.release()
    mb.wait(mb.is_idle)
    assert mb.tables("NC")["analytics.orders"]["id"] == before
    assert mb.fields("NC", "analytics.orders") == ["id", "new"]


def test_a_name_like_cruft_is_hidden_and_complete_at_once_without_fields(mb, warehouse):
    warehouse.table("cache_orders")
    number = add(mb, warehouse)
    mb.sync("NC")
    row = mb.tables("NC")["analytics.cache_orders"]
    assert (row["visibility_type"], row["initial_sync_status"]) == ("cruft", "complete")
    assert mb.fields("NC", "analytics.cache_orders") == []
    assert get(mb, f"/api/database/{number}/metadata")["tables"] == []
    assert len(get(mb, f"/api/database/{number}/metadata?include_hidden=true")["tables"]) == 1


def test_there_is_one_queue_and_a_sync_of_the_same_database_is_dropped(mb, warehouse):
    nc, co = add(mb, warehouse), add(mb, warehouse, "CO")
    mb.hold("analyze", "NC")
    mb.hold("sync-fields", "NC")
    trigger(mb, nc)
    mb.wait_at("sync-fields", "NC")
    trigger(mb, nc)  # dropped
    trigger(mb, co)
    mb.release("sync-fields", "NC")
    mb.wait_at("analyze", "NC")
    assert mb.tasks("NC", "sync")[0]["status"] == "success"
    assert mb.tasks("CO") == []  # it waits for the analysis too
    mb.release()
    mb.wait(mb.is_idle)
    assert len(mb.tasks("NC", "sync")) == len(mb.tasks("CO", "sync")) == 1
    assert ask(mb, "POST", f"/api/database/{nc}/rescan_values")[2] == {"status": "ok"}
    mb.wait(mb.is_idle)
    assert mb.tasks("NC", "field values scanning")


def test_the_list_of_tables_is_read_before_the_task_row(mb, warehouse):
    number = add(mb, warehouse)
    mb.hold("listed")
    trigger(mb, number)
    mb.wait_at("listed", "NC")
    warehouse.table("late")
    mb.release()
    mb.wait(mb.is_idle)
    assert mb.tables("NC") == {} and mb.tasks("NC", "sync")[0]["status"] == "success"


# --- its troubles ---------------------------------------------------------------------------------


def test_a_warehouse_that_is_gone_refuses_the_trigger_or_leaves_no_row(mb, warehouse):
    number = mb.add_database("Gone", **{**warehouse.details("nightjar"), "port": 1})["id"]
    status, kind, text = ask(mb, "POST", f"/api/database/{number}/sync_schema")
    assert (status, kind) == (422, "text/plain") and "refused" in text
    number = add(mb, warehouse)
    mb.fail("catalogue", "NC")
    trigger(mb, number)
    mb.wait(mb.is_idle)
    assert mb.tasks() == []
    trigger(mb, number)
    mb.wait(lambda: mb.tasks("NC", "sync"))


def test_a_step_fails_under_a_parent_that_says_success(mb, warehouse):
    warehouse.table("orders")
    number = add(mb, warehouse)
    mb.fail("sync-fields", "NC")
    trigger(mb, number)
    mb.wait(lambda: mb.tasks("NC", "classify-tables") and mb.is_idle())
    said = {t["task"]: t["status"] for t in mb.tasks("NC")}
    assert said["sync-fields"] == "failed" and said["sync"] == "success"
    assert statuses(mb, "NC") == {"analytics.orders": ("complete", True)}
    assert mb.fields("NC", "analytics.orders") == []


def test_triggers_are_dropped_and_a_stuck_queue_runs_nothing_until_a_restart(mb, warehouse):
    number = add(mb, warehouse)
    mb.drop(2)
    for _ in range(3):
        trigger(mb, number)
    mb.wait(lambda: mb.tasks("NC", "sync") and mb.is_idle())
    assert len(mb.tasks("NC", "sync")) == 1
    mb.stick()
    trigger(mb, number)
    mb.wait(lambda: mb.queue.waiting)
    assert len(mb.tasks("NC", "sync")) == 1
    mb.restart()
    assert mb.is_idle()
    trigger(mb, number)
    mb.wait(lambda: len(mb.tasks("NC", "sync")) == 2)


def test_a_restart_leaves_rows_that_are_started_for_ever(mb, warehouse):
    nc, co = add(mb, warehouse), add(mb, warehouse, "CO")
    mb.hold("sync-fields")
    trigger(mb, nc)
    trigger(mb, co)
    mb.wait_at("sync-fields", "NC")
    port = mb.port
    mb.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(mb, "/api/health")
    mb.release()
    mb.start()
    assert mb.port == port and mb.is_idle()
    started = get(mb, "/api/task?status=started")["data"]
    assert sorted(t["task"] for t in started) == ["sync", "sync-fields"]
    assert mb.tasks("CO") == []
    mb.orphan("CO", ago=3600)
    assert len(get(mb, "/api/task?status=started")["data"]) == 3


def test_a_delay_is_of_a_phase_and_a_database(mb, warehouse):
    nc, co = add(mb, warehouse), add(mb, warehouse, "CO")
    mb.delay("sync-fields", 0.3, "NC")
    mb.sync("CO")
    mb.sync("NC")
    took = {t["db_id"]: t["duration"] for t in mb.tasks(task="sync-fields")}
    assert took[nc] >= 300 > took[co]


def test_answers_go_wrong_on_demand(mb):
    mb.fault("hang", path="/api/task", times=1)
    with pytest.raises(TimeoutError):
        ask(mb, "GET", "/api/task", timeout=0.3)
    mb.fault("drip", path="/api/task", times=1, seconds=0.05)
    with contextlib.closing(urllib.request.urlopen(mb.base + "/api/task", timeout=1)) as answer:
        assert [answer.read1(10) for _ in range(3)] == [b" "] * 3
    mb.fault("endless", path="/api/task", times=1)
    with contextlib.closing(urllib.request.urlopen(mb.base + "/api/task", timeout=5)) as answer:
        assert len(answer.read(3 << 20)) == 3 << 20
    mb.fault("cut", path="/api/task", times=1)
    with pytest.raises(Exception, match="IncompleteRead"):
        ask(mb, "GET", "/api/task")
    mb.fault("eof", path="/api/task", times=1)
    with pytest.raises(Exception, match="closed connection without response"):
        ask(mb, "GET", "/api/task")
    mb.fault("answer", path="/api/(task|table)", times=2, skip=1, status=502, body="Bad Gateway")
    assert [ask(mb, "GET", p)[0] for p in ("/api/task", "/api/table", "/api/task", "/api/task")] == [
        200, 502, 502, 200]
    mb.fault("garbage", path="/api/task", times=1)
    assert ask(mb, "GET", "/api/task")[1] == "text/html"
    assert get(mb, "/api/task")["data"] == []


def test_a_create_is_done_though_its_answer_is_lost(mb):
    mb.fault("lost", path="/api/collection", method="POST", times=1)
    with pytest.raises(Exception, match="closed connection without response"):
        ask(mb, "POST", "/api/collection", {"name": "One"})
    mb.fault("lost_502", path="/api/collection", method="POST", times=1)
    assert ask(mb, "POST", "/api/collection", {"name": "Two"})[0] == 502
    assert [c["name"] for c in get(mb, "/api/collection")] == ["Our analytics", "One", "Two"]


def test_it_redirects_elsewhere_and_tells_what_it_was_asked(mb):
    with Metabase() as other:
        mb.fault("redirect", path="/api/task", to=other.base + "/api/task")
        get(mb, "/api/task")
        assert [r["path"] for r in mb.asked("GET")] == ["/api/task"]
        assert other.requests[0]["headers"]["x-api-key"] == API_KEY


def test_it_is_a_program_that_keeps_its_state(tmp_path, warehouse):
    words = [sys.executable, STANDIN / "metabase.py", "--state", tmp_path / "state", "--api-key", API_KEY]

    class Started:
        def __init__(self, *more):
            self.process = subprocess.Popen([*words, *more], stdout=subprocess.PIPE, text=True)
            self.base = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

        def end(self):
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0
            self.process.stdout.close()

    mb = Started("--user", "me:my-password", "--starting", "0")
    assert ask(mb, "POST", "/control", {"do": "nothing"})[0] == 400
    row = ask(mb, "POST", "/control", {"do": "add_database", "name": "NC", **warehouse.details("nightjar")})
    assert row[2]["id"] == 2
    ask(mb, "POST", "/control", {"do": "delay", "phase": "sync", "seconds": 0})
    assert ask(mb, "POST", "/api/session", {"username": "me", "password": "my-password"}, {})[0] == 200
    assert [r["path"] for r in get(mb, "/control")["requests"]] == ["/api/session"]
    mb.end()
    mb = Started("--starting", "600")
    assert ask(mb, "GET", "/api/health")[2]["status"] == "initializing"
    ask(mb, "POST", "/control", {"do": "begin"})
    assert [d["name"] for d in get(mb, "/api/database")["data"]] == ["Sample Database", "NC"]
    mb.end()


# --- what Terraform makes there -------------------------------------------------------------------


def test_cards_dashboards_and_collections_are_kept_as_sent(mb):
    parent = ask(mb, "POST", "/api/collection", {"name": "A"})[2]
    child = ask(mb, "POST", "/api/collection", {"name": "B c", "parent_id": parent["id"]})[2]
    assert (parent["location"], child["location"]) == ("/", f"/{parent['id']}/")
    assert child["archived"] is False and child["slug"] == "b_c"
    sent = {"cache_ttl": None, "collection_id": child["id"], "collection_position": None,
            "dataset_query": {"type": "query", "query": {"source-table": 1}}, "description": None,
            "display": "scalar", "name": "How many", "parameter_mappings": [], "parameters": [],
            "query_type": "query", "visualization_settings": {"a": [1, None]}}
    card = ask(mb, "POST", "/api/card", sent)[2]
    assert {k: card[k] for k in sent} == sent and card["archived"] is False
    assert ask(mb, "POST", "/api/card", {**sent, "collection_id": 99})[0] == 404
    board = ask(mb, "POST", "/api/dashboard", {"name": "D"})[2]
    assert board["dashcards"] == board["tabs"] == board["parameters"] == []
    cards = [{"id": -i, "card_id": card["id"], "row": i} for i in range(2)]
    board = ask(mb, "PUT", f"/api/dashboard/{board['id']}", {"dashcards": cards})[2]
    assert [c["id"] for c in board["dashcards"]] == [1, 2]
    board = ask(mb, "PUT", f"/api/dashboard/{board['id']}", {"dashcards": cards[:1]})[2]
    assert [c["id"] for c in board["dashcards"]] == [3]
    assert ask(mb, "PUT", f"/api/card/{card['id']}", {"archived": True})[2]["archived"] is True
    assert get(mb, f"/api/card/{card['id']}")["archived"] is True and get(mb, "/api/card") == []


def test_the_graph_refuses_a_stale_revision(mb):
    group = ask(mb, "POST", "/api/permissions/group", {"name": "Readers"})[2]
    graph = get(mb, "/api/permissions/graph")
    graph["groups"][str(group["id"])] = {"1": {"view-data": "unrestricted"}}
    assert ask(mb, "PUT", "/api/permissions/graph", graph)[2]["revision"] == graph["revision"] + 1
    assert ask(mb, "PUT", "/api/permissions/graph", graph)[0] == 409
    assert ask(mb, "DELETE", f"/api/permissions/group/{group['id']}")[0] == 204


# --- the real terraform, with the provider --------------------------------------------------------

NOT_FOUND = ("Unable to find the table given its attributes.", "")
UNEXPECTED = "Unexpected {} while calling the Metabase API for operation '{}'."


@pytest.fixture
def tenants(warehouse):
    warehouse.table("mart_screener_data", "wl_id int, created_on date")
    return {"nc": warehouse.role("nc"), "co": warehouse.role("co")}


@pytest.fixture
def terraform(tmp_path):
    return Terraform(tmp_path)


def small(tmp_path, text):
    """A configuration of its own, with that provider."""
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(STANDIN / "dashboards" / "variables.tf", source)
    head, _, _ = (STANDIN / "dashboards" / "main.tf").read_text().partition("# --- ")
    (source / "main.tf").write_text(head + text)
    return Terraform(tmp_path, source, "small")


DATABASE = '''
resource "metabase_database" "one" {
  name = "One"
  custom_details = {
    engine = "postgres"
    details_json = jsonencode({ host = var.db_host, port = var.db_port, dbname = var.db_name,
      user = var.global_db_credentials.username, password = var.global_db_credentials.password })
    redacted_attributes = ["password"]
  }
}
'''


@needs_terraform
def test_the_first_apply_finds_no_table_and_after_the_sync_it_makes_all(mb, warehouse, tenants, terraform):
    env = terraform.environment(mb, warehouse, tenants)
    mb.hold("catalogue")
    first = terraform.run("apply", "-auto-approve", env=env)
    assert first.code == 1 and first.errors == [NOT_FOUND] * 3
    assert len(first.made) == 9  # databases, collections, groups
    mb.release()
    mb.wait(mb.is_idle)
    second = terraform.run("apply", "-auto-approve", env=env)
    assert second.code == 0 and second.errors == []
    assert len(first.made + second.made) == len(set(first.made + second.made)) == 17
    assert terraform.run("plan", "-detailed-exitcode", env=env).code == 0
    assert len(mb.world.all("dashcards")) == 5
    changed = terraform.environment(mb, warehouse, tenants, field="created_on")
    third = terraform.run("plan", "-detailed-exitcode", env=changed)
    assert third.code == 2
    assert {m["change"]["action"] for m in third.of("planned_change")} == {"update"}
    assert terraform.run("apply", "-auto-approve", env=changed).code == 0
    gone = terraform.run("destroy", "-auto-approve", env=env)
    assert gone.code == 0 and len(mb.world.all("databases")) == 1
    assert all(d["archived"] for d in mb.world.all("dashboards"))


@needs_terraform
def test_a_table_without_fields_is_an_invalid_index(mb, warehouse, tenants, terraform):
    env = terraform.environment(mb, warehouse, tenants)
    mb.fail("sync-fields", times=9)
    terraform.run("apply", "-auto-approve", env=env)
    mb.wait(mb.is_idle)
    done = terraform.run("apply", "-auto-approve", env=env)
    assert done.code == 1 and {e[0] for e in done.errors} == {"Invalid index"}
    assert done.errors[0][1] == "The given key does not identify an element in this collection value."
    snippet = done.of("diagnostic")[-1]["diagnostic"]["snippet"]
    assert "data.metabase_table.tenant" in snippet["code"]


@needs_terraform
def test_an_instance_that_is_down_starting_or_behind_a_proxy_says_so(mb, warehouse, tmp_path):
    tf = small(tmp_path, DATABASE)
    env = tf.environment(mb, warehouse, {})

    def apply():
        done = tf.run("apply", "-auto-approve", env=env)
        assert done.code == 1
        error, = done.errors
        return error

    error, response = (UNEXPECTED.format(w, "create database") for w in ("error", "response"))
    mb.stop()
    assert apply() == (error, f'Post "{mb.base}/api/database": dial tcp 127.0.0.1:{mb.port}: '
                       "connect: connection refused")
    mb.start(starting=float("inf"))
    assert apply() == (response, "Status code: 503, body: Metabase is still initializing. "
                       "Please sit tight...")
    mb.begin()
    mb.fault("eof", path="/api/database", times=1)
    assert apply() == (error, f'Post "{mb.base}/api/database": EOF')
    mb.fault("cut", path="/api/database", times=1)
    assert apply() == (error, "unexpected EOF")
    mb.fault("answer", path="/api/database", times=1, content_type="application/json", status=200)
    assert apply() == (error, "unexpected end of JSON input")
    mb.fault("answer", path="/api/database", times=1, status=502, body="Bad Gateway")
    assert apply() == (response, "Status code: 502, body: Bad Gateway")
    mb.api_key = "another"
    assert apply() == (response, "Status code: 401, body: Unauthenticated")
    assert mb.world.all("databases", name="One") == []


@needs_terraform
def test_with_a_password_three_troubles_look_alike(mb, warehouse, tmp_path):
    tf = small(tmp_path, 'data "metabase_table" "one" {\n  name = "none"\n}\n')
    summary = "Failed to create the Metabase client from username and password."
    unlike = (summary, "received unexpected response from the Metabase session API")

    def plan(password=PASSWORD, user=USER):
        env = tf.environment(mb, warehouse, {}, api_key=None, metabase_username=user,
                             metabase_password=password)
        return tf.run("plan", env=env).errors

    assert plan() == [NOT_FOUND]
    assert plan("wrong") == [unlike]
    mb.throttle()
    assert plan() == [unlike]
    mb.failures.clear()
    mb.restart(starting=float("inf"))
    assert plan() == [unlike]
    mb.stop()
    assert plan() == [(summary, f'Post "{mb.base}/api/session": dial tcp 127.0.0.1:{mb.port}: '
                       "connect: connection refused")]
    assert plan(None) == [("Either username / password or API key must be provided.", "")]


@needs_terraform
@pytest.mark.parametrize("text, error", [
    ('data "metabase_table" "x" {}', ("At least one attribute is required to lookup the table.", "")),
    ('data "metabase_table" "x" {\n  id = 1\n  name = "x"\n}',
     ("No other attribute should be set when the table ID is defined.", "")),
    ('resource "metabase_permissions_graph" "x" {\n  permissions_json = "{}"\n}',
     ("Creating the permissions graph is not allowed, import it instead.", "")),
    ('resource "metabase_table" "x" {\n  name = "orders"\n  forced_field_types = { none = "type/FK" }\n}',
     ("Unable to find field in table definition.", "Field name: none")),
    ('resource "metabase_database" "x" {\n  name = "x"\n}',
     ("Could not create database details from Terraform model.",
      "Failed to find valid details for an engine.")),
])
def test_what_is_wrong_for_ever_is_said_so(mb, warehouse, tmp_path, text, error):
    warehouse.table("orders")
    add(mb, warehouse)
    mb.sync("NC")
    tf = small(tmp_path, text + "\n")
    done = tf.run("apply", "-auto-approve", env=tf.environment(mb, warehouse, {}))
    assert done.code == 1 and done.errors == [error]


@needs_terraform
def test_a_create_whose_answer_is_lost_is_made_twice_by_a_blind_retry(mb, warehouse, tmp_path):
    tf = small(tmp_path, DATABASE)
    env = tf.environment(mb, warehouse, {})
    mb.fault("lost", path="/api/database", method="POST", times=1)
    done = tf.run("apply", "-auto-approve", env=env)
    assert done.errors == [(UNEXPECTED.format("error", "create database"),
                            f'Post "{mb.base}/api/database": EOF')]
    mb.fault("lost_502", path="/api/database", method="POST", times=1)
    done = tf.run("apply", "-auto-approve", env=env)
    assert done.errors[0][0] == UNEXPECTED.format("response", "create database")
    done = tf.run("apply", "-auto-approve", env=env)
    assert done.code == 0 and done.made == ["metabase_database.one"]
    assert len(mb.world.all("databases", name="One")) == 3


@needs_terraform
def test_the_provider_follows_a_redirect_with_its_key(mb, warehouse, tmp_path):
    tf = small(tmp_path, 'data "metabase_table" "x" {\n  name = "none"\n}\n')
    with Metabase() as other:
        mb.fault("redirect", path="/api/table", to=other.base + "/api/table")
        done = tf.run("plan", env=tf.environment(mb, warehouse, {}))
        assert done.errors == [NOT_FOUND]
        assert other.requests[0]["headers"]["x-api-key"] == API_KEY


@needs_terraform
def test_an_interrupted_apply_cancels_the_call_in_flight(mb, warehouse, tmp_path):
    tf = small(tmp_path, DATABASE)
    env = tf.environment(mb, warehouse, {})
    tf.init(env)
    mb.fault("hang", path="/api/database", method="POST")
    process = tf.popen("apply", "-auto-approve", env=env)
    mb.wait(lambda: mb.asked("POST", "/api/database"))
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 1 and "context canceled" in output and "Interrupt received" in output
