"""Measures; tests/bench/run calls it inside tests/with-postgres."""

import argparse
import functools
import os
import pathlib
import random
import re
import shutil
import string
import subprocess
import sys
import tempfile
import threading
import time

import table
from night import NIGHTJARD, SCHEDULES, STAMP, Client, Daemon, at, memory_of
from table import Row, percentile

TOP = pathlib.Path(__file__).resolve().parents[2]
DISK = os.environ.get("NIGHTJAR_BENCH_DIR") or os.environ.get("TMPDIR") or "/tmp"
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
FOLDERS = [("disk", DISK)] + ([("memory", SHM)] if SHM else [])


def timed(command, **options):
    before = time.monotonic()
    subprocess.run(command, check=True, **options)
    return time.monotonic() - before


def job(name, steps, schedule=None, **keys):
    text = "".join(f"{k} = {v}; " for k, v in keys.items() if k != "matrix")
    matrix = f"matrix: {{ {keys['matrix']} }}; " if "matrix" in keys else ""
    if schedule:
        text += f'schedule = "{schedule}"; '
    return f'{{ name = "{name}"; {text}stages: ( {{ name = "s"; {matrix}steps: ( {steps} ); }} ); }}'


def numbers(n):
    return "i = [" + ", ".join(f'"{i}"' for i in range(n)) + "];"


class Echo:
    """A process that sends back what it is sent: what asking it takes is the machine's share."""

    CODE = "import os\nwhile True:\n b = os.read(0, 99)\n if not b: break\n os.write(1, b)\n"

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)

    def ask(self):
        self.process.stdin.write(b"x")
        self.process.stdout.read(1)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ms_of(ask, *arguments):
    before = time.perf_counter()
    ask(*arguments)
    return (time.perf_counter() - before) * 1e3


def statuses(d, n=500):
    """The milliseconds of n statuses, and of as many echoes between them."""
    echo = Echo()
    echo.ask()
    pairs = [(ms_of(d.client.ask, "Status"), ms_of(echo.ask)) for _ in range(n)]
    echo.close()
    return [a for a, _ in pairs], [b for _, b in pairs]


class Prober(threading.Thread):
    """Asks for the status until told to stop, every few ms, and an echo: the milliseconds of each."""

    def __init__(self, path, pause=0.005):
        super().__init__(daemon=True)
        self.client, self.pause, self.over = Client(path), pause, False
        self.times, self.echoes = [], []
        self.start()

    def run(self):
        echo = Echo()
        echo.ask()
        while not self.over:
            self.times.append(ms_of(self.client.ask, "Status"))
            self.echoes.append(ms_of(echo.ask))
            time.sleep(self.pause)
        echo.close()

    def stop(self):
        self.over = True
        self.join()
        self.client.close()
        return self.times, self.echoes


# --- the figures; each yields rows ------------------------------------------------------------------


def attempts(rounds):
    """No-op attempts a second, each with its intent and its end committed."""
    n = 1000
    step = '{ name = "a"; run = ["/bin/true", "${matrix.i}"]; }'
    for where, folder in FOLDERS:
        base, mine, cpu = [], [], []
        with Daemon(job("noop", step, matrix=numbers(n)), folder, "max_attempts = 4;") as d:
            for _ in range(rounds + 1):
                words = " ".join(str(i) for i in range(n))
                base.append(n / timed(["xargs", "-n1", "-P4", "/bin/true"], input=words, text=True))
                before = d.cpu()
                row = d.run("noop")
                cpu.append((d.cpu() - before) / n * 1e3)
                mine.append(n / (at(row["ended_at"]) - at(row["started_at"])))
        yield Row(f"no-op attempts a second, state on {where}", max(mine), "/s", max(base),
                  "xargs -P4", least=0.4)
        yield Row("  the daemon's CPU for one", min(cpu), "ms", 1e3 / max(base) * os.cpu_count(),
                  "a CPU's share of one of xargs")


