"""`nightjar metrics`: Prometheus's text format, as strictly as its parser reads it."""
import re

import pytest

from nightlib import Night, until

SERIES = re.compile(r'([a-z_]+)(?:\{([a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*)\})? (\S+)')
KINDS = {"counter": r"_total$", "gauge": r"", "histogram": r""}


def parsed(text):
    """Values by series; each must follow its HELP and TYPE, and come once."""
    values, kinds, present = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            present = line.split()[2]
            assert present not in kinds and len(line.split()) > 3, line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == present and re.search(KINDS[kind], name), line
            kinds[name] = kind
        else:
            found = SERIES.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            if kinds[present] == "histogram":
                assert name in (f"{present}_bucket", f"{present}_sum", f"{present}_count"), line
            else:
                assert name == present, line
            assert (name, labels) not in values, line
            values[name, labels] = float(value)
    return values


@pytest.fixture
def night():
    with Night() as n:
        yield n


def test_the_metrics_are_what_happened(night):
    night.configure('{ name = "s"; matrix: { i = ["1", "2"]; }; steps: ('
                    ' { name = "s"; shell = "test ${matrix.i} = 1"; } ); }',
                    job='schedule = "0 6 * * *";',
                    more='checks: ( { name = "gone"; url = "http://127.0.0.1:1/"; fall = 1; } );')
    night.begin()
    night.start()
    night.wait_run()
    until(lambda: night.status()["checks"][0]["state"] == "down", "the check")
    values = parsed(night.call("metrics").stdout)
    assert values["nightjar_runs_total", 'job="nightly",outcome="failed"'] == 1
    assert values["nightjar_attempts_total", 'kind="shell",outcome="ok"'] == 1
    assert values["nightjar_attempts_total", 'kind="shell",outcome="failed"'] == 1
    assert values["nightjar_check_state", 'check="gone",environment=""'] == 2
    for name, value in {"store_up": 1, "leader": 1, "epoch": 1, "actions": 0, "jobs": 1, "draining": 0,
                        "journal_dropped_total": 0, "slot_lateness_seconds_count": 0}.items():
        assert values[f"nightjar_{name}", None] == value, name
    slot = night.ask("next", "nightly", "-n", "1")["slots"][0]["utc"]
    assert values["nightjar_next_slot_timestamp_seconds", 'job="nightly"'] == instant(slot)
    assert parsed(night.ask("metrics")["metrics"]).keys() == values.keys()


def instant(text):
    from datetime import datetime
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_daemon_without_its_store_answers_too(night):
    night.write("jobs: ();\n")
    night.file.write_text(night.file.read_text().replace(night.database, "there_is_none"))
    night.begin(leads=False)
    values = parsed(night.call("metrics").stdout)
    assert values["nightjar_store_up", None] == 0 and values["nightjar_leader", None] == 0
