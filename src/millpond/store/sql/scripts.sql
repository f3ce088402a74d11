-- name: get_script_by_path
-- The newest version of a path, archived or not; $3 is who may have starred it.
SELECT s.hash, s.path, s.parent_hashes, s.summary, s.description, s.content, s.language, s.kind, s.schema, s.lock,
       s.lock_error_logs, s.has_preprocessor, s.no_main, s.archived, s.deleted, s.is_template, s.settings,
       s.extra_perms::text, s.labels, s.created_by, s.created_at,
       EXISTS (SELECT FROM starred f WHERE f.workspace_id = s.workspace_id AND f.username = $3 AND f.kind = 'script'
                  AND f.path = s.path) AS starred
  FROM script s
 WHERE s.workspace_id = $1 AND s.path = $2
 ORDER BY s.created_at DESC
 LIMIT 1

-- name: get_script_by_hash
-- One version; $3 is who may have starred its path.
SELECT s.hash, s.path, s.parent_hashes, s.summary, s.description, s.content, s.language, s.kind, s.schema, s.lock,
       s.lock_error_logs, s.has_preprocessor, s.no_main, s.archived, s.deleted, s.is_template, s.settings,
       s.extra_perms::text, s.labels, s.created_by, s.created_at,
       EXISTS (SELECT FROM starred f WHERE f.workspace_id = s.workspace_id AND f.username = $3 AND f.kind = 'script'
                  AND f.path = s.path) AS starred
  FROM script s
 WHERE s.workspace_id = $1 AND s.hash = $2

-- name: get_head_content
-- The source of the version that is live at a path.
SELECT content, extra_perms::text FROM script WHERE workspace_id = $1 AND path = $2 AND NOT archived

-- name: script_exists
-- Whether a version is live at the path.
SELECT EXISTS (SELECT FROM script WHERE workspace_id = $1 AND path = $2 AND NOT archived)

-- name: get_runnable_by_path
-- What a run by path uses: the live version once it is locked, until then the newest locked one among its ancestors,
-- and without any the live one itself. Who may run is decided by the live version.
WITH head AS (
    SELECT hash, lock, parent_hashes, extra_perms
      FROM script
     WHERE workspace_id = $1 AND path = $2::text AND NOT archived
)
SELECT s.hash, s.content, s.language, s.kind, s.lock, s.lock_error_logs, s.settings, s.has_preprocessor, s.no_main,
       s.labels, s.created_by, s.deleted, $2::text AS path, head.extra_perms::text
  FROM head
  JOIN script s
    ON s.workspace_id = $1
   AND s.hash = CASE WHEN head.lock IS NOT NULL THEN head.hash
                     ELSE coalesce((SELECT a.hash
                                      FROM script a
                                     WHERE a.workspace_id = $1 AND a.hash = ANY (head.parent_hashes)
                                       AND a.lock IS NOT NULL AND NOT a.deleted
                                     ORDER BY a.created_at DESC
                                     LIMIT 1), head.hash) END

-- name: get_runnable_by_hash
-- What a run of one version uses.
SELECT hash, content, language, kind, lock, lock_error_logs, settings, has_preprocessor, no_main, labels, created_by,
       deleted, path, extra_perms::text
  FROM script
 WHERE workspace_id = $1 AND hash = $2

-- name: get_deployment_status
-- How far the dependencies of a version are, and what decides who may know.
SELECT path, extra_perms::text, lock, lock_error_logs, lock_job_id FROM script WHERE workspace_id = $1 AND hash = $2

-- name: list_scripts
-- Scripts the actor may see: the clauses of the filters follow. $2 to $5 are the actor, $6 who starred.
SELECT s.hash, s.path, s.summary, s.description, s.language, s.kind, s.created_by, s.created_at, s.archived,
       s.is_template, s.extra_perms::text, s.has_preprocessor, s.no_main, s.settings, s.labels, s.deployment_message,
       s.lock_error_logs IS NOT NULL AS has_deploy_errors, f.path IS NOT NULL AS starred
  FROM script s
  LEFT JOIN starred f ON f.workspace_id = s.workspace_id AND f.username = $6 AND f.kind = 'script' AND f.path = s.path
 WHERE s.workspace_id = $1
   AND ($2::boolean OR split_part(s.path, '/', 1) || '/' || split_part(s.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(s.path, 'f/') AND split_part(s.path, '/', 2) = ANY ($4::text[]))
        OR s.extra_perms ?| $5::text[])

-- name: and_live
-- One version a path.
AND NOT s.archived

-- name: and_archived
-- Paths without a live version, by their newest one.
AND s.archived AND NOT s.deleted
AND NOT EXISTS (SELECT FROM script newer WHERE newer.workspace_id = s.workspace_id AND newer.path = s.path
                   AND newer.created_at > s.created_at)

-- name: and_path_start
-- Paths below a folder, say.
AND starts_with(s.path, $?::text)

-- name: and_path_exact
-- One path.
AND s.path = $?::text

-- name: and_created_by
-- Who deployed the version.
AND s.created_by = $?::text

-- name: and_kinds
-- Any of some kinds.
AND s.kind = ANY ($?::text[])

-- name: and_languages
-- Any of some languages.
AND s.language = ANY ($?::text[])

-- name: and_labels
-- All of some labels.
AND s.labels @> $?::text[]

-- name: and_template
-- Templates only, or none.
AND s.is_template = $?::boolean

-- name: and_parent
-- Descendants of a version.
AND $?::bigint = ANY (s.parent_hashes)