RECORDER = """#!/bin/bash
# stands for dbt: notes how it was called, and calls it
f=$(mktemp {folder}/call.XXXXXX)
{{ declare -px; printf 'cd %q\\n' "$PWD"; printf 'exec dbt'; printf ' %q' "$@"; echo; }} >"$f"
exec dbt "$@"
"""


def dbt_night(folder):
    """The demo's project and matrix, with an executable that records the calls."""
    project = pathlib.Path(folder) / "dbt"
    shutil.copytree(TOP / "etc/demo/dbt", project)
    for name in ("staging", "production"):
        subprocess.run(["psql", "-qXc", f"CREATE DATABASE {name}"], check=False, stderr=subprocess.DEVNULL)
    recorder = pathlib.Path(folder) / "recorder"
    recorder.write_text(RECORDER.format(folder=folder))
    recorder.chmod(0o755)
    conf = (TOP / "etc/demo/nightjar.conf.in").read_text()
    conf = re.sub(r"^(store|socket|state|secrets)\b.*$", "", conf, flags=re.M)
    conf = conf.replace("@run@/pg", os.environ["PGHOST"]).replace('"5432"', f'"{os.environ["PGPORT"]}"')
    conf = conf.replace("@state@/warehouse", folder).replace("@state@/dbt", str(project))
    conf = conf.replace('command = "build";', f'command = "build"; executable = "{recorder}";')
    head, jobs = conf.split("jobs:", 1)
    return head, jobs.strip()[1:].rsplit(")", 1)[0]


def fresh_targets(folder):
    """The recorded calls with target folders of their own, as the next run would have."""
    calls = sorted(pathlib.Path(folder).glob("call.*"))
    for call in calls:
        text = call.read_text()
        own = tempfile.mkdtemp(dir=folder, prefix="target-")
        text = re.sub(r'(DBT_(TARGET|LOG)_PATH)="[^"]*"', rf'\1="{own}/\2"', text)
        call.write_text(text)
    return "\n".join(map(str, calls))


def dbt(rounds):
    """The 4-cell matrix; rounds take turns, and the first pair (a cold cache) is left out."""
    mine, base = [], []
    with tempfile.TemporaryDirectory(dir=DISK, prefix="nightjar-bench-dbt-") as folder:
        os.chmod(folder, 0o755)
        head, jobs = dbt_night(folder)
        secrets = [("DB_USER", "nightjar"), ("staging.DB_PASS", "staging-password-1"),
                   ("production.DB_PASS", "production-password-1")]
        with Daemon(jobs, DISK, head, secrets) as d:
            for _ in range(rounds + 1):
                for call in pathlib.Path(folder).glob("call.*"):
                    call.unlink()
                row = d.run("nightly", 0.5)
                mine.append(at(row["ended_at"]) - at(row["started_at"]))
                calls = fresh_targets(folder)
                with open(os.path.join(folder, "out"), "wb") as out:
                    base.append(timed(["xargs", "-P4", "-n1", "bash"], input=calls.encode(), stdout=out))
    yield Row("dbt matrix of 4 cells", min(mine[1:]), "s", min(base[1:]), "xargs -P4 of the same calls",
              most=1.01)


def linked_memory():
    """`sleep` with the daemon's libraries loaded: what they weigh before a line of ours."""
    out = subprocess.run(["ldd", NIGHTJARD], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"=> (/\S+)", out)
    p = subprocess.Popen(["sleep", "60"], env=os.environ | {"LD_PRELOAD": ":".join(libraries)})
    time.sleep(0.5)
    figures = memory_of(p.pid)
    p.kill()
    p.wait()
    return figures


