-- name: get_run
-- A flow job, where it stands, and what has been said to it, all of one instant.
SELECT j.workspace_id, j.id, j.kind, j.runnable_path, j.args, j.tag, j.priority, j.timeout_s, j.parent_job, j.root_job, j.flow_step_id,
       j.created_by, j.permissioned_as, j.email, j.trigger_kind, j.schedule_path, j.visible_to_owner, j.scheduled_for, j.flow_version,
       j.raw_flow, j.flow_path, j.step_place, j.step_attempt, j.step_index, j.flow_branch, j.depth, j.same_worker, j.is_test, j.cache_ttl_s,
       j.delete_after_s, j.concurrency_key, j.concurrent_limit, j.concurrency_window_s, j.entrypoint,
       s.version, s.status, s.args AS replaced_args, s.wake_at, s.wake_at <= now() AS is_due,
       q.started_at + make_interval(secs => j.timeout_s) <= now() AS is_late, q.job_id IS NOT NULL AS is_live, q.started_at,
       q.pinned_to,
       ARRAY (SELECT i.event::text FROM flow_inbox i WHERE i.workspace_id = j.workspace_id AND i.flow_job = j.id ORDER BY i.number)
         AS messages
  FROM job j
  JOIN flow_status s ON s.workspace_id = j.workspace_id AND s.job_id = j.id
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
 WHERE j.workspace_id = $1 AND j.id = $2

-- name: advance_runs
-- Store where flows stand, each only when nothing happened to it since version $3; what was said to them is consumed.
-- $7 seconds until the flow wakes, null for never; $8 leaves the time as it is. The ids that were stored come back.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::boolean[])
    AS g (workspace_id, job_id, version, status, args, early_result, wake_secs, keeps_wake)
), moved AS (
    UPDATE flow_status s
       SET version = s.version + 1, status = g.status::json, args = coalesce(g.args::json, s.args),
           early_result = coalesce(g.early_result::json, s.early_result),
           wake_at = CASE WHEN g.keeps_wake THEN s.wake_at ELSE now() + make_interval(secs => g.wake_secs) END
      FROM given g
     WHERE s.workspace_id = g.workspace_id AND s.job_id = g.job_id AND s.version = g.version
    RETURNING s.workspace_id, s.job_id
), consumed AS (
    DELETE FROM flow_inbox i USING moved m WHERE i.workspace_id = m.workspace_id AND i.flow_job = m.job_id
)
SELECT job_id FROM moved

-- name: lock_runs
-- Hold flows in the order of their ids, so that neither of two turns waits for the other in a circle.
SELECT job_id FROM flow_status WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[]) ORDER BY job_id FOR UPDATE

-- name: settle_runs
-- Flows wait from here on: for what will be said to them, or for the time they wake or have taken too
-- long; those with a pin, on one worker.
WITH settled AS (
    UPDATE job_queue q
       SET state = CASE WHEN coalesce(s.wake_at, d.deadline) IS NULL THEN 'waiting' ELSE 'queued' END,
           scheduled_for = coalesce(least(s.wake_at, d.deadline), q.scheduled_for), worker_id = NULL, lease_token = NULL,
           started_at = coalesce(q.started_at, now()), rescues = 0, pinned_to = coalesce(q.pinned_to, d.pin)
      FROM (SELECT g.job_id, g.pin,
                   -- One that is being cancelled waits for its steps only.
                   CASE WHEN o.status ->> 'phase' <> 'canceling'
                        THEN coalesce(w.started_at, now()) + make_interval(secs => j.timeout_s) END AS deadline
              FROM unnest($2::uuid[], $3::text[]) AS g (job_id, pin)
              JOIN job j ON j.workspace_id = $1 AND j.id = g.job_id
              JOIN flow_status o ON o.workspace_id = $1 AND o.job_id = g.job_id
              JOIN job_queue w ON w.workspace_id = $1 AND w.job_id = g.job_id) AS d
      JOIN flow_status s ON s.workspace_id = $1 AND s.job_id = d.job_id
     WHERE q.workspace_id = $1 AND q.job_id = d.job_id
    RETURNING q.state
)
SELECT pg_notify('millpond_queue', 'flow') FROM settled WHERE state = 'queued' LIMIT 1

