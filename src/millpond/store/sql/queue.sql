-- name: push_jobs
-- Facts and place in the queue of several jobs at once, one array a column; waiting workers are woken at the commit.
-- What `starts` is leased to worker $41 at once, what has `begun` is a flow that waits for its steps, and what has an
-- `ended_status` never enters the queue. Leases of what starts come back.
WITH given AS (
    SELECT * FROM unnest(
        $1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
        $11::text[], $12::text[], $13::text[], $14::text[], $15::smallint[], $16::integer[], $17::uuid[], $18::uuid[], $19::text[],
        $20::text[], $21::text[], $22::timestamptz[], $23::boolean[], $24::bigint[], $25::text[], $26::text[], $27::text[],
        $28::integer[], $29::integer[], $30::smallint[], $31::smallint[], $32::boolean[], $33::boolean[], $34::integer[],
        $35::integer[], $36::text[], $37::integer[], $38::integer[], $39::text[], $40::text[], $43::boolean[], $44::boolean[],
        $45::text[], $46::text[], $47::text[])
    AS g (workspace_id, id, kind, args, tag, created_by, permissioned_as, email, runnable_path, script_hash,
          language, raw_code, raw_lock, entrypoint, priority, timeout_s, parent_job, root_job, flow_step_id,
          trigger_kind, schedule_path, scheduled_for, visible_to_owner, flow_version, raw_flow, flow_path, step_place, step_attempt,
          step_index, flow_branch, depth, same_worker, is_test, cache_ttl_s, delete_after_s, concurrency_key, concurrent_limit,
          concurrency_window_s, pinned_to, lane, starts, begun, ended_status, ended_result, flow_status)
), facts AS (
    INSERT INTO job (workspace_id, id, kind, args, tag, created_by, permissioned_as, email, runnable_path, script_hash, language,
                     raw_code, raw_lock, entrypoint, priority, timeout_s, parent_job, root_job, flow_step_id, trigger_kind,
                     schedule_path, scheduled_for, visible_to_owner, flow_version, raw_flow, flow_path, step_place, step_attempt, step_index,
                     flow_branch, depth, same_worker, is_test, cache_ttl_s, delete_after_s, concurrency_key, concurrent_limit,
                     concurrency_window_s)
    SELECT workspace_id, id, kind, args::json, tag, created_by, permissioned_as, email, runnable_path, script_hash, language,
           raw_code, raw_lock, entrypoint, priority, timeout_s, parent_job, root_job, flow_step_id, trigger_kind,
           schedule_path, coalesce(scheduled_for, now()), visible_to_owner, flow_version, raw_flow::json, flow_path,
           step_place, step_attempt, step_index, flow_branch, depth, same_worker, is_test, cache_ttl_s, delete_after_s, concurrency_key,
           concurrent_limit, concurrency_window_s
      FROM given
), queued AS (
    INSERT INTO job_queue (workspace_id, job_id, lane, tag, priority, scheduled_for, pinned_to, concurrency_key, state, worker_id,
                           lease_token, started_at, sandbox)
    SELECT workspace_id, id, lane, tag, priority, coalesce(scheduled_for, now()), pinned_to,
           CASE WHEN concurrent_limit > 0 THEN concurrency_key END, CASE WHEN starts THEN 'running' WHEN begun THEN 'waiting' ELSE 'queued' END,
           CASE WHEN starts THEN $41::uuid END, CASE WHEN starts THEN nextval('lease_token') END,
           CASE WHEN starts OR begun THEN now() END, CASE WHEN starts THEN $42::text END
      FROM given WHERE ended_status IS NULL
    RETURNING job_id, lease_token, scheduled_for
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms)
    SELECT workspace_id, id, ended_status, ended_result::json, now(), 0 FROM given WHERE ended_status IS NOT NULL
), flows AS (
    INSERT INTO flow_status (workspace_id, job_id, status)
    SELECT workspace_id, id, flow_status::json FROM given WHERE lane = 'flow'
), woken AS MATERIALIZED (
    SELECT pg_notify('millpond_queue', lane) FROM given WHERE NOT starts AND NOT begun AND ended_status IS NULL GROUP BY lane
)
SELECT q.job_id, q.lease_token, q.scheduled_for
  FROM (SELECT count(*) FROM woken) w (woken) LEFT JOIN queued q ON q.lease_token IS NOT NULL

