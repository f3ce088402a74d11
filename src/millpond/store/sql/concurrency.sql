-- name: lock_claims
-- Hold claims that ask for a permit, in the order of ids as cancellations and completions lock; those lost meanwhile are
-- left out. `begun`: a flow between two of its turns, which has its permit already.
SELECT q.workspace_id, q.job_id, q.canceled_by IS NOT NULL AS canceled, coalesce(q.waits_since, q.scheduled_for) AS due,
       q.lane = 'flow' AND EXISTS (SELECT FROM concurrency_run r
                                    WHERE r.workspace_id = g.workspace_id AND r.key = g.key AND r.job_id = g.job_id) AS begun
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) AS g (workspace_id, job_id, lease_token, key)
  JOIN job_queue q ON q.workspace_id = g.workspace_id AND q.job_id = g.job_id AND q.lease_token = g.lease_token
 WHERE q.state = 'running'
 ORDER BY q.job_id
   FOR UPDATE OF q

-- name: told_flows
-- Flows among claims to which something was said before they began: that is to be ended.
SELECT DISTINCT i.workspace_id, i.flow_job
  FROM unnest($1::text[], $2::uuid[]) AS g (workspace_id, job_id)
  JOIN flow_inbox i ON i.workspace_id = g.workspace_id AND i.flow_job = g.job_id

-- name: lock_keys
-- Those who give out or free permits of a key take turns; several keys are locked in the order given.
SELECT pg_advisory_xact_lock(given.lock) FROM unnest($1::bigint[]) AS given (lock)

-- name: clock
-- The instant itself: a transaction that waited for a key began too early.
SELECT clock_timestamp()

-- name: taken_permits
-- Runs that count against their keys: those that have not ended, and those that started within the window.
SELECT r.workspace_id, r.key, r.job_id, r.keep_until, q.job_id IS NOT NULL AS runs
  FROM unnest($1::text[], $2::text[]) AS g (workspace_id, key)
  JOIN concurrency_run r ON r.workspace_id = g.workspace_id AND r.key = g.key
  LEFT JOIN job_queue q ON q.workspace_id = r.workspace_id AND q.job_id = r.job_id AND (q.state = 'running' OR q.lane = 'flow')
 WHERE q.job_id IS NOT NULL OR r.keep_until > $3::timestamptz

-- name: lock_waiters
-- The first waiters of keys, as many as given for each, held. One in other hands is claimed or cancelled just now.
SELECT g.workspace_id, g.key, w.job_id, w.priority, w.waits_since, j.concurrent_limit
  FROM unnest($1::text[], $2::text[], $3::integer[]) AS g (workspace_id, key, most)
 CROSS JOIN LATERAL (
       SELECT q.job_id, q.priority, q.waits_since
         FROM job_queue q
        WHERE q.workspace_id = g.workspace_id AND q.concurrency_key = g.key AND q.state = 'queued'
          AND q.waits_since IS NOT NULL AND q.scheduled_for > q.waits_since
        ORDER BY q.priority DESC, q.waits_since, q.job_id
        LIMIT g.most
          FOR UPDATE SKIP LOCKED) w
  JOIN job j ON j.workspace_id = g.workspace_id AND j.id = w.job_id

-- name: start_runs
-- Claims that got their permit start now, at $5.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[]) AS g (workspace_id, job_id, key, keep_until)
), started AS (
    UPDATE job_queue q
       SET started_at = $5, concurrency_key = g.key, scheduled_for = coalesce(q.waits_since, q.scheduled_for), waits_since = NULL
      FROM given g
     WHERE q.workspace_id = g.workspace_id AND q.job_id = g.job_id
)
INSERT INTO concurrency_run (workspace_id, key, job_id, started_at, keep_until)
SELECT workspace_id, key, job_id, $5, keep_until FROM given
    ON CONFLICT (workspace_id, key, job_id) DO UPDATE SET started_at = excluded.started_at, keep_until = excluded.keep_until

-- name: put_back
-- Claims without a permit go back to the queue as if they had never been claimed, until a permit may be free.
UPDATE job_queue q
   SET state = 'queued', worker_id = NULL, lease_token = NULL, started_at = NULL, sandbox = NULL, concurrency_key = g.key,
       waits_since = coalesce(q.waits_since, q.scheduled_for), scheduled_for = g.until
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[]) AS g (workspace_id, job_id, key, until)
 WHERE q.workspace_id = g.workspace_id AND q.job_id = g.job_id

