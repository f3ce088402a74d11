-- name: record
-- Note that a job has read a secret; the same ciphertext is noted once.
INSERT INTO job_secret (workspace_id, job_id, path, sealed_value)
SELECT $1, $2, $3, $4
 WHERE NOT EXISTS (
       SELECT FROM job_secret WHERE workspace_id = $1 AND job_id = $2 AND path = $3 AND sealed_value = $4)

-- name: list_new
-- What the jobs have read besides the rows known already, and as whom; numbers may become visible out of order, so no
-- 'after'.
SELECT s.number, s.job_id, j.permissioned_as AS read_as, s.path, s.sealed_value
  FROM job_secret s
  LEFT JOIN job j ON j.workspace_id = s.workspace_id AND j.id = s.job_id
 WHERE s.workspace_id = $1 AND s.job_id = ANY ($2::uuid[]) AND s.number <> ALL ($3::bigint[])
 ORDER BY s.number

-- name: delete_of_ended_jobs
-- Forget what is left of jobs that are in the queue no more; the hour spares logs still being flushed.
DELETE FROM job_secret s
 WHERE s.created_at < now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM job_queue q WHERE q.workspace_id = s.workspace_id AND q.job_id = s.job_id)
