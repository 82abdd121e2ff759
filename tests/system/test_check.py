"""nightjard --check: the design's example is well, and each way to break it is refused with the
file and the line. In a mutation, the mark ¦ stands in the line that the error must name."""

import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
EXAMPLE = (HERE / "example.conf").read_text()
SECRETS = ["DB_USER", "DB_PASS", "GCP_SA_KEY", "NC_DB_PASS", "CO_DB_PASS", "METABASE_API_KEY",
           "GLOBAL_DB_PASS", "SLACK_WEBHOOK"]
MARK = "¦"


def program():
    build = pathlib.Path(os.environ.get("NIGHTJAR_BUILD", HERE.parents[1] / "build"))
    for path in (build / "daemon" / "nightjard",):
        if path.exists():
            return str(path)
    pytest.skip("nothing is built")


class Checked:
    def __init__(self, folder):
        self.folder = folder
        self.secrets = folder / "credentials"
        self.secrets.mkdir(mode=0o700)
        for name in SECRETS:
            self.secret(name)

    def secret(self, name, value="a-long-enough-value\n", mode=0o600):
        path = self.secrets / name
        path.write_text(value)
        path.chmod(mode)

    def text(self, text=EXAMPLE):
        return text.replace("SECRETS", str(self.secrets))

    def put(self, name, data):
        data = data if isinstance(data, bytes) else self.text(data).encode()
        (self.folder / name).write_bytes(data)

    def check(self, data=None, name="nightjar.conf"):
        """Returns the exit code, and what was said as (file, line, message)."""
        if data is not None:
            self.put(name, data)
        env = {k: v for k, v in os.environ.items()
               if k not in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")}
        done = subprocess.run([program(), "--check", "--config", str(self.folder / name)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=30)
        assert done.stdout == b""
        said = []
        for line in done.stderr.decode().splitlines():
            m = re.fullmatch(r"(.*?):(\d+): (.*)", line)
            assert m, line
            said.append((os.path.relpath(m[1], self.folder), int(m[2]), m[3]))
        return done.returncode, said


@pytest.fixture
def conf(tmp_path):
    return Checked(tmp_path)


def errors(said):
    return [s for s in said if not s[2].startswith("warning: ")]


def mutate(text, old, new):
    assert old in text, old
    return text.replace(old, new, 1)


def marked_line(text):
    at = text.index(MARK)
    return text.replace(MARK, "", 1), text[:at].count("\n") + 1


def test_the_example_is_well(conf):
    code, said = conf.check(EXAMPLE)
    assert errors(said) == []
    assert code == 0


MUTATIONS = {
    # unknown keys, with what was probably meant
    "top key": ('state    = "', '¦stat    = "', '"state"'),
    "job key": ('schedule = "0 6 * * *"', '¦shedule = "0 6 * * *"', '"schedule"'),
    "stage key": ("max_parallel = 4", "¦max_paralel = 4", '"max_parallel"'),
    "step key": ('timeout = "1h"', '¦time_out = "1h"', "timeout"),
    "kind key": ('dbt: { command = "deps"; project', '¦dbt: { command = "deps"; projekt', '"project"'),
    "retry key": ('retry: { attempts = 3; delay = "5m"', '¦retry: { attempt = 3; delay = "5m"',
                  '"attempts"'),
    "check key": ("fall = 3", "¦falls = 3", '"fall"'),
    "environment key": ("    vars:     { DB_HOST = \"db.staging\"", "    ¦var:     { DB_HOST = \"db.staging\"",
                        '"vars"'),
    "kind": ('metabase_sync: {', '¦metabase_synch: {', "metabase_sync"),
    # wrong types and values
    "string for int": ("max_attempts = 8", '¦max_attempts = "8"', "max_attempts"),
    "string for bool": ("fail_fast = false", '¦fail_fast = "no"', "fail_fast"),
    "int for duration": ('timeout = "1h"', "¦timeout = 60", "timeout"),
    "string for list": ('secrets = ["DB_USER", "DB_PASS"]', '¦secrets = "DB_USER"', "secrets"),
    "group for string": ('conninfo = "service=nightjar"', '¦conninfo: { a = 1; }', "conninfo"),
    "duration": ('timeout = "1h"', '¦timeout = "1 hour"', "1 hour"),
    "duration without unit": ('deadline = "8h"', '¦deadline = "8"', "deadline"),
    "cron hour": ('"0 6 * * *"', '¦"0 25 * * *"', "25"),
    "cron fields": ('"0 6 * * *"', '¦"0 6 * *"', "schedule|cron|field"),
    "cron word": ('"@daily"', '¦"@dayly"', "@dayly"),
    "cron date": ('"0 6 * * *"', '¦"0 6 31 2 *"', "31 2"),
    "zone": ('"Europe/Paris"', '¦"Europe/Pariss"', "Europe/Pariss"),
    "word": ('overlap = "skip"', '¦overlap = "skipp"', "skip"),
    "other word": ('catch_up = "last"', '¦catch_up = "latest"', "last"),
    "outcome": ('"timed_out", "interrupted"]', '¦"timeout", "interrupted"]', "timeout|timed_out"),
    "event": ('on = ["failed", "recovered"', '¦on = ["fail", "recovered"', "fail"),
    "too few attempts": ('attempts = 3; delay = "5m"', '¦attempts = 0; delay = "5m"', "attempts"),
    "no places": ("warehouse = 4", "¦warehouse = 0", "warehouse"),
    "none at once": ("max_parallel = 4", "¦max_parallel = 0", "max_parallel"),
    # names
    "job name": ('name = "nightly"', '¦name = "night ly"', "night ly"),
    "step name with a dot": ('steps: ( { name = "build"', '¦steps: ( { name = "bu.ild"', "bu.ild"),
    "matrix value": ('"bigquery", "duckdb"]', '¦"big query", "duckdb"]', "big query"),
    "variable": ("TF_VAR_metabase_url =", "¦TF-VAR =", "TF-VAR"),
    "no job name": ('{ name = "release";  # no', '¦{ # no', "name"),
    "job twice": ('name = "impact"', '¦name = "nightly"', "nightly"),
    "stage twice": ('{ name = "sync";  needs', '¦{ name = "build";  needs', "build"),
    "step twice": ('{ name = "say"; shell', '¦{ name = "ping"; shell', "ping"),
    "setting twice": ('timezone = "UTC";  deadline', '¦timezone = "UTC"; timezone = "UTC"; deadline',
                      "duplicate.*timezone"),
    # references
    "need": ('needs = ["build"]', '¦needs = ["biuld"]', "build"),
    "need of itself": ('needs = ["deps"]', '¦needs = ["build"]', "build"),
    "environment in a matrix": ('matrix: { environment = ["staging", "production"]; target',
                                '¦matrix: { environment = ["staging", "prod"]; target', "prod"),
    "environment of a job": ('environment = "production";\n    stages', '¦environment = "prod";\n    stages',
                             "prod"),
    "environment twice": ('matrix: { environment = ["staging"]; };  use',
                          '¦matrix: { environment = ["staging"]; }; environment = "staging"; use',
                          "environment"),
    "environment of a check": ('environments = ["staging", "production"]; url',
                               '¦environments = ["staging", "prod"]; url', "prod"),
    "set": ('matrix: { environment = ["staging"]; };  use = ["dashboards"]',
            '¦matrix: { environment = ["staging"]; };  use = ["dashboard"]', "dashboard"),
    "check": ('gate: { check = "metabase"; }', '¦gate: { check = "metabas"; }', "metabas"),
    "lock": ('lock = "${matrix.environment}-${matrix.target}"', '¦lock = "warehous"', "warehous"),
    "dimension in exclude": ('exclude: ( { environment = "production"; target = "duckdb"; } )',
                             '¦exclude: ( { environment = "production"; tarhet = "duckdb"; } )', "tarhet"),
    "value in exclude": ('exclude: ( { environment = "production"; target = "duckdb"; } )',
                         '¦exclude: ( { environment = "production"; target = "duck"; } )', "duck"),
    "value in only": ('only: { target = ["bigquery"]; }', '¦only: { target = ["bigquerry"]; }', "bigquerry"),
    "choice": ('choose = ["environment"]', '¦choose = ["target"]', "target"),
    "when": ('when = "failed"', '¦when = "fail"', "fail"),
    "job of a rule": ('job = "nightly"; stage', '¦job = "nightle"; stage', "nightle"),
    # templates
    "dimension in a template": ('"${matrix.target}"; };', '¦"${matrix.targt}"; };', "targt"),
    "scope in a template": ('"${matrix.target}"; };', '¦"${matrx.target}"; };', "matrx"),
    "open template": ('"${matrix.target}"; };', '¦"${matrix.target"; };', "matrix.target"),
    "data in a template": ('"${json.tenants}"', '¦"${json.tenant}"', "tenant"),
    # secrets
    "missing secret": ('secrets = ["DB_USER", "DB_PASS"]', '¦secrets = ["DB_USER", "DB_PASSWORD"]',
                       "DB_PASSWORD"),
    "missing secret in a template": ("${secret.GCP_SA_KEY}", "¦${secret.GCP_KEY}", "GCP_KEY"),
    "secret and env": ('secrets = ["DB_USER", "DB_PASS"];', '¦secrets = ["DB_USER", "DB_PASS"]; '
                       'env: { DB_USER = "x"; };', "DB_USER"),
    # shape
    "two kinds": ('run = ["/usr/bin/true"]; }, {', '¦run = ["/usr/bin/true"]; shell = "x"; }, {', "run|shell"),
    "no kind": ('{ name = "ping"; run = ["/usr/bin/true"]; }', '¦{ name = "ping"; }', "ping|kind"),
    "no project": ('{ command = "deps"; project = "/srv/mfb/dbt"; }', '¦{ command = "deps"; }', "project"),
    "file without content": ('content = "${secret.GCP_SA_KEY}"; env', '¦env', "content"),
    "empty dimension": ('target = ["postgres", "bigquery", "duckdb"]', '¦target = []', "target"),
    # what a sync expects
    "database twice": ('names = ["Global", "NC"]', '¦names = ["NC", "NC"]', "NC.*twice"),
    "all and one": ('names = ["Global", "NC"]', '¦names = ["*", "NC"]', "stands alone"),
    "target of a sync": ('target = "bigquery"; } ); tables', '¦target = "oracle"; } ); tables', "oracle"),
    "word for tables": ('tables = "changed"; };\n', '¦tables = "chnaged"; };\n', "chnaged"),
    "table without a schema": ('tables = "changed"; };\n', '¦tables = ["mart"]; };\n', "schema.table"),
    "column without a table": ('tables = "changed"; };\n', '¦columns = ["a.b"]; };\n', "schema.table.column"),
    "changed with nothing to learn from": (
        '{ name = "sync";  needs = ["build"];\n        matrix: { environment = ["staging", "production"]; };\n        steps',
        '{ name = "sync";\n        matrix: { environment = ["staging", "production"]; };\n        ¦steps',
        "no dbt cell to learn from"),
    # libconfig's traps
    "octal": ("fall = 3", "¦fall = 03", "begins with 0"),
    "overflow": ("max_attempts = 8", "¦max_attempts = 3000000000", "overflows"),
    "NUL": ('"QA done?"', '¦"QA \\x00 done?"', r"\\x00"),
    "control character": ('"QA done?"', '¦"QA \\x1b done?"', r"\\x1b"),
    # syntax
    "trailing comma": ('["failed", "recovered", "needs_person", "waiting_approval", "missed"]',
                       '["failed", "recovered",\n "missed"¦,]', "trailing comma"),
    "missing quote": ('state    = "/var/lib/nightjar"', '¦state    = "/var/lib/nightjar', "quote"),
    "missing comma": ('"missed"]; environments = ["production"]; },\n          {',
                      '"missed"]; environments = ["production"]; }\n          ¦{', "comma is missing"),
    "missing bracket": ("history: { keep = \"400d\"; logs = \"30d\"; };", "¦history: { keep = \"400d\";",
                        "never closed"),
    "unquoted": ('timeout = "1h"', "¦timeout = 1h", "quotes"),
    "no equals": ('max_attempts = 8', "¦max_attempts 8", "missing"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_is_refused_with_its_line(conf, name):
    old, new, pattern = MUTATIONS[name]
    text, line = marked_line(mutate(EXAMPLE, old, new))
    code, said = conf.check(text)
    assert code == 1
    assert [s for s in errors(said) if s[:2] == ("nightjar.conf", line) and re.search(pattern, s[2])], said


# One mistake is one error: nothing else is refused because of it.
ALONE = ["top key", "duration", "cron hour", "zone", "word", "set", "dimension in a template", "octal",
         "setting twice", "file without content", "trailing comma", "missing quote"]


@pytest.mark.parametrize("name", ALONE)
def test_a_mistake_is_said_once(conf, name):
    old, new, _ = MUTATIONS[name]
    text, _ = marked_line(mutate(EXAMPLE, old, new))
    assert len(errors(conf.check(text)[1])) == 1


def test_all_mistakes_are_said_in_one_go(conf):
    text = EXAMPLE
    for name in ("job key", "zone", "octal", "need", "data in a template", "missing secret", "lock", "NUL"):
        old, new, _ = MUTATIONS[name]
        text = mutate(text, old, new)
    lines = {i + 1 for i, line in enumerate(text.split("\n")) if MARK in line}
    code, said = conf.check(text.replace(MARK, ""))
    assert code == 1
    assert lines <= {s[1] for s in errors(said)}
    assert said == sorted(said, key=lambda s: s[1])


def test_bad_utf8_is_refused(conf):
    text = conf.text().encode().replace(b'"QA done?"', b'"QA \xff done?"')
    code, said = conf.check(text)
    assert code == 1
    assert errors(said)[0][1] == text[:text.index(b"\xff")].count(b"\n") + 1


def test_an_included_file_is_named(conf):
    (conf.folder / "conf.d").mkdir()
    conf.put("conf.d/checks.conf", '{ name = "x"; url = "http://x"; }')
    conf.put("conf.d/jobs.conf", '\n{ name = "extra"; stages: ( { name = "a";\n'
             ' steps: ( { name = "s"; run = ["true"]; time_out = "1h"; } ); } ); },\n'
             '@include "more.conf"\n')
    conf.put("conf.d/more.conf", '{ name = "more";\nschedule = "x"; stages: ( { name = "a";\n'
             ' steps: ( { name = "s"; run = ["true"]; } ); } ); },')
    text = mutate(EXAMPLE, '  { name = "release";', '  @include "conf.d/jobs.conf"\n  { name = "release";')
    text = mutate(text, "checks: (", 'checks: ( @include "conf.d/checks.conf"\n,')
    code, said = conf.check(text)
    assert code == 1
    assert [s[:2] for s in errors(said)] == [("conf.d/jobs.conf", 3), ("conf.d/more.conf", 2)]


def test_files_that_are_not_there(conf):
    assert conf.check(mutate(EXAMPLE, "checks:", '@include "no.conf"\nchecks:'))[0] == 1
    done = subprocess.run([program(), "--check", "--config", str(conf.folder / "no.conf")],
                          stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 1
    assert done.stderr.decode() == f"{conf.folder}/no.conf: cannot be read: No such file or directory\n"


def test_a_secret_that_everybody_may_read_is_refused(conf):
    conf.secret("DB_PASS", mode=0o644)
    code, said = conf.check(EXAMPLE)
    assert code == 1
    assert "DB_PASS" in errors(said)[0][2]


def test_an_environment_with_its_own_secret_leaves_the_others_without(conf):
    conf.secret("staging.DB_PASS")
    code, said = conf.check(EXAMPLE)
    assert code == 1
    assert "DB_PASS" in errors(said)[0][2] and "production" in errors(said)[0][2]
    conf.secret("production.DB_PASS")
    assert conf.check(EXAMPLE)[0] == 0


@pytest.mark.parametrize("value", ["short", "warehouse"])
def test_a_secret_that_cannot_be_masked_is_warned_of(conf, value):
    conf.secret("DB_PASS", value)
    code, said = conf.check(EXAMPLE)
    assert code == 0
    warnings = [s[2] for s in said if s[2].startswith("warning: ") and "DB_PASS" in s[2]]
    assert warnings
    assert not [w for w in warnings if value in w]


def test_what_is_not_on_this_machine_is_at_most_a_warning(conf):
    text = mutate(EXAMPLE, "nightjar-admin", "no-such-group")
    text = mutate(text, '"/var/lib/nightjar"', '"/no/such/folder"')
    code, said = conf.check(text)
    assert code == 0
    assert errors(said) == []
