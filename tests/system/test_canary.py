"""A secret that a step was given is in none of our files, tables, logs, answers or arguments, however
its program prints it; a file with one is in memory, its owner's alone, and gone with the attempt."""

import base64
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import threading
import urllib.parse

import pytest

from nightlib import Night, is_alive, until

CANARY = pathlib.Path(__file__).with_name("canary.py")
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or "/usr/bin/python3"
LETTERS = "bcdfghjkmnpqrstvwxyz"


def token():
    """Not to be met by chance, the same in most encodings; a third of one already gives it away."""
    return "".join(secrets.choice(LETTERS) for _ in range(24))


def pem(tokens):
    return "-----BEGIN PRIVATE KEY-----\n" + "".join(
        f"MIIE/+{t}{t[::-1]}ab==\n" for t in tokens) + "-----END PRIVATE KEY-----\n"


class Canaries:
    def __init__(self):
        t = self.tokens = [token() for _ in range(12)]
        self.values = {
            "PLAIN": t[0],
            "TRICKY": f'{t[1]} "quote\\back/slash" & <tag> \'it\' ünï 😀\t{t[2]}',
            "LINES": f"first {t[3]}\nsecond {t[4]} /+\n\n{t[5]} third",
            "KEY": json.dumps({"type": "service_account", "private_key_id": t[6],
                               "private_key": pem(t[7:11]), "client_email": t[11] + "@x.iam"},
                              indent=2),
        }
        self.needles = [p.encode() for x in t for y in (x, x[::-1])
                        for p in (y[:8], y[8:16], y[16:])]

    def leaks(self, data):
        """The parts of secrets that data holds, as they are or in base64."""
        found = {n for n in self.needles if n in data}
        for run in re.findall(rb"[A-Za-z0-9+/_-]{12,}", data):
            run = run.translate(bytes.maketrans(b"-_", b"+/"))
            for shift in range(4):
                part = run[shift:]
                part = part[:len(part) & ~3]
                decoded = base64.b64decode(part) if part else b""
                found |= {n for n in self.needles if n in decoded}
        return found

    def check(self, data, where):
        found = self.leaks(data if isinstance(data, bytes) else data.encode())
        assert not found, f"{where} holds parts of secrets: {found}"


class Watcher(threading.Thread):
    """Looks at the arguments of all processes, and at the environments of ours, all the time."""

    def __init__(self, canaries):
        super().__init__(daemon=True)
        self.canaries, self.over, self.found, self.looks, self.shims = (
            canaries, threading.Event(), [], 0, set())

    def look_at(self, pid):
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        if self.canaries.leaks(arguments):
            self.found.append(arguments)
        name = arguments.split(b"\0")[0].rsplit(b"/")[-1]
        if name in (b"nightjar-shim", b"nightjard"):
            self.shims.add(pid)
            if self.canaries.leaks(pathlib.Path(f"/proc/{pid}/environ").read_bytes()):
                # between fork and exec of the child this is still the shim's own: empty
                self.found.append(f"environ of {arguments}".encode())

    def run(self):
        while not self.over.wait(0.02):
            self.looks += 1
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    self.look_at(pid)
                except OSError:
                    pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()
        assert self.looks > 0 and self.shims and not self.found, self.found


def step(kind, more=""):
    return f'{{ name = "{kind}"; run = ["{PYTHON}", "{CANARY}", "{kind}"]; when = "ended"; {more} }}'


def configuration(night):
    return f'''
environments: {{ staging: {{ }}; production: {{ }}; }};
jobs: (
{{ name = "careless"; secrets = ["PLAIN", "TRICKY", "LINES", "KEY"];
   env: {{ URL = "postgres://u:${{secret.PLAIN}}@h"; }};
   stages: (
     {{ name = "all"; steps: (
        {step("say")}, {step("keep")},
        {{ name = "use"; shell = "echo harmless ${{steps.keep.harmless}}"; when = "ended"; }},
        {{ name = "nowhere"; shell = "exit 0"; cwd = "/nowhere/${{secret.PLAIN}}/${{secret.TRICKY}}"; when = "ended"; }},
        {step("fail")} ); }},
     {{ name = "models"; steps: (
        {{ name = "build"; dbt: {{ command = "build"; project = "{night.folder}"; executable = "{CANARY}"; }}; }} ); }}
   ); }},
{{ name = "key"; secrets = ["KEY"]; files: ( {{ content = "${{secret.KEY}}"; env = "KEYFILE"; }} );
   env: {{ REPORT = "{night.folder}/report.json"; }};
   stages: ( {{ name = "all"; steps: ( {step("key")} ); }} ); }},
{{ name = "held"; secrets = ["KEY"]; files: ( {{ content = "${{secret.KEY}}"; env = "KEYFILE"; }} );
   env: {{ REPORT = "{night.folder}/report.json"; HOLD = "{night.folder}/hold"; }};
   stages: ( {{ name = "all"; steps: ( {step("key")} ); }} ); }},
{{ name = "rotate"; environment = "staging"; secrets = ["TOKEN"];
   stages: ( {{ name = "all"; steps: (
     {{ name = "try"; shell = "printf %s \\"$TOKEN\\" | sha256sum > {night.folder}/try.$NIGHTJAR_ATTEMPT; exit 9";
        retry: {{ attempts = 2; delay = "300ms"; on = ["failed"]; }}; }} ); }} ); }}
);
'''


