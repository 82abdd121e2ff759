"""Slots against CronSim, which computes those of Debian's cron.

Random expressions in all zones of the system, from starts decades past and ahead, many of them just
before a clock change. NIGHTJAR_CASES says how many (default 4000), NIGHTJAR_SEED where the dice
begin, NIGHTJAR_BUILD where the build is, else build/ beside this tree.
"""

import itertools
import os
import pathlib
import random
import subprocess
import zoneinfo
from datetime import datetime, timedelta, timezone

import pytest

cronsim = pytest.importorskip("cronsim")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NIGHTJAR_BUILD", ROOT / "build"))
BATCH = BUILD / "tests/unit/cron_batch"
CASES = int(os.environ.get("NIGHTJAR_CASES", "4000"))
SEED = int(os.environ.get("NIGHTJAR_SEED", "20260329"))
UTC = timezone.utc
SLOTS = 5

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
FIELDS = [(0, 59, None), (0, 23, None), (1, 31, None), (1, 12, MONTHS), (0, 7, DAYS)]
FIRST = datetime(1970, 1, 1, tzinfo=UTC).timestamp()
LAST = datetime(2120, 1, 1, tzinfo=UTC).timestamp()


class Watched(cronsim.CronSim):
    """CronSim, which may go round for ever (see the third slip below): then it stops."""

    class Stuck(Exception):
        pass

    def advance(self):
        self.days_left = 100_000
        super().advance()

    def advance_day(self):
        self.days_left -= 1
        if self.days_left == 0:
            raise self.Stuck
        return super().advance_day()


class Debian(Watched):
    """CronSim without three slips, in which Debian's cron does not follow it.

    All are of expressions that follow the wall clock, on the day of a change:
    1. Where a gap swallows midnight, CronSim takes up that day at a midnight that is not there. It
       then finds hour 0 (the instant shows 01:00) and misses the hour after the gap. Here the day
       begins with its first real minute.
    2. Its walk over hours keeps the minutes that a change by less than an hour leaves it with, and
       so begins the hour it looks for too late. Here each step ends with the hour, or at a change.
    3. Where the clock goes back across midnight it returns to the first of two midnights, and may
       go round so for ever. Here it never goes back.
    """

    def real(self):
        """The first instant, not before now, at which the zone's clock shows that day."""
        if self.fixup_tz or self.dt.tzinfo in (None, UTC):
            return
        self.dt = max(self.dt.astimezone(UTC), self.now).astimezone(self.dt.tzinfo)

    def advance_month(self):
        self.now = self.dt.astimezone(UTC)
        date = self.dt.date()
        super().advance_month()
        if self.dt.date() != date:
            self.real()

    def advance_day(self):
        self.now = self.dt.astimezone(UTC)
        advanced = super().advance_day()
        if advanced:
            self.real()
            if self.dt.astimezone(UTC) == self.now:
                self.tick(60 - self.dt.second)
        return advanced

    def advance_hour(self):
        if self.fixup_tz or self.dt.tzinfo in (None, UTC):
            return super().advance_hour()
        if self.dt.hour in self.hours:
            return False
        date, hour = self.dt.date(), self.dt.hour
        while (self.dt.date(), self.dt.hour) == (date, hour):
            self.tick(60 - self.dt.second)
        return True

    def advance_minute(self):
        if self.fixup_tz or self.dt.tzinfo in (None, UTC):
            return super().advance_minute()
        if self.dt.minute in self.minutes:
            return False
        self.tick(60 - self.dt.second)
        return True


def slots_of(oracle, expression, zone, after, n=SLOTS):
    """The next n instants, each strictly behind the one before; fewer if there are no more."""
    start = datetime.fromtimestamp(after, UTC).astimezone(zone)
    slots = []
    try:
        for slot in itertools.islice(oracle(expression, start), 5000):
            t = slot.timestamp()
            if t > (slots[-1] if slots else after):
                slots.append(int(t))
            if len(slots) == n:
                return slots
    except cronsim.CronSimError:
        return []
    except Watched.Stuck:
        pass
    return [*slots, "stuck"]


