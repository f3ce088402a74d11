-- name: flow_of
-- Whose directory the steps of flow job $2 share: its own, or that of the outermost of the flows around it that share one
-- without a break. And how that flow wants it kept.
WITH RECURSIVE enclosing AS (
    SELECT id, parent_job, flow_step_id, flow_version, raw_flow, 0 AS height FROM job WHERE workspace_id = $1 AND id = $2
     UNION ALL
    SELECT j.id, j.parent_job, j.flow_step_id, j.flow_version, j.raw_flow, e.height + 1
      FROM enclosing e
      JOIN job j ON j.workspace_id = $1 AND j.id = e.parent_job
      LEFT JOIN flow_version v ON v.workspace_id = $1 AND v.id = j.flow_version
     WHERE e.flow_step_id IS NOT NULL AND e.height < 500
       AND (j.same_worker OR coalesce(j.raw_flow, v.value) ->> 'same_worker' = 'true')
)
SELECT e.id, coalesce(e.raw_flow, v.value) -> 'shared_directory' AS settings
  FROM enclosing e
  LEFT JOIN flow_version v ON v.workspace_id = $1 AND v.id = e.flow_version
 ORDER BY e.height DESC
 LIMIT 1

-- name: hold
-- Worker $3 makes the directory of a flow, unless one holds it already: who holds it, and whether that is new.
INSERT INTO shared_directory (workspace_id, flow_job, held_by) VALUES ($1, $2, $3)
ON CONFLICT (workspace_id, flow_job) DO UPDATE SET held_by = shared_directory.held_by
RETURNING held_by, made_at = now() AS is_new

-- name: let_go
-- A worker has removed the directory of a flow that has ended.
DELETE FROM shared_directory WHERE workspace_id = $1 AND flow_job = $2 AND held_by = $3

-- name: delete_ended
-- Forget up to $1 directories of flows that ended long ago: those that held them were lost, or they would be forgotten.
DELETE FROM shared_directory
 WHERE (workspace_id, flow_job) IN (
    SELECT d.workspace_id, d.flow_job
      FROM shared_directory d
      JOIN job_completed c ON c.workspace_id = d.workspace_id AND c.job_id = d.flow_job
     WHERE c.completed_at < now() - make_interval(days => $2)
     LIMIT $1)

-- name: list_kept
-- Those of some flow jobs whose directories are still needed: the flow is in the queue, or asked for more time after its end.
SELECT q.workspace_id, q.job_id
  FROM unnest($1::text[], $2::uuid[]) AS g (workspace_id, job_id)
  JOIN job_queue q ON q.workspace_id = g.workspace_id AND q.job_id = g.job_id
 UNION ALL
SELECT c.workspace_id, c.job_id
  FROM unnest($1::text[], $2::uuid[]) AS g (workspace_id, job_id)
  JOIN job_completed c ON c.workspace_id = g.workspace_id AND c.job_id = g.job_id
  JOIN job j ON j.workspace_id = c.workspace_id AND j.id = c.job_id
  LEFT JOIN flow_version v ON v.workspace_id = j.workspace_id AND v.id = j.flow_version
 WHERE c.completed_at + make_interval(secs =>
           (coalesce(j.raw_flow, v.value) -> 'shared_directory' ->> 'retain_secs')::double precision) > now()
