"""A night of its own for each test: a real nightjard in a folder, its store a new database, real dbt.

    with Night() as night:
        night.configure(stages="...")         # one job, `nightly`; @folder@ and the like are filled in
        night.begin()                         # the daemon leads, and its store answers
        night.start()                         # "nightly#1"
        night.wait("run-ended")
        night.show()["outcome"]

Waits are for events of the client's `watch`, which goes on over a restart of the daemon; what has no
event (a query that runs in a warehouse, a file) is asked for until it is there.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import psycopg2

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NIGHTJAR_BUILD", ROOT / "build"))
NIGHTJARD = BUILD / "daemon" / "nightjard"
NIGHTJAR = BUILD / "client" / "nightjar"
SHIM = BUILD / "shim" / "nightjar-shim"
DBT = Path(sys.executable).parent / "dbt"

PATIENCE = 90  # seconds: for a machine that has much else to do


def until(condition, what="it", seconds=PATIENCE):
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} does not come about"
        time.sleep(0.02)
    return found


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def pids_in(path, n=1):
    """The numbers in a file that a step writes, once there are n."""
    def complete():
        text = path.read_text() if path.exists() else ""
        return text.split() if text.endswith("\n") and len(text.split()) >= n else None
    return [int(word) for word in until(complete, f"{path.name} with {n} pids")]


class Server:
    """A PostgreSQL: the one that the tests run beside, or a second one that may be stopped."""

    def __init__(self, environment=os.environ, process=None):
        self.host = environment["PGHOST"]
        self.port = environment["PGPORT"]
        self.program = environment["NIGHTJAR_TEST_PGCTL"]
        self.process = process

    @classmethod
    def second(cls):
        script = "echo PGHOST=$PGHOST; echo PGPORT=$PGPORT; " \
            "echo NIGHTJAR_TEST_PGCTL=$NIGHTJAR_TEST_PGCTL; echo; cat"
        process = subprocess.Popen([ROOT / "tests" / "with-postgres", "sh", "-c", script],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        environment = {}
        while line := process.stdout.readline().strip():
            name, _, environment[name] = line.partition("=")
        return cls(environment, process)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()

    def control(self, word):
        subprocess.run([self.program, word], check=True, timeout=PATIENCE)

    def new_database(self):
        name = f"t{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}", database="postgres")
        return name

    def conninfo(self, database):
        return f"host={self.host} port={self.port} user=nightjar dbname={database}"

    def sql(self, query, *values, database):
        connection = psycopg2.connect(self.conninfo(database), application_name="the test")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    @contextlib.contextmanager
    def held(self, database):
        """Until it is left, a query of pg_advisory_xact_lock(1) waits."""
        connection = psycopg2.connect(self.conninfo(database), application_name="the test")
        try:
            connection.cursor().execute("SELECT pg_advisory_lock(1)")
            yield
        finally:
            connection.close()

    def queries(self, database, words):
        """Pids of those that run a query with such words."""
        rows = self.sql("SELECT pid FROM pg_stat_activity WHERE datname = %s AND state = 'active'"
                        " AND query ILIKE %s AND pid <> pg_backend_pid()",
                        database, f"%{words}%", database="postgres")
        return [pid for pid, in rows]


class Night:
    def __init__(self, store=None):
        self.folder = Path(tempfile.mkdtemp(prefix="nightjar-night-"))
        self.folder.chmod(0o755)
        self.server = store or Server()
        self.database = self.server.new_database()
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir(mode=0o700)
        self.state = self.folder / "state"
        self.socket = self.folder / "socket"
        self.file = self.folder / "nightjar.conf"
        self.daemon = None
        self.log = self.folder / "daemon.log"
        self.events = []
        self.changed = threading.Condition()
        self.watching = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tell()
        try:
            self.end()
        finally:
            self.end_shims()
            shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self):
        """For whoever reads of a failure: shown only then."""
        print(self.log.read_text()[-8000:] if self.log.exists() else "no daemon was started")
        if self.daemon and self.daemon.poll() is None:
            print(self.call("show", "nightly").stdout)

    # --- what it is made of -------------------------------------------------------------------

    def secret(self, name, value):
        path = self.credentials / name
        path.write_text(value)
        path.chmod(0o600)

    def configure(self, stages, job="", more="", environments="", name="nightly"):
        """One job; its text may say @folder@, @dbt@ and whatever is the name of a file there."""
        jobs = f'{{ name = "{name}"; {job}\n stages: ( {stages} ); }}'
        self.write(f"environments: {{ {environments} }};\n{more}\njobs: (\n{jobs}\n);\n")

    def write(self, text):
        head = (f'store: {{ conninfo = "{self.server.conninfo(self.database)}"; }};\n'
                f'socket: {{ path = "{self.socket}"; }};\n'
                f'state = "{self.state}";\n'
                f'secrets: {{ directory = "{self.credentials}"; }};\n')
        text = text.replace("@folder@", str(self.folder)).replace("@dbt@", str(DBT))
        new = self.folder / "nightjar.conf.new"
        new.write_text(head + text)
        new.rename(self.file)

    def project(self, models, profile, name="dbt", more=""):
        """A dbt project of our own: models by name, one profile with outputs."""
        folder = self.folder / name
        (folder / "models").mkdir(parents=True)
        (folder / "dbt_project.yml").write_text(
            "name: night\nversion: '1.0.0'\nprofile: night\nmodel-paths: [models]\n"
            f"macro-paths: [macros]\n{more}")
        for model, sql in models.items():
            (folder / "models" / f"{model}.sql").write_text(sql)
        write_profiles(folder, "night", profile)
        return folder

    # --- the daemon ---------------------------------------------------------------------------

    def popen(self):
        environment = {**os.environ, "NIGHTJAR_SHIM": str(SHIM)}
        environment.pop("NOTIFY_SOCKET", None)
        with self.log.open("a") as log:
            return subprocess.Popen([NIGHTJARD, "--config", self.file], stderr=log,
                                    stdin=subprocess.DEVNULL, env=environment)

    def begin(self, leads=True):
        """Starts the daemon, and waits until it leads."""
        since = len(self.events)
        self.daemon = self.popen()
        until(self.answers, "the daemon's socket")
        self.watch()
        if leads:
            status = self.status()
            if not (status["store"] == "ok" and status["leader"]):
                self.wait("store-ready", since=since)

    def answers(self):
        assert self.daemon.poll() is None, self.log.read_text()
        return self.socket.exists() and self.call("status").returncode == 0

    def watch(self):
        client = subprocess.Popen([NIGHTJAR, "--socket", self.socket, "--json", "watch"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert json.loads(client.stdout.readline())["event"] == "watching"
        self.watching = threading.Thread(target=self.listen, args=(client,), daemon=True)
        self.watching.start()

    def listen(self, client):
        for line in client.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        client.wait()
        client.stdout.close()

    def kill(self):
        """As a crash does."""
        self.daemon.kill()
        self.daemon.wait()
        self.watching.join(PATIENCE)
        self.daemon = None

    def end(self):
        """As systemd does; the shims go on."""
        if not self.daemon:
            return
        if self.daemon.poll() is None:
            self.daemon.terminate()
        try:
            code = self.daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise
        self.watching.join(PATIENCE)
        self.daemon = None
        assert code == 0, self.log.read_text()[-8000:]

    def shims(self):
        """Pids of the shims that hold an action of this night."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if (folder / "comm").read_text().strip() != "nightjar-shim":
                    continue
                held = [os.readlink(fd) for fd in (folder / "fd").iterdir()]
            except OSError:
                continue
            if any(path.startswith(str(self.state)) for path in held):
                found.append(int(folder.name))
        return found

    def end_shims(self):
        for pid in self.shims():
            os.kill(pid, signal.SIGTERM)
        until(lambda: not self.shims(), "the end of the shims", 20)

    # --- what it says -------------------------------------------------------------------------

    def call(self, *words):
        return subprocess.run([NIGHTJAR, "--socket", self.socket, *words], timeout=PATIENCE,
                              capture_output=True, text=True)

    def ask(self, *words):
        answer = self.call("--json", *words)
        assert answer.returncode == 0, (words, answer.stderr)
        return json.loads(answer.stdout) if answer.stdout.strip() else None

    def start(self, job="nightly", *words):
        return self.ask("start", job, *words)["run"]

    def status(self):
        return self.ask("status")

    def show(self, run="nightly"):
        return self.ask("show", run)

    def cells(self, run="nightly"):
        return {cell["name"]: cell for cell in self.show(run)["cells"]}

    def sql(self, query, *values):
        return self.server.sql(query, *values, database=self.database)

    def here(self):
        """Where events that come from now on begin."""
        with self.changed:
            return len(self.events)

    def wait(self, event, since=0, seconds=PATIENCE, **fields):
        """The first such event; a field may be a function of its value."""
        def fits(e):
            return e["event"] == event and all(
                (want(e[key]) if callable(want) else e[key] == want)
                for key, want in fields.items())

        end = time.monotonic() + seconds
        at = since
        with self.changed:
            while True:
                for e in self.events[at:]:
                    if fits(e):
                        return e
                at = len(self.events)
                left = end - time.monotonic()
                assert left > 0, f"no {event} {fields}; last: {self.events[-5:]}"
                self.changed.wait(left)

    def wait_run(self, run="nightly#1", **options):
        """Until it has ended; the run. It may have, before this daemon was watched."""
        if self.show(run)["state"] != "ended":
            self.wait("run-ended", run=run, **options)
        return self.show(run)


