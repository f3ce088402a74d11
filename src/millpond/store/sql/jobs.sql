-- name: get_job
-- One job with where it stands; args and result as carried.
SELECT j.workspace_id, j.id, j.kind, j.runnable_path, j.script_hash, j.language, j.raw_code, j.raw_lock, j.args, j.tag, j.priority,
       j.timeout_s, j.parent_job, j.root_job, j.flow_step_id, j.created_by, j.permissioned_as, j.email, j.trigger_kind,
       j.schedule_path, j.visible_to_owner, j.same_worker, j.scheduled_for, j.created_at,
       q.state, q.percent,
       c.status, c.result, c.completed_at, c.duration_ms, c.memory_peak_bytes, c.labels, c.deleted,
       coalesce(c.started_at, q.started_at) AS started_at, coalesce(c.canceled_by, q.canceled_by) AS canceled_by,
       coalesce(c.canceled_reason, q.canceled_reason) AS canceled_reason, coalesce(c.worker_id, q.worker_id) AS worker_id,
       coalesce(c.sandbox, q.sandbox) AS sandbox
  FROM job j
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.id = $2

-- name: get_lineage
-- What decides who may see a job: the job itself, then the jobs it was started by, nearest first. A chosen root counts
-- as the next one up where no parent is named.
WITH RECURSIVE line AS (
    SELECT id, created_by, runnable_path, visible_to_owner, kind, script_hash, step_attempt IS NOT NULL AS is_step,
           coalesce(parent_job, root_job) AS above, 0 AS depth
      FROM job WHERE workspace_id = $1 AND id = $2
     UNION ALL
    SELECT j.id, j.created_by, j.runnable_path, j.visible_to_owner, j.kind, j.script_hash, j.step_attempt IS NOT NULL,
           coalesce(j.parent_job, j.root_job), l.depth + 1
      FROM line l JOIN job j ON j.workspace_id = $1 AND j.id = l.above WHERE l.depth < 500
)
SELECT id, created_by, runnable_path, visible_to_owner, kind, script_hash, is_step FROM line ORDER BY depth

-- name: get_progress
-- Where a job stands, small enough to be asked often.
SELECT j.kind, q.state, q.started_at, q.percent, c.status, q.started_at IS NOT NULL OR c.started_at IS NOT NULL AS started, c.memory_peak_bytes
  FROM job j
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.id = $2

-- name: get_result
-- How a completed job ended.
SELECT status, result, started_at, duration_ms, deleted FROM job_completed WHERE workspace_id = $1 AND job_id = $2

-- name: get_answer
-- How a job ended; of a flow that answers early, that answer, whatever came of it since.
WITH early AS (
    SELECT 'success' AS status, s.early_result AS result, c.started_at, coalesce(c.duration_ms, 0) AS duration_ms, false AS deleted
      FROM flow_status s
      LEFT JOIN job_completed c ON c.workspace_id = s.workspace_id AND c.job_id = s.job_id
     WHERE s.workspace_id = $1 AND s.job_id = $2 AND s.early_result IS NOT NULL
)
SELECT status, result, started_at, duration_ms, deleted FROM early
 UNION ALL
SELECT status, result, started_at, duration_ms, deleted
  FROM job_completed WHERE workspace_id = $1 AND job_id = $2 AND NOT EXISTS (SELECT FROM early)

-- name: get_args
-- The arguments as they were given.
SELECT args FROM job WHERE workspace_id = $1 AND id = $2

-- name: set_percent
-- Progress of a running job, 0 to 99.
UPDATE job_queue SET percent = $3 WHERE workspace_id = $1 AND job_id = $2 AND state = 'running'

-- name: read_log
-- Chunks of one kind that reach beyond a character.
SELECT chunk, start_character, content
  FROM job_log
 WHERE workspace_id = $1 AND job_id = $2 AND kind = $3 AND chunk >= $4 AND start_character + length(content) > $5
 ORDER BY chunk

-- name: read_log_tail
-- The last chunks, enough for $3 characters: newest first.
SELECT chunk, start_character, content
  FROM job_log
 WHERE workspace_id = $1 AND job_id = $2 AND kind = 'log'
   AND start_character + length(content) > (
       SELECT coalesce(max(start_character + length(content)), 0) - $3::bigint
         FROM job_log WHERE workspace_id = $1 AND job_id = $2 AND kind = 'log')
 ORDER BY chunk

