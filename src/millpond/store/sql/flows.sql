-- name: get_flow_by_path
-- A flow by its newest version, archived or not; $3 is who may have starred it.
SELECT f.path, f.summary, f.description, v.value, v.schema, v.created_by AS edited_by, v.created_at AS edited_at,
       f.archived, f.extra_perms::text, v.id AS version_id, f.settings, f.labels, v.lock_error_logs,
       EXISTS (SELECT FROM starred s WHERE s.workspace_id = f.workspace_id AND s.username = $3 AND s.kind = 'flow'
                  AND s.path = f.path) AS starred
  FROM flow f
  JOIN flow_version v ON v.workspace_id = f.workspace_id AND v.id = f.version_id
 WHERE f.workspace_id = $1 AND f.path = $2

-- name: get_flow_by_version
-- A flow by one of its versions; $3 is who may have starred it.
SELECT f.path, f.summary, f.description, v.value, v.schema, v.created_by AS edited_by, v.created_at AS edited_at,
       f.archived, f.extra_perms::text, v.id AS version_id, f.settings, f.labels, v.lock_error_logs,
       EXISTS (SELECT FROM starred s WHERE s.workspace_id = f.workspace_id AND s.username = $3 AND s.kind = 'flow'
                  AND s.path = f.path) AS starred
  FROM flow_version v
  JOIN flow f ON f.workspace_id = v.workspace_id AND f.path = v.path
 WHERE v.workspace_id = $1 AND v.id = $2

-- name: flow_exists
-- Whether a path is taken, archived flows included.
SELECT EXISTS (SELECT FROM flow WHERE workspace_id = $1 AND path = $2)

-- name: get_runnable_flow_by_path
-- What a run by path uses: the newest version.
SELECT f.path, v.id AS version_id, v.value, f.settings, f.labels, v.created_by, f.extra_perms::text, f.archived,
       v.id = f.version_id AS is_newest
  FROM flow f
  JOIN flow_version v ON v.workspace_id = f.workspace_id AND v.id = f.version_id
 WHERE f.workspace_id = $1 AND f.path = $2

-- name: get_runnable_flow_by_version
-- What a run of one version uses.
SELECT f.path, v.id AS version_id, v.value, f.settings, f.labels, v.created_by, f.extra_perms::text, f.archived,
       v.id = f.version_id AS is_newest
  FROM flow_version v
  JOIN flow f ON f.workspace_id = v.workspace_id AND f.path = v.path
 WHERE v.workspace_id = $1 AND v.id = $2

-- name: get_settled_value
-- What one version does, and whether its locks are as they will stay.
SELECT value, is_locked OR lock_error_logs IS NOT NULL OR lock_job_id IS NULL AS is_settled
  FROM flow_version WHERE workspace_id = $1 AND id = $2

-- name: get_labels
-- The labels of the flow a version is of.
SELECT f.labels FROM flow_version v JOIN flow f ON f.workspace_id = v.workspace_id AND f.path = v.path
 WHERE v.workspace_id = $1 AND v.id = $2

-- name: get_version_value
-- What one version does.
SELECT value FROM flow_version WHERE workspace_id = $1 AND id = $2

-- name: get_flow_deployment
-- How far the locks of the newest version are, and what decides who may know.
SELECT f.extra_perms::text, v.lock_error_logs, v.lock_job_id
  FROM flow f
  JOIN flow_version v ON v.workspace_id = f.workspace_id AND v.id = f.version_id
 WHERE f.workspace_id = $1 AND f.path = $2

-- name: list_flows
-- Flows the actor may see: the clauses of the filters follow. $2 to $5 are the actor, $6 who starred.
SELECT f.path, f.summary, f.description, f.edited_by, f.edited_at, f.archived, f.extra_perms::text, f.version_id,
       f.settings, f.labels, v.deployment_message, v.lock_error_logs IS NOT NULL AS has_deploy_errors,
       s.path IS NOT NULL AS starred
  FROM flow f
  JOIN flow_version v ON v.workspace_id = f.workspace_id AND v.id = f.version_id
  LEFT JOIN starred s ON s.workspace_id = f.workspace_id AND s.username = $6 AND s.kind = 'flow' AND s.path = f.path
 WHERE f.workspace_id = $1
   AND ($2::boolean OR split_part(f.path, '/', 1) || '/' || split_part(f.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(f.path, 'f/') AND split_part(f.path, '/', 2) = ANY ($4::text[]))
        OR f.extra_perms ?| $5::text[])

-- name: and_archived_is
-- Those in use, or those out of use.
AND f.archived = $?::boolean

-- name: and_path_start
-- Paths below a folder, say.
AND starts_with(f.path, $?::text)

-- name: and_path_exact
-- One path.
AND f.path = $?::text

-- name: and_edited_by
-- Who saved the newest version.
AND f.edited_by = $?::text

-- name: and_labels
-- All of some labels.
AND f.labels @> $?::text[]

-- name: and_starred
-- Only those the actor starred.
AND s.path IS NOT NULL

-- name: newest_first
-- The page, starred ones before the others.
ORDER BY (s.path IS NOT NULL) DESC, f.edited_at DESC, f.path LIMIT $? OFFSET $?

-- name: oldest_first
-- The page, starred ones before the others.
ORDER BY (s.path IS NOT NULL) DESC, f.edited_at, f.path LIMIT $? OFFSET $?

