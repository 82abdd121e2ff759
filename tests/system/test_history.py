"""Old history goes: rows after history.keep, output after history.logs; what is needed stays."""

import os
import time
import uuid

import pytest

from nightlib import Night

DAY = 86400
STAGES = '{ name = "say"; steps: ( { name = "say"; shell = "echo hello"; } ); }'

# Runs of `nightly`: a bad one today was the last, the good ones are old; of `retired` all are old,
# the last good one, the last bad one, and the last of all, which was cancelled.
RUNS = """
WITH d AS (INSERT INTO nightjar.definition VALUES ('old', '{}'), ('unused', '{}') RETURNING hash)
INSERT INTO nightjar.run (id, job, number, trigger, state, outcome, created_at, started_at, ended_at,
  scheduled_for, definition)
SELECT gen_random_uuid(), j, n, 'schedule', 'ended',
  CASE WHEN n > 990 AND j = 'retired' THEN 'cancelled' WHEN n > 900 THEN 'failed' ELSE 'ok' END,
  at, at, at + interval '1 hour', at, 'old'
FROM unnest(ARRAY['nightly', 'retired']) j, generate_series(1, 1000) n,
  LATERAL (SELECT now() - (1400 - n + CASE j WHEN 'retired' THEN 100 ELSE 0 END)
    * interval '1 day' AS at) t
WHERE EXISTS (SELECT FROM d)
"""
BELOW = """
INSERT INTO nightjar.cell SELECT id, 0, 'build', 'build', '{}', 'ended', outcome, NULL, false,
  started_at, ended_at, '[]' FROM nightjar.run WHERE definition = 'old';
INSERT INTO nightjar.attempt (run_id, cell, step, number, state, outcome)
  SELECT id, 0, 0, 1, 'ended', outcome FROM nightjar.run WHERE definition = 'old';
INSERT INTO nightjar.node_result (run_id, cell, step, attempt, unique_id, status)
  SELECT id, 0, 0, 1, 'model.a.b', 'success' FROM nightjar.run WHERE definition = 'old';
INSERT INTO nightjar.slot SELECT job, scheduled_for, 'run', id FROM nightjar.run
  WHERE definition = 'old';
INSERT INTO nightjar.slot SELECT 'nightly', now() - n * interval '1 day' - interval '1 hour',
  'skipped', NULL, 'overlap' FROM generate_series(1, 800) n;
INSERT INTO nightjar.audit SELECT gen_random_uuid(), now() - n * interval '1 day', 'alice', 'StartRun',
  NULL, NULL, true FROM generate_series(1, 800) n;
INSERT INTO nightjar.job (name) VALUES ('retired') ON CONFLICT DO NOTHING;
"""


def folder(night, age):
    """What the launcher would have made so many days ago."""
    at = time.time() - age * DAY
    number = uuid.uuid4().int & ~(0xFFFFFFFFFFFF << 80 | 0xF << 76) | int(at * 1000) << 80 | 7 << 76
    path = night.state / "actions" / str(uuid.UUID(int=number))
    (path / "0/0.1/run").mkdir(parents=True)
    (path / "0/0.1/run/output.log").write_text("it was said\n")
    os.utime(path, (at, at))
    return path


@pytest.fixture
def night():
    with Night() as n:
        n.configure(STAGES)
        yield n


def test_what_is_old_goes_and_what_is_needed_stays(night):
    night.begin()
    mine = night.wait_run(night.start())
    night.end()
    night.sql("UPDATE nightjar.run SET number = 2000")
    night.sql("UPDATE nightjar.job SET last_number = 2000")
    night.sql(RUNS)
    night.sql(BELOW)
    open_run = night.sql("UPDATE nightjar.run SET retry_of = (SELECT id FROM nightjar.run"
                         " WHERE job = 'nightly' AND number = 17) WHERE number = 2000 RETURNING id")
    assert str(open_run[0][0]) == mine["id"]
    old = [folder(night, age) for age in (31, 32, 90, 500) for _ in range(10)]
    young = folder(night, 29)
    touched = folder(night, 40)
    os.utime(touched)
    strange = night.state / "actions" / "somebody's"
    strange.mkdir()
    os.utime(strange, (0, 0))
    night.begin()
    night.configure(STAGES, more='history: { keep = "400d"; logs = "30d"; };')
    assert night.call("reload").returncode == 0
    event = night.wait("history-pruned")
    assert event["message"].endswith("the output of 40 runs"), event

    rows = night.sql("SELECT job, min(number), count(*) FROM nightjar.run"
                     " WHERE created_at < now() - interval '401 days' GROUP BY job ORDER BY job")
    # of nightly's old ones none is the last or the last good one; retired keeps its three
    assert rows == [("retired", 900, 3)], rows
    kept = night.sql("SELECT number FROM nightjar.run WHERE job = 'retired'"
                     " AND created_at < now() - interval '401 days' ORDER BY number")
    assert kept == [(900,), (990,), (1000,)], kept
    slots = night.sql("SELECT r.number FROM nightjar.slot s JOIN nightjar.run r ON r.id = s.run_id"
                      " WHERE s.scheduled_for < now() - interval '401 days' ORDER BY 1")
    assert slots == kept, slots
    left = night.sql("SELECT count(*) FROM nightjar.run WHERE definition = 'old'")[0][0]
    for table in ("cell", "attempt", "node_result"):
        assert night.sql(f"SELECT count(*) FROM nightjar.{table} t JOIN nightjar.run r"
                         " ON r.id = t.run_id WHERE definition = 'old'")[0][0] == left
        assert night.sql(f"SELECT count(*) FROM nightjar.{table}")[0][0] in (left, left + 1)
    assert night.sql("SELECT hash FROM nightjar.definition WHERE hash IN ('old', 'unused')") == [
        ("old",)]
    for table, at in (("slot", "scheduled_for"), ("audit", "at")):
        n, oldest = night.sql(f"SELECT count(*), min({at}) > now() - interval '401 days'"
                              f" FROM nightjar.{table} WHERE NOT {table}::text LIKE '%%retired%%'")[0]
        assert n >= 399 and oldest, table
    assert not any(path.exists() for path in old)
    assert young.exists() and touched.exists() and strange.exists()
    assert (night.state / "actions" / mine["id"]).exists()
    assert night.show(mine["name"].split("#")[0] + "#2000")["outcome"] == "ok"