-- name: claim_jobs
-- Up to $4 due jobs of a lane for worker $1, those pinned to it ($6) among them, highest priority first. A LIMITed subquery may be re-executed per row;
-- the materialized CTE pins it to one evaluation.
WITH picked AS MATERIALIZED (
    SELECT workspace_id, job_id
      FROM job_queue
     WHERE state = 'queued' AND lane = $2 AND scheduled_for <= now() AND ($3::text[] IS NULL OR tag = ANY ($3))
       AND (pinned_to IS NULL OR pinned_to = $6)
       AND (SELECT lease_until > now() FROM worker WHERE id = $1)
     ORDER BY priority DESC, scheduled_for, job_id
     LIMIT $4
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE job_queue q
       SET state = 'running', worker_id = $1, lease_token = nextval('lease_token'), sandbox = $5,
           started_at = CASE WHEN lane = 'flow' THEN coalesce(q.started_at, now()) ELSE now() END
      FROM picked p
     WHERE q.workspace_id = p.workspace_id AND q.job_id = p.job_id
    RETURNING q.workspace_id, q.job_id, q.lease_token, q.rescues
)
SELECT c.workspace_id, c.job_id, c.lease_token, c.rescues, j.kind, j.args, j.tag, j.created_by, j.permissioned_as, j.email,
       j.runnable_path, j.script_hash, j.language, j.raw_code, j.raw_lock, j.entrypoint, j.timeout_s, j.parent_job,
       j.root_job, j.flow_step_id, j.schedule_path, j.scheduled_for, j.priority, j.visible_to_owner, j.flow_version, j.flow_path,
       j.step_place, j.step_attempt, j.step_index, j.flow_branch, j.depth, j.same_worker, j.is_test, j.cache_ttl_s, j.delete_after_s, j.concurrency_key,
       j.concurrent_limit, j.concurrency_window_s
  FROM claimed c
  JOIN job j ON j.workspace_id = c.workspace_id AND j.id = c.job_id

-- name: next_due
-- Seconds until the next waiting job of a lane is due; null when none waits.
SELECT extract(epoch FROM min(scheduled_for) - now())::double precision
  FROM job_queue
 WHERE state = 'queued' AND lane = $1 AND ($2::text[] IS NULL OR tag = ANY ($2)) AND (pinned_to IS NULL OR pinned_to = $3)

-- name: complete_jobs
-- End jobs: leave the queue and record how they ended, only where the fencing token is still the current one. The ids
-- that were completed come back; the others were cancelled, rescued or deleted meanwhile. Waiters are told at the commit.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[])
    AS g (workspace_id, job_id, lease_token, status, result, memory_peak_bytes, labels, canceled_by, canceled_reason)
), gone AS (
    DELETE FROM job_queue q USING given g
     WHERE q.workspace_id = g.workspace_id AND q.job_id = g.job_id AND q.lease_token = g.lease_token AND q.state = 'running'
    RETURNING q.workspace_id, q.job_id, q.started_at, q.worker_id, q.sandbox
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms, memory_peak_bytes, canceled_by,
                               canceled_reason, labels, worker_id, sandbox)
    SELECT g.workspace_id, g.job_id, g.status, g.result::json, d.started_at,
           greatest(0, extract(epoch FROM clock_timestamp() - d.started_at) * 1000)::bigint, g.memory_peak_bytes, g.canceled_by,
           g.canceled_reason, string_to_array(g.labels, E'\x1f'), d.worker_id, d.sandbox
      FROM gone d
      JOIN given g USING (workspace_id, job_id)
    RETURNING job_id
), told AS MATERIALIZED (
    SELECT pg_notify('millpond_completed', string_agg(job_id::text, ',')) FROM done HAVING count(*) > 0
)
SELECT d.job_id FROM done d LEFT JOIN told ON true

-- name: flag_running
-- Ask the worker that holds a job to end it.
WITH flagged AS (
    UPDATE job_queue SET canceled_by = coalesce(canceled_by, $3), canceled_reason = coalesce(canceled_reason, $4)
     WHERE workspace_id = $1 AND job_id = $2 AND state = 'running'
    RETURNING job_id
)
SELECT pg_notify('millpond_cancel', job_id::text) FROM flagged

-- name: end_canceled
-- End jobs whether they wait or run: a lease token is void from here on, and its worker kills the process. Of flows, what
-- only their turns needed goes. Waiters are told of a hundred at once: a notification holds less than 8,000 bytes.
WITH gone AS (
    DELETE FROM job_queue WHERE workspace_id = $1 AND job_id = ANY ($2::uuid[])
    RETURNING job_id, started_at, worker_id, sandbox
), items AS (
    DELETE FROM flow_item i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), messages AS (
    DELETE FROM flow_inbox i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms, canceled_by, canceled_reason, worker_id, sandbox)
    SELECT $1, job_id, 'canceled', $3::json, started_at,
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - started_at), 0) * 1000)::bigint, $4, $5, worker_id, sandbox
      FROM gone
    RETURNING job_id, worker_id
), parts AS (
    SELECT job_id, worker_id, row_number() OVER () / 100 AS part FROM done
)
SELECT pg_notify('millpond_completed', string_agg(job_id::text, ',')),
       CASE WHEN bool_or(worker_id IS NOT NULL) THEN pg_notify('millpond_cancel', min(job_id::text)) END
  FROM parts GROUP BY part

