"""A night that ends in Metabase: real dbt builds on a real warehouse, the real daemon, a stand-in
Metabase that reads that warehouse's catalogue."""

import contextlib
import json

import pytest

from metabaselib import API_KEY, PASSWORD, USER, Metabase, Warehouse
from nightlib import Night, everything_kept, postgres_output, until

MODELS = {
    "orders": "select 1 as id, 10 as total",
    "items": "select 1 as id, 'nut' as name",
    "summary": "select count(*) as n from {{ ref('orders') }}",
}
BUILD = '{ name = "build"; matrix: { environment = ["staging"]; target = ["postgres"]; };' \
    ' steps: ( { name = "build"; env: { DBT_SEND_ANONYMOUS_USAGE_STATS = "false"; };' \
    ' dbt: { command = "build"; project = "@folder@/dbt"; executable = "@dbt@";' \
    ' target = "${matrix.target}"; }; } ); }'
KEY = 'api_key = "${secret.METABASE_API_KEY}";'
LOGIN = f'username = "{USER}"; password = "${{secret.METABASE_PASSWORD}}";'


def sync(databases, more="", name="sync", needs='needs = ["build"];', matrix="", steps=""):
    return (f'{{ name = "{name}"; {needs} matrix: {{ environment = ["staging"]; {matrix} }};'
            f' steps: ( {{ name = "sync"; metabase_sync: {{ databases = {databases}; {more} }};'
            f' {steps} }} ); }}')


class World:
    """A night, a warehouse with a role a tenant, and a Metabase that knows both."""

    def __init__(self, stack):
        self.mb = stack.enter_context(Metabase())
        self.warehouse = stack.enter_context(Warehouse())
        self.night = stack.enter_context(Night())
        self.night.secret("METABASE_API_KEY", API_KEY)
        self.night.secret("METABASE_PASSWORD", PASSWORD)
        self.roles = {}

    def tenant(self, name, reads=True):
        role = self.roles[name] = self.warehouse.role(name.lower(), reads)
        return self.mb.add_database(name, schemas="analytics", **self.warehouse.details(role))

    def configure(self, stages, who=KEY, url=None):
        w = self.warehouse
        variables = (f'DB_HOST = "{w.server.host}"; DB_PORT = "{w.server.port}"; DB_USER = "nightjar";'
                     f' DB_PASS = "trusted-anyway"; DB_NAME = "{w.database}";')
        self.night.configure(stages, environments=f'staging: {{ vars: {{ {variables} }};'
                             f' metabase: {{ url = "{url or self.mb.base}"; {who} }}; }};')

    def begin(self, stages, **more):
        self.configure(stages, **more)
        self.night.begin()

    def project(self):
        self.night.project(MODELS, {"postgres": postgres_output()})

    def attempt(self, cell="sync/staging", run="nightly"):
        cells = self.night.cells(run)
        return cells[cell]["steps"][0]["attempts"][-1]

    def progress(self, cell="sync/staging"):
        """Its text, "" while there is none."""
        attempts = self.night.cells()[cell]["steps"][0]["attempts"]
        return ((attempts[-1]["progress"] or {}).get("text") or "") if attempts else ""

    def triggers(self, name):
        return self.mb.asked("POST", f"/api/database/{self.mb.database(name)['id']}/sync_schema")


@pytest.fixture
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


def syncs(night):
    return night.sql("SELECT database, state, tables, missing, environment, ended_at > started_at"
                     " FROM nightjar.sync ORDER BY started_at, database")


def test_what_dbt_built_is_proved_and_the_second_time_there_is_an_estimate(world):
    world.project()
    world.tenant("NC")
    world.tenant("Other")
    world.mb.delay("sync-fields", 1.2, "NC")
    world.begin(BUILD + "," + sync('"NC"', 'tables = "changed";'))
    world.night.start()
    run = world.night.wait_run()
    assert run["outcome"] == "ok", run
    assert set(world.mb.tables("NC")) >= {"analytics.orders", "analytics.items", "analytics.summary"}
    assert world.mb.tables("Other") == {}
    assert len(world.triggers("NC")) == 1
    assert syncs(world.night) == [("NC", "proved", 3, 0, "staging", True)]
    progress = world.attempt()["progress"]
    assert (progress["done"], progress["total"]) == (3, 3)

    world.mb.hold("sync-fields", "NC")
    world.night.start()
    text = until(lambda: "its sync runs" in world.progress() and world.progress(), "the sync's text")
    assert "of 3 tables" in text and "; usually takes " in text, text
    shown = world.night.call("show", "nightly").stdout
    assert "usually takes" in shown
    assert "NC" in shown and "analytics" not in shown.partition("sync/staging")[0]
    world.mb.release("sync-fields", "NC")
    assert world.night.wait_run("nightly#2")["outcome"] == "ok"
    assert API_KEY not in everything_kept(world.night)
    assert API_KEY not in world.night.log.read_text()