-- name: read_tree_logs
-- The logs of a job and of up to $3 jobs below it.
WITH RECURSIVE tree AS (
    SELECT id, 0 AS depth FROM job WHERE workspace_id = $1 AND id = $2
     UNION ALL
    SELECT j.id, t.depth + 1 FROM job j JOIN tree t ON j.parent_job = t.id WHERE j.workspace_id = $1 AND t.depth < 500
), first AS (
    SELECT id FROM tree ORDER BY id LIMIT $3
)
SELECT l.content FROM first f JOIN job_log l ON l.workspace_id = $1 AND l.job_id = f.id AND l.kind = 'log' ORDER BY f.id, l.chunk

-- name: list_queued
-- Jobs that wait or run; the clauses of the filters follow. $1 workspace, $2 whether to carry args.
SELECT j.workspace_id, j.id, j.kind, j.runnable_path, j.script_hash, j.language, j.tag, j.priority, j.timeout_s, j.parent_job, j.root_job,
       j.flow_step_id, j.created_by, j.permissioned_as, j.email, j.trigger_kind, j.schedule_path, j.visible_to_owner, j.same_worker,
       q.scheduled_for, j.created_at, CASE WHEN $2 THEN j.args END AS args,
       q.state, q.percent, NULL::text AS status, NULL::json AS result, NULL::timestamptz AS completed_at, NULL::bigint AS duration_ms,
       NULL::bigint AS memory_peak_bytes, NULL::text[] AS labels, NULL::boolean AS deleted, q.started_at, q.canceled_by,
       q.canceled_reason, q.worker_id, q.sandbox
  FROM job_queue q
  JOIN job j ON j.workspace_id = q.workspace_id AND j.id = q.job_id
 WHERE q.workspace_id = $1

-- name: list_completed
-- Jobs that ended; the clauses of the filters follow. $1 workspace, $2 whether to carry args and result.
SELECT j.workspace_id, j.id, j.kind, j.runnable_path, j.script_hash, j.language, j.tag, j.priority, j.timeout_s, j.parent_job, j.root_job,
       j.flow_step_id, j.created_by, j.permissioned_as, j.email, j.trigger_kind, j.schedule_path, j.visible_to_owner, j.same_worker,
       j.scheduled_for, j.created_at, CASE WHEN $2 THEN j.args END AS args,
       NULL::text AS state, NULL::smallint AS percent, c.status, CASE WHEN $2 THEN c.result END AS result, c.completed_at, c.duration_ms,
       c.memory_peak_bytes, c.labels, c.deleted, c.started_at, c.canceled_by, c.canceled_reason, c.worker_id, c.sandbox
  FROM job j
  JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1

-- name: filter_visible
-- What the actor started, or what runs at a path it may see.
AND (j.created_by = $? OR (j.visible_to_owner AND (split_part(j.runnable_path, '/', 1) || '/' || split_part(j.runnable_path, '/', 2) = ANY ($?::text[])
     OR (starts_with(j.runnable_path, 'f/') AND split_part(j.runnable_path, '/', 2) = ANY ($?::text[])))))

-- name: filter_created_by
-- Who started it.
AND j.created_by = $?

-- name: filter_parent_job
-- Whose child it is.
AND j.parent_job = $?

-- name: filter_script_path_exact
-- What it runs.
AND j.runnable_path = $?

-- name: filter_script_path_start
-- Where what it runs lies.
AND starts_with(j.runnable_path, $?)

-- name: filter_schedule_path
-- The schedule that started it.
AND j.schedule_path = $?

-- name: filter_script_hash
-- The version it runs.
AND j.script_hash = $?

-- name: filter_created_before
-- Made before.
AND j.created_at < $?

-- name: filter_created_after
-- Made after.
AND j.created_at > $?

-- name: filter_job_kinds
-- One of several kinds.
AND j.kind = ANY ($?::text[])

-- name: filter_args
-- Arguments holding this JSON. What is valid JSON but no jsonb (NUL, numbers beyond numeric) matches nothing.
AND CASE WHEN j.args::text ~ '\\u0000|[eE]\+?\d{4}' THEN false ELSE j.args::text::jsonb @> $?::jsonb END

-- name: filter_tag
-- Its tag.
AND j.tag = $?