-- name: end_unreadable
-- End a flow job that cannot go on; its concurrency key comes back.
WITH gone AS (
    DELETE FROM job_queue WHERE workspace_id = $1 AND job_id = $2 RETURNING job_id, started_at
), items AS (
    DELETE FROM flow_item i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), moved AS (
    -- What others remember of the flow is of no use any more.
    UPDATE flow_status s SET version = s.version + 1 FROM gone d WHERE s.workspace_id = $1 AND s.job_id = d.job_id
), messages AS (
    DELETE FROM flow_inbox i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms)
    SELECT $1, job_id, 'failure', $3::json, started_at,
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - started_at), 0) * 1000)::bigint
      FROM gone
    RETURNING job_id
)
SELECT pg_notify('millpond_completed', d.job_id::text), j.concurrency_key
  FROM done d JOIN job j ON j.workspace_id = $1 AND j.id = d.job_id

-- name: lock_tree
-- Hold what is in the queue of a job and of all below it, so that its state stands still while it is cancelled. In the
-- order of ids, as completions lock: neither waits for the other in a circle.
-- What is below a flow is the flow's to end, and left out, unless the `whole` tree is asked for ($3).
WITH RECURSIVE tree AS (
    SELECT id, kind, script_hash, parent_job, step_place, step_attempt, step_index, flow_version, concurrency_key, delete_after_s,
           0 AS depth
      FROM job WHERE workspace_id = $1 AND id = $2
     UNION ALL
    SELECT j.id, j.kind, j.script_hash, j.parent_job, j.step_place, j.step_attempt, j.step_index, j.flow_version, j.concurrency_key,
           j.delete_after_s, t.depth + 1
      FROM job j JOIN tree t ON j.parent_job = t.id
     WHERE j.workspace_id = $1 AND t.depth < 500 AND ($3 OR t.kind NOT IN ('flow', 'flowpreview', 'flownode'))
)
SELECT q.job_id, q.state, q.started_at IS NOT NULL AS has_begun, t.kind, t.script_hash, t.parent_job, t.step_place,
       t.step_attempt, t.step_index, t.flow_version, t.concurrency_key, t.delete_after_s
  FROM tree t JOIN job_queue q ON q.workspace_id = $1 AND q.job_id = t.id
 ORDER BY q.job_id
   FOR UPDATE OF q

-- name: lock_flows_around
-- Hold the flows in and directly above a tree of jobs, before what they have in the queue is held; the tree is that of
-- lock_tree.
WITH RECURSIVE tree AS (
    SELECT id, kind, parent_job, 0 AS depth FROM job WHERE workspace_id = $1 AND id = $2
     UNION ALL
    SELECT j.id, j.kind, j.parent_job, t.depth + 1
      FROM job j JOIN tree t ON j.parent_job = t.id
     WHERE j.workspace_id = $1 AND t.depth < 500 AND ($3 OR t.kind NOT IN ('flow', 'flowpreview', 'flownode'))
)
SELECT s.job_id FROM flow_status s
 WHERE s.workspace_id = $1
   AND s.job_id IN (SELECT id FROM tree UNION SELECT parent_job FROM tree WHERE depth = 0)
 ORDER BY s.job_id
   FOR UPDATE

-- name: register_worker
-- A worker comes up, with its lease.
INSERT INTO worker (id, name, host, process_id, tags, slots, version, sandbox, lease_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9))

-- name: heartbeat
-- Renew the lease of a worker; no row when it was taken away.
UPDATE worker
   SET last_ping_at = now(), lease_until = now() + make_interval(secs => $2), jobs_done = $3, draining = $4
 WHERE id = $1
RETURNING id

-- name: held_jobs
-- What the database thinks the worker runs, with requests to cancel.
SELECT job_id, lease_token, canceled_by, canceled_reason FROM job_queue WHERE worker_id = $1 AND state = 'running'

-- name: unregister_worker
-- A worker goes in order; it holds nothing any more.
DELETE FROM worker WHERE id = $1

-- name: supersede_worker
-- A worker that came up on the same host under the same name ends the leases of those before it.
UPDATE worker SET lease_until = now() WHERE host = $1 AND name = $2 AND id <> $3 AND lease_until > now()

