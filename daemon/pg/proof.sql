-- Migration 3: what checks, syncs, plans and approvals leave behind.
ALTER TABLE nightjar.action DROP CONSTRAINT action_type_check;
ALTER TABLE nightjar.action ADD CONSTRAINT action_type_check
    CHECK (type IN ('process', 'http', 'lane', 'query', 'wait', 'approval'));

-- Of one database of Metabase; a terraform step has some, too.
ALTER TABLE nightjar.sync DROP CONSTRAINT sync_pkey, DROP COLUMN id;
ALTER TABLE nightjar.sync ALTER COLUMN run_id SET NOT NULL, ALTER COLUMN environment DROP NOT NULL,
    ADD COLUMN tables integer,  -- that were to be there
    ADD COLUMN missing integer, -- and were not
    ADD COLUMN reason text,
    ADD PRIMARY KEY (run_id, cell, step, attempt, database);
CREATE INDEX sync_by_database ON nightjar.sync (environment, database, started_at DESC)
    WHERE state = 'proved';

ALTER TABLE nightjar.plan
    ADD COLUMN environment text,
    ADD COLUMN summary jsonb,        -- {"add","change","destroy","replace"}
    ADD COLUMN decision_reason text;
CREATE INDEX plan_by_time ON nightjar.plan (made_at DESC);

ALTER TABLE nightjar.run ADD COLUMN deadlines jsonb; -- of its stages; and how much is left of those
                                                     -- that stand still for an approval

ALTER TABLE nightjar.check_transition ADD COLUMN ended_at timestamptz; -- when the next one came
CREATE INDEX check_transition_by_time ON nightjar.check_transition (at DESC);

CREATE VIEW nightjar.sync_history AS
SELECT s.environment, s.database, r.job || '#' || r.number AS run, c.name AS cell, s.attempt, s.state,
    s.started_at, s.ended_at, s.ended_at - s.started_at AS took, s.tables, s.missing, s.reason
FROM nightjar.sync s JOIN nightjar.run r ON r.id = s.run_id
JOIN nightjar.cell c ON c.run_id = s.run_id AND c.index = s.cell;
COMMENT ON VIEW nightjar.sync_history IS
    'One row a database of Metabase and sync: how long it took until its tables were proved there.';

CREATE VIEW nightjar.plan_history AS
SELECT r.job || '#' || r.number AS run, c.name AS cell, p.environment, p.attempt, r.commit, p.made_at,
    (p.summary ->> 'add')::int AS add, (p.summary ->> 'change')::int AS change,
    (p.summary ->> 'destroy')::int AS destroy, (p.summary ->> 'replace')::int AS replace,
    p.decision, p.decided_by, p.decided_at, p.decision_reason, a.outcome, p.changes, p.hash
FROM nightjar.plan p JOIN nightjar.run r ON r.id = p.run_id
JOIN nightjar.cell c ON c.run_id = p.run_id AND c.index = p.cell
JOIN nightjar.attempt a ON a.run_id = p.run_id AND a.cell = p.cell AND a.step = p.step
    AND a.number = p.attempt;
COMMENT ON VIEW nightjar.plan_history IS
    'One row a Terraform plan: what it would change, who approved it, and how its attempt ended.';

CREATE VIEW nightjar.check_history AS
SELECT name, environment, state, at, ended_at, coalesce(ended_at, now()) - at AS lasted, detail
FROM nightjar.check_transition;
COMMENT ON VIEW nightjar.check_history IS
    'One row a change of a check: up, down or starting, since when and for how long.';
