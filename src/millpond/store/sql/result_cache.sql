-- name: find
-- A result that may be used again.
SELECT result, job_id, created_at FROM result_cache WHERE workspace_id = $1 AND key = $2 AND expires_at > now()

-- name: keep
-- The newest result for a key.
INSERT INTO result_cache (workspace_id, key, result, path, permissioned_as, job_id, created_at, expires_at)
SELECT $1, $2, $3::json, $4, $5, $6, clock_timestamp(), clock_timestamp() + make_interval(secs => $7)
    ON CONFLICT (workspace_id, key) DO UPDATE
   SET result = excluded.result, path = excluded.path, permissioned_as = excluded.permissioned_as, job_id = excluded.job_id,
       created_at = excluded.created_at, expires_at = excluded.expires_at

-- name: note_flow_key
-- A flow begins: under which key its result is to be kept.
UPDATE flow_status SET cache_key = $3 WHERE workspace_id = $1 AND job_id = $2

-- name: get_flow_key
-- A flow ends: under which key its result is to be kept.
SELECT cache_key FROM flow_status WHERE workspace_id = $1 AND job_id = $2

-- name: delete_expired
-- A batch of what is too old, for maintenance.
DELETE FROM result_cache
 WHERE (workspace_id, key) IN (
       SELECT workspace_id, key FROM result_cache WHERE expires_at <= now() ORDER BY expires_at LIMIT $1)