-- name: release_jobs
-- Give back jobs of a worker: all, or those with the lease tokens $4. They are claimed again by whoever is next.
WITH released AS (
    UPDATE job_queue
       SET state = 'queued', worker_id = NULL, lease_token = NULL, rescues = rescues + $2
     WHERE state = 'running' AND worker_id = $1 AND canceled_by IS NULL AND rescues < $3
       AND ($4::bigint[] IS NULL OR lease_token = ANY ($4))
    RETURNING lane, workspace_id, job_id
), forgotten AS (
    -- The next attempt starts a new log.
    DELETE FROM job_log l USING released r WHERE l.workspace_id = r.workspace_id AND l.job_id = r.job_id AND r.lane <> 'flow'
), told AS MATERIALIZED (
    SELECT pg_notify('millpond_queue', lane) FROM released GROUP BY lane
)
SELECT workspace_id, job_id FROM released LEFT JOIN told ON true

-- name: dead_workers
-- Workers whose lease has run out, and ids that jobs name but no worker has.
SELECT id FROM worker WHERE lease_until < now()
 UNION
SELECT DISTINCT q.worker_id FROM job_queue q
 WHERE q.state = 'running' AND NOT EXISTS (SELECT FROM worker w WHERE w.id = q.worker_id)

-- name: lock_lease
-- Whether a worker's lease stands, held so that it is not renewed meanwhile; no row when the worker is unknown.
SELECT lease_until >= now() FROM worker WHERE id = $1 FOR UPDATE

-- name: claims_of
-- What is left with a worker after the release, of all or of the lease tokens $2: cancelled jobs, and those rescued too often.
SELECT q.workspace_id, q.job_id, q.lease_token, q.rescues, q.canceled_by, q.canceled_reason, j.kind, j.script_hash,
       j.parent_job, j.step_place, j.step_attempt, j.step_index, j.flow_version, j.concurrency_key, j.delete_after_s
  FROM job_queue q
  JOIN job j ON j.workspace_id = q.workspace_id AND j.id = q.job_id
 WHERE q.worker_id = $1 AND q.state = 'running' AND ($2::bigint[] IS NULL OR q.lease_token = ANY ($2))

-- name: end_claim
-- End one claim of a dead worker.
WITH gone AS (
    DELETE FROM job_queue WHERE workspace_id = $1 AND job_id = $2 AND lease_token = $3 AND state = 'running'
    RETURNING job_id, started_at, worker_id, sandbox
), items AS (
    DELETE FROM flow_item i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), moved AS (
    -- What others remember of the flow is of no use any more.
    UPDATE flow_status s SET version = s.version + 1 FROM gone d WHERE s.workspace_id = $1 AND s.job_id = d.job_id
), messages AS (
    DELETE FROM flow_inbox i USING gone d WHERE i.workspace_id = $1 AND i.flow_job = d.job_id
), done AS (
    INSERT INTO job_completed (workspace_id, job_id, status, result, started_at, duration_ms, canceled_by, canceled_reason, worker_id, sandbox)
    SELECT $1, job_id, $4, $5::json, started_at, greatest(0, extract(epoch FROM now() - started_at) * 1000)::bigint, $6, $7,
           worker_id, sandbox
      FROM gone
    RETURNING job_id
)
SELECT pg_notify('millpond_completed', job_id::text) FROM done

-- name: append_logs
-- Chunks of several jobs, only where the claim is still current: a worker that lost a job must not write into the log of
-- the next attempt. The same chunk sent twice is stored once.
INSERT INTO job_log (workspace_id, job_id, kind, chunk, start_character, content)
SELECT g.workspace_id, g.job_id, g.kind, g.chunk, g.start_character, g.content
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::integer[], $6::bigint[], $7::text[])
    AS g (workspace_id, job_id, lease_token, kind, chunk, start_character, content)
  JOIN job_queue q ON q.workspace_id = g.workspace_id AND q.job_id = g.job_id AND q.lease_token = g.lease_token
ON CONFLICT (workspace_id, job_id, kind, chunk) DO UPDATE
   SET start_character = excluded.start_character, content = excluded.content

-- name: clear_log
-- A job that runs again after a rescue starts a new log.
DELETE FROM job_log WHERE workspace_id = $1 AND job_id = $2

-- name: list_workers
-- Workers that pinged within $1 seconds.
SELECT id, name, host, tags, slots, version, sandbox, started_at, last_ping_at, jobs_done, draining
  FROM worker
 WHERE last_ping_at > now() - make_interval(secs => $1)
 ORDER BY name, started_at

-- name: script_source
-- What a claim of a deployed version runs.
SELECT content, language, lock, settings -> 'envs' AS envs, labels FROM script WHERE workspace_id = $1 AND hash = $2 AND NOT deleted
