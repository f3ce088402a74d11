-- name: marked_jobs
-- Jobs of a run that are to be forgotten: the root itself, and its steps. A flow that a script started shares its `root_job`
-- with all that script started: only what leads up to the flow itself, step by step, is of this run.
WITH RECURSIVE near AS MATERIALIZED (
    SELECT j.id, j.delete_after_s, j.created_at, j.parent_job, j.flow_step_id
      FROM job j
     WHERE j.workspace_id = $1 AND j.delete_after_s IS NOT NULL
       AND j.root_job = (SELECT coalesce(r.root_job, r.id) FROM job r WHERE r.workspace_id = $1 AND r.id = $2)
), line AS (
    SELECT id AS marked, parent_job, 0 AS depth FROM near WHERE flow_step_id IS NOT NULL
     UNION ALL
    SELECT l.marked, p.parent_job, l.depth + 1
      FROM line l JOIN job p ON p.workspace_id = $1 AND p.id = l.parent_job
     WHERE l.parent_job <> $2 AND p.flow_step_id IS NOT NULL AND l.depth < 500
), marked AS (
    SELECT n.id, n.delete_after_s, n.created_at FROM near n JOIN line l ON l.marked = n.id WHERE l.parent_job = $2
     UNION ALL
    SELECT j.id, j.delete_after_s, j.created_at FROM job j WHERE j.workspace_id = $1 AND j.id = $2 AND j.delete_after_s IS NOT NULL
)
SELECT id, delete_after_s FROM marked ORDER BY created_at, id

-- name: schedule
-- When jobs are to be forgotten; one that was named before keeps the earlier time.
INSERT INTO job_deletion (workspace_id, job_id, due_at)
SELECT $1, g.job_id, now() + make_interval(secs => g.after_secs)
  FROM unnest($2::uuid[], $3::double precision[]) AS g (job_id, after_secs)
    ON CONFLICT (workspace_id, job_id) DO UPDATE SET due_at = least(job_deletion.due_at, excluded.due_at)

-- name: lock_due
-- Up to $1 jobs whose time has come, held; two leaders do not take the same.
SELECT workspace_id, job_id FROM job_deletion WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: trees_of
-- Jobs with all that lies below them, and whether each has ended and still holds something.
WITH RECURSIVE tree AS (
    SELECT g.job_id AS top, g.job_id AS id, 0 AS depth FROM unnest($2::uuid[]) AS g (job_id)
     UNION ALL
    SELECT t.top, j.id, t.depth + 1
      FROM tree t JOIN job j ON j.workspace_id = $1 AND j.parent_job = t.id AND j.flow_step_id IS NOT NULL
     WHERE t.depth < 500
)
SELECT t.top, t.id, q.job_id IS NULL AS ended
  FROM tree t
  LEFT JOIN job_queue q ON q.workspace_id = $1 AND q.job_id = t.id

-- name: wipe_jobs
-- Forget what jobs that have ended were given, returned and printed; that they ran stays.
WITH wiped AS (
    UPDATE job_completed SET deleted = true, result = '{}', labels = NULL
     WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[]) AND NOT deleted
    RETURNING job_id
), forgotten AS (
    DELETE FROM job_log WHERE workspace_id = $1 AND job_id IN (SELECT job_id FROM wiped)
)
UPDATE job SET args = '{}' WHERE workspace_id = $1 AND id IN (SELECT job_id FROM wiped)

-- name: forget_results_of
-- Copies of their results.
DELETE FROM result_cache WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[])

-- name: flow_statuses
-- Where flows among them stood.
SELECT job_id, status FROM flow_status WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[])

-- name: wipe_flow_status
-- The steps stay, with no values in them. No turn writes the status of a flow that ended.
UPDATE flow_status SET status = $3::json, args = NULL, early_result = NULL WHERE workspace_id = $1 AND job_id = $2

-- name: forget_items
-- What loops went over.
DELETE FROM flow_item WHERE workspace_id = $1 AND flow_job = ANY ($2::uuid[])

-- name: forget_messages
-- What reached flows and was not read.
DELETE FROM flow_inbox WHERE workspace_id = $1 AND flow_job = ANY ($2::uuid[])

-- name: forget_user_states
-- What steps told each other.
DELETE FROM flow_user_state WHERE workspace_id = $1 AND flow_job = ANY ($2::uuid[])

-- name: wipe_approvals
-- Who approved stays, what they wrote does not.
UPDATE flow_approval SET payload = 'null' WHERE workspace_id = $1 AND flow_job = ANY ($2::uuid[])

-- name: unschedule
-- Done.
DELETE FROM job_deletion WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[])

-- name: postpone
-- Something of it still runs: look again later.
UPDATE job_deletion SET due_at = now() + make_interval(secs => $3) WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[])