def idle(rounds):
    """Memory and wake-ups of a daemon with nothing due."""
    pss0, dirty0 = linked_memory()
    step = '{ name = "a"; run = ["/bin/true"]; }'
    span = 20 * rounds
    for n in (1, 1000):
        jobs = ",\n".join(job(f"j{i}", step, f"{i % 60} {(time.gmtime().tm_hour + 2 + i % 20) % 24} * * *")
                          for i in range(n))
        with Daemon(jobs, DISK) as d:
            time.sleep(8)
            before = d.switches()
            time.sleep(span)
            rate = (d.switches() - before) / span
            pss, dirty = d.memory()
            times = statuses(d)
        jobs = f"{n:,} job{'s' if n > 1 else ''}"
        limits = (12, 5, 3) if n > 1 else (None, None, None)
        yield Row(f"idle with {jobs}: PSS", pss / 1024, "MiB", pss0 / 1024, "sleep with its libraries",
                  limit=limits[0])
        yield Row("  private dirty", dirty / 1024, "MiB", dirty0 / 1024, "sleep with its libraries",
                  limit=limits[1])
        yield Row("  context switches a second", rate, "/s", limit=limits[2])
        yield Row("  status, p50", percentile(times[0], 50), "ms", percentile(times[1], 50), "an echo")
        yield Row("  status, p99", percentile(times[0], 99), "ms", percentile(times[1], 99), "an echo", limit=1)


def minute_of(d, span):
    """Over that span, a minute: context switches, CPU in ms; and the sockets that are open."""
    switches, cpu, sockets = d.switches(), d.cpu_ms(), []
    for _ in range(10):
        time.sleep(span / 10)
        sockets.append(d.sockets())
    return (d.switches() - switches) * 60 / span, (d.cpu_ms() - cpu) * 60 / span, max(sockets)


def waiting(rounds, cells=200):
    """What it costs that cells wait for a check, which is down; beside it none that waits."""
    head = 'checks: ( { name = "gone"; url = "http://127.0.0.1:9/"; } );'
    step = '{ name = "a"; run = ["/bin/true"]; gate: { check = "gone"; }; ready_timeout = "1h"; }'
    found = {}
    for n in (0, cells):
        with Daemon(job("held", step, matrix=numbers(cells)), DISK, head) as d:
            if n:
                d.client.ask("StartRun", job="held")
            time.sleep(8)
            found[n] = minute_of(d, 60 * rounds)
            if len(d.client.ask("Status")["waiting"]) != n:
                raise RuntimeError("they do not all wait")
    mine, base = found[cells], found[0]
    none = "the same with none"
    yield Row(f"{cells} cells that wait: context switches", mine[0], "/min", base[0], none)
    yield Row("  CPU", mine[1], "ms/min", base[1], none)
    yield Row("  open sockets", mine[2], "", base[2], none, most=1)


def commit_ms():
    """Commits of one row by a client of the same server: p50 and p99 in ms."""
    script = "CREATE TEMP TABLE IF NOT EXISTS t(i int);\nCREATE TABLE IF NOT EXISTS public.bench(i int);\n" \
        "\\timing on\n" + "INSERT INTO public.bench VALUES (1);\n" * 200
    out = subprocess.run(["psql", "-qX"], input=script, capture_output=True, text=True, check=True).stdout
    times = [float(x) for x in re.findall(r"Time: ([\d.]+) ms", out)]
    return percentile(times, 50), percentile(times, 99)


def stamps(file):
    return [int(line) / 1e9 for line in file.read_text().split()] if file.exists() else []