-- name: list_paths
-- Paths of flows in use the actor may see.
SELECT f.path
  FROM flow f
 WHERE f.workspace_id = $1
   AND ($2::boolean OR split_part(f.path, '/', 1) || '/' || split_part(f.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(f.path, 'f/') AND split_part(f.path, '/', 2) = ANY ($4::text[]))
        OR f.extra_perms ?| $5::text[])
   AND NOT f.archived
 ORDER BY f.path

-- name: list_users_of_runnable
-- Paths of flows in use the actor may see that have a step running $7, or with $8 anything whose path begins so; $6
-- tells flows ('flows') from scripts ('scripts').
SELECT f.path
  FROM flow f
 WHERE f.workspace_id = $1
   AND ($2::boolean OR split_part(f.path, '/', 1) || '/' || split_part(f.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(f.path, 'f/') AND split_part(f.path, '/', 2) = ANY ($4::text[]))
        OR f.extra_perms ?| $5::text[])
   AND NOT f.archived
   AND EXISTS (SELECT FROM json_array_elements_text(coalesce(f.settings -> $6::text, '[]')) AS used (path)
                WHERE used.path = $7::text OR ($8::boolean AND starts_with(used.path, $7::text)))
 ORDER BY f.path

-- name: search_flows
-- Paths and values of flows in use the actor may see, for client-side search.
SELECT f.path, v.value
  FROM flow f
  JOIN flow_version v ON v.workspace_id = f.workspace_id AND v.id = f.version_id
 WHERE f.workspace_id = $1
   AND ($2::boolean OR split_part(f.path, '/', 1) || '/' || split_part(f.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(f.path, 'f/') AND split_part(f.path, '/', 2) = ANY ($4::text[]))
        OR f.extra_perms ?| $5::text[])
   AND NOT f.archived
 ORDER BY f.path
 LIMIT 1000

-- name: list_versions
-- The versions of a path, newest first, each with what decides who may see it.
SELECT v.id, v.created_at, v.created_by, v.deployment_message, f.extra_perms::text
  FROM flow_version v
  JOIN flow f ON f.workspace_id = v.workspace_id AND f.path = v.path
 WHERE v.workspace_id = $1 AND v.path = $2
 ORDER BY v.id DESC
 LIMIT $3

-- name: lock_flow
-- What a flow grants, held until the transaction ends.
SELECT extra_perms::text FROM flow WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: lock_flow_of_version
-- The flow a version is of, held until the transaction ends.
SELECT f.path, f.extra_perms::text
  FROM flow_version v
  JOIN flow f ON f.workspace_id = v.workspace_id AND f.path = v.path
 WHERE v.workspace_id = $1 AND v.id = $2
   FOR UPDATE

-- name: insert_flow
-- A flow with its first version, which refers to it: the reference is checked when the transaction ends. No row when
-- the path is taken; the version must then be rolled back.
WITH version AS (
    INSERT INTO flow_version (workspace_id, path, value, schema, lock_job_id, is_locked, deployment_message, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING id, created_at
)
INSERT INTO flow (workspace_id, path, version_id, summary, description, settings, labels, edited_by, edited_at)
SELECT $1, $2, version.id, $9, $10, $11, $12, $8, version.created_at FROM version
ON CONFLICT (workspace_id, path) DO NOTHING
RETURNING version_id

-- name: insert_version
-- The next version of a flow, which is in use from then on.
WITH version AS (
    INSERT INTO flow_version (workspace_id, path, value, schema, lock_job_id, is_locked, deployment_message, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING id, created_at
)
UPDATE flow
   SET version_id = version.id, summary = $9, description = $10, settings = $11, labels = $12, archived = false,
       edited_by = $8, edited_at = version.created_at
  FROM version
 WHERE workspace_id = $1 AND path = $2
RETURNING version_id

-- name: move_flow
-- Its versions follow by their reference.
UPDATE flow SET path = $3 WHERE workspace_id = $1 AND path = $2

-- name: move_stars
-- A renamed flow keeps its stars.
WITH moved AS (
    DELETE FROM starred WHERE workspace_id = $1 AND kind = 'flow' AND path = $2 RETURNING username
)
INSERT INTO starred (workspace_id, username, kind, path)
SELECT $1, username, 'flow', $3 FROM moved
ON CONFLICT DO NOTHING

-- name: lock_unlocked_version
-- The value of a version whose locks are still to be recorded, held until the transaction ends.
SELECT value FROM flow_version WHERE workspace_id = $1 AND id = $2 AND NOT is_locked FOR UPDATE

-- name: store_locked_value
-- The value with its locks.
UPDATE flow_version SET value = $3, is_locked = true, lock_error_logs = NULL WHERE workspace_id = $1 AND id = $2

-- name: store_lock_error
-- Why there are no locks.
UPDATE flow_version SET lock_error_logs = $3 WHERE workspace_id = $1 AND id = $2

-- name: set_deployment_message
-- What a deployment says of itself.
UPDATE flow_version SET deployment_message = $3 WHERE workspace_id = $1 AND id = $2

-- name: set_archived
-- A flow goes out of use, or comes back.
UPDATE flow SET archived = $3 WHERE workspace_id = $1 AND path = $2

-- name: delete_flow
-- A flow with its versions.
DELETE FROM flow WHERE workspace_id = $1 AND path = $2

-- name: delete_stars
-- Nobody's favorite any more.
DELETE FROM starred WHERE workspace_id = $1 AND kind = 'flow' AND path = $2
