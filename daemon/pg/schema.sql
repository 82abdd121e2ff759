-- Migration 1: the schema nightjar. Forward only; daemon/pg/migrate.c runs what is missing.
-- A role that may not create schemas can be given one by somebody who may.
DO $$ BEGIN
    IF to_regnamespace('nightjar') IS NULL THEN
        CREATE SCHEMA nightjar;
    END IF;
END $$;

CREATE TABLE nightjar.migration (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The one daemon that may act. One row.
CREATE TABLE nightjar.leader (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch      bigint NOT NULL DEFAULT 0,
    holder     uuid,            -- the machine: the UUID in its state folder; NULL: given up
    host       text,
    renewed_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO nightjar.leader DEFAULT VALUES;

CREATE FUNCTION nightjar.fence(e bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM nightjar.leader WHERE epoch = e FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nightjar: epoch % is over', e USING ERRCODE = 'NJ001';
    END IF;
END $$;

-- Ends the writing sessions of a machine's daemon but this one; true when none is left. One that
-- was stopped in the middle of a transaction would keep its locks, and one whose client is long
-- gone could still commit something old.
CREATE FUNCTION nightjar.end_sessions(machine uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..100 LOOP
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity a
            WHERE a.application_name = 'nightjard ' || machine || ' write'
            AND a.datname = current_database() AND a.pid <> pg_backend_pid();
        IF NOT FOUND THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN false;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END $$;

-- Takes the leader row if it is free, this machine's, or has not been renewed for `patience`: by
-- the server's clock, or because the caller saw it unchanged at `stuck_at` for that long. epoch is
-- NULL where another daemon leads; the rest then says who.
CREATE FUNCTION nightjar.take(machine uuid, host_name text, patience interval,
    stuck_at timestamptz,
    OUT epoch bigint, OUT holder uuid, OUT host text, OUT renewed_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    l nightjar.leader;
BEGIN
    SELECT * INTO STRICT l FROM nightjar.leader;
    holder := l.holder;
    host := l.host;
    renewed_at := l.renewed_at;
    IF l.holder <> machine AND l.renewed_at > clock_timestamp() - patience
        AND l.renewed_at IS DISTINCT FROM stuck_at THEN
        RETURN;
    END IF;
    IF l.holder IS NOT NULL THEN
        PERFORM nightjar.end_sessions(l.holder);
    END IF;
    UPDATE nightjar.leader u
        SET epoch = u.epoch + 1, holder = machine, host = host_name,
            renewed_at = clock_timestamp()
        WHERE u.epoch = l.epoch AND u.holder IS NOT DISTINCT FROM l.holder
        AND (u.holder IS NULL OR u.holder = machine OR u.renewed_at = l.renewed_at)
        RETURNING u.epoch INTO epoch;
END $$;

-- After a loss of the connection: is the row still ours? Renews it then.
CREATE FUNCTION nightjar.resume(e bigint, machine uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT nightjar.end_sessions(machine) THEN
        RAISE EXCEPTION 'an older session of this daemon does not end'
            USING ERRCODE = 'lock_not_available';
    END IF;
    UPDATE nightjar.leader u SET renewed_at = clock_timestamp()
        WHERE u.epoch = e AND u.holder = machine;
    RETURN FOUND;
END $$;

CREATE TABLE nightjar.job (
    name        text PRIMARY KEY,
    paused      boolean NOT NULL DEFAULT false,
    last_slot   timestamptz,    -- with what it was made with, below
    schedule    text,
    timezone    text,
    last_number bigint NOT NULL DEFAULT 0,
    last_outcome  text,         -- of the last run that ended
    last_ended_at timestamptz,
    boot_id     uuid            -- of the last @reboot slot
);

CREATE TABLE nightjar.definition (
    hash text PRIMARY KEY,      -- SHA-256 of body
    body text NOT NULL
);

CREATE TABLE nightjar.slot (
    job           text NOT NULL,
    scheduled_for timestamptz NOT NULL,
    fate          text NOT NULL CHECK (fate IN ('run', 'skipped')),
    run_id        uuid,
    reason        text,
    until         timestamptz,  -- a flood of slots as one row: the last of them, and how many
    count         bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (job, scheduled_for)
);

CREATE TABLE nightjar.run (
    id            uuid PRIMARY KEY,
    job           text NOT NULL,
    number        bigint NOT NULL,
    trigger       text NOT NULL CHECK (trigger IN ('schedule', 'manual', 'retry', 'catch_up')),
    state         text NOT NULL CHECK (state IN ('waiting', 'running', 'ended')),
    outcome       text,
    reason        text,
    scheduled_for timestamptz,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    ended_at      timestamptz,
    deadline_at   timestamptz,
    retry_of      uuid,
    commit        text,
    who           text,         -- who asked for it, where somebody did
    why           text,         -- and what they said
    only_cells    jsonb,        -- indices of the cells that are part of it; NULL: all
    definition    text NOT NULL REFERENCES nightjar.definition,
    UNIQUE (job, number)
);
CREATE INDEX run_open ON nightjar.run (job) WHERE state <> 'ended';
CREATE INDEX run_by_time ON nightjar.run (created_at DESC, id DESC);
CREATE INDEX run_good ON nightjar.run (job, number DESC) WHERE outcome = 'ok';

CREATE TABLE nightjar.cell (
    run_id     uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    index      integer NOT NULL,
    stage      text NOT NULL,
    name       text NOT NULL,
    matrix     jsonb NOT NULL,
    state      text NOT NULL CHECK (state IN ('waiting', 'running', 'ended')),
    outcome    text,
    reason     text,
    blocked    boolean,         -- of a skipped one: blocked, or not wanted
    started_at timestamptz,
    ended_at   timestamptz,
    steps      jsonb NOT NULL,  -- [{"name","kind","state","outcome","reason","outputs":{}}]
    PRIMARY KEY (run_id, index)
);

CREATE TABLE nightjar.attempt (
    run_id     uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    cell       integer NOT NULL,
    step       integer NOT NULL,
    number     integer NOT NULL,
    state      text NOT NULL CHECK (state IN ('running', 'ended')),
    counted    boolean NOT NULL DEFAULT true,
    outcome    text,
    reason     text,
    exit_code  integer,
    signal     integer,
    started_at timestamptz,
    ended_at   timestamptz,
    max_rss    bigint,
    cpu_ms     bigint,
    progress   jsonb,
    retry_at   timestamptz,
    PRIMARY KEY (run_id, cell, step, number)
);

CREATE TABLE nightjar.action (
    run_id     uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    cell       integer NOT NULL,
    step       integer NOT NULL,
    attempt    integer NOT NULL,
    name       text NOT NULL,
    ordinal    integer NOT NULL, -- within the attempt
    type       text NOT NULL CHECK (type IN ('process', 'http', 'wait')),
    state      text NOT NULL CHECK (state IN ('intent', 'started', 'ended')),
    repeatable boolean NOT NULL,
    epoch      bigint NOT NULL,
    machine    uuid,
    intent_at  timestamptz NOT NULL,
    deadline_at timestamptz,
    started_at timestamptz,
    ended_at   timestamptz,
    status     jsonb,           -- how it ended, as its shim said
    note       jsonb,           -- what its kind remembers of it
    PRIMARY KEY (run_id, cell, step, attempt, name)
);
CREATE INDEX action_open ON nightjar.action (run_id) WHERE state <> 'ended';

CREATE TABLE nightjar.node_result (
    run_id         uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    cell           integer NOT NULL,
    step           integer NOT NULL,
    attempt        integer NOT NULL,
    unique_id      text NOT NULL,
    resource_type  text,
    status         text NOT NULL,
    message        text,
    relation_name  text,
    execution_time double precision,
    failures       bigint,
    rows_affected  bigint,
    bytes_processed bigint,
    started_at     timestamptz,
    ended_at       timestamptz,
    PRIMARY KEY (run_id, cell, step, attempt, unique_id)
);

CREATE TABLE nightjar.source_freshness (
    run_id        uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    cell          integer NOT NULL,
    step          integer NOT NULL,
    attempt       integer NOT NULL,
    unique_id     text NOT NULL,
    status        text NOT NULL,
    max_loaded_at timestamptz,
    age_seconds   double precision,
    message       text,
    PRIMARY KEY (run_id, cell, step, attempt, unique_id)
);

CREATE TABLE nightjar.sync (
    id          uuid PRIMARY KEY,
    run_id      uuid REFERENCES nightjar.run ON DELETE CASCADE,
    cell        integer,
    step        integer,
    attempt     integer,
    environment text NOT NULL,
    database    text NOT NULL,
    state       text NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    detail      jsonb
);

CREATE TABLE nightjar.plan (
    run_id      uuid NOT NULL REFERENCES nightjar.run ON DELETE CASCADE,
    cell        integer NOT NULL,
    step        integer NOT NULL,
    attempt     integer NOT NULL,
    hash        text NOT NULL,
    changes     jsonb NOT NULL,
    made_at     timestamptz NOT NULL,
    decision    text,
    decided_by  text,
    decided_at  timestamptz,
    PRIMARY KEY (run_id, cell, step, attempt)
);

CREATE TABLE nightjar.check_transition (
    name        text NOT NULL,
    environment text NOT NULL,
    at          timestamptz NOT NULL,
    state       text NOT NULL,
    detail      text,
    PRIMARY KEY (name, environment, at)
);

CREATE TABLE nightjar.notification (
    id         uuid PRIMARY KEY,
    rule       integer NOT NULL,
    run_id     uuid REFERENCES nightjar.run ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    body       jsonb NOT NULL,
    sent_at    timestamptz,
    tries      integer NOT NULL DEFAULT 0,
    error      text
);
CREATE INDEX notification_unsent ON nightjar.notification (created_at) WHERE sent_at IS NULL;

-- Who did what over the socket.
CREATE TABLE nightjar.audit (
    id      uuid PRIMARY KEY,
    at      timestamptz NOT NULL,
    who     text NOT NULL,
    method  text NOT NULL,
    subject text,
    reason  text,
    granted boolean NOT NULL,
    answer  text
);
CREATE INDEX audit_by_time ON nightjar.audit (at DESC);

-- Evidence from a daemon that is not the leader that its own shims have ended.
CREATE TABLE nightjar.report (
    run_id  uuid NOT NULL,
    cell    integer NOT NULL,
    step    integer NOT NULL,
    attempt integer NOT NULL,
    action  text NOT NULL,
    machine uuid NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    status  jsonb NOT NULL,
    PRIMARY KEY (run_id, cell, step, attempt, action)
);

-- --- views for people, and for Metabase ---------------------------------------------------------

CREATE VIEW nightjar.run_history AS
SELECT r.job || '#' || r.number AS run, r.job, r.number, r.trigger, r.state, r.outcome, r.reason,
    r.scheduled_for, r.created_at, r.started_at, r.ended_at,
    r.started_at - r.scheduled_for AS late_by, r.ended_at - r.started_at AS took,
    (SELECT count(*) FROM nightjar.cell c WHERE c.run_id = r.id) AS cells,
    (SELECT count(*) FROM nightjar.cell c WHERE c.run_id = r.id
        AND c.state = 'ended' AND c.outcome <> 'ok'
        AND NOT (c.outcome = 'skipped' AND NOT coalesce(c.blocked, false))) AS cells_not_ok,
    o.job || '#' || o.number AS retry_of, r.commit, r.who, r.why, r.id
FROM nightjar.run r LEFT JOIN nightjar.run o ON o.id = r.retry_of;
COMMENT ON VIEW nightjar.run_history IS
    'One row a run: when it was due, how late it started, how long it took, how it ended.';

CREATE VIEW nightjar.cell_history AS
SELECT r.job || '#' || r.number || '/' || c.name AS cell, r.job, r.number, c.stage, c.name, c.matrix,
    c.matrix ->> 'environment' AS environment, c.state, c.outcome, c.reason, c.blocked,
    c.started_at, c.ended_at, c.ended_at - c.started_at AS took,
    (SELECT count(*) FROM nightjar.attempt a WHERE a.run_id = c.run_id AND a.cell = c.index) AS attempts,
    c.run_id, c.index
FROM nightjar.cell c JOIN nightjar.run r ON r.id = c.run_id;
COMMENT ON VIEW nightjar.cell_history IS
    'One row a cell of a run, with its place in the matrix and the number of attempts it took.';

CREATE VIEW nightjar.attempt_history AS
SELECT r.job || '#' || r.number || '/' || c.name || '/' || (c.steps -> a.step ->> 'name')
        || CASE WHEN a.number > 1 THEN '.' || a.number ELSE '' END AS attempt,
    r.job, r.number AS run_number, c.stage, c.name AS cell, c.steps -> a.step ->> 'name' AS step,
    c.steps -> a.step ->> 'kind' AS kind, a.number, a.state, a.counted, a.outcome, a.reason,
    a.exit_code, a.signal, a.started_at, a.ended_at, a.ended_at - a.started_at AS took,
    a.max_rss, a.cpu_ms, a.run_id
FROM nightjar.attempt a
JOIN nightjar.cell c ON c.run_id = a.run_id AND c.index = a.cell
JOIN nightjar.run r ON r.id = a.run_id;
COMMENT ON VIEW nightjar.attempt_history IS
    'One row a try of a step: how it ended and why, how long it took, its memory (bytes) and CPU (ms).';

CREATE VIEW nightjar.failures AS
SELECT * FROM nightjar.attempt_history
WHERE outcome IN ('failed', 'timed_out', 'transient', 'not_ready', 'interrupted', 'needs_person');
COMMENT ON VIEW nightjar.failures IS
    'The attempts that did not end well, with their reasons: what fails most, and where.';

CREATE VIEW nightjar.slowest_models AS
SELECT r.job, c.matrix ->> 'environment' AS environment, c.matrix ->> 'target' AS target,
    n.unique_id, n.resource_type, count(*) AS times,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY n.execution_time) AS median_seconds,
    max(n.execution_time) AS longest_seconds, max(n.ended_at) AS last_at
FROM nightjar.node_result n
JOIN nightjar.cell c ON c.run_id = n.run_id AND c.index = n.cell
JOIN nightjar.run r ON r.id = n.run_id
WHERE r.created_at > now() - interval '30 days'
GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW nightjar.slowest_models IS
    'dbt models and tests of the last 30 days by their median duration in seconds: order by it.';

CREATE VIEW nightjar.skipped_slots AS
SELECT job, scheduled_for, until, count, reason FROM nightjar.slot WHERE fate = 'skipped';
COMMENT ON VIEW nightjar.skipped_slots IS
    'Scheduled instants that became no run, and why; a flood of them is one row with a count.';