def next_minute():
    return (int(time.time()) // 60 + 1) * 60


def sleep_until(instant):
    time.sleep(max(0, instant - time.time()))


def lateness(rounds):
    """From a slot, or from a request to start, to the first instruction of its step."""
    half, most = commit_ms()
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        file, asked = pathlib.Path(folder) / "slots", pathlib.Path(folder) / "asked"
        jobs = ",\n".join([
            job("due", f'{{ name = "a"; run = ["{STAMP}", "{file}"]; }}', "* * * * *"),
            job("asked", f'{{ name = "a"; run = ["{STAMP}", "{asked}"]; }}'),
        ])
        with Daemon(jobs, DISK) as d:
            late = []
            for _ in range(60):
                before = time.time()
                d.client.ask("StartRun", job="asked")
                while len(stamps(asked)) <= len(late):
                    time.sleep(0.002)
                late.append((stamps(asked)[-1] - before) * 1e3)
                time.sleep(0.05)
            seen = len(stamps(file))
            while len(stamps(file)) < seen + rounds:
                sleep_until(next_minute() + 0.5)
            slots = [s % 60 * 1e3 for s in stamps(file)[seen:]]
    yield Row(f"due slot to first instruction, worst of {len(slots)}", max(slots), "ms", most,
              "a commit, p99", limit=5 + most)
    yield Row("  start request to first instruction, p50", percentile(late, 50), "ms", half,
              "a commit, p50", limit=5 + half)
    yield Row("  p99", percentile(late, 99), "ms", most, "a commit, p99", limit=5 + most)


def shell_loop(n, folder):
    file = pathlib.Path(folder) / "loop"
    file.unlink(missing_ok=True)
    before = time.time()
    subprocess.run(["sh", "-c", f'i=0; while [ $i -lt {n} ]; do "{STAMP}" "{file}" & i=$((i+1)); done; wait'],
                   check=True)
    return max(stamps(file)) - before


def burst(rounds):
    """500 jobs due at one instant: the last one's first instruction."""
    n = 500
    for where, folder in FOLDERS:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            file = pathlib.Path(own) / "slots"
            jobs = ",\n".join(job(f"j{i}", f'{{ name = "a"; run = ["{STAMP}", "{file}"]; }}', "* * * * *")
                              for i in range(n))
            base, mine = [], []
            with Daemon(jobs, folder, "max_attempts = 1000;") as d:
                for _ in range(rounds):
                    if 60 - time.time() % 60 < 12:
                        sleep_until(next_minute() + 8)
                    base += [shell_loop(n, own) for _ in range(2)]
                    file.unlink(missing_ok=True)
                    due = next_minute()
                    sleep_until(due)
                    while len(stamps(file)) < n and time.time() < due + 30:
                        time.sleep(0.1)
                    mine.append(max(stamps(file)) - due)
        yield Row(f"500 jobs due at once, the last one's first instruction, state on {where}", min(mine),
                  "s", min(base), "a shell's & loop", most=1.5)


def big_file(path, size):
    words = ["".join(random.choices(string.ascii_letters + string.digits + " _-=:/.,", k=random.randint(30, 180)))
             for _ in range(4000)]
    block = ("\n".join(words) + "\n").encode()
    with open(path, "wb") as f:
        for _ in range(size // len(block) + 1):
            f.write(block)
    return os.path.getsize(path)


def capture(rounds):
    """A step that prints much, without secrets and with a hundred masks; what status takes meanwhile."""
    chars = string.ascii_letters + string.digits
    secrets = [(f"S{i}", "".join(random.choices(chars, k=32))) for i in range(25)]
    names = "[" + ", ".join(f'"{name}"' for name, _ in secrets) + "]"
    for where, folder in FOLDERS:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            file = os.path.join(own, "big")
            size = big_file(file, (300 if where == "disk" else 200) << 20) / 1e6
            step = f'{{ name = "a"; run = ["/bin/cat", "{file}"]; }}'
            jobs = job("plain", step) + ",\n" + job("masked", step, secrets=names)
            base, mine, times = [], {"plain": [], "masked": []}, ([], [])
            with Daemon(jobs, folder, "", secrets) as d:
                for _ in range(rounds + 1):
                    base.append(size / timed(f'cat "{file}" | cat >"{own}/out"', shell=True))
                    for name in mine:
                        prober = Prober(d.path)
                        run = d.client.ask("GetRun", ref=d.run(name)["name"])
                        for all_of, new in zip(times, prober.stop()):
                            all_of += new
                        a = run["cells"][0]["steps"][0]["attempts"][0]
                        mine[name].append(size / (at(a["ended_at"]) - at(a["started_at"])))
        for name, label in (("plain", f"output, state on {where}"), ("masked", "  with 100 masks")):
            yield Row(label, max(mine[name]), "MB/s", max(base), "cat | cat >file", least=0.8)
        yield Row("  status meanwhile, p50", percentile(times[0], 50), "ms", percentile(times[1], 50), "an echo")
        yield Row("  status meanwhile, p99", percentile(times[0], 99), "ms", percentile(times[1], 99), "an echo",
                  limit=1)


def wait_for_lines(d, word, n, seen=0, seconds=60):
    """Until the daemon has said so n times since; False when it does not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with open(d.folder / "log", "rb") as log:
            log.seek(seen)
            if log.read().count(word) >= n:
                return
        time.sleep(0.01)
    raise TimeoutError(f"not {n} times {word.decode()}")


def adopt(rounds):
    """kill -9 with 1,000 actions running, and the time until the next daemon follows them all."""
    n = 1000
    step = '{ name = "a"; run = ["/bin/sleep", "600"]; }'
    with Daemon(job("many", step, matrix=numbers(n)), DISK, "max_attempts = 1000;") as d:
        alone, mine = [], []
        for _ in range(3):
            d.kill()
            alone.append(d.start())
        name = d.client.ask("StartRun", job="many")["run"]
        try:
            wait_for_lines(d, b"a.1 begins", n)
            time.sleep(2)
            for _ in range(rounds + 1):
                d.kill()
                seen = (d.folder / "log").stat().st_size
                before = time.monotonic()
                d.start()
                wait_for_lines(d, b"followed again", n, seen)
                mine.append(time.monotonic() - before)
                time.sleep(1)
            times = statuses(d)
        finally:
            d.client.ask("CancelRun", ref=name)
            d.wait("many", name)
    yield Row("1,000 actions adopted after kill -9", min(mine), "s", min(alone), "a start with none", limit=1)
    yield Row("  status with 1,000 running, p50", percentile(times[0], 50), "ms", percentile(times[1], 50),
              "an echo")


def schedules(rounds):
    out = [subprocess.run([SCHEDULES, "10000"], capture_output=True, text=True, check=True).stdout.split()
           for _ in range(3)]
    yield Row("10,000 schedules computed", min(float(x[0]) for x in out), "ms", min(float(x[1]) for x in out),
              "10,000 mktime()", limit=50)


PAST = """
SET session_replication_role = replica;
SET synchronous_commit = off;
SET maintenance_work_mem = '1GB';
CREATE FUNCTION pg_temp.id(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid $$;
INSERT INTO nightjar.run (id, job, number, trigger, state, outcome, scheduled_for, created_at,
        started_at, ended_at, definition)
    SELECT pg_temp.id(i), 'past', i + 1, 'schedule', 'ended', CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'ok' END,
        t, t, t, t + interval '5 min', h
    FROM generate_series(1, {runs}) i, LATERAL (SELECT now() - ({runs} - i + 1) * interval '30 s' AS t) x,
        (SELECT hash AS h FROM nightjar.definition LIMIT 1) d;
INSERT INTO nightjar.slot (job, scheduled_for, fate, run_id)
    SELECT 'past', scheduled_for, 'run', id FROM nightjar.run WHERE scheduled_for IS NOT NULL;
INSERT INTO nightjar.cell (run_id, index, stage, name, matrix, state, outcome, started_at, ended_at, steps)
    SELECT pg_temp.id(i), c, 's', 's/' || c, jsonb_build_object('i', c::text), 'ended', 'ok',
        now(), now(), '[{{"name":"a","kind":"run","state":"ended","outcome":"ok","reason":null}}]'
    FROM generate_series(1, {runs}) i, generate_series(0, 9) c;
INSERT INTO nightjar.attempt (run_id, cell, step, number, state, outcome, exit_code, started_at, ended_at,
        max_rss, cpu_ms)
    SELECT run_id, index, 0, 1, 'ended', 'ok', 0, started_at, ended_at, 12345678, 12 FROM nightjar.cell
    ON CONFLICT DO NOTHING;
INSERT INTO nightjar.action (run_id, cell, step, attempt, name, ordinal, type, state, repeatable, epoch,
        intent_at, started_at, ended_at, status)
    SELECT run_id, cell, 0, 1, 'run', 0, 'process', 'ended', true, 1, started_at, started_at, ended_at,
        '{{"end":"exited","code":0}}' FROM nightjar.attempt
    ON CONFLICT DO NOTHING;
UPDATE nightjar.job SET last_number = {runs} + 1 WHERE name = 'past';
ANALYZE;
"""


def fill_history(d, attempts):
    """So many attempts of the past, of runs with ten cells each, straight into the tables."""
    d.run("past")
    d.kill()
    before = time.monotonic()
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1"], check=True, text=True,
                   input=PAST.format(runs=attempts // 10))
    print(f"{attempts:,} attempts made in {time.monotonic() - before:.0f} s", file=sys.stderr, flush=True)
    return d.start()


def times_of(d, n, method, *variants):
    """The milliseconds of n calls, whose parameters take turns."""
    return [ms_of(lambda: d.client.ask(method, **variants[i % len(variants)])) for i in range(n)]


def history(rounds, attempts=100_000):
    """What people ask, with so many past attempts in the store (--history N says how many)."""
    runs = attempts // 10
    step = '{ name = "a"; run = ["/bin/true"]; }'
    names = [f"past#{runs * i // 20 + 2}" for i in range(20)]
    with Daemon(job("past", step, matrix=numbers(10)), DISK) as d:
        began = fill_history(d, attempts)
        times = statuses(d)
        asked = {
            "runs -n 20": times_of(d, 100 * rounds, "ListRuns", {"job": "past", "limit": 20}, {"limit": 20}),
            "show": times_of(d, 100 * rounds, "GetRun", *[{"ref": name} for name in names]),
        }
        row = d.run("past")
        asked_one = at(row["ended_at"]) - at(row["started_at"])
    yield Row(f"with {attempts:,} past attempts: the daemon starts", began, "s")
    yield Row("  status, p50", percentile(times[0], 50), "ms", percentile(times[1], 50), "an echo")
    yield Row("  status, p99", percentile(times[0], 99), "ms", percentile(times[1], 99), "an echo", limit=1)
    for what, ms in asked.items():
        yield Row(f"  {what}, p50", percentile(ms, 50), "ms", percentile(times[1], 50), "an echo")
        yield Row("    p99", percentile(ms, 99), "ms", percentile(times[1], 99), "an echo")
    yield Row("  a run of 10 cells", asked_one, "s")


FIGURES = [schedules, idle, waiting, attempts, lateness, burst, capture, adopt, dbt]


def main(arguments):
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--history", type=int, metavar="N")
    options = parser.parse_args(arguments)
    rounds = 5 if options.long else 1
    known = {f.__name__: f for f in FIGURES}
    unknown = [n for n in options.names if n not in known]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}")
    figures = [f for n, f in known.items() if n in options.names or not options.names and not options.history]
    if options.history:
        known["history"] = functools.partial(history, attempts=options.history)
        figures.append(known["history"])
    rows = []
    for name, figure in known.items():
        if figure not in figures:
            continue
        try:
            for row in figure(rounds):
                print("  ".join(c for c in row.cells() if c), file=sys.stderr, flush=True)
                rows.append(row)
        except Exception as e:
            print(f"{name}: {e!r}", file=sys.stderr, flush=True)
            rows.append(Row(f"{name}: could not be measured", float("nan"), ""))
    table.show(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