def test_each_tenant_goes_on_as_soon_as_its_own_tables_are_there(world):
    world.project()
    world.tenant("Global")
    world.tenant("NC")
    world.mb.hold("sync-fields", "NC")
    tenants = 'tenant = ["Global", "NC"];'
    apply = ('{ name = "apply"; needs = ["sync"]; matrix: { environment = ["staging"]; ' + tenants +
             ' }; steps: ( { name = "apply"; run = ["true"]; } ); }')
    world.begin(",".join([BUILD, sync('"${matrix.tenant}"', 'tables = "changed";', matrix=tenants),
                          apply]))
    world.night.start()
    world.night.wait("cell-ended", cell="apply/staging/Global", outcome="ok")
    assert not world.night.cells()["sync/staging/NC"]["outcome"]
    text = until(lambda: "its sync runs" in world.progress("sync/staging/NC") and
                 world.progress("sync/staging/NC"), "what NC waits for")
    assert text.startswith("waits for Metabase: "), text
    world.mb.release("sync-fields", "NC")
    assert world.night.wait_run()["outcome"] == "ok"
    assert len(world.triggers("NC")) == len(world.triggers("Global")) == 1


def test_show_says_what_the_queue_is_busy_with(world):
    world.warehouse.table("orders")
    world.tenant("Global")
    world.tenant("NC")
    world.mb.hold("analyze", "Global")
    world.mb.queue.submit("sync", world.mb.database("Global")["id"])
    world.mb.wait_at("analyze", "Global")
    world.begin(sync('["NC"]', 'tables = ["analytics.orders"];', needs=""))
    world.night.start()
    until(lambda: f"its queue is busy with database {world.mb.database('Global')['id']} (Global)"
          in world.progress(), "the queue's text")
    shown = world.night.call("show", "nightly").stdout
    assert "0 of 1 tables" in shown and "busy with database" in shown
    assert "NC" in shown
    assert "busy with database" in world.night.call("status").stdout
    world.mb.release("analyze", "Global")
    assert world.night.wait_run()["outcome"] == "ok"
    assert len(world.triggers("NC")) == 1


def test_a_table_that_the_role_may_not_read_is_said_at_once_with_the_grant(world):
    world.warehouse.table("orders")
    world.tenant("NC", reads=False)
    group = f'{{ names = ["NC"]; conninfo = "{world.warehouse.conninfo()} password=${{secret.METABASE_PASSWORD}}"; }}'
    world.begin(sync(group, 'tables = ["analytics.orders"];', needs=""))
    world.night.start()
    run = world.night.wait_run()
    assert run["outcome"] == "failed"
    role = world.roles["NC"]
    mend = f"GRANT USAGE ON SCHEMA analytics TO {role}; GRANT SELECT ON analytics.orders TO {role};"
    assert world.attempt()["reason"].endswith(mend), world.attempt()
    assert world.triggers("NC") == []
    world.warehouse.sql(mend)
    world.night.ask("retry", "nightly#1")
    assert world.night.wait_run("nightly#2")["outcome"] == "ok"
    assert [row[1] for row in syncs(world.night)] == ["failed", "proved"]


def test_a_table_that_was_never_built_is_named_by_the_warehouse(world):
    world.tenant("NC")
    group = f'{{ names = "NC"; conninfo = "{world.warehouse.conninfo()}"; }}'
    world.begin(sync(group, 'tables = ["analytics.nothing"];', needs=""))
    world.night.start()
    assert world.night.wait_run()["outcome"] == "failed"
    assert "the warehouse of NC has no table analytics.nothing" in world.attempt()["reason"]


def test_without_a_warehouse_to_ask_the_likely_cause_comes_at_the_end(world):
    world.warehouse.table("orders")
    world.warehouse.table("items")
    world.tenant("NC")
    world.warehouse.sql(f"REVOKE SELECT ON analytics.items FROM {world.roles['NC']}")
    world.begin(sync('"NC"', 'tables = ["analytics.orders", "analytics.items"];', needs="",
                     steps='timeout = "6s"; ready_timeout = "1s";'))
    world.night.start()
    assert world.night.wait_run()["outcome"] == "failed" or world.attempt()["outcome"] == "not_ready"
    reason = world.attempt()["reason"]
    assert "Metabase lacks 1 of 2 tables of NC: analytics.items" in reason
    assert f"the role {world.roles['NC']} may not read it" in reason


def test_a_daemon_that_dies_in_the_middle_of_a_sync_joins_again(world):
    world.warehouse.table("orders")
    world.tenant("NC")
    world.mb.hold("sync-fields", "NC")
    world.begin(sync('"NC"', 'tables = ["analytics.orders"];', needs=""))
    world.night.start()
    world.mb.wait_at("sync-fields", "NC")
    world.night.kill()
    world.night.begin()
    world.mb.release("sync-fields", "NC")
    run = world.night.wait_run()
    assert run["outcome"] == "ok", run
    assert len(world.attempt()["progress"]["databases"]) == 1


