"""The sync queue of a stand-in Metabase: one thread for the whole instance, whatever the database.

Happy path: a sync reads the warehouse's catalogue with the database's own role, and only then begins
the task row `sync`; its steps follow, each with a row, then the analysis. New tables are `incomplete`
and without fields until the steps that see to it. Failures: a warehouse that is gone when the list is
read leaves no row at all; a step that fails says so in its own row alone, the parent says success; a
restart leaves the rows of what ran `started` for ever, and the queue is lost."""

import collections
import contextlib
import fnmatch
import threading

import psycopg2

STEPS = ("sync-dbms-version", "sync-timezone", "sync-tables", "sync-fields", "sync-fks",
         "sync-indexes", "sync-metabase-metadata")
ANALYSIS = ("fingerprint-fields", "classify-fields", "classify-tables")

TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname <> 'information_schema'
AND n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE')
AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2"""

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""


class Gone(Exception):
    """This Metabase was stopped."""


class Unreachable(Exception):
    """The warehouse cannot be asked."""


@contextlib.contextmanager
def warehouse(details, seconds=10):
    """A cursor in a database's warehouse, as its own role."""
    keys = {"host": "host", "port": "port", "dbname": "dbname", "user": "user",
            "password": "password"}
    wanted = {to: details[key] for key, to in keys.items() if details.get(key) not in (None, "")}
    try:
        connection = psycopg2.connect(**wanted, connect_timeout=seconds, application_name="Metabase",
                                      sslmode="prefer" if details.get("ssl", True) else "disable")
    except psycopg2.Error as e:
        raise Unreachable(str(e).strip()) from None
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def is_wanted(details, schema):
    kind = details.get("schema-filters-type", "all")
    patterns = [p.strip() for p in (details.get("schema-filters-patterns") or "").split(",")]
    hit = any(fnmatch.fnmatchcase(schema, p) for p in patterns if p)
    return {"inclusion": hit, "exclusion": not hit}.get(kind, True)


class Troubles:
    """What goes wrong on demand in the queue. A database is meant by its name, or all by `*`."""

    def __init__(self):
        self.delays = {}  # (phase, database): seconds
        self.holds = set()  # (phase, database)
        self.failures = {}  # (phase, database): times left
        self.drops = {}  # database: triggers still to be dropped
        self.stuck = False

    def delay(self, phase, database):
        return self.delays.get((phase, database), self.delays.get((phase, "*"), 0))

    def is_held(self, phase, database):
        return self.stuck or bool({(phase, database), (phase, "*")} & self.holds)

    @staticmethod
    def take(left, *keys):
        for key in keys:
            if left.get(key, 0) > 0:
                left[key] -= 1
                return True
        return False

    def fails(self, phase, database):
        return self.take(self.failures, (phase, database), (phase, "*"))

    def drops_trigger(self, database):
        return self.take(self.drops, database, "*")


