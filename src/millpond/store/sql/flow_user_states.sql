-- name: get_value
-- What is kept under one key.
SELECT value FROM flow_user_state WHERE workspace_id = $1 AND flow_job = $2 AND key = $3

-- name: list_values
-- All keys of a flow.
SELECT key, value FROM flow_user_state WHERE workspace_id = $1 AND flow_job = $2 ORDER BY key

-- name: set_value
-- Keep a value, only while the flow has not ended. A key share lock: the flow's turns go on, its end waits for the commit.
WITH lasting AS (
    SELECT job_id FROM job_queue WHERE workspace_id = $1 AND job_id = $2 FOR KEY SHARE
)
INSERT INTO flow_user_state (workspace_id, flow_job, key, value)
SELECT $1, job_id, $3, $4::json FROM lasting
ON CONFLICT (workspace_id, flow_job, key) DO UPDATE SET value = excluded.value, updated_at = now()

-- name: hold_flow
-- Keep a flow from ending until the commit; no row: it has ended.
SELECT true FROM job_queue WHERE workspace_id = $1 AND job_id = $2 FOR KEY SHARE

-- name: ensure_key
-- A row to lock, for two who raise a new counter at once.
INSERT INTO flow_user_state (workspace_id, flow_job, key, value) VALUES ($1, $2, $3, '0') ON CONFLICT DO NOTHING

-- name: lock_value
-- What is kept under one key, which nobody else changes until the commit.
SELECT value FROM flow_user_state WHERE workspace_id = $1 AND flow_job = $2 AND key = $3 FOR UPDATE

-- name: delete_value
-- Forget a key.
DELETE FROM flow_user_state WHERE workspace_id = $1 AND flow_job = $2 AND key = $3

-- name: copy_values
-- A run that is restarted from another keeps what that one's steps told each other.
INSERT INTO flow_user_state (workspace_id, flow_job, key, value)
SELECT workspace_id, $3, key, value FROM flow_user_state WHERE workspace_id = $1 AND flow_job = $2