-- name: and_first_parent
-- The version made from another one.
AND s.parent_hashes[1] = $?::bigint

-- name: and_last_parent
-- Versions whose oldest remembered ancestor is another one.
AND s.parent_hashes[array_upper(s.parent_hashes, 1)] = $?::bigint

-- name: and_starred
-- Only those the actor starred.
AND f.path IS NOT NULL

-- name: and_with_main
-- Without modules that only others import.
AND NOT s.no_main

-- name: newest_first
-- The page, starred ones before the others.
ORDER BY (f.path IS NOT NULL) DESC, s.created_at DESC, s.path LIMIT $? OFFSET $?

-- name: oldest_first
-- The page, starred ones before the others.
ORDER BY (f.path IS NOT NULL) DESC, s.created_at, s.path LIMIT $? OFFSET $?

-- name: list_paths
-- Paths of live scripts the actor may see.
SELECT s.path
  FROM script s
 WHERE s.workspace_id = $1
   AND ($2::boolean OR split_part(s.path, '/', 1) || '/' || split_part(s.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(s.path, 'f/') AND split_part(s.path, '/', 2) = ANY ($4::text[]))
        OR s.extra_perms ?| $5::text[])
   AND NOT s.archived
 ORDER BY s.path

-- name: search_scripts
-- Paths and sources of live scripts the actor may see, for client-side search.
SELECT s.path, s.content
  FROM script s
 WHERE s.workspace_id = $1
   AND ($2::boolean OR split_part(s.path, '/', 1) || '/' || split_part(s.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(s.path, 'f/') AND split_part(s.path, '/', 2) = ANY ($4::text[]))
        OR s.extra_perms ?| $5::text[])
   AND NOT s.archived
 ORDER BY s.path
 LIMIT 1000

-- name: script_history
-- The versions of a path, newest first, each with what decides who may see it.
SELECT hash, extra_perms::text, deployment_message, created_at, created_by
  FROM script
 WHERE workspace_id = $1 AND path = $2
 ORDER BY created_at DESC
 LIMIT $3

-- name: lock_head
-- The live version of a path, held until the transaction ends.
SELECT hash, path, parent_hashes, extra_perms::text, archived, summary, description, content, language, kind, schema,
       lock, lock_error_logs, is_template, settings, labels
  FROM script
 WHERE workspace_id = $1 AND path = $2 AND NOT archived
   FOR UPDATE

-- name: lock_version
-- One version, held until the transaction ends.
SELECT hash, path, parent_hashes, extra_perms::text, archived, summary, description, content, language, kind, schema,
       lock, lock_error_logs, is_template, settings, labels
  FROM script
 WHERE workspace_id = $1 AND hash = $2
   FOR UPDATE

-- name: get_version_state
-- Whether a version is there, and if so whether it stepped down.
SELECT archived FROM script WHERE workspace_id = $1 AND hash = $2

-- name: get_child
-- The version made from another one.
SELECT hash FROM script WHERE workspace_id = $1 AND parent_hashes[1] = $2 LIMIT 1

-- name: archive_version
-- A version steps down.
UPDATE script SET archived = true WHERE workspace_id = $1 AND hash = $2

-- name: insert_script
-- Nothing when the same version was deployed meanwhile.
INSERT INTO script (workspace_id, hash, path, parent_hashes, summary, description, content, language, kind, schema,
                    lock, lock_job_id, has_preprocessor, no_main, is_template, settings, extra_perms, labels,
                    deployment_message, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (workspace_id, hash) DO NOTHING

-- name: move_stars
-- A renamed script keeps its stars.
WITH moved AS (
    DELETE FROM starred WHERE workspace_id = $1 AND kind = 'script' AND path = $2 RETURNING username
)
INSERT INTO starred (workspace_id, username, kind, path)
SELECT $1, username, 'script', $3 FROM moved
ON CONFLICT DO NOTHING

-- name: record_lock
-- How resolving the dependencies ended; a lock that stands is never replaced by a late second answer.
UPDATE script
   SET lock = $3, lock_error_logs = $4
 WHERE workspace_id = $1 AND hash = $2 AND lock IS NULL

-- name: set_deployment_message
-- What a deployment says of itself.
UPDATE script SET deployment_message = $3 WHERE workspace_id = $1 AND hash = $2

-- name: archive_path
-- The live version of a path steps down.
UPDATE script SET archived = true WHERE workspace_id = $1 AND path = $2 AND NOT archived

-- name: delete_path
-- All versions of a path.
DELETE FROM script WHERE workspace_id = $1 AND path = $2

-- name: blank_version
-- A version loses its content and stays as a mark in the history.
UPDATE script
   SET archived = true, deleted = true, content = '', schema = NULL, lock = '', lock_error_logs = NULL,
       settings = '{}'
 WHERE workspace_id = $1 AND hash = $2

-- name: delete_stars
-- Nobody's favorite any more.
DELETE FROM starred WHERE workspace_id = $1 AND kind = 'script' AND path = $2

-- name: star
-- Once is enough.
INSERT INTO starred (workspace_id, username, kind, path) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: unstar
-- No longer a favorite.
DELETE FROM starred WHERE workspace_id = $1 AND username = $2 AND kind = $3 AND path = $4

-- name: list_scoped_tokens
-- Tokens that name a scope; $3 narrows to one owner.
SELECT label, prefix, expires_at, created_at, last_used_at, scopes, email
  FROM token
 WHERE workspace_id = $1 AND scopes @> ARRAY[$2::text] AND ($3::text IS NULL OR email = $3)
 ORDER BY created_at