class Queue:
    def __init__(self, world, troubles):
        self.world = world
        self.troubles = troubles
        self.waiting = collections.deque()  # (work, database id)
        self.running = None  # (work, database id)
        self.syncing = None  # the database whose metadata is being synced; its analysis is no part
        self.at = None  # (phase, database): where the thread is
        self.stopped = False
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def submit(self, work, database):
        """A metadata sync of a database that is being synced is dropped without a word."""
        with self.world.changed:
            if work == "sync" and self.syncing == database:
                return
            self.waiting.append((work, database))
            self.world.changed.notify_all()

    def stop(self):
        with self.world.changed:
            self.stopped = True
            self.world.changed.notify_all()
        self.thread.join(20)

    def work(self):
        with contextlib.suppress(Gone):
            while True:
                with self.world.changed:
                    self.running = self.syncing = self.at = None
                    self.world.changed.notify_all()
                    self.wait_for(lambda: self.waiting and not self.troubles.stuck)
                    self.running = self.waiting.popleft()
                work, number = self.running
                if database := self.world.get("databases", number):
                    {"sync": self.sync, "rescan": self.rescan}[work](database)

    def wait_for(self, condition, seconds=None):
        with self.world.changed:
            found = self.world.changed.wait_for(lambda: self.stopped or condition(), seconds)
            if self.stopped:
                raise Gone
            return found

    def pause(self, phase, database):
        """As long as the troubles want, then the failure that they want."""
        name = database["name"]
        with self.world.changed:
            self.at = (phase, name)
            self.world.changed.notify_all()
        seconds = self.troubles.delay(phase, name)
        if seconds:
            self.wait_for(lambda: False, seconds)
        self.wait_for(lambda: not self.troubles.is_held(phase, name))
        if self.troubles.fails(phase, name):
            raise Unreachable(f"made to fail: {phase}")

    def step(self, name, database, work=None):
        """One row; whether it went well."""
        task = self.world.begin_task(name, database["id"])
        try:
            self.pause(name, database)
            details = work(database) if work else None
        except (Unreachable, psycopg2.Error) as e:
            self.world.end_task(task, "failed", {
                "exception": "class java.lang.Exception", "status": "failed", "message": str(e)})
            return False
        self.world.end_task(task, "success", details)
        return True

    # --- a sync -------------------------------------------------------------------------------

    def sync(self, database):
        self.syncing = database["id"]
        try:
            self.pause("catalogue", database)
            found = self.read_tables(database)
        except (Unreachable, psycopg2.Error):
            return
        self.pause("listed", database)
        task = self.world.begin_task("sync", database["id"])
        works = {"sync-tables": lambda d: self.sync_tables(d, found),
                 "sync-fields": self.sync_fields, "sync-fks": self.sync_fks}
        for name in STEPS:
            went_well = self.step(name, database, works.get(name))
            if name == "sync-fks" and not went_well:
                self.complete(database)
        self.world.change("databases", database["id"], initial_sync_status="complete")
        self.world.end_task(task, "success")
        self.syncing = None
        self.analyze(database)

    @staticmethod
    def read_tables(database):
        if database["engine"] != "postgres":
            return []
        with warehouse(database["details"]) as cursor:
            cursor.execute(TABLES)
            return [(s, t) for s, t in cursor.fetchall() if is_wanted(database["details"], s)]

    def sync_tables(self, database, found):
        world = self.world
        with world.lock:
            known = {(t["schema"], t["name"]): t for t in world.all("tables", db_id=database["id"])}
            new = [k for k in found if k not in known]
            back = [k for k in found if k in known and not known[k]["active"]]
            gone = [k for k, t in known.items() if t["active"] and k not in found]
            for schema, name in new:
                world.add("tables", world.table(database["id"], schema, name))
            for key in back:
                fresh = world.table(database["id"], *key)
                world.change("tables", known[key]["id"], active=True,
                             initial_sync_status=fresh["initial_sync_status"])
            for key in gone:
                world.change("tables", known[key]["id"], active=False)
        return {"updated-tables": len(new) + len(back) + len(gone), "total-tables": len(found)}

    def syncable(self, database):
        return self.world.all("tables", db_id=database["id"], active=True, visibility_type=None)

    def sync_fields(self, database):
        total = updated = 0
        if database["engine"] != "postgres":
            return None
        with warehouse(database["details"]) as cursor:
            for table in self.syncable(database):
                cursor.execute(COLUMNS, (table["schema"], table["name"]))
                columns = cursor.fetchall()
                total += len(columns)
                updated += self.sync_table_fields(table, columns)
        return {"total-fields": total, "updated-fields": updated}

    def sync_table_fields(self, table, columns):
        world = self.world
        with world.lock:
            known = {f["name"]: f for f in world.all("fields", table_id=table["id"])}
            updated = 0
            for position, (name, kind) in enumerate(columns):
                row = {"active": True, "database_type": kind, "position": position}
                if name not in known:
                    world.add("fields", world.field(table["id"], name, kind, position))
                    updated += 1
                elif any(known[name][k] != v for k, v in row.items()):
                    world.change("fields", known[name]["id"], **row)
                    updated += 1
            for name in known.keys() - {name for name, _ in columns}:
                updated += known[name]["active"]
                world.change("fields", known[name]["id"], active=False)
            return updated

    def sync_fks(self, database):
        self.complete(database)
        return {"total-fks": 0, "updated-fks": 0, "total-failed": 0}

    def complete(self, database):
        """As the real one: also where the fields could not be had."""
        for table in self.syncable(database):
            self.world.change("tables", table["id"], initial_sync_status="complete")

    def analyze(self, database):
        task = self.world.begin_task("analyze", database["id"])
        with contextlib.suppress(Unreachable):
            self.pause("analyze", database)
        for name in ANALYSIS:
            self.step(name, database)
        self.world.end_task(task, "success")

    def rescan(self, database):
        task = self.world.begin_task("field values scanning", database["id"])
        self.step("delete-expired-advanced-field-values", database)
        self.step("update-field-values", database)
        self.world.end_task(task, "success")
