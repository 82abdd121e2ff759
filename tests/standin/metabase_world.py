"""What a stand-in Metabase remembers: its application database, as JSON, in memory or in a file."""

import copy
import datetime
import json
import os
import re
import threading
from pathlib import Path

KINDS = ("databases", "tables", "fields", "tasks", "collections", "cards", "dashboards", "dashcards",
         "groups")
SECRETS = ("password", "pass", "tunnel-pass", "tunnel-private-key", "ssl-key-value",
           "service-account-json")
HIDDEN = "**MetabasePass**"

# Names that Metabase takes for a framework's own tables: hidden, `complete` at once, never any fields.
CRUFT = [re.compile(p) for p in (
    r"cache.*", r".*_cache", r"queue.*", r"batch", r"config", r"sessions", r"schema_migrations",
    r"django_.*", r"auth_(group|permission|user_groups).*", r"flyway_.*", r"databasechangelog.*")]


def now_text(ago=0):
    t = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_cruft(name):
    return any(p.fullmatch(name.lower()) for p in CRUFT)


def display(name):
    return name.replace("_", " ").strip().title()


def without_secrets(details):
    return {k: HIDDEN if k in SECRETS and v else v for k, v in details.items()}


def with_old_secrets(new, old):
    return {k: old.get(k) if v == HIDDEN else v for k, v in new.items()}


class World:
    """Every member is guarded by `lock`; `changed` is told of what syncs do."""

    def __init__(self, path=None):
        self.path = Path(path) if path else None
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        if self.path and self.path.exists():
            self.load()
        else:
            self.begin()

    def begin(self):
        self.rows = {kind: {} for kind in KINDS}
        self.last = {kind: 0 for kind in KINDS}
        self.sessions = {}  # id: user
        self.graph = {"revision": 1, "groups": {}}
        self.add("databases", self.database("Sample Database", "h2", {"db": "file:/sample"}, True))
        for name in ("All Users", "Administrators"):
            self.add("groups", {"name": name})

    def load(self):
        kept = json.loads(self.path.read_text())
        self.rows = {k: {int(i): row for i, row in kept["rows"][k].items()} for k in KINDS}
        self.last, self.sessions, self.graph = kept["last"], kept["sessions"], kept["graph"]

    def save(self):
        with self.changed:
            self.changed.notify_all()
            if not self.path:
                return
            kept = {"rows": self.rows, "last": self.last, "sessions": self.sessions,
                    "graph": self.graph}
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(kept))
            os.chmod(new, 0o600)
            new.replace(self.path)

    def add(self, kind, row):
        with self.lock:
            self.last[kind] += 1
            row = {"id": self.last[kind], **row}
            self.rows[kind][row["id"]] = row
            self.save()
            return row

    def get(self, kind, number):
        """A copy, or None."""
        with self.lock:
            row = self.rows[kind].get(int(number))
            return copy.deepcopy(row) if row else None

    def all(self, kind, **wanted):
        """Copies of the rows with such members."""
        with self.lock:
            return [copy.deepcopy(row) for row in self.rows[kind].values()
                    if all(row.get(k) == v for k, v in wanted.items())]

    def change(self, kind, number, **members):
        with self.lock:
            row = self.rows[kind].get(int(number))
            if row:
                row.update(members)
                self.save()
            return copy.deepcopy(row) if row else None

    def remove_database(self, number):
        with self.lock:
            tables = [t["id"] for t in self.all("tables", db_id=number)]
            for field in [f["id"] for f in self.rows["fields"].values() if f["table_id"] in tables]:
                del self.rows["fields"][field]
            for table in tables:
                del self.rows["tables"][table]
            del self.rows["databases"][number]
            self.save()

    # --- what rows look like ------------------------------------------------------------------

    @staticmethod
    def database(name, engine, details, is_sample=False, **more):
        return {"name": name, "engine": engine, "details": details, "is_sample": is_sample,
                "is_full_sync": True, "is_on_demand": False, "auto_run_queries": True,
                "description": None, "cache_ttl": None, "timezone": "UTC",
                "initial_sync_status": "complete" if is_sample else "incomplete",
                "created_at": now_text(), "updated_at": now_text(), **more}

    @staticmethod
    def table(database, schema, name):
        cruft = is_cruft(name)
        return {"db_id": database, "schema": schema, "name": name, "display_name": display(name),
                "entity_type": "entity/GenericTable", "description": None, "active": True,
                "visibility_type": "cruft" if cruft else None, "field_order": "database",
                "initial_sync_status": "complete" if cruft else "incomplete",
                "created_at": now_text(), "updated_at": now_text()}

    @staticmethod
    def field(table, name, kind, position):
        return {"table_id": table, "name": name, "display_name": display(name),
                "database_type": kind, "base_type": "type/*", "semantic_type": None,
                "description": None, "active": True, "position": position,
                "visibility_type": "normal"}

    # --- the task list ------------------------------------------------------------------------

    def begin_task(self, name, database, ago=0):
        return self.add("tasks", {"task": name, "db_id": database, "started_at": now_text(ago),
                                  "ended_at": None, "duration": None, "task_details": None,
                                  "status": "started"})

    def end_task(self, task, status, details=None):
        began = datetime.datetime.strptime(task["started_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
        took = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - began
        self.change("tasks", task["id"], status=status, ended_at=now_text(), task_details=details,
                    duration=int(took.total_seconds() * 1000))
