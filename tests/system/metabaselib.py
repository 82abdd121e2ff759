"""For tests with a Metabase and with terraform: the stand-ins of tests/standin, and warehouses.

    with Warehouse() as warehouse, Metabase() as mb:
        warehouse.table("orders", "id int, total numeric")
        role = warehouse.role("nc")                     # may read all that is there and will be
        mb.add_database("NC", **warehouse.details(role), schemas="analytics")
        mb.sync("NC")                                   # somebody did, by hand

        night.secret("METABASE_API_KEY", API_KEY)
        ... metabase: { url = mb.base; api_key = "${secret.METABASE_API_KEY}"; } ...

What a Metabase can be made to do is said in tests/standin/metabase.py: `delay`, `hold` and
`release`, `wait_at`, `fail`, `drop`, `orphan`, `stick`, `fault`, `restart`, `expire_sessions`, ...
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDIN = ROOT / "tests" / "standin"
sys.path.insert(0, str(STANDIN))

import provider_install  # noqa: E402
from metabase import API_KEY, PASSWORD, USER, Metabase  # noqa: E402, F401
from nightlib import BUILD, Server  # noqa: E402

TENANT_PASSWORD = "a-tenant-password-1"


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

    def details(self, role, password=TENANT_PASSWORD):
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


# --- terraform ----------------------------------------------------------------------------------


def find_terraform():
    return shutil.which("terraform") or shutil.which("tofu")


needs_terraform = pytest.mark.skipif(not find_terraform(), reason="no terraform on this machine")


def provider_python():
    """A Python that has what the stand-in provider needs; its environment is made once, beside the
    build (its packages and dbt's want different versions of one thing)."""
    folder = Path(os.environ.get("NIGHTJAR_TEST_PROVIDER_VENV", f"{BUILD}-provider"))
    with open(BUILD / "provider.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([ROOT / "etc" / "venv", folder, STANDIN / "requirements.txt"], check=True,
                       stdout=subprocess.DEVNULL)
    return folder / "bin" / "python"


class Terraform:
    """A copy of tests/standin/dashboards in a folder, and the stand-in provider.

        tf = Terraform(night.folder)
        tf.directory                                 # for `terraform: { directory = ...; }`
        tf.provider                                  # {"TF_CLI_CONFIG_FILE": ...}
        tf.environment(mb, warehouse, {"nc": role})  # that and every TF_VAR_*, as texts
        tf.run("apply", "-auto-approve", env=...)    # by hand; init, with its backend, is done first
    """

    def __init__(self, folder, source=STANDIN / "dashboards", name="dashboards"):
        self.folder = Path(folder)
        self.program = find_terraform()
        self.directory = self.folder / name
        shutil.copytree(source, self.directory)
        file = provider_install.install(self.folder / "provider", provider_python())
        self.provider = {"TF_CLI_CONFIG_FILE": str(file)}

    def environment(self, mb, warehouse, tenants, global_role="nightjar", api_key=API_KEY, **more):
        """tenants: {key: role}. Whatever more is said is a TF_VAR_ of its own."""
        variables = {
            "metabase_url": mb.base, "metabase_api_key": api_key,
            "global_db_credentials": json.dumps({"username": global_role, "password": TENANT_PASSWORD}),
            "tenant_db_credentials": json.dumps({
                key: {"username": role, "password": TENANT_PASSWORD} for key, role in tenants.items()}),
            "db_host": "127.0.0.1", "db_port": str(warehouse.server.port),
            "db_name": warehouse.database, "db_schema": warehouse.schema, **more}
        variables = {f"TF_VAR_{k}": str(v) for k, v in variables.items() if v is not None}
        return {**self.provider, **variables}

    def whole_environment(self, env):
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ}
        return {**kept, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1",
                "TF_DATA_DIR": str(self.folder / "data"), **env}

    def init(self, env, state=None):
        if not (self.folder / "data").exists():
            self.call("init", f"-backend-config=path={state or self.folder / 'by-hand.tfstate'}", env=env)

    def call(self, *words, env):
        done = subprocess.run([self.program, *words, "-no-color"], cwd=self.directory, text=True,
                              env=self.whole_environment(env), capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def popen(self, *words, env):
        self.init(env)
        return subprocess.Popen([self.program, *words, "-json"], cwd=self.directory, text=True,
                                env=self.whole_environment(env), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, *words, env):
        """One command with -json, in the directory; a Result."""
        process = self.popen(*words, env=env)
        output, _ = process.communicate(timeout=120)
        return Result(process.returncode, output)


class Result:
    def __init__(self, code, output):
        self.code, self.output = code, output
        self.messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    def of(self, kind):
        return [m for m in self.messages if m.get("type") == kind]

    @property
    def errors(self):
        """[(summary, detail)] of the errors."""
        found = [m["diagnostic"] for m in self.of("diagnostic")]
        return [(d["summary"], d["detail"]) for d in found if d["severity"] == "error"]

    @property
    def made(self):
        return [m["hook"]["resource"]["addr"] for m in self.of("apply_complete")
                if m["hook"]["action"] == "create"]