def everything_kept(night):
    """All that the store holds, as text."""
    tables = [t for t, in night.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'nightjar'")]
    return "\n".join(str(night.sql(f"SELECT t::text FROM nightjar.{t} t")) for t in tables)


def write_profiles(folder, name, outputs):
    (folder / "profiles.yml").write_text(json.dumps({name: {
        "target": next(iter(outputs)), "outputs": outputs}}))


def postgres_output(**more):
    """By the environment's variables, as a team has it."""
    return {"type": "postgres", "host": "{{ env_var('DB_HOST') }}",
            "port": "{{ env_var('DB_PORT') | int }}", "user": "{{ env_var('DB_USER') }}",
            "password": "{{ env_var('DB_PASS') }}", "dbname": "{{ env_var('DB_NAME') }}",
            "schema": "analytics", "threads": 2, **more}


def duckdb_output(**more):
    return {"type": "duckdb", "path": "{{ env_var('DUCKDB_FILE') }}", "schema": "analytics",
            "threads": 2, **more}


def environment_text(name, folder, server, database, more=""):
    return (f'{name}: {{ vars: {{ DB_HOST = "{server.host}"; DB_PORT = "{server.port}"; '
            f'DB_NAME = "{database}"; DUCKDB_FILE = "{folder}/{name}.duckdb"; {more} }}; }};\n')
