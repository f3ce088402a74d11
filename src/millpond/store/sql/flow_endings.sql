-- name: read_statuses
-- Where some flows stand, of those that have begun.
SELECT job_id, status FROM flow_status WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[]) AND status IS NOT NULL

-- name: write_statuses
-- Flows that were ended outside of their turns; a turn worked out before changes nothing.
UPDATE flow_status s SET version = s.version + 1, status = g.status::json
  FROM unnest($2::uuid[], $3::text[]) AS g (job_id, status)
 WHERE s.workspace_id = $1 AND s.job_id = g.job_id

-- name: lock_below
-- Hold the flows that flows have started, themselves or through scripts, as far as their cancellation reaches: not what
-- is below other flows, which end that themselves.
WITH RECURSIVE tree AS (
    SELECT j.id, j.kind, 0 AS depth FROM job j WHERE j.workspace_id = $1 AND j.parent_job = ANY ($2::uuid[])
     UNION ALL
    SELECT j.id, j.kind, t.depth + 1
      FROM job j JOIN tree t ON j.parent_job = t.id
     WHERE j.workspace_id = $1 AND t.depth < 500 AND t.kind NOT IN ('flow', 'flowpreview', 'flownode')
)
SELECT s.job_id
  FROM flow_status s
 WHERE s.workspace_id = $1 AND s.job_id IN (
       SELECT t.id FROM tree t JOIN job_queue q ON q.workspace_id = $1 AND q.job_id = t.id)
 ORDER BY s.job_id
   FOR UPDATE OF s
