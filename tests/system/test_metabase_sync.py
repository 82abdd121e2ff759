"""metabase_sync: the real daemon against a Metabase with every trouble it can have. Each ends in the
right outcome inside its bound; meanwhile the socket answers, and no credential goes elsewhere."""
import contextlib
import datetime
import json
import socket
import threading
import time

import pytest

from metabaselib import (API_KEY, PASSWORD, TENANT_PASSWORD, USER, Metabase, Warehouse,
                         metabase_environment)
from nightlib import Night, everything_kept, until

pytestmark = pytest.mark.timeout(180)


class Asked:
    """Asks the daemon for its status, again and again: the loop is never blocked."""

    def __init__(self, night):
        self.path, self.slowest, self.answers = str(night.socket), 0.0, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def ask(self):
        while not self.ended.wait(0.1):
            began = time.monotonic()
            with contextlib.suppress(ConnectionError, FileNotFoundError), \
                    socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(self.path)
                s.sendall(json.dumps({"method": "org.nightjar.Scheduler.Status"}).encode() + b"\0")
                answer = b""
                while not answer.endswith(b"\0"):
                    answer += s.recv(1 << 16)
                self.answers += 1
            self.slowest = max(self.slowest, time.monotonic() - began)


class Place:
    """An environment with a Metabase of its own, that knows its table `orders`."""

    def __init__(self, name, mb, warehouse, role):
        self.name, self.mb = name, mb
        mb.add_database("NC", **warehouse.details(role))
        mb.sync("NC")

    def triggers(self, name="NC"):
        return self.mb.asked("POST", f"/api/database/{self.mb.database(name)['id']}/sync_schema")

    def is_complete(self, table="fresh", name="NC"):
        row = self.mb.tables(name).get(f"analytics.{table}")
        return bool(row) and row["active"] and row["initial_sync_status"] == "complete"


class Scene:
    """A night, a warehouse with a table `orders` that is known and a table `fresh` that is not yet,
    and environments, one after another or all at once: `staging`, and what `place` makes."""

    def __init__(self, night, warehouse, stack):
        self.night, self.warehouse, self.stack = night, warehouse, stack
        warehouse.table("orders")
        self.role = warehouse.role("nc")
        self.places = {}
        night.secret("METABASE_API_KEY", API_KEY)
        night.secret("METABASE_PASSWORD", PASSWORD)
        self.mb = self.place("staging").mb

    def place(self, name, **options):
        mb = self.stack.enter_context(Metabase(throttle_scale=0.01, **options))
        self.places[name] = Place(name, mb, self.warehouse, self.role)
        return self.places[name]

    def only(self, names):
        """Places of those names, without `staging`."""
        del self.places["staging"]
        return [self.place(name) for name in names]

    def triggers(self, name="NC"):
        return self.places["staging"].triggers(name)

    def configure(self, sync='databases = "NC"; tables = ["analytics.fresh"];', more="", timeout="20s",
                  environments=None):
        """ready_timeout is below the wait before another round: what is not ready ends so."""
        names = ", ".join(f'"{name}"' for name in self.places)
        self.night.configure(
            f'{{ name = "sync"; matrix: {{ environment = [{names}]; }}; steps: ( {{ name = "sync"; '
            f'timeout = "{timeout}"; ready_timeout = "1s"; {more} metabase_sync: {{ {sync} }}; }} ); }}',
            more="max_attempts = 64;",
            environments=environments or "".join(
                metabase_environment(p.mb, name) for name, p in self.places.items()))

    def begin(self, **options):
        self.warehouse.table("fresh")
        self.configure(**options)
        self.night.begin()
        self.night.start()

    def end_all(self):
        """{environment: the step as `show` has it}, once the run has ended; `took` is beside."""
        with Asked(self.night) as asked:
            run = self.night.wait_run()
        assert asked.slowest < 2, f"the daemon did not answer for {asked.slowest:.1f} s"
        kept = everything_kept(self.night) + self.night.log.read_text()
        assert API_KEY not in kept and PASSWORD not in kept and TENANT_PASSWORD not in kept
        steps = {cell["matrix"]["environment"]: cell["steps"][0] for cell in run["cells"]}
        for step in steps.values():
            step["took"] = seconds(step)
        return steps

    def end(self):
        return self.end_all()["staging"]

    def play(self, **options):
        self.begin(**options)
        return self.end()

    def play_all(self, **options):
        self.begin(**options)
        return self.end_all()


