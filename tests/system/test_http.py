"""The `http` step: the real daemon against small servers on loopback, well-behaved and not."""
import contextlib
import os
import socket
import socketserver
import subprocess
import threading
import time

import pytest

from nightlib import Night, everything_kept, until

SECRET = "s3cret-of-metabase-%41&more"


class Server:
    """Answers each connection with what `talk(server, connection, request)` does; keeps what it was asked."""

    def __init__(self, talk):
        self.requests = []
        self.connections = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.connections += 1
                self.request.settimeout(30)
                with contextlib.suppress(OSError):
                    request = read_request(self.request)
                    outer.requests.append(request)
                    talk(outer, self.request, request)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status=200, body="", headers=(), kind="application/json"):
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(data)}", f"Content-Type: {kind}", *headers]
    whole = "\r\n".join(head).encode() + b"\r\n\r\n" + data
    return lambda server, connection, request: connection.sendall(whole)


def in_turn(*talks):
    return lambda server, connection, request: talks[min(len(server.requests), len(talks)) - 1](
        server, connection, request)


def hang(server, connection, request):
    server.ended.wait(30)


def drip(server, connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not server.ended.wait(1):
        connection.sendall(b"x")


def endless(server, connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.ended.is_set():
        connection.sendall(b"x" * 65536)


def endless_header(server, connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.ended.is_set():
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def cut(server, connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")


def hang_up(server, connection, request):
    pass


@pytest.fixture
def night():
    with Night() as n:
        yield n


def play(night, http, more="", job="", begin=True):
    """Runs one step of that text; the step as `show` has it, and how long it took."""
    night.configure(f'{{ name = "s"; steps: ( {{ name = "call"; http: {{ {http} }}; {more} }} ); }}',
                    job=job)
    if begin:
        night.begin()
    began = time.monotonic()
    night.start()
    run = night.wait_run()
    step = run["cells"][0]["steps"][0]
    return step, time.monotonic() - began


# --- answers ----------------------------------------------------------------------------------


def test_a_call_says_what_the_step_says_and_its_answer_is_as_expected(night):
    night.secret("API_KEY", SECRET)
    body = '{"status":"ok","more":{"n":5,"list":["a",true,null],"f":1.5},"x":1}'
    with Server(answer(201, body)) as server:
        step, _ = play(night, f'''
            url = "{server.url}/api/thing?key=1"; method = "POST";
            headers: {{ X-API-Key = "${{secret.API_KEY}}"; X-Empty = ""; X-Number = 5; }};
            body = "{{\\"who\\":\\"${{run.name}}\\"}}";
            expect: {{ status = "ok"; more: {{ n = 5; f = 1.5; }}; }}; text = "\\"list\\":["; ''',
                       'secrets = ["API_KEY"];')
    assert (step["outcome"], step["reason"]) == ("ok", None)
    attempt, = step["attempts"]
    assert attempt["outcome"] == "ok" and attempt["ended_at"] >= attempt["started_at"]
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api/thing?key=1 HTTP/1.1"
    assert f"X-API-Key: {SECRET}" in lines and "X-Number: 5" in lines and "X-Empty:" in lines
    assert "Content-Type: application/json" in lines
    assert sent == b'{"who":"nightly#1"}'
    assert SECRET not in everything_kept(night) + night.log.read_text()
    types = night.sql("SELECT type, repeatable, started_at IS NOT NULL FROM nightjar.action")
    assert types == [("http", False, True)]


@pytest.mark.parametrize("status, body, wanted, outcome, reason", [
    (503, "Metabase is still initializing. Please sit tight...", "", "transient",
     "503 instead of 2xx: Metabase is still initializing. Please sit tight..."),
    (429, "", "", "transient", "429 instead of 2xx"),
    (502, "<html><title>Bad</title></html>", "", "transient", "502 instead of 2xx"),
    (500, "oops\x1b[31m\nline two", "", "failed", "500 instead of 2xx: oops\\x1b[31m line two"),
    (404, '"Not found."', "codes = [200, 204];", "failed", '404 instead of 200 or 204: "Not found."'),
    (404, "", "codes = [404];", "ok", None),
    (200, '{"status":"initializing","progress":0.3}', 'expect: { status = "ok"; };', "failed",
     'status is "initializing", not "ok"'),
    (200, '{"a":{"b":["x",2]}}', 'expect: { a: { b = ["x", "2"]; }; };', "failed",
     'a.b[1] is 2, not "2"'),
    (200, '{"a":{}}', "expect: { a: { b = true; }; };", "failed", "a.b is missing, not true"),
    (200, "ok", 'expect: { status = "ok"; };', "failed", "the answer is no JSON: ok"),
    (200, b'{"s":"\xff"}', 'expect: { s = "x"; };', "failed", 'the answer is no JSON: {"s":"\\xff"}'),
    (200, "all is well", 'text = "is well";', "ok", None),
    (200, "all is bad", 'text = "is well";', "failed",
     'the answer does not hold "is well": all is bad'),
])
def test_an_answer_is_judged(night, status, body, wanted, outcome, reason):
    with Server(answer(status, body, kind="text/plain")) as server:
        step, _ = play(night, f'url = "{server.url}/"; {wanted}')
    assert (step["outcome"], step["reason"]) == (outcome, reason)


def test_a_secret_in_an_answer_is_masked_even_where_it_would_be_cut(night):
    night.secret("API_KEY", SECRET)
    body = "x" * 185 + " " + SECRET + " and more"
    with Server(answer(500, body)) as server:
        step, _ = play(night, f'url = "{server.url}/"; headers: {{ K = "${{secret.API_KEY}}"; }};',
                       'secrets = ["API_KEY"];')
    assert step["outcome"] == "failed" and "***" in step["reason"]
    assert SECRET[:8] not in everything_kept(night) + night.log.read_text()


def test_a_503_is_tried_again_where_the_step_says_so(night):
    busy = answer(503, "wait", kind="text/plain")
    with Server(in_turn(busy, busy, answer(200, '{"status":"ok"}'))) as server:
        step, _ = play(night, f'url = "{server.url}/"; expect: {{ status = "ok"; }};',
                       'retry: { attempts = 3; delay = "10ms"; };')
    assert [a["outcome"] for a in step["attempts"]] == ["transient", "transient", "ok"]


# --- servers that misbehave -------------------------------------------------------------------


@pytest.mark.scoreboard(21)
@pytest.mark.parametrize("talk", [hang, drip])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_hangs_or_drips_is_left_at_the_timeout(night, talk, method):
    with Server(talk) as server:
        step, took = play(night, f'url = "{server.url}/"; method = "{method}";', 'timeout = "1500ms";')
    assert step["outcome"] == "timed_out"
    assert step["reason"] == "timed out after 1.5s" + (
        "; the call may have had its effect" if method == "POST" else "")
    assert 1.4 < took < 4


def test_a_server_that_never_accepts_is_left_at_the_timeout(night):
    with socket.socket() as s, contextlib.ExitStack() as others:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        for _ in range(2):  # the queue is full
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(s.getsockname())
        step, took = play(night, f'url = "http://127.0.0.1:{s.getsockname()[1]}/";', 'timeout = "1s";')
    assert (step["outcome"], step["reason"]) == ("timed_out", "timed out after 1s")
    assert took < 4


@pytest.mark.parametrize("talk, reason", [
    (endless, "answer larger than 1 MiB"),
    (endless_header, "the header of the answer is larger than 256 KiB"),
])
@pytest.mark.scoreboard(21)
def test_an_endless_answer_is_cut_off(night, talk, reason):
    with Server(talk) as server:
        step, took = play(night, f'url = "{server.url}/";')
    assert step["outcome"] == "failed" and step["reason"] == reason
    assert took < 10


@pytest.mark.parametrize("talk, reason", [
    (cut, "the connection was closed before the whole answer had come"),
    (hang_up, "the connection was closed without an answer"),
])
@pytest.mark.parametrize("method, outcome", [("GET", "transient"), ("POST", "failed")])
def test_a_lost_answer_is_tried_again_only_where_that_is_safe(night, talk, reason, method, outcome):
    with Server(talk) as server:
        step, _ = play(night, f'url = "{server.url}/"; method = "{method}";',
                       'retry: { attempts = 2; delay = "10ms"; };')
    assert step["outcome"] == outcome
    assert step["reason"] == reason + (
        "; the call may have had its effect" if method == "POST" else "")
    assert server.connections == len(step["attempts"]) == (2 if method == "GET" else 1)


def test_a_refused_connection_is_transient_for_every_method(night):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # bound, not listening
        port = s.getsockname()[1]
        step, _ = play(night, f'url = "http://127.0.0.1:{port}/"; method = "DELETE";')
    assert step["outcome"] == "transient"
    assert step["reason"] == f"cannot connect to 127.0.0.1:{port}: connection refused"


def test_what_speaks_no_http_fails(night):
    with Server(lambda server, connection, request: connection.sendall(b"220 smtp here\r\n")) as server:
        step, _ = play(night, f'url = "{server.url}/";')
    assert (step["outcome"], step["reason"]) == (
        "failed", f"what answers at 127.0.0.1:{server.port} does not speak HTTP")


@pytest.mark.scoreboard(21)
def test_a_redirect_is_not_followed_and_no_credential_goes_elsewhere(night):
    night.secret("API_KEY", SECRET)
    with Server(answer()) as other:
        moved = answer(302, "", [f"Location: http://localhost:{other.port}/"])
        with Server(moved) as server:
            step, _ = play(night, f'url = "{server.url}/"; headers: {{ K = "${{secret.API_KEY}}"; }};',
                           'secrets = ["API_KEY"];')
    assert (step["outcome"], step["reason"]) == (
        "failed", "302 instead of 2xx (redirects are not followed)")
    assert other.connections == 0 and len(server.requests) == 1


@pytest.mark.parametrize("url, reason", [
    ("ftp://127.0.0.1/x", "its URL begins with neither http:// nor https://"),
    ("file:///etc/passwd", "its URL begins with neither http:// nor https://"),
    ("http://127.0.0.1:99999/", "its URL cannot be used: "),
])
def test_an_url_that_cannot_be_used_fails(night, url, reason):
    step, _ = play(night, f'url = "{url}";')
    assert step["outcome"] == "failed" and step["reason"].startswith(reason)


def test_a_header_cannot_be_smuggled_in(night):
    night.secret("API_KEY", "key-with\nX-Evil: 1")
    with Server(answer()) as server:
        step, _ = play(night, f'url = "{server.url}/"; headers: {{ K = "${{secret.API_KEY}}"; }};',
                       'secrets = ["API_KEY"];')
    assert (step["outcome"], step["reason"]) == (
        "failed", "http: the header K is not one that can be sent")
    assert server.connections == 0


# --- TLS --------------------------------------------------------------------------------------


def tls(folder, name):
    """A server with a certificate of its own making for that name."""
    import ssl
    key, certificate = folder / "key.pem", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", key, "-out", certificate, "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server(answer(200, "{}"))
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.server.handle_error = lambda *_: None
    return server, certificate


@pytest.mark.scoreboard(21)
def test_a_certificate_that_nobody_vouches_for_is_refused(night):
    server, _ = tls(night.folder, "localhost")
    with server:
        step, _ = play(night, f'url = "https://localhost:{server.port}/"; method = "POST";')
    assert (step["outcome"], step["reason"]) == (
        "failed", "its certificate is not trusted: self-signed certificate")
    assert server.requests in ([], [b""])


@pytest.mark.scoreboard(21)
@pytest.mark.parametrize("name, outcome", [("localhost", "ok"), ("elsewhere.example", "failed")])
def test_a_certificate_must_be_for_that_name(night, monkeypatch, name, outcome):
    server, certificate = tls(night.folder, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server:
        step, _ = play(night, f'url = "https://localhost:{server.port}/";')
    assert step["outcome"] == outcome
    assert outcome == "ok" or step["reason"].startswith("its certificate is not trusted: no alternative")


# --- its life ---------------------------------------------------------------------------------


def test_a_call_is_cancelled_at_once(night):
    with Server(hang) as server:
        night.configure(f'{{ name = "s"; steps: ( {{ name = "call"; http: {{ url = "{server.url}/"; }}; }} ); }}')
        night.begin()
        night.start()
        until(lambda: server.requests, "the call")
        night.ask("cancel", "nightly#1")
        assert night.wait_run()["outcome"] == "cancelled"


@pytest.mark.parametrize("method, outcome", [("GET", "transient"), ("POST", "needs_person")])
def test_after_a_crash_a_call_that_may_have_arrived_is_not_made_again(night, method, outcome):
    with Server(hang) as server:
        night.configure(f'{{ name = "s"; steps: ( {{ name = "call"; http: {{ url = "{server.url}/"; '
                        f'method = "{method}"; }}; }} ); }}')
        night.begin()
        night.start()
        until(lambda: server.requests, "the call")
        night.kill()
        night.begin()
        run = night.wait_run()
        assert run["outcome"] == outcome
        assert "restarted before the answer came" in run["cells"][0]["steps"][0]["reason"]
    assert len(server.requests) == 1


def test_an_ordinary_end_does_not_wait_for_a_call(night):
    with Server(hang) as server:
        night.configure(f'{{ name = "s"; steps: ( {{ name = "call"; http: {{ url = "{server.url}/"; }}; }} ); }}')
        night.begin()
        night.start()
        until(lambda: server.requests, "the call")
        began = time.monotonic()
        night.end()
        assert time.monotonic() - began < 5


def test_hanging_calls_hold_nothing_else_up(night):
    with Server(hang) as server:
        server.server.socket.listen(64)
        night.configure(f'''{{ name = "slow"; matrix: {{ n = [{", ".join(f'"{n}"' for n in range(40))}]; }};
            steps: ( {{ name = "call"; http: {{ url = "{server.url}/"; }}; timeout = "3s"; }} ); }},
            {{ name = "quick"; steps: ( {{ name = "true"; shell = "true"; }} ); }}''',
                        more="max_attempts = 64;")
        night.begin()
        night.start()
        until(lambda: server.connections == 40, "40 calls")
        slowest = 0
        for _ in range(20):
            began = time.monotonic()
            night.status()
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1
        cells = night.cells()
        assert cells["quick"]["outcome"] == "ok" or night.wait("cell-ended", cell="quick")
        run = night.wait_run()
    assert {c["outcome"] for c in run["cells"] if c["name"] != "quick"} == {"timed_out"}
    assert not [fd for fd in os.listdir(f"/proc/{night.daemon.pid}/fd")
                if socket_to(night.daemon.pid, fd, server.port)]


def socket_to(pid, fd, port):
    """Whether that descriptor is a TCP connection to the port."""
    try:
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return False
    inode = link[8:-1] if link.startswith("socket:[") else None
    for line in open(f"/proc/{pid}/net/tcp").read().splitlines()[1:]:
        fields = line.split()
        if inode == fields[9] and fields[2].endswith(f":{port:04X}"):
            return True
    return False
