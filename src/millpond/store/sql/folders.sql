-- name: list_folders
-- Folders by name: all of them ($2), or those named ($3).
SELECT name, display_name, summary, owners, extra_perms::text, created_by, edited_at
  FROM folder
 WHERE workspace_id = $1 AND ($2::boolean OR name = ANY ($3::text[]))
 ORDER BY name
 LIMIT $4 OFFSET $5

-- name: list_folder_names
-- Names alone: all of them ($2), or those in the list ($3).
SELECT name FROM folder WHERE workspace_id = $1 AND ($2::boolean OR name = ANY ($3::text[])) ORDER BY name

-- name: get_folder
-- One folder, whoever asks.
SELECT name, display_name, summary, owners, extra_perms::text, created_by, edited_at
  FROM folder WHERE workspace_id = $1 AND name = $2

-- name: lock_folder
-- The row about to change, held until the transaction ends.
SELECT name, display_name, summary, owners, extra_perms::text, created_by, edited_at
  FROM folder WHERE workspace_id = $1 AND name = $2 FOR UPDATE

-- name: folder_exists
-- Whether the name is taken.
SELECT EXISTS (SELECT FROM folder WHERE workspace_id = $1 AND name = $2)

-- name: count_items
-- What lies in a folder; $2 is its name, its path and a slash ('f/<name>/').
SELECT (SELECT count(*) FROM script s WHERE s.workspace_id = $1 AND starts_with(s.path, $2) AND NOT s.archived) AS scripts,
       (SELECT count(*) FROM resource r WHERE r.workspace_id = $1 AND starts_with(r.path, $2)) AS resources,
       (SELECT count(*) FROM variable v WHERE v.workspace_id = $1 AND starts_with(v.path, $2)) AS variables

-- name: has_items
-- Whether anything lies below 'f/<name>/' ($2), archived versions included.
SELECT EXISTS (SELECT FROM script WHERE workspace_id = $1 AND starts_with(path, $2))
    OR EXISTS (SELECT FROM resource WHERE workspace_id = $1 AND starts_with(path, $2))
    OR EXISTS (SELECT FROM variable WHERE workspace_id = $1 AND starts_with(path, $2))

-- name: insert_folder
-- Nothing when the name is taken.
INSERT INTO folder (workspace_id, name, display_name, summary, owners, extra_perms, created_by)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
ON CONFLICT DO NOTHING

-- name: update_folder
-- A locked row as it shall be.
UPDATE folder
   SET display_name = $3, summary = $4, owners = $5, extra_perms = $6::text::jsonb, edited_at = now()
 WHERE workspace_id = $1 AND name = $2

-- name: delete_folder
-- The folder alone; what lies in it stays, for administrators to see.
DELETE FROM folder WHERE workspace_id = $1 AND name = $2
