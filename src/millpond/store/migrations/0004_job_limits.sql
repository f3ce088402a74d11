-- What limits runs beside time and size: how many at once, results used again, and what is forgotten after use.

-- A job that waits for a permit of its concurrency key lies in the queue with a later `scheduled_for`; `waits_since` is when
-- it was due, by which waiters take their turns. One that was woken has both the same.
ALTER TABLE job_queue
    ADD COLUMN concurrency_key text,
    ADD COLUMN waits_since     timestamptz;
-- Serves lock_waiters and wake_next.
CREATE INDEX job_queue_lock_waiters ON job_queue (workspace_id, concurrency_key, priority DESC, waits_since, job_id)
 WHERE state = 'queued' AND waits_since IS NOT NULL;
-- Serves park_due.
CREATE INDEX job_queue_park_due ON job_queue (workspace_id, concurrency_key, scheduled_for)
 WHERE state = 'queued' AND concurrency_key IS NOT NULL;

-- Runs that hold a permit of a key, or held it within the window. Whether one still runs is told by job_queue alone, so
-- that no crash leaves a permit taken for ever.
CREATE TABLE concurrency_run (
    workspace_id text NOT NULL,
    key          text NOT NULL,
    job_id       uuid NOT NULL,
    started_at   timestamptz NOT NULL,
    keep_until   timestamptz,
    PRIMARY KEY (workspace_id, key, job_id)
);

-- Results of successful runs, used again for equal ones. The key is a digest: resolved arguments may hold secrets.
CREATE TABLE result_cache (
    workspace_id    text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    key             bytea NOT NULL,
    result          json NOT NULL,
    path            text,
    permissioned_as text NOT NULL,
    job_id          uuid NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
-- Serves delete_expired.
CREATE INDEX result_cache_delete_expired ON result_cache (expires_at);
-- Serves forget_results_of.
CREATE INDEX result_cache_forget_results_of ON result_cache (workspace_id, job_id);

-- Under which key the result of a flow is to be kept: what its arguments referred to when it began.
ALTER TABLE flow_status ADD COLUMN cache_key bytea;

-- Jobs whose arguments, result and log are to be forgotten, and when.
CREATE TABLE job_deletion (
    workspace_id text NOT NULL,
    job_id       uuid NOT NULL,
    due_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, job_id)
);
-- Serves lock_due.
CREATE INDEX job_deletion_lock_due ON job_deletion (due_at);
-- Serves marked_jobs: few jobs are to be forgotten.
CREATE INDEX job_marked_jobs ON job (workspace_id, root_job) WHERE delete_after_s IS NOT NULL;