-- name: park_due
-- Whatever else is due under a full key waits too, so that claims do not take it up for nothing: the jobs behind would
-- wait for them. A flow between two of its turns has its permit. $4 are the limits, $5 how long a permit is held at least, $6 how many wait before, $8 the longest delay.
WITH locked AS MATERIALIZED (
    SELECT q.workspace_id, q.job_id, q.priority, coalesce(q.waits_since, q.scheduled_for) AS due, g.key, g.first, g.most, g.step_secs,
           g.ahead
      FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::integer[], $5::double precision[], $6::integer[])
        AS g (workspace_id, key, first, most, step_secs, ahead)
      JOIN job_queue q ON q.workspace_id = g.workspace_id AND q.concurrency_key = g.key
     WHERE q.state = 'queued' AND q.scheduled_for <= $7 AND (q.waits_since IS NULL OR q.scheduled_for > q.waits_since)
       AND (q.lane <> 'flow' OR q.started_at IS NULL)
       FOR UPDATE OF q SKIP LOCKED
), ranked AS (
    SELECT l.*, l.ahead + row_number() OVER (PARTITION BY workspace_id, key ORDER BY priority DESC, due, job_id) - 1 AS place
      FROM locked l
)
UPDATE job_queue q
   SET waits_since = r.due, scheduled_for = r.first + make_interval(secs => least(r.step_secs * (r.place / r.most), $8))
  FROM ranked r
 WHERE q.workspace_id = r.workspace_id AND q.job_id = r.job_id

-- name: wake
-- Waiters that are next are due again, in the place they had.
WITH woken AS (
    UPDATE job_queue q
       SET scheduled_for = q.waits_since
      FROM unnest($1::text[], $2::uuid[]) AS g (workspace_id, job_id)
     WHERE q.workspace_id = g.workspace_id AND q.job_id = g.job_id AND q.state = 'queued' AND q.waits_since IS NOT NULL
    RETURNING q.lane
)
SELECT pg_notify('millpond_queue', lane) FROM woken GROUP BY lane

-- name: forget_runs
-- Ended runs that no window keeps.
DELETE FROM concurrency_run r
 USING unnest($1::text[], $2::text[], $3::uuid[]) AS g (workspace_id, key, job_id)
 WHERE r.workspace_id = g.workspace_id AND r.key = g.key AND r.job_id = g.job_id
   AND (r.keep_until IS NULL OR r.keep_until <= clock_timestamp())

-- name: wake_next
-- Wake the first waiters of keys: as many as runs ended ($3), and no more than permits are free.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]) AS g (workspace_id, key, ended)
), counted AS MATERIALIZED (
    SELECT g.workspace_id, g.key, g.ended,
           (SELECT count(*)
              FROM concurrency_run r
              LEFT JOIN job_queue q ON q.workspace_id = r.workspace_id AND q.job_id = r.job_id
                                   AND (q.state = 'running' OR q.lane = 'flow')
             WHERE r.workspace_id = g.workspace_id AND r.key = g.key
               AND (q.job_id IS NOT NULL OR r.keep_until > clock_timestamp())) AS taken
      FROM given g
), first AS MATERIALIZED (
    SELECT c.workspace_id, c.key, c.taken, w.job_id, w.priority, w.waits_since
      FROM counted c
     CROSS JOIN LATERAL (
           SELECT q.job_id, q.priority, q.waits_since
             FROM job_queue q
            WHERE q.workspace_id = c.workspace_id AND q.concurrency_key = c.key AND q.state = 'queued'
              AND q.waits_since IS NOT NULL AND q.scheduled_for > q.waits_since
            ORDER BY q.priority DESC, q.waits_since, q.job_id
            LIMIT c.ended
              FOR UPDATE SKIP LOCKED) w
), ranked AS (
    SELECT f.*, row_number() OVER (PARTITION BY workspace_id, key ORDER BY priority DESC, waits_since, job_id) AS place FROM first f
), woken AS (
    UPDATE job_queue q
       SET scheduled_for = q.waits_since
      FROM ranked r
      JOIN job j ON j.workspace_id = r.workspace_id AND j.id = r.job_id
     WHERE q.workspace_id = r.workspace_id AND q.job_id = r.job_id AND r.taken + r.place <= j.concurrent_limit
    RETURNING q.lane
)
SELECT pg_notify('millpond_queue', lane) FROM woken GROUP BY lane

-- name: keys_of
-- Under which keys jobs run, of those that have one.
SELECT id, concurrency_key FROM job WHERE workspace_id = $1 AND id = ANY ($2::uuid[]) AND concurrency_key IS NOT NULL

-- name: delete_past
-- Runs that count no more, for maintenance.
DELETE FROM concurrency_run
 WHERE (workspace_id, key, job_id) IN (
       SELECT r.workspace_id, r.key, r.job_id
         FROM concurrency_run r
        WHERE (r.keep_until IS NULL OR r.keep_until < now())
          AND NOT EXISTS (SELECT FROM job_queue q WHERE q.workspace_id = r.workspace_id AND q.job_id = r.job_id)
        LIMIT $1)
