-- name: lock_script
-- The permissions of a path's current version, or of its last.
SELECT extra_perms::text FROM script
 WHERE workspace_id = $1 AND path = $2
 ORDER BY archived, created_at DESC
 LIMIT 1
   FOR UPDATE

-- name: write_script
-- Every version: a right taken away is gone from the history too.
UPDATE script SET extra_perms = $3::text::jsonb WHERE workspace_id = $1 AND path = $2

-- name: lock_flow
-- The permissions of a flow, the same for all its versions.
SELECT extra_perms::text FROM flow WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: write_flow
-- All permissions of a flow.
UPDATE flow SET extra_perms = $3::text::jsonb WHERE workspace_id = $1 AND path = $2

-- name: lock_resource
-- The permissions of a resource.
SELECT extra_perms::text FROM resource WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: write_resource
-- All permissions of a resource.
UPDATE resource SET extra_perms = $3::text::jsonb WHERE workspace_id = $1 AND path = $2

-- name: lock_variable
-- The permissions of a variable.
SELECT extra_perms::text FROM variable WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: write_variable
-- All permissions of a variable.
UPDATE variable SET extra_perms = $3::text::jsonb WHERE workspace_id = $1 AND path = $2

-- name: lock_group_
-- Who may manage a group.
SELECT extra_perms::text FROM workspace_group WHERE workspace_id = $1 AND name = $2 FOR UPDATE

-- name: write_group_
-- All who may manage a group.
UPDATE workspace_group SET extra_perms = $3::text::jsonb WHERE workspace_id = $1 AND name = $2

-- name: lock_folder
-- Who may read and write in a folder.
SELECT extra_perms::text FROM folder WHERE workspace_id = $1 AND name = $2 FOR UPDATE

-- name: write_folder
-- All who may read and write in a folder.
UPDATE folder SET extra_perms = $3::text::jsonb, edited_at = now() WHERE workspace_id = $1 AND name = $2