def seconds(step):
    """From the first attempt's start to the last one's end."""
    first, last = (datetime.datetime.fromisoformat(step["attempts"][at][key].replace("Z", "+00:00"))
                   for at, key in ((0, "started_at"), (-1, "ended_at")))
    return (last - first).total_seconds()


@pytest.fixture
def scene():
    with Night() as night, Warehouse() as warehouse, contextlib.ExitStack() as stack:
        yield Scene(night, warehouse, stack)


def is_ok(step):
    assert (step["outcome"], step["reason"]) == ("ok", None), step
    assert [a["outcome"] for a in step["attempts"]] == ["ok"]


def progress_says(scene, words):
    """The running step's progress, once it does."""
    def said():
        for cell in scene.night.cells().values():
            for step in cell["steps"]:
                for attempt in step["attempts"]:
                    text = (attempt["progress"] or {}).get("text") or ""
                    if all(w in text for w in words):
                        return text
        return None
    return until(said, f"progress with {words}", 30)


# --- it is proved ---------------------------------------------------------------------------------


def test_a_sync_is_proved_when_its_table_is_there_with_its_fields(scene):
    step = scene.play(sync='databases = "NC"; tables = ["analytics.fresh"]; '
                      'columns = ["analytics.fresh.name"];')
    is_ok(step)
    assert len(scene.triggers()) == 1
    assert scene.mb.fields("NC", "analytics.fresh") == ["id", "name"]
    rows = scene.night.sql("SELECT environment, database FROM nightjar.sync")
    assert rows == [("staging", "NC")]


def test_what_is_waited_for_is_said_and_the_queue_too(scene):
    scene.mb.add_database("Slow", **scene.warehouse.details(scene.role))
    scene.mb.hold("sync-fields", "Slow")
    scene.mb.queue.submit("sync", scene.mb.database("Slow")["id"])
    scene.mb.wait_at("sync-fields", "Slow")
    scene.begin()
    text = progress_says(scene, ["queue is busy"])
    assert "0 of 1 tables" in text and "(Slow)" in text, text
    scene.mb.release()
    is_ok(scene.end())


def test_several_databases_share_the_wait(scene):
    for name in ("CO", "IL"):
        role = scene.warehouse.role(name.lower())
        scene.mb.add_database(name, **scene.warehouse.details(role))
    is_ok(scene.play(sync='databases = "*"; tables = ["analytics.fresh", "analytics.orders"];'))
    for name in ("NC", "CO", "IL"):
        assert len(scene.triggers(name)) == 1
        assert scene.places["staging"].is_complete("fresh", name)
    assert scene.mb.asked("POST", "/api/database/1/sync_schema") == []  # the sample database


# --- troubles that pass ---------------------------------------------------------------------------


def test_a_restart_in_the_middle_of_a_sync_is_lived_through(scene):
    scene.mb.hold("sync-fields")
    scene.begin(timeout="60s")
    scene.mb.wait_at("sync-fields", "NC")
    scene.mb.stop()
    scene.mb.release()
    scene.mb.start(starting=1)
    is_ok(scene.end())
    assert [t["status"] for t in scene.mb.tasks("NC", "sync")] == ["success", "started", "success"]


def test_an_instance_that_is_down_is_waited_for(scene):
    scene.mb.stop()
    scene.begin(timeout="60s")
    progress_says(scene, ["refused"])
    scene.mb.start(starting=1)
    is_ok(scene.end())


