-- Migration 2: what removing old history looks up: the rows below a run that goes, the slots by
-- time, the definitions that nothing uses any more.
CREATE INDEX run_by_definition ON nightjar.run (definition);
CREATE INDEX slot_by_time ON nightjar.slot (scheduled_for);
CREATE INDEX sync_by_run ON nightjar.sync (run_id);
CREATE INDEX notification_by_run ON nightjar.notification (run_id);
