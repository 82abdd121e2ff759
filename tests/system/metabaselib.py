"""For tests with a Metabase and with terraform: the stand-ins of tests/standin, and warehouses.

    with Warehouse() as warehouse, Metabase() as mb:
        warehouse.table("orders", "id int, total numeric")
        role = warehouse.role("nc")                     # may read all that is there and will be
        mb.add_database("NC", **warehouse.details(role), schemas="analytics")
        mb.sync("NC")                                   # somebody did, by hand

        night.secret("METABASE_API_KEY", metabase.API_KEY)
        ... metabase: { url = mb.base; api_key = "${secret.METABASE_API_KEY}"; } ...

What a Metabase can be made to do is said in tests/standin/metabase.py: `delay`, `hold` and
`release`, `wait_at`, `fail`, `drop`, `orphan`, `stick`, `fault`, `restart`, `expire_sessions`, ...
"""

import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STANDIN = ROOT / "tests" / "standin"
sys.path.insert(0, str(STANDIN))

import metabase  # noqa: E402
from metabase import API_KEY, PASSWORD, USER, Metabase  # noqa: E402, F401
from nightlib import Server  # noqa: E402


class Warehouse:
    """A database with one schema, and roles that read it as tenants do; gone with the block."""

    def __init__(self, server=None, schema="analytics"):
        self.server = server or Server()
        self.schema = schema
        self.database = self.server.new_database()
        self.roles = []
        self.sql(f"CREATE SCHEMA {schema}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.sql(f"DROP DATABASE {self.database} WITH (FORCE)", database="postgres")
        for role in self.roles:
            self.server.sql(f"DROP ROLE {role}", database="postgres")

    def sql(self, query, *values):
        return self.server.sql(query, *values, database=self.database)

    def table(self, name, columns="id int, name text"):
        self.sql(f"CREATE TABLE {self.schema}.{name} ({columns})")

    def role(self, name, reads=True):
        """A role of the cluster: its name has a part of its own. It reads all of the schema, what is
        made there later by the owner too, or nothing."""
        role = f"{name}_{uuid.uuid4().hex[:8]}"
        self.sql(f"CREATE ROLE {role} LOGIN")
        self.roles.append(role)
        if reads:
            self.sql(f"GRANT USAGE ON SCHEMA {self.schema} TO {role};"
                     f"GRANT SELECT ON ALL TABLES IN SCHEMA {self.schema} TO {role};"
                     f"ALTER DEFAULT PRIVILEGES IN SCHEMA {self.schema} GRANT SELECT ON TABLES TO {role}")
        return role

    def details(self, role, password="a-tenant-password"):
        """What Metabase connects with; the server trusts everybody."""
        return {"host": "127.0.0.1", "port": int(self.server.port), "dbname": self.database,
                "user": role, "password": password}

    def conninfo(self, role="nightjar"):
        return f"host={self.server.host} port={self.server.port} user={role} dbname={self.database}"


def metabase_environment(mb, name="staging", more=""):
    """An environment for nightjar.conf whose Metabase is that one, by its API key: the test gives
    `night.secret("METABASE_API_KEY", API_KEY)`."""
    return (f'{name}: {{ metabase: {{ url = "{mb.base}"; api_key = "${{secret.METABASE_API_KEY}}"; }};'
            f" {more} }};\n")