def test_syncs_that_do_not_come_about_are_asked_for_again(scene):
    """A trigger that is dropped though answered 200; a sync that dies with its warehouse, and leaves no
    row; one whose sub-step fails under a parent that says success; old rows that say `started`."""
    dropped, dying, failing, orphaned = scene.only(["dropped", "dying", "failing", "orphaned"])
    dropped.mb.drop(1)
    dying.mb.fail("catalogue")
    failing.mb.fail("sync-fields")
    orphaned.mb.orphan("NC", ago=7200)
    steps = scene.play_all(timeout="90s")
    for name, place in scene.places.items():
        is_ok(steps[name])
        assert place.is_complete(), name
    assert len(dropped.triggers()) == len(dying.triggers()) == len(failing.triggers()) == 2
    assert len(failing.mb.tasks("NC", "sync")) == 3
    assert failing.mb.fields("NC", "analytics.fresh") == ["id", "name"]
    assert steps["orphaned"]["took"] < 15 and len(orphaned.triggers()) == 1


PATHS = ["/api/database", "/api/task", "/api/database/2/sync_schema", "/api/database/2/metadata"]
PASSING = {"e500": ("answer", {"status": 500, "body": "Internal"}), "eof": ("eof", {}), "cut": ("cut", {}),
           "e503": ("answer", {"status": 503, "body": "Service Unavailable"}), "garbage": ("garbage", {})}


def test_calls_that_fail_twice_are_made_again(scene):
    names = [f"{word}-{at}" for word in PASSING for at in range(len(PATHS))]
    for place in scene.only(names):
        word, _, at = place.name.partition("-")
        kind, more = PASSING[word]
        place.fault = place.mb.fault(kind, path=PATHS[int(at)], times=2, **more)
    steps = scene.play_all(timeout="120s")
    for name, place in scene.places.items():
        is_ok(steps[name])
        assert place.is_complete() and place.fault.met == 2, name


# --- troubles that stay ---------------------------------------------------------------------------

STAYING = {  # what is done to it, and how it ends: the outcome, and words of the reason
    "hang": (lambda mb: mb.fault("hang", path="/api/.*"), "transient", ""),
    "drip": (lambda mb: mb.fault("drip", path="/api/.*", seconds=0.2), "transient", ""),
    "hang-later": (lambda mb: mb.fault("hang", path="/api/task", skip=2), "transient", ""),
    "endless": (lambda mb: mb.fault("endless", path="/api/.*"), "failed", "larger than"),
    "endless-header": (lambda mb: mb.fault("endless_header", path="/api/.*"), "failed", "larger than"),
    "garbage": (lambda mb: mb.fault("garbage", path="/api/.*"), "transient", "no JSON"),
    "e500": (lambda mb: mb.fault("answer", path="/api/.*", status=500), "transient", "500"),
    "e403": (lambda mb: mb.fault("answer", path="/api/task", status=403), "failed", "Administrators"),
    "down": (lambda mb: mb.stop(), "transient", "refused"),
    "starting": (lambda mb: mb.restart(starting=float("inf")), "transient", "still starting"),
    "stuck": (lambda mb: mb.stick(), "not_ready", "analytics.fresh"),
    "key": (lambda mb: setattr(mb, "api_key", "mb_other"), "failed", "401"),
    "warehouse": (lambda mb: mb.world.change("databases", 2, details={"host": "127.0.0.1", "port": 1}),
                  "transient", "422"),
    "failing": (lambda mb: mb.fail("sync-fields", times=99), "transient", "sync-fields"),
}


def test_what_stays_ends_in_its_bound_with_its_reason(scene):
    for place in scene.only(STAYING):
        STAYING[place.name][0](place.mb)
    steps = scene.play_all(timeout="8s")
    said = {name: (step["outcome"], step["reason"]) for name, step in steps.items()}
    for name, (_, outcome, words) in STAYING.items():
        assert said[name][0] == outcome and words in said[name][1], (name, said[name])
        assert steps[name]["took"] < 8 + 12, name
        if name not in ("hang-later", "stuck", "failing"):
            assert not scene.places[name].is_complete(), name