def test_a_metabase_restarted_in_the_middle_is_asked_again(world):
    world.warehouse.table("orders")
    world.tenant("NC")
    world.mb.hold("sync-fields", "NC")
    world.begin(sync('"NC"', 'tables = ["analytics.orders"];', needs=""))
    world.night.start()
    world.mb.wait_at("sync-fields", "NC")
    until(lambda: "its sync runs" in world.progress(), "the sync's row")
    world.mb.stop()
    until(lambda: "does not answer" in world.progress(), "that Metabase is away")
    world.mb.release("sync-fields", "NC")
    world.mb.start(starting=float("inf"))
    until(lambda: "is still starting" in world.progress(), "that Metabase starts")
    world.mb.begin()
    assert world.night.wait_run()["outcome"] == "ok"
    assert len(world.triggers("NC")) == 2


def test_a_user_logs_in_once_and_again_when_the_session_is_over(world):
    world.warehouse.table("orders")
    world.tenant("NC")
    world.tenant("Global")
    world.mb.hold("sync-fields")
    world.begin(sync('"${matrix.tenant}"', 'tables = ["analytics.orders"];', needs="",
                     matrix='tenant = ["NC", "Global"];'), who=LOGIN)
    world.night.start()
    until(lambda: world.mb.queue.at and world.mb.queue.at[0] == "sync-fields", "a sync")
    assert len(world.mb.asked("POST", "/api/session")) == 1
    world.mb.expire_sessions()
    until(lambda: len(world.mb.asked("POST", "/api/session")) == 2, "a second log-in")
    world.mb.release("sync-fields")
    assert world.night.wait_run()["outcome"] == "ok"
    assert len(world.mb.asked("POST", "/api/session")) == 2
    assert PASSWORD not in everything_kept(world.night)


@pytest.mark.parametrize("fault, outcome, words", [
    ({"kind": "answer", "status": 500, "body": "oh", "times": 2}, "ok", ""),
    ({"kind": "cut", "times": 1}, "ok", ""),
    ({"kind": "eof", "times": 1}, "ok", ""),
    ({"kind": "garbage", "times": 2}, "ok", ""),
    ({"kind": "endless", "times": 9}, "failed", "larger than"),
    ({"kind": "hang"}, "transient", ""),
], ids=lambda value: value["kind"] if isinstance(value, dict) else "")
def test_answers_gone_wrong_end_within_the_bound(world, fault, outcome, words):
    world.warehouse.table("orders")
    world.tenant("NC")
    world.mb.fault(path="/api/database" if fault["kind"] == "endless" else "/api/task", **fault)
    world.begin(sync('"NC"', 'tables = ["analytics.orders"];', needs="",
                     steps=f'timeout = "{"4s" if outcome == "transient" else "60s"}";'))
    world.night.start()
    run = world.night.wait_run(seconds=60)
    assert world.attempt()["outcome"] == outcome, run
    assert words in (world.attempt()["reason"] or "")


def test_no_credential_goes_to_where_metabase_redirects(world):
    world.warehouse.table("orders")
    world.tenant("NC")
    with Metabase() as elsewhere:
        world.mb.fault("redirect", to=elsewhere.base + "/api/database")
        world.begin(sync('"NC"', 'tables = ["analytics.orders"];', needs=""))
        world.night.start()
        assert world.night.wait_run()["outcome"] == "failed"
        assert "redirects are not followed" in world.attempt()["reason"]
        assert elsewhere.requests == []


def test_a_key_that_is_refused_says_where_to_look(world):
    world.tenant("NC")
    world.mb.api_key = "mb_another-one"
    world.begin(sync('"NC"', needs=""))
    world.night.start()
    assert world.night.wait_run()["outcome"] == "failed"
    assert "metabase.api_key" in world.attempt()["reason"]
    assert len(world.mb.requests) == 1


def test_a_database_that_is_misspelt_is_told_from_those_there_are(world):
    world.tenant("Global")
    world.begin(sync('"Globl"', needs=""))
    world.night.start()
    assert world.night.wait_run()["outcome"] == "failed"
    assert "did you mean Global?" in world.attempt()["reason"]
    assert json.dumps(world.attempt()).count("Sample") == 0


def test_all_databases_are_synced_but_the_sample_one(world):
    world.warehouse.table("orders")
    world.tenant("Global")
    world.tenant("NC")
    world.begin(sync('"*"', 'tables = ["analytics.orders"];', needs=""))
    world.night.start()
    assert world.night.wait_run()["outcome"] == "ok"
    assert [(name, state) for name, state, *_ in syncs(world.night)] == [
        ("Global", "proved"), ("NC", "proved")]
    assert world.triggers("Sample Database") == []