@pytest.fixture
def canaries():
    return Canaries()


@pytest.fixture
def night(canaries):
    with Night() as n:
        n.write(configuration(n))
        for name, value in canaries.values.items():
            n.secret(name, value)
        n.secret("TOKEN", "the-bare-token")
        n.secret("staging.TOKEN", "the-first-token")
        n.begin()
        yield n


def dump(night):
    env = dict(os.environ, PGDATABASE=night.database)
    return subprocess.run(["pg_dump", "--inserts"], env=env, capture_output=True, check=True).stdout


def read_tree(top):
    """(what it is, bytes) of all names and contents below it."""
    for folder, names, files in os.walk(top):
        for name in names + files:
            yield f"the name of {folder}/{name}", os.fsencode(name)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                yield path, pathlib.Path(path).read_bytes()


def run_of(night, job):
    return night.wait_run(night.start(job))


def steps_of(run):
    return {s["name"]: s for c in run["cells"] for s in c["steps"]}


@pytest.mark.scoreboard(27)
def test_a_secret_is_nowhere_however_it_is_printed(night, canaries):
    with Watcher(canaries):
        run = run_of(night, "careless")
    run_of(night, "key")
    steps = steps_of(run)
    assert steps["say"]["outcome"] == steps["keep"]["outcome"] == "ok", run
    assert steps["fail"]["reason"].count("***") == 2, run
    assert "***" in steps["nowhere"]["reason"], run
    assert "model.shop.orders" in json.dumps(run) or "orders" in steps["build"]["reason"], run
    said = night.call("logs", "careless").stdout
    assert said.count("***") > 200 and "harmless yes" in said
    for words in (["status"], ["show", "careless"], ["logs", "careless"], ["runs"], ["jobs"],
                  ["logs", "careless", "--failed"]):
        for form in ([], ["--json"]):
            canaries.check(night.call(*form, *words).stdout, f"the answer to {words}")
    canaries.check(json.dumps(night.events), "watch")
    night.end()
    canaries.check(night.log.read_bytes(), "the daemon's log")
    canaries.check(dump(night), "the store")
    n = 0
    for where, data in read_tree(night.state):
        canaries.check(data, where)
        n += 1
    assert n > 30
    kept = next(night.state.glob("actions/*/*/1.1/notes.bin"))
    assert b"***" in kept.read_bytes() and kept.stat().st_mode & 0o777 == 0


def test_the_search_finds_every_form(canaries):
    """The net itself: each form that the program prints is noticed where nobody masks."""
    import canary

    for name, value in canaries.values.items():
        for form in canary.forms(value):
            if len(form) > (400 if name == "KEY" else 40):  # a key has harmless lines
                assert canaries.leaks(urllib.parse.unquote_to_bytes(form)), (name, form)


def test_a_file_with_a_secret_is_in_memory_and_gone_with_the_attempt(night):
    run = run_of(night, "key")
    report = json.loads((night.folder / "report.json").read_text())
    assert run["outcome"] == "ok", run
    assert report["mode"] == 0o600 and report["folder"] == 0o700 and report["same"]
    assert report["path"].startswith("/dev/shm/") and report["fs"] == os.statvfs("/dev/shm").f_fsid
    assert not os.path.exists(os.path.dirname(report["path"]))


def held(night):
    os.mkfifo(night.folder / "hold")
    night.start("held")
    until((night.folder / "report.json").exists)
    return json.loads((night.folder / "report.json").read_text())


def test_the_file_goes_though_shim_and_daemon_were_killed(night, canaries):
    report = held(night)
    assert os.path.exists(report["path"])
    night.kill()
    os.kill(report["shim"], signal.SIGKILL)
    until(lambda: not is_alive(report["pid"]), "the end of its child")
    assert os.path.exists(report["path"])
    night.begin()
    run = night.wait_run("held#1")
    assert run["outcome"] in ("interrupted", "needs_person"), run
    assert not os.path.exists(os.path.dirname(report["path"]))
    for where, data in read_tree(night.state):
        canaries.check(data, where)


def test_the_file_goes_at_a_cancel(night):
    report = held(night)
    assert night.call("cancel", "held").returncode == 0
    run = night.wait_run("held#1")
    assert run["outcome"] == "cancelled", run
    assert not os.path.exists(os.path.dirname(report["path"]))


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_next_attempt_uses_a_secret_that_was_replaced_and_the_environments_own_first(night):
    night.start("rotate")
    until((night.folder / "try.1").exists)
    night.secret("staging.TOKEN", "the-second-token")
    night.wait_run("rotate#1")
    assert (night.folder / "try.1").read_text().startswith(digest("the-first-token"))
    assert (night.folder / "try.2").read_text().startswith(digest("the-second-token"))


def test_a_secret_that_is_gone_fails_the_attempt_and_is_named(night):
    (night.credentials / "staging.TOKEN").unlink()
    night.secret("production.TOKEN", "not-for-staging")
    attempt = steps_of(run_of(night, "rotate"))["try"]["attempts"][0]
    assert attempt["outcome"] == "failed" and not (night.folder / "try.1").exists()
    assert "TOKEN" in attempt["reason"] and "staging" in attempt["reason"], attempt