def test_no_credential_goes_where_it_is_redirected(scene):
    with Metabase() as other:
        for place in scene.only(["r301", "r302", "r307", "r308"]):
            place.mb.fault("redirect", path="/api/.*", status=int(place.name[1:]),
                           to=other.base + "/api/database")
        steps = scene.play_all(timeout="8s")
        assert other.requests == []
    for step in steps.values():
        assert step["outcome"] == "failed" and "redirects are not followed" in step["reason"], step


def test_what_never_comes_is_not_ready_and_named(scene):
    step = scene.play(sync='databases = "NC"; tables = ["analytics.fresh", "analytics.none"];',
                      timeout="6s")
    assert step["outcome"] == "not_ready"
    assert "analytics.none" in step["reason"] and "analytics.fresh" not in step["reason"]


def test_a_table_that_the_role_may_not_read_is_said_with_its_grant(scene):
    scene.warehouse.sql(f"ALTER DEFAULT PRIVILEGES IN SCHEMA analytics REVOKE SELECT ON TABLES"
                        f" FROM {scene.role}")
    step = scene.play(timeout="60s", sync=f'''databases: ( {{ names = "NC";
        conninfo = "{scene.warehouse.conninfo()}"; }} ); tables = ["analytics.fresh"];''')
    assert step["outcome"] in ("failed", "not_ready")
    assert f"GRANT SELECT ON analytics.fresh TO {scene.role}" in step["reason"].replace('"', "")
    assert step["took"] < 30


def test_a_database_that_is_not_there_is_named(scene):
    step = scene.play(sync='databases = ["NC", "Nowhere"];', timeout="60s")
    assert step["outcome"] == "failed" and "Nowhere" in step["reason"], step
    assert step["took"] < 20


# --- who asks -------------------------------------------------------------------------------------


def with_password(mb):
    return (f'staging: {{ metabase: {{ url = "{mb.base}"; username = "{USER}"; '
            'password = "${secret.METABASE_PASSWORD}"; }; };\n')


def test_a_session_that_expires_is_begun_again(scene):
    scene.mb.hold("sync-fields")
    scene.begin(timeout="60s", environments=with_password(scene.mb))
    scene.mb.wait_at("sync-fields", "NC")
    scene.mb.expire_sessions()
    scene.mb.release()
    is_ok(scene.end())
    assert len(scene.mb.asked("POST", "/api/session")) == 2
    keys = [r["headers"].get("x-api-key") for r in scene.mb.requests]
    assert set(keys) == {None}


def test_a_throttle_is_respected(scene):
    scene.mb.throttle_scale = 0.1  # the wait is 5 s
    scene.mb.throttle()
    is_ok(scene.play(timeout="60s", environments=with_password(scene.mb)))
    assert len(scene.mb.asked("POST", "/api/session")) <= 3


def test_a_wrong_password_is_tried_once(scene):
    scene.night.secret("METABASE_PASSWORD", "a-wrong-password-1")
    step = scene.play(timeout="60s", environments=with_password(scene.mb))
    assert step["outcome"] == "failed", step
    assert len(scene.mb.asked("POST", "/api/session")) == 1


# --- the daemon itself ------------------------------------------------------------------------------


def test_a_daemon_that_was_killed_joins_again(scene):
    scene.mb.hold("sync-fields")
    scene.begin(timeout="60s")
    scene.mb.wait_at("sync-fields", "NC")
    scene.night.kill()
    scene.night.begin()
    scene.mb.release()
    is_ok(scene.end())


def test_it_is_cancelled_at_once_while_it_waits(scene):
    scene.mb.hold("sync-fields")
    scene.begin(timeout="60s")
    scene.mb.wait_at("sync-fields", "NC")
    scene.night.ask("cancel", "nightly#1")
    step = scene.end()
    assert step["outcome"] == "cancelled" and step["took"] < 10