def batch(lines):
    """One answer a line of "zone TAB after TAB n TAB expression"."""
    done = subprocess.run([BATCH], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(lines)
    return answers


def ask(cases):
    answers = batch([f"{zone}\t{after}\t{SLOTS}\t{expression}" for expression, zone, after in cases])
    return [a if a.startswith("error") else [int(t) for t in a.split()] for a in answers]


def zones():
    return sorted(z for z in zoneinfo.available_timezones() if z not in ("localtime", "Factory"))


# --- the dice ---------------------------------------------------------------------------------


def value(dice, low, high, names):
    n = dice.randint(low, high)
    if names and dice.random() < 0.4:
        name = names[(n - low) % len(names)]
        return dice.choice([name, name.upper(), name.title()])
    return dice.choice([str(n), f"{n:02d}"]) if dice.random() < 0.1 else str(n)


def term(dice, low, high, names):
    kind = dice.random()
    step = f"/{dice.randint(1, max(2, (high - low) // 2))}" if dice.random() < 0.35 else ""
    if kind < 0.15:
        return "*" + step
    if kind < 0.4:
        a, b = sorted((dice.randint(low, high), dice.randint(low, high)))
        return f"{a}-{b}{step}"
    return value(dice, low, high, names) + (step if dice.random() < 0.3 else "")


def field(dice, bounds, star):
    if dice.random() < star:
        return "*"
    return ",".join(term(dice, *bounds) for _ in range(dice.choice([1, 1, 1, 2, 3])))


def expression(dice):
    stars = (0.15, 0.3, 0.5, 0.6, 0.5)
    return " ".join(field(dice, bounds, star) for bounds, star in zip(FIELDS, stars))


def changes(zone, year):
    """The instants in that year at which the offset changes, to the second."""
    found = []
    t = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = t + 366 * 86400
    while t < end:
        a, b = t, t + 6 * 86400
        if offset(zone, a) != offset(zone, b):
            while b - a > 1:
                middle = (a + b) // 2
                a, b = (middle, b) if offset(zone, middle) == offset(zone, a) else (a, middle)
            found.append(b)
        t += 6 * 86400
    return found


def offset(zone, t):
    return datetime.fromtimestamp(t, UTC).astimezone(zone).utcoffset()


def start(dice, zone):
    """Any instant, or one within a day or so of a clock change."""
    t = dice.randint(int(FIRST), int(LAST))
    if dice.random() < 0.5:
        near = changes(zone, datetime.fromtimestamp(t, UTC).year)
        if near:
            return dice.choice(near) + dice.choice([dice.randint(-90000, 9000), dice.randint(-60, 60) * 60])
    return t


def draw(dice, n):
    names = zones()
    for _ in range(n):
        name = dice.choice(names)
        yield expression(dice), name, start(dice, zoneinfo.ZoneInfo(name))


# --- tests ------------------------------------------------------------------------------------


def told(case, got, wanted):
    text, name, after = case
    zone = zoneinfo.ZoneInfo(name)

    def at(t):
        return datetime.fromtimestamp(t, UTC).astimezone(zone).isoformat() if isinstance(t, int) else str(t)

    both = [f"{'  ' if g == w else '! '}{at(g)} / {at(w)}" for g, w in zip([*got, *["-"] * SLOTS], [*wanted, *["-"] * SLOTS])]
    return "\n".join([f"{text!r} in {name} behind {at(after)} ({after}): ours / CronSim's", *both[:SLOTS]])


@pytest.mark.scoreboard(13)
def test_slots_are_those_of_cronsim():
    dice = random.Random(SEED)
    wrong, slips = [], 0
    cases = list(draw(dice, CASES))
    for case, got in zip(cases, ask(cases)):
        zone = zoneinfo.ZoneInfo(case[1])
        wanted = slots_of(Watched, case[0], zone, case[2])
        if got != wanted:
            slips += 1
            wanted = slots_of(Debian, case[0], zone, case[2])
        if got != wanted:
            wrong.append(told(case, got, wanted))
    print(f"{len(cases)} cases, {len(wrong)} wrong, {slips - len(wrong)} where CronSim slips")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n\n".join(wrong[:10])
    assert slips <= len(cases) / 100


def test_expressions_are_refused_where_cronsim_refuses_them():
    dice = random.Random(SEED)
    letters = "0123456789,,--//** janmon"
    cases = []
    for _ in range(max(2000, CASES // 10)):
        fields = expression(dice).split(" ")
        i = dice.randrange(5)
        j = dice.randrange(len(fields[i]))
        fields[i] = fields[i][:j] + dice.choice(letters) + fields[i][j + dice.randrange(2) :]
        cases.append((" ".join(fields), "UTC", 0))
    refused = 0
    for case, got in zip(cases, ask(cases)):
        try:
            cronsim.CronSim(case[0], datetime.fromtimestamp(0, UTC))
            fine = len(case[0].split()) == 5  # six are seconds to CronSim
        except cronsim.CronSimError:
            # To CronSim an impossible date is an error, here it parses and never comes.
            fine = False
        assert (got == [] or got[:5] == "error") == (not fine), f"{case[0]!r}: {got}"
        refused += not fine
    assert refused > 100


@pytest.mark.scoreboard(13)
def test_offsets_are_right_decades_past_and_ahead():
    """A slot at every full hour, around every change: the zones themselves."""
    dice = random.Random(SEED)
    cases = []
    for name in zones():
        zone = zoneinfo.ZoneInfo(name)
        for year in dice.sample(range(1950, 2200), 4):
            cases += [("0 * * * *", name, t - 7200) for t in changes(zone, year)]
    assert len(cases) > 100
    for case, got in zip(cases, ask(cases)):
        zone = zoneinfo.ZoneInfo(case[1])
        wanted = [
            t
            for t in range(case[2] // 60 * 60 + 60, case[2] + 8 * 3600, 60)
            if datetime.fromtimestamp(t, UTC).astimezone(zone).strftime("%M%S") == "0000"
        ]
        assert got == wanted[: len(got)] and len(got) == SLOTS, told(case, got, wanted)


# --- nightjar next --cron -----------------------------------------------------------------------


def client(*arguments):
    done = subprocess.run([BUILD / "client/nightjar", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_next_prints_an_object_a_line():
    status, out, err = client(
        *("--json", "next", "--cron", "30 2 * * *", "--timezone", "Europe/Paris"),
        *("--after", "2026-03-28T01:30:00Z", "-n", "2"),
    )
    assert (status, err) == (0, "")
    assert out == (
        '{"utc":"2026-03-29T01:00:00Z","local":"2026-03-29T03:00:00+02:00"}\n'
        '{"utc":"2026-03-30T00:30:00Z","local":"2026-03-30T02:30:00+02:00"}\n'
    )


def test_next_prints_five_slots_in_utc_from_now_on():
    before = datetime.now(UTC)
    status, out, err = client("next", "--cron", "* * * * *")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [len(line) for line in lines] == [2] * 5
    slots = [datetime.fromisoformat(utc.replace("Z", "+00:00")) for utc, _ in lines]
    assert slots == [datetime.fromisoformat(local) for _, local in lines]
    assert before - timedelta(seconds=1) < slots[0] < before + timedelta(minutes=2)
    assert all(b - a == timedelta(minutes=1) for a, b in zip(slots, slots[1:]))


@pytest.mark.parametrize("expr", ["30 2 30 2 *", "0 0 31 4,6 *", "@reboot"])
def test_what_never_comes_is_said_at_once(expr):
    status, out, err = client("next", "--cron", expr, "--timezone", "Europe/Paris")
    assert (status, out) == (1, "")
    assert "never" in err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--cron", "61 * * * *"], "minute: 61 is not in 0-59"),
        (["--cron", "0 0 0 * * *"], "6 fields where cron has five"),
        (["--cron", "@dayly"], "did you mean @daily?"),
        (["--cron", "* * * * *", "--timezone", "Europe/Pariss"], "Europe/Pariss"),
        (["--cron", "* * * * *", "--timezone", "../../../etc/passwd"], "no time zone"),
        (["--cron", "* * * * *", "--timezone", "zone.tab"], "no time zone"),
        (["--cron", "* * * * *", "--timezone", "Europe"], "no time zone"),
        (["--cron", "* * * * *", "--timezone", ""], "no time zone"),
        (["--cron", "* * * * *", "--after", "yesterday"], "yesterday"),
        (["--cron", "* * * * *", "-n", "0"], "-n"),
        (["--cron", "* * * * *", "-n", "many"], "many"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    status, out, err = client("next", *arguments)
    assert (status, out) == (2, "")
    assert said in err and err.startswith("nightjar: ") and err.count("\n") == 1
