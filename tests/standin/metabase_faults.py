"""What goes wrong on demand with the answers of a stand-in Metabase."""

import re
import socket
import threading

BEFORE = ("hang", "drip", "endless", "endless_header", "cut", "eof", "answer", "redirect", "garbage")
AFTER = ("lost", "lost_502")  # what was asked is done; only the answer does not come


class Fault:
    """kind: one of the above, or `slow` (it is answered, after `seconds`).
    path, method: regular expressions of the requests that it meets.
    times: for so many of them (None: all); skip: after so many."""

    def __init__(self, kind, path=".*", method=".*", times=None, skip=0, status=500, body="",
                 content_type="text/plain", to=None, seconds=0.0):
        assert kind in BEFORE + AFTER + ("slow",), kind
        self.kind, self.status, self.body, self.content_type = kind, status, body, content_type
        self.path, self.method = re.compile(path), re.compile(method)
        self.times, self.skip, self.to, self.seconds = times, skip, to, seconds
        self.met = 0

    def meets(self, method, path):
        if self.times == 0 or not self.method.fullmatch(method) or not self.path.fullmatch(path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.met += 1
        return True


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []

    def add(self, *args, **more):
        fault = Fault(*args, **more)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear(self):
        with self.lock:
            self.faults.clear()

    def take(self, method, path):
        with self.lock:
            return next((f for f in self.faults if f.meets(method, path)), None)


def head(status, content_type="application/json;charset=utf-8", length=None, more=""):
    length = "" if length is None else f"Content-Length: {length}\r\n"
    return (f"HTTP/1.1 {status} Word\r\nContent-Type: {content_type}\r\n{length}{more}"
            "Connection: close\r\n\r\n").encode()


def play(fault, connection, ended):
    """Does to the connection what the fault wants, instead of an answer; `ended`: the server stops."""
    connection.settimeout(60)
    if fault.kind == "hang":
        wait_gone(connection, ended)
    elif fault.kind == "drip":
        connection.sendall(head(200, length=1000000))
        while not ended.wait(fault.seconds or 1):
            connection.sendall(b" ")
    elif fault.kind in ("endless", "endless_header"):
        connection.sendall(head(200) if fault.kind == "endless" else b"HTTP/1.1 200 OK\r\n")
        piece = b"[" * 65536 if fault.kind == "endless" else b"X-More: " + b"x" * 1000 + b"\r\n"
        while not ended.is_set():
            connection.sendall(piece)
    elif fault.kind == "cut":
        connection.sendall(head(200, length=1000) + b'{"data":[')
    elif fault.kind == "answer":
        body = fault.body.encode()
        connection.sendall(head(fault.status, fault.content_type, len(body)) + body)
    elif fault.kind == "garbage":
        body = b"<html><body>It works!</body></html>"
        connection.sendall(head(200, "text/html", len(body)) + body)
    elif fault.kind == "redirect":
        status = fault.status if 300 <= fault.status < 400 else 307
        connection.sendall(head(status, "text/plain", 0, f"Location: {fault.to}\r\n"))


def wait_gone(connection, ended):
    """Until the other side has hung up."""
    connection.settimeout(0.2)
    while not ended.is_set():
        try:
            if not connection.recv(4096):
                return
        except socket.timeout:
            continue
        except OSError:
            return
