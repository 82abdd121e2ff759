#!/usr/bin/env python3
"""A stand-in Metabase: its API as far as nightjar and a Terraform provider use it, its one sync
queue over real PostgreSQL warehouses, and its troubles, on demand. On loopback only.

    with Metabase() as mb:
        nc = mb.add_database("NC", host=..., port=..., dbname=..., user=..., password=...)
        mb.delay("sync-fields", 2, "NC")
        mb.fault("hang", path="/api/task", times=1)
        mb.requests

As a program it prints its port, and takes troubles as `POST /control {"do": "delay", ...}`: the
methods of a Metabase in CONTROLS, their arguments by name; `GET /control` says what it was asked.

    metabase.py [--port N] [--state FILE] [--api-key KEY] [--user NAME:PASSWORD] [--starting SECONDS]
"""

import argparse
import contextlib
import http.server
import json
import signal
import socket
import sys
import threading
import time

import metabase_api
import metabase_faults
from metabase_queue import Queue, Troubles
from metabase_world import World

API_KEY = "mb_c3RhbmQtaW4gTWV0YWJhc2Uga2V5"
USER, PASSWORD = "admin@example.org", "a-password-of-metabase-1"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Jetty(12)"
    timeout = 60
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()
        self.server.connections.discard(self.connection)

    def handle_one_request(self):
        with contextlib.suppress(OSError):
            return super().handle_one_request()
        self.close_connection = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.metabase.handle(self, body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

    def send(self, status, body):
        """None: nothing; a string: text; the rest: JSON."""
        data, kind = b"", "application/json;charset=utf-8"
        if isinstance(body, str):
            data, kind = body.encode(), "text/plain"
        elif body is not None:
            data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, metabase, port):
        self.metabase = metabase
        self.connections = set()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, address)

    def end(self):
        """As a process that is gone: every connection is cut."""
        self.ended.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Metabase:
    """api_key, users {name: password}: who may ask. throttle_scale: how much shorter the times of
    the throttle are. `base` and `port` stay over a restart; `requests` is all that it was asked."""

    def __init__(self, port=0, state=None, api_key=API_KEY, users=None, starting=0,
                 throttle_scale=1.0, version="v0.57.11"):
        self.world = World(state)
        self.api_key, self.users = api_key, users or {USER: PASSWORD}
        self.throttle_scale, self.version = throttle_scale, version
        self.troubles, self.faults = Troubles(), metabase_faults.Faults()
        self.requests, self.failures, self.disabled = [], {}, set()
        self.ill, self.begun, self.ready = None, 0.0, 0.0
        self.server = self.queue = self.thread = None
        self.port, self.starting_seconds = port, starting

    def __enter__(self):
        self.start(self.starting_seconds)
        return self

    def __exit__(self, *_):
        self.stop()

    # --- its life -----------------------------------------------------------------------------

    def start(self, starting=0):
        """starting: seconds (or float("inf"), until `begin`) in which it only says so."""
        self.begun = time.monotonic()
        self.ready = self.begun + starting
        self.queue = Queue(self.world, self.troubles)
        self.server = Server(self, self.port)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        """Rows of what runs stay `started`; the queue is lost. Nobody listens any more."""
        if self.server:
            self.server.end()
            self.thread.join()
            self.queue.stop()
            self.server = None

    def restart(self, down=0, starting=0):
        self.stop()
        self.troubles.stuck = False
        time.sleep(down)
        self.start(starting)

    def begin(self):
        """The end of its starting phase."""
        self.ready = 0.0

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def progress(self):
        """None once it is ready; a part of 1 while it starts; a text where it is ill."""
        left = self.ready - time.monotonic()
        if self.ill or left <= 0:
            return self.ill
        whole = self.ready - self.begun
        return 0.3 if whole == float("inf") else round(max(0.0, 1 - left / whole), 2)

    # --- requests -----------------------------------------------------------------------------

    def handle(self, handler, body):
        headers = {k.lower(): v for k, v in handler.headers.items()}
        request = metabase_api.Request(self, handler.command, handler.path, headers, body)
        if request.path == "/control":
            return self.control(handler, request)
        entry = {"method": request.method, "path": request.path, "query": request.query,
                 "headers": headers, "body": body.decode("utf-8", "replace"), "status": None,
                 "at": time.monotonic()}
        with self.world.changed:
            self.requests.append(entry)
            self.world.changed.notify_all()
        fault = self.faults.take(request.method, request.path)
        if fault and fault.kind in metabase_faults.BEFORE:
            handler.close_connection = True
            return metabase_faults.play(fault, handler.connection, self.server.ended)
        if fault and fault.kind == "slow":
            self.server.ended.wait(fault.seconds)
        status, answer = metabase_api.answer(request)
        entry["status"] = status
        if fault and fault.kind == "lost":
            handler.close_connection = True
            return None
        if fault and fault.kind == "lost_502":
            status, answer = 502, "<html><body>502 Bad Gateway</body></html>"
        return handler.send(status, answer)

    def control(self, handler, request):
        if request.method == "GET":
            return handler.send(200, {"requests": self.requests})
        arguments = request.json()
        name = arguments.pop("do", None)
        if name not in CONTROLS:
            return handler.send(400, f"do: one of {', '.join(CONTROLS)}")
        if name == "restart":  # this very server goes
            threading.Thread(target=self.restart, kwargs=arguments).start()
            return handler.send(200, {"ok": True})
        found = getattr(self, name)(**arguments)
        return handler.send(200, found if isinstance(found, (dict, list)) else {"ok": True})

    def asked(self, method=None, path=None):
        """What it was asked, of such a method and path."""
        with self.world.lock:
            return [r for r in self.requests if method in (None, r["method"]) and path in (None, r["path"])]

    # --- what it holds ------------------------------------------------------------------------

    def add_database(self, name, sync=False, schemas=None, **details):
        """A database, without asking its warehouse; `sync`: its first goes onto the queue."""
        if schemas:
            details.update({"schema-filters-type": "inclusion", "schema-filters-patterns": schemas})
        row = self.world.add("databases", World.database(name, "postgres", details))
        if sync:
            self.queue.submit("sync", row["id"])
        return row

    def database(self, name):
        return next(d for d in self.world.all("databases") if d["name"] == name)

    def tables(self, name):
        """{"schema.table": row}, inactive ones too."""
        rows = self.world.all("tables", db_id=self.database(name)["id"])
        return {f"{t['schema']}.{t['name']}": t for t in rows}

    def fields(self, name, table):
        number = self.tables(name)[table]["id"]
        return [f["name"] for f in self.world.all("fields", table_id=number, active=True)]

    def tasks(self, name=None, task=None):
        """Rows of the task list, the oldest first."""
        wanted = {"db_id": self.database(name)["id"]} if name else {}
        return self.world.all("tasks", **wanted, **({"task": task} if task else {}))

    def sync(self, name, seconds=30):
        """One whole sync from here, and its end: what somebody did by hand."""
        number = self.database(name)["id"]
        with self.world.changed:
            before = len(self.tasks(name, "sync"))
            self.queue.submit("sync", number)
        self.wait(lambda: len(self.tasks(name, "sync")) > before and self.is_idle(), seconds)

    def is_idle(self):
        return not self.queue.waiting and self.queue.running is None

    def wait(self, condition, seconds=30):
        """Until something of its world is so; what the condition said."""
        with self.world.changed:
            found = self.world.changed.wait_for(condition, seconds)
        assert found, f"it does not come about; the queue is at {self.queue.at}"
        return found

    # --- its troubles -------------------------------------------------------------------------

    def delay(self, phase, seconds, database="*"):
        """Each time: a step's name, `analyze`, `catalogue` (before its tables are read from the
        warehouse) or `listed` (after that, before the task row)."""
        self.troubles.delays[phase, database] = seconds

    def hold(self, phase, database="*"):
        """The queue's thread waits there until it is released."""
        with self.world.lock:
            self.troubles.holds.add((phase, database))

    def release(self, phase=None, database="*"):
        with self.world.changed:
            if phase:
                self.troubles.holds.discard((phase, database))
            else:
                self.troubles.holds.clear()
            self.world.changed.notify_all()

    def wait_at(self, phase, database, seconds=30):
        self.wait(lambda: self.queue.at == (phase, database), seconds)

    def fail(self, phase, database="*", times=1):
        """That step fails, in its own row alone; `catalogue`: the sync dies without any row."""
        self.troubles.failures[phase, database] = times

    def drop(self, times=1, database="*"):
        """So many triggers are answered well and never run."""
        self.troubles.drops[database] = times

    def orphan(self, database, task="sync", ago=3600):
        """A row that says `started` for ever, as a restart leaves one."""
        return self.world.begin_task(task, self.database(database)["id"], ago)

    def stick(self):
        """Nothing on the queue runs any more until a restart."""
        with self.world.changed:
            self.troubles.stuck = True
            self.world.changed.notify_all()

    def fault(self, kind, **more):
        """An answer gone wrong: see metabase_faults.Fault."""
        return self.faults.add(kind, **more)

    def mend(self):
        """The end of all faults, holds, delays and drops."""
        self.faults.clear()
        self.ill = None
        self.troubles.delays.clear()
        self.troubles.failures.clear()
        self.troubles.drops.clear()
        self.release()

    def be_ill(self, status="Unable to get app-db connection"):
        self.ill = status

    def expire_sessions(self):
        with self.world.lock:
            self.world.sessions.clear()
            self.world.save()

    def disable(self, user=USER):
        self.disabled.add(user)

    def throttle(self, user=USER, failures=10):
        """As after so many failed log-ins."""
        for _ in range(failures):
            self.fail_login(user)

    def fail_login(self, user):
        with self.world.lock:
            self.failures.setdefault(user, []).append(time.monotonic())

    def throttled(self, user):
        with self.world.lock:
            return metabase_api.throttle_seconds(self.failures.get(user, []), self.throttle_scale)


CONTROLS = ("add_database", "sync", "restart", "begin", "delay", "hold", "release", "fail", "drop", "orphan",
            "stick", "fault", "mend", "be_ill", "expire_sessions", "disable", "throttle")


def main():
    parser = argparse.ArgumentParser(description="A stand-in Metabase, on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", help="a file that keeps what it knows")
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--user", action="append", default=[], help="NAME:PASSWORD")
    parser.add_argument("--starting", type=float, default=0, help="seconds")
    options = parser.parse_args()
    users = dict(user.split(":", 1) for user in options.user)
    metabase = Metabase(options.port, options.state, options.api_key, users, options.starting)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with metabase:
        print(metabase.port, flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
