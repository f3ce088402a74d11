-- name: missing_pins
-- What jobs are pinned to and no living worker is.
SELECT DISTINCT q.pinned_to
  FROM job_queue q
 WHERE q.pinned_to IS NOT NULL
   AND NOT EXISTS (SELECT FROM worker w WHERE w.name || '@' || w.host = q.pinned_to AND w.lease_until > now())

-- name: move_pins
-- Pin the jobs of a worker that is gone, $1, to living ones, all of a flow to the same: the one with the least name that
-- takes every tag among them. What no worker takes stays where it is. The number of jobs moved.
WITH pinned AS MATERIALIZED (
    SELECT q.workspace_id, q.job_id, coalesce(j.root_job, q.job_id) AS root, q.tag
      FROM job_queue q
      JOIN job j ON j.workspace_id = q.workspace_id AND j.id = q.job_id
     WHERE q.pinned_to = $1 AND q.state <> 'running'
     ORDER BY q.job_id
       FOR UPDATE OF q SKIP LOCKED
), flows AS (
    SELECT workspace_id, root, array_agg(DISTINCT tag) AS tags FROM pinned GROUP BY workspace_id, root
), moved AS (
    UPDATE job_queue q
       SET pinned_to = taker.pin
      FROM pinned p
      JOIN flows f USING (workspace_id, root)
     CROSS JOIN LATERAL (
        SELECT min(w.name || '@' || w.host) AS pin
          FROM worker w
         WHERE w.lease_until > now() AND NOT w.draining AND (w.tags = '{}' OR w.tags @> f.tags)
     ) taker
     WHERE q.workspace_id = p.workspace_id AND q.job_id = p.job_id AND taker.pin IS NOT NULL
    RETURNING q.lane
), told AS MATERIALIZED (
    SELECT pg_notify('millpond_queue', lane) FROM moved GROUP BY lane
)
SELECT count(*) FROM moved LEFT JOIN (SELECT count(*) FROM told) AS t (woken) ON true
