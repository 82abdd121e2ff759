-- Migration 1: the schema nightjar. Forward only; daemon/pg/migrate.c runs what is missing.
CREATE SCHEMA IF NOT EXISTS nightjar;

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
