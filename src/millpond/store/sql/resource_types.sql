-- name: list_resource_types
-- The workspace's own types by name.
SELECT name, schema, description, created_by, edited_at, format_extension, is_fileset
  FROM resource_type
 WHERE workspace_id = $1
 ORDER BY name

-- name: get_resource_type
-- One of the workspace's own types.
SELECT name, schema, description, created_by, edited_at, format_extension, is_fileset
  FROM resource_type
 WHERE workspace_id = $1 AND name = $2

-- name: lock_resource_type
-- One of the workspace's own types, held until the transaction ends.
SELECT name, schema, description, created_by, edited_at, format_extension, is_fileset
  FROM resource_type
 WHERE workspace_id = $1 AND name = $2
   FOR UPDATE

-- name: insert_resource_type
-- Nothing when the name is taken.
INSERT INTO resource_type (workspace_id, name, schema, description, created_by, format_extension, is_fileset)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- name: update_resource_type
-- Each flag says whether its value is given. The time is the statement's, so that two changes never share one.
UPDATE resource_type
   SET schema = CASE WHEN $3 THEN $4::json ELSE schema END,
       description = CASE WHEN $5 THEN $6 ELSE description END,
       format_extension = CASE WHEN $7 THEN $8 ELSE format_extension END,
       is_fileset = coalesce($9, is_fileset),
       edited_at = clock_timestamp()
 WHERE workspace_id = $1 AND name = $2

-- name: delete_resource_type
-- One of the workspace's own types; resources of the type stay.
DELETE FROM resource_type WHERE workspace_id = $1 AND name = $2
