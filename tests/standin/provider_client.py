"""Calls of the Metabase API as the provider's Go client makes them: no timeout, redirects followed
with every header, and errors in Go's words."""

import contextlib
import errno
import http.client
import json
import socket
import threading
import urllib.parse


class CallError(Exception):
    """No answer, or one that cannot be read; its text is the detail of a diagnostic."""


class Answer:
    def __init__(self, status, kind, body):
        self.status, self.kind, self.body = status, kind, body
        self.text = body.decode("utf-8", "replace")

    @property
    def json(self):
        """None where the generated client leaves it unset: another type, or no body to speak of."""
        if "json" not in self.kind:
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            raise CallError(words_of_bad_json(self.text)) from None


def words_of_bad_json(text):
    text = text.strip()
    try:
        json.loads(text)
    except ValueError as e:
        at = getattr(e, "pos", 0)
        if at < len(text) and not text.startswith(("{", "[")):
            return f"invalid character '{text[at]}' looking for beginning of value"
    return "unexpected end of JSON input"


class Client:
    """endpoint: with `/api`. header: the credential, (name, value) or None."""

    def __init__(self, endpoint, header=None):
        self.endpoint = endpoint.rstrip("/")
        self.header = header
        self.lock = threading.Lock()
        self.open = set()
        self.cancelled = False

    def cancel(self):
        """What is in flight ends; what comes later does not begin."""
        with self.lock:
            self.cancelled = True
            for connection in self.open:
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def call(self, method, path, body=None):
        url = f"{self.endpoint}/{path}"
        headers = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "identity"}
        if self.header:
            headers[self.header[0]] = self.header[1]
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
        for _ in range(10):
            answer, location = self.once(method, url, data, headers)
            if not location:
                return answer
            url = urllib.parse.urljoin(url, location)
            if answer.status in (301, 302, 303) and method != "GET":
                method, data = "GET", None
                headers.pop("Content-Type", None)
        raise CallError(f'{method.capitalize()} "{url}": stopped after 10 redirects')

    def once(self, method, url, data, headers):
        parts = urllib.parse.urlsplit(url)
        kind = {"https": http.client.HTTPSConnection}.get(parts.scheme, http.client.HTTPConnection)
        connection = kind(parts.hostname, parts.port)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        with self.lock:
            self.open.add(connection)
        try:
            if self.cancelled:
                raise OSError
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            location = response.headers.get("Location") if 300 <= response.status < 400 else None
            body = self.read(response)
            return Answer(response.status, response.headers.get("Content-Type", ""), body), location
        except (OSError, http.client.HTTPException) as e:
            words = "context canceled" if self.cancelled else words_of(e, connection, parts)
            raise CallError(f'{method.capitalize()} "{url}": {words}') from None
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close()

    def read(self, response):
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as e:
            raise CallError("context canceled" if self.cancelled else
                            "unexpected EOF" if isinstance(e, http.client.IncompleteRead) else
                            str(e)) from None


def words_of(e, connection, parts):
    """As Go says it."""
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    if isinstance(e, ConnectionRefusedError):
        return f"dial tcp {parts.hostname}:{port}: connect: connection refused"
    if isinstance(e, socket.gaierror):
        return f"dial tcp: lookup {parts.hostname}: no such host"
    if isinstance(e, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(e, OSError) and e.errno == errno.ECONNRESET:
        return f"read tcp {parts.hostname}:{port}: read: connection reset by peer"
    if isinstance(e, http.client.BadStatusLine):
        return f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{e.line.strip()}"'
    return str(e) or type(e).__name__