-- name: finish_runs
-- Flows end: they leave the queue, and what only their turns needed goes.
WITH given AS (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS g (job_id, status, result, labels, canceled_by, canceled_reason)
), gone AS (
    DELETE FROM job_queue q USING given g WHERE q.workspace_id = $1 AND q.job_id = g.job_id RETURNING q.job_id, q.started_at
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms, labels, canceled_by, canceled_reason)
    SELECT $1, g.job_id, g.status, g.result::json, d.started_at,
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - d.started_at), 0) * 1000)::bigint,
           string_to_array(g.labels, E'\x1f'), g.canceled_by, g.canceled_reason
      FROM gone d JOIN given g USING (job_id)
    RETURNING job_id
), items AS (
    DELETE FROM flow_item i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), messages AS (
    DELETE FROM flow_inbox i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), told AS MATERIALIZED (
    SELECT pg_notify('millpond_completed', string_agg(job_id::text, ',')) FROM done HAVING count(*) > 0
)
SELECT d.job_id FROM done d LEFT JOIN told ON true

-- name: label_finished
-- Flows that ended in the turn they began in.
UPDATE job_completed SET labels = string_to_array($3, E'\x1f') WHERE workspace_id = $1 AND job_id = $2

-- name: tell_early
-- Those who wait for flows look again: an early result is there.
SELECT pg_notify('millpond_completed', string_agg(id::text, ',')) FROM unnest($1::uuid[]) AS i (id)

-- name: touch_run
-- Something is about to be said to a flow: turns worked out before change nothing. No row when it is no flow.
UPDATE flow_status SET version = version + 1 WHERE workspace_id = $1 AND job_id = $2 RETURNING job_id

-- name: post_messages
-- Say things to a flow, and have a worker look; false when it has ended. One that has not begun hears them when it does.
WITH live AS (
    SELECT job_id FROM job_queue WHERE workspace_id = $1 AND job_id = $2
), posted AS (
    INSERT INTO flow_inbox (workspace_id, flow_job, event)
    SELECT $1, $2, e.event::json FROM live, unnest($3::text[]) WITH ORDINALITY AS e (event, place) ORDER BY e.place
), woken AS (
    UPDATE job_queue SET state = 'queued', scheduled_for = now()
     WHERE workspace_id = $1 AND job_id = $2 AND state <> 'running' AND started_at IS NOT NULL
    RETURNING job_id
), told AS MATERIALIZED (
    SELECT pg_notify('millpond_queue', 'flow') FROM woken
)
SELECT EXISTS (SELECT FROM live) FROM (SELECT count(*) FROM told) AS t

-- name: keep_items
-- What a loop goes over.
INSERT INTO flow_item (workspace_id, flow_job, module, attempt, number, item)
SELECT $1, $2, $3, $4, i.place - 1, i.item::json FROM unnest($5::text[]) WITH ORDINALITY AS i (item, place)

-- name: get_items
-- Some of them, in order.
SELECT item FROM flow_item
 WHERE workspace_id = $1 AND flow_job = $2 AND module = $3 AND attempt = $4 AND number >= $5 AND number < $5 + $6
 ORDER BY number

-- name: get_child
-- The only child of an attempt of a step, and its result once it has ended.
SELECT j.id, j.args, c.status, c.result
  FROM job j
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.parent_job = $2 AND j.step_place = $3 AND j.step_attempt = $4 AND j.step_index IS NULL

-- name: get_numbered_child
-- One of the children of an attempt of a loop or of branches.
SELECT j.id, j.args, c.status, c.result
  FROM job j
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.parent_job = $2 AND j.step_place = $3 AND j.step_attempt = $4 AND j.step_index = $5

-- name: join_results
-- The results of children $5 to $5 + $6 - 1 in order, joined by commas.
SELECT string_agg(coalesce(c.result::text, 'null'), ',' ORDER BY j.step_index)
  FROM job j
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.parent_job = $2 AND j.step_place = $3 AND j.step_attempt = $4
   AND j.step_index >= $5 AND j.step_index < $5 + $6

-- name: list_children
-- All children of a flow, with how they fare.
SELECT j.id, j.step_place, j.step_attempt, j.step_index, c.status, c.duration_ms, coalesce(c.started_at, q.started_at) AS started_at
  FROM job j
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.workspace_id = $1 AND j.parent_job = $2 AND j.step_attempt IS NOT NULL

-- name: lock_live_children
-- Children of a flow that have not ended, held while they are cancelled.
SELECT q.job_id, q.state, j.kind, j.step_place, j.step_attempt, j.step_index, j.concurrency_key, q.started_at IS NOT NULL AS has_begun
  FROM job j
  JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
 WHERE j.workspace_id = $1 AND j.parent_job = $2 AND j.step_attempt IS NOT NULL
 ORDER BY q.job_id
   FOR UPDATE OF q

-- name: append_line
-- A line for the log of a flow, which no process writes.
INSERT INTO job_log (workspace_id, job_id, kind, chunk, start_character, content)
SELECT $1, $2, 'log', coalesce(max(chunk) + 1, 0), coalesce(max(start_character + length(content)), 0), $3
  FROM job_log WHERE workspace_id = $1 AND job_id = $2 AND kind = 'log'
