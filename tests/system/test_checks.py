"""Health checks: the real daemon against small servers on loopback that say what a test wants."""
import contextlib
import json
import os
import socketserver
import subprocess
import threading
import time
import urllib.parse

import pytest

from nightlib import NIGHTJARD, Night, Server, everything_kept, until

SECRET = "s3cret-of-metabase-%41&more"
IDLE = '{ name = "s"; steps: ( { name = "s"; run = ["/usr/bin/true"]; } ); }'
FINE = '{"status":"ok"}'


def reply(status=200, body=FINE, headers=(), kind="application/json"):
    head = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers]
    whole = ("\r\n".join(head) + "\r\n\r\n" + body).encode()
    return lambda server, connection: connection.sendall(whole)


def hang(server, connection):
    server.changed.wait(60)


def drip(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not server.changed.wait(0.2):
        connection.sendall(b"x")


def endless(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.changed.is_set():
        connection.sendall(b"x" * 65536)


class Endpoint:
    """A server that does the same with each who asks, until it is told something else. Its port stays its own
    while it is down."""

    def __init__(self):
        self.says = reply()
        self.requests = []
        self.changed = threading.Event()
        self.server = None
        self.port = 0
        self.up()

    def up(self):
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(60)
                with contextlib.suppress(OSError):
                    data = b""
                    while b"\r\n\r\n" not in data and (piece := self.request.recv(65536)):
                        data += piece
                    if data:
                        outer.requests.append(data.decode())
                        outer.says(outer, self.request)

        socketserver.ThreadingTCPServer.daemon_threads = True
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.changed = threading.Event()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def say(self, what):
        self.says = what
        self.changed.set()
        self.changed = threading.Event()

    def down(self):
        self.changed.set()
        if self.server:
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()


@pytest.fixture
def night():
    with Night() as n:
        yield n


@pytest.fixture
def endpoint():
    with Endpoint() as e:
        yield e


def configure(night, url, more='expect: { status = "ok"; };', timing="", rest="", environments="", stages=IDLE):
    timing = timing or 'interval = "200ms"; timeout = "1s"; fall = 2; rise = 2;'
    night.configure(stages, environments=environments, more=f'''
        checks: ( {{ name = "metabase"; url = "{url}/api/health"; {more} {timing} }} {rest} );''')


def state_of(night, name="metabase", environment=None):
    check, = [c for c in night.status()["checks"] if (c["name"], c["environment"]) == (name, environment)]
    return check


def becomes(night, state, since, **fields):
    return night.wait("check-changed", since=since,
                      message=lambda m: f" is {state}" in m.partition(";")[0].partition(":")[0], **fields)


def shows(night, state, **check):
    """The state before anything is watched: it may have come about already."""
    return until(lambda: (found := state_of(night, **check))["state"] == state and found, state)


def test_a_check_goes_down_and_up_and_all_of_it_is_kept_and_told(night, endpoint):
    configure(night, endpoint.url)
    night.begin()
    shows(night, "up")
    here = night.here()
    endpoint.down()
    told = becomes(night, "down", here)
    assert told["check"] == "metabase" and told["environment"] is None
    assert told["priority"] == 4
    assert f"127.0.0.1:{endpoint.port}" in told["message"] and "it was up for" in told["message"]
    check = state_of(night)
    assert check["state"] == "down" and "refused" in check["reason"] and check["checked_at"] >= check["since"]
    assert set(check) == {"name", "environment", "state", "since", "reason", "progress", "checked_at", "holds_up"}
    here = night.here()
    endpoint.up()
    assert becomes(night, "up", here)["priority"] == 5
    assert state_of(night)["reason"] is None

    def rows():
        found = night.sql("SELECT state, ended_at IS NULL, detail, extract(epoch FROM lasted)"
                          " FROM nightjar.check_history ORDER BY at")
        return found if len(found) == 3 else None
    first, second, third = until(rows, "three transitions in the store")
    assert [first[0], second[0], third[0]] == ["up", "down", "up"]
    assert [first[1], second[1], third[1]] == [False, False, True]
    assert first[2] is None and "refused" in second[2]
    assert second[3] > 0.1, "how long it lasted"
    past = night.ask("checks")["checks"][0]["transitions"]
    assert [t["state"] for t in past] == ["up", "down", "up"]
    assert past[0]["ended_at"] is None and past[1]["ended_at"] == past[0]["at"]
    assert [t["state"] for t in night.ask("checks", "-n", "1")["checks"][0]["transitions"]] == ["up"]
    page = night.call("checks").stdout.splitlines()
    assert page[0].split() == ["CHECK", "ENVIRONMENT", "STATE", "SINCE", "FOR", "REASON"]
    assert page[1].split()[:3] == ["metabase", "-", "up"] and page[2].split()[:2] == ["before", "down"]
    assert "CHK   metabase  up since" in night.call("status").stdout
    log = night.log.read_text()
    assert "warning: check metabase is down: " in log and "notice: check metabase is up" in log


def test_a_metabase_that_starts_is_told_from_one_that_is_down(night, endpoint):
    endpoint.say(reply(503, '{"status":"initializing","progress":0.4}'))
    configure(night, endpoint.url)
    night.begin()
    shows(night, "starting")
    check = state_of(night)
    assert (check["state"], check["progress"]) == ("starting", 0.4)
    assert check["reason"] == "it is initializing, 40 %"
    endpoint.say(reply(503, '{"status":"initializing","progress":0.9}'))
    until(lambda: state_of(night)["progress"] == 0.9, "more progress")
    endpoint.say(reply(503, "Metabase is still initializing. Please sit tight...", kind="text/plain"))
    until(lambda: state_of(night)["progress"] is None, "words alone")
    assert state_of(night)["state"] == "starting"
    here = night.here()
    endpoint.say(reply(503, '{"status":"Unable to get app-db connection"}'))
    becomes(night, "down", here)
    here = night.here()
    endpoint.say(reply())
    becomes(night, "up", here)


@pytest.mark.scoreboard(21)
@pytest.mark.parametrize("says, reason", [
    (hang, "1s"),
    (drip, "1s"),
    (endless, "answer larger than 1 MiB"),
    (reply(500, "oops\x1b[31m"), "500 instead of 2xx: oops\\x1b[31m"),
    (reply(200, "no JSON"), "the answer is no JSON: no JSON"),
    (reply(200, '{"status":"bad"}'), 'status is "bad", not "ok"'),
], ids=["hangs", "drips", "endless", "500", "no-json", "not-as-expected"])
def test_a_bad_endpoint_is_down_within_its_bounds(night, endpoint, says, reason):
    endpoint.say(says)
    configure(night, endpoint.url)
    night.begin()
    began = time.monotonic()
    check = shows(night, "down")
    assert time.monotonic() - began < 30
    assert reason in check["reason"]
    began = time.monotonic()
    night.status()
    assert time.monotonic() - began < 2, "the loop is never blocked"


@pytest.mark.scoreboard(21)
def test_a_redirect_is_not_followed_and_no_credential_goes_elsewhere(night, endpoint):
    night.secret("API_KEY", SECRET)
    with Endpoint() as other:
        endpoint.say(reply(302, "", headers=[f"Location: {other.url}/"]))
        configure(night, endpoint.url, more='headers: { X-API-Key = "${secret.API_KEY}"; };')
        night.begin()
        assert shows(night, "down")["reason"] == "302 instead of 2xx (redirects are not followed)"
        assert other.requests == []
    assert f"X-API-Key: {SECRET}" in endpoint.requests[0]


@pytest.mark.scoreboard(27)
def test_a_secret_of_a_check_shows_nowhere(night, endpoint):
    night.secret("staging.API_KEY", SECRET)
    said = f"I know {SECRET} and {urllib.parse.quote(SECRET, safe='')}"
    endpoint.say(reply(500, said))
    environments = f'''staging: {{ metabase: {{ url = "{endpoint.url}"; api_key = "${{secret.API_KEY}}"; }}; }};'''
    configure(night, "${metabase.url}", environments=environments,
              more='environments = ["staging"]; headers: { X-API-Key = "${metabase.api_key}"; };')
    night.begin()
    assert shows(night, "down", environment="staging")["reason"].startswith("500 instead of 2xx: I know ***")
    said = "warning: check metabase of staging is down: 500 instead of 2xx: I know ***"
    until(lambda: said in night.log.read_text(), "the log's line")
    assert f"X-API-Key: {SECRET}" in endpoint.requests[0]
    page = night.call("checks").stdout + night.call("status").stdout + json.dumps(night.ask("checks"))
    assert "***" in page
    pid = night.daemon.pid
    argv = open(f"/proc/{pid}/cmdline").read() + open(f"/proc/{pid}/environ").read()
    until(lambda: night.sql("SELECT 1 FROM nightjar.check_transition"), "its row")
    for form in (SECRET, urllib.parse.quote(SECRET, safe="")):
        assert form not in page + argv + night.log.read_text() + everything_kept(night)
        assert form not in json.dumps(night.events)
    night.secret("staging.API_KEY", "another-secret-altogether")
    until(lambda: "X-API-Key: another-secret-altogether" in endpoint.requests[-1], "the rotated secret")


def test_a_restart_goes_on_with_what_was_and_says_what_changed_meanwhile(night, endpoint):
    configure(night, endpoint.url)
    night.begin()
    shows(night, "up")
    since = state_of(night)["since"]
    until(lambda: night.sql("SELECT 1 FROM nightjar.check_transition"), "its row")
    night.kill()
    night.begin()
    until(lambda: state_of(night)["checked_at"], "its first answer")
    assert (state_of(night)["state"], state_of(night)["since"]) == ("up", since)
    night.end()
    endpoint.down()
    here = night.here()
    night.begin()
    check = state_of(night)
    assert check["since"] == since or check["state"] == "down", "shown until it is known better"
    becomes(night, "down", here)
    until(lambda: night.sql("SELECT state FROM nightjar.check_transition ORDER BY at") == [("up",), ("down",)],
          "both in the store")


def test_a_reload_takes_effect_on_what_changed_alone(night, endpoint):
    with Endpoint() as other:
        rest = f', {{ name = "other"; url = "{other.url}/"; interval = "200ms"; }}'
        configure(night, endpoint.url, rest=rest)
        night.begin()
        shows(night, "up")
        shows(night, "up", name="other")
        since = state_of(night, "other")["since"]
        configure(night, endpoint.url, more='expect: { status = "better"; };', rest=rest)
        here = night.here()
        assert night.call("reload").returncode == 0
        assert 'not "better"' in becomes(night, "down", here, check="metabase")["message"]
        assert state_of(night, "other")["since"] == since
        configure(night, endpoint.url)
        here = night.here()
        assert night.call("reload").returncode == 0
        becomes(night, "up", here, check="metabase")
        assert [c["name"] for c in night.status()["checks"]] == ["metabase"]
        asked = len(other.requests)
        until(lambda: night.sql("SELECT ended_at FROM nightjar.check_transition"
                                " WHERE name = 'other' AND ended_at IS NOT NULL"), "its end")
        before = len(endpoint.requests)
        until(lambda: len(endpoint.requests) > before + 3, "some more polls")
        assert len(other.requests) == asked


def test_what_changes_while_the_store_is_away_is_written_when_it_is_back(endpoint):
    store = Server.second()
    try:
        with Night(store) as night:
            configure(night, endpoint.url)
            night.begin()
            shows(night, "up")
            until(lambda: night.sql("SELECT 1 FROM nightjar.check_transition"), "its row")
            here = night.here()
            store.control("stop")
            night.wait("store-away", since=here)
            endpoint.say(reply(500))
            becomes(night, "down", here)
            listed = night.ask("checks")["checks"][0]
            assert listed["state"] == "down" and listed["transitions"][0]["state"] == "down"
            store.control("start")
            night.wait("store-ready", since=here)
            until(lambda: night.sql("SELECT state, ended_at IS NULL FROM nightjar.check_transition"
                                    " ORDER BY at") == [("up", False), ("down", True)], "both rows")
    finally:
        store.close()


def test_polls_keep_no_connection_and_their_interval(night, endpoint):
    configure(night, endpoint.url, timing='interval = "500ms"; timeout = "400ms";')
    night.begin()
    shows(night, "up")
    first = len(endpoint.requests)
    began = time.monotonic()
    until(lambda: len(endpoint.requests) >= first + 8, "eight polls")
    assert 8 * 0.45 - 0.5 < time.monotonic() - began < 8 * 0.55 + 10

    def connections():
        with open(f"/proc/{night.daemon.pid}/net/tcp") as f:
            lines = [line.split() for line in f][1:]
        inodes = {os.readlink(f"/proc/{night.daemon.pid}/fd/{fd}")
                  for fd in os.listdir(f"/proc/{night.daemon.pid}/fd")
                  if os.path.exists(f"/proc/{night.daemon.pid}/fd/{fd}")}
        port = f":{endpoint.port:04X}"
        return [x for x in lines if x[2].endswith(port) and f"socket:[{x[9]}]" in inodes]
    until(lambda: not connections(), "a moment without a connection")


@pytest.mark.parametrize("wrong, said", [
    ('url = "${metabase.url}";', "metabase"),
    ('environments = ["staging"]; url = "${vars.NOPE}";', 'has no such var'),
    ('environments = ["staging", "production"]; url = "${vars.HOST}";', '"production" has no such var'),
    ('environments = []; url = "${vars.HOST}";', "names no environments"),
    ('environments = ["staging"]; url = "http://x/"; headers: { K = "${secret.NOPE}"; };', "NOPE"),
    ('url = "http://x/"; headers: { K = "${run.name}"; };', "no meaning here"),
], ids=["no-environment", "no-var", "not-in-each", "empty", "no-secret", "no-run"])
def test_the_templates_of_a_check_are_checked_in_each_of_its_environments(night, wrong, said):
    night.configure(IDLE, environments='staging: { vars: { HOST = "x"; }; }; production: { vars: { A = "x"; }; };',
                    more=f'checks: ( {{ name = "c"; {wrong} }} );')
    answer = subprocess.run([NIGHTJARD, "--config", night.file, "--check"], capture_output=True, text=True)
    assert answer.returncode == 1 and said in answer.stderr, answer


# --- steps that wait --------------------------------------------------------------------------

GATED = '''{ name = "s"; steps: ( { name = "s"; run = ["/usr/bin/true"]; gate: { check = "metabase"; };
             ready_timeout = "%s"; } ); }'''


def test_a_step_waits_for_its_check_and_goes_on_when_it_comes_up(night, endpoint):
    endpoint.down()
    configure(night, endpoint.url, stages=GATED % "1h", rest="")
    night.begin()
    night.start()
    shows(night, "down")
    waiting, = until(lambda: night.status()["waiting"], "who waits")
    assert waiting["cell"] == "nightly#1/s"
    assert "metabase is down since" in waiting["reason"] and "refused" in waiting["reason"]
    assert state_of(night)["holds_up"] == ["nightly#1/s"]
    assert night.ask("checks")["checks"][0]["holds_up"] == ["nightly#1/s"]
    page = night.call("status").stdout
    assert "holds up nightly#1/s" in page and "CHK   metabase  down since" in page
    assert "holds up" in night.call("checks").stdout
    attempts = night.show("nightly#1")["cells"][0]["steps"][0]["attempts"]
    assert "metabase is down" in attempts[0]["reason"]
    night.kill()
    night.begin()
    assert until(lambda: night.status()["waiting"], "who waits")[0]["cell"] == "nightly#1/s"
    endpoint.up()
    run = night.wait_run()
    assert run["outcome"] == "ok" and len(run["cells"][0]["steps"][0]["attempts"]) == 1
    assert state_of(night)["holds_up"] == []


def test_a_step_that_waits_too_long_is_not_ready_and_says_why(night, endpoint):
    endpoint.say(reply(503, '{"status":"initializing","progress":0.4}'))
    configure(night, endpoint.url, stages=GATED % "2s")
    night.begin()
    night.start()
    run = night.wait_run()
    step = run["cells"][0]["steps"][0]
    assert (run["outcome"], step["outcome"]) == ("not_ready", "not_ready")
    assert "metabase is starting since" in step["reason"] and "40 %" in step["reason"]


def test_a_check_that_a_reload_removed_is_asked_while_a_step_waits_for_it(night, endpoint):
    endpoint.say(reply(500))
    configure(night, endpoint.url, stages=GATED % "1h")
    night.begin()
    night.start()
    shows(night, "down")
    until(lambda: night.status()["waiting"], "who waits")
    night.configure(IDLE)
    assert night.call("reload").returncode == 0
    assert state_of(night)["holds_up"] == ["nightly#1/s"]
    endpoint.say(reply())
    assert night.wait_run()["outcome"] == "ok"
    assert night.status()["checks"] == []