-- name: filter_trigger_kind
-- What triggered it.
AND j.trigger_kind = $?

-- name: filter_is_flow_step
-- Whether a flow started it.
AND (j.flow_step_id IS NOT NULL) = $?

-- name: filter_has_null_parent
-- Whether nothing started it.
AND (j.parent_job IS NULL) = $?

-- name: filter_before_id
-- Keyset paging, newest first: what comes after that job in the list.
AND (j.created_at, j.id) < (SELECT b.created_at, b.id FROM job b WHERE b.workspace_id = $1 AND b.id = $?)

-- name: filter_after_id
-- Keyset paging, oldest first.
AND (j.created_at, j.id) > (SELECT b.created_at, b.id FROM job b WHERE b.workspace_id = $1 AND b.id = $?)

-- name: filter_is_not_schedule
-- Whether something else than a schedule started it.
AND (j.schedule_path IS NULL) = $?

-- name: filter_queued_started_before
-- Began before, while running.
AND q.started_at < $?

-- name: filter_queued_started_after
-- Began after, while running.
AND q.started_at > $?

-- name: filter_queued_worker
-- On which worker it runs.
AND q.worker_id::text = $?

-- name: filter_running
-- Whether it runs.
AND (q.state = 'running') = $?

-- name: filter_scheduled_for_before_now
-- Whether it is due.
AND (q.scheduled_for <= now()) = $?

-- name: filter_started_before
-- Began before.
AND c.started_at < $?

-- name: filter_started_after
-- Began after.
AND c.started_at > $?

-- name: filter_completed_before
-- Ended before.
AND c.completed_at < $?

-- name: filter_completed_after
-- Ended after.
AND c.completed_at > $?

-- name: filter_worker
-- On which worker it ran.
AND c.worker_id::text = $?

-- name: filter_statuses
-- How it ended.
AND c.status = ANY ($?::text[])

-- name: filter_labels
-- Labels it has.
AND c.labels @> $?::text[]

-- name: filter_result
-- A result holding this JSON; what is no jsonb matches nothing.
AND CASE WHEN c.result::text ~ '\\u0000|[eE]\+?\d{4}' THEN false ELSE c.result::text::jsonb @> $?::jsonb END

-- name: newest_first
-- The order of lists; follows the filters.
ORDER BY j.created_at DESC, j.id DESC LIMIT $? OFFSET $?

-- name: oldest_first
-- The other order of lists.
ORDER BY j.created_at, j.id LIMIT $? OFFSET $?

-- name: count_queued
-- How much waits and is due.
SELECT count(*) FROM job_queue WHERE workspace_id = $1 AND state = 'queued' AND scheduled_for <= now()

-- name: count_completed
-- How much has ended within the last $2 seconds, or at all.
SELECT count(*) FROM job_completed
 WHERE workspace_id = $1 AND ($2::double precision IS NULL OR completed_at > now() - make_interval(secs => $2)) AND ($3::text[] IS NULL OR status = ANY ($3))

-- name: queue_position
-- How many due jobs stand before an instant.
SELECT count(*) FROM job_queue WHERE workspace_id = $1 AND state = 'queued' AND scheduled_for < to_timestamp($2::double precision / 1000)

-- name: queued_scheduled_for
-- When a waiting job is due.
SELECT scheduled_for FROM job_queue WHERE workspace_id = $1 AND job_id = $2

-- name: wipe_completed
-- Forget what a job was given, returned and printed; that it ran stays.
WITH wiped AS (
    UPDATE job_completed SET deleted = true, result = NULL, labels = NULL WHERE workspace_id = $1 AND job_id = $2 RETURNING job_id
), forgotten AS (
    DELETE FROM job_log WHERE workspace_id = $1 AND job_id IN (SELECT job_id FROM wiped)
)
UPDATE job SET args = '{}' WHERE workspace_id = $1 AND id IN (SELECT job_id FROM wiped)

-- name: database_clock
-- Milliseconds since 1970, by the database.
SELECT (extract(epoch FROM now()) * 1000)::bigint

-- name: now
-- The instant, by the database.
SELECT now()

-- name: worker_is_draining
-- Whether the worker that runs a job is about to stop.
SELECT w.draining FROM job_queue q JOIN worker w ON w.id = q.worker_id WHERE q.workspace_id = $1 AND q.job_id = $2
