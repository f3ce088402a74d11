-- name: record
-- Note that a job has read a secret; the same ciphertext is noted once.
INSERT INTO job_secret (workspace_id, job_id, path, sealed_value)
SELECT $1, $2, $3, $4
 WHERE NOT EXISTS (
       SELECT FROM job_secret WHERE workspace_id = $1 AND job_id = $2 AND path = $3 AND sealed_value = $4)

-- name: list_new
-- What jobs that print, and those above them, have read, besides what is known of each already ($3, $4); numbers may
-- become visible out of order, so no 'after'. Anyone may name any job they can see as the parent or root of their own: the
-- way up goes on only where a flow started its step, or where that job itself, or whom it runs as, started this one.
WITH RECURSIVE line AS (
    SELECT g.id AS printer, g.id FROM unnest($2::uuid[]) AS g (id)
     UNION
    SELECT l.printer, above.id
      FROM line l
      JOIN job j ON j.workspace_id = $1 AND j.id = l.id
     CROSS JOIN LATERAL (VALUES (j.parent_job), (CASE WHEN j.step_attempt IS NULL THEN j.root_job END)) AS above (id)
      LEFT JOIN job a ON a.workspace_id = $1 AND a.id = above.id
     WHERE above.id IS NOT NULL
       AND (j.step_attempt IS NOT NULL OR a.permissioned_as IN ('u/' || j.created_by, j.permissioned_as))
)
SELECT l.printer, s.number, s.path, s.sealed_value
  FROM line l
  JOIN job_secret s ON s.workspace_id = $1 AND s.job_id = l.id
 WHERE NOT EXISTS (SELECT FROM unnest($3::uuid[], $4::bigint[]) AS k (printer, number)
                    WHERE k.printer = l.printer AND k.number = s.number)
 ORDER BY s.number

-- name: delete_of_ended_jobs
-- Forget what is left of jobs that are in the queue no more; the hour spares logs still being flushed.
DELETE FROM job_secret s
 WHERE s.created_at < now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM job_queue q WHERE q.workspace_id = s.workspace_id AND q.job_id = s.job_id)
