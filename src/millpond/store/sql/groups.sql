-- name: list_groups
-- Groups with their members, by name; every member of the workspace is in 'all'.
SELECT g.name, g.summary, g.extra_perms::text,
       CASE WHEN g.name = 'all'
            THEN ARRAY(SELECT m.username FROM workspace_user m WHERE m.workspace_id = g.workspace_id ORDER BY m.username)
            ELSE ARRAY(SELECT m.username FROM group_member m
                        WHERE m.workspace_id = g.workspace_id AND m.group_name = g.name ORDER BY m.username)
       END AS members
  FROM workspace_group g
 WHERE g.workspace_id = $1
 ORDER BY g.name
 LIMIT $2 OFFSET $3

-- name: get_group
-- One group with its members.
SELECT g.name, g.summary, g.extra_perms::text,
       CASE WHEN g.name = 'all'
            THEN ARRAY(SELECT m.username FROM workspace_user m WHERE m.workspace_id = g.workspace_id ORDER BY m.username)
            ELSE ARRAY(SELECT m.username FROM group_member m
                        WHERE m.workspace_id = g.workspace_id AND m.group_name = g.name ORDER BY m.username)
       END AS members
  FROM workspace_group g
 WHERE g.workspace_id = $1 AND g.name = $2

-- name: list_group_names
-- Names alone; $2 (username) limits them to that member's.
SELECT g.name
  FROM workspace_group g
 WHERE g.workspace_id = $1
   AND ($2::text IS NULL OR g.name = 'all' OR EXISTS (
        SELECT FROM group_member m WHERE m.workspace_id = $1 AND m.group_name = g.name AND m.username = $2))
 ORDER BY g.name

-- name: lock_group
-- Who may manage the group, held until the transaction ends.
SELECT extra_perms::text FROM workspace_group WHERE workspace_id = $1 AND name = $2 FOR UPDATE

-- name: is_granted
-- Whether something is granted to the principal $2 ('g/<name>') or lies below it already, so that whoever creates a
-- group of that name would inherit it.
SELECT EXISTS (SELECT FROM folder WHERE workspace_id = $1 AND (owners @> ARRAY[$2::text] OR extra_perms ? $2))
    OR EXISTS (SELECT FROM workspace_group WHERE workspace_id = $1 AND extra_perms ? $2)
    OR EXISTS (SELECT FROM resource WHERE workspace_id = $1 AND (extra_perms ? $2 OR starts_with(path, $2 || '/')))
    OR EXISTS (SELECT FROM variable WHERE workspace_id = $1 AND (extra_perms ? $2 OR starts_with(path, $2 || '/')))
    OR EXISTS (SELECT FROM script WHERE workspace_id = $1 AND (extra_perms ? $2 OR starts_with(path, $2 || '/')))

-- name: insert_group
-- Nothing when the name is taken.
INSERT INTO workspace_group (workspace_id, name, summary, extra_perms)
VALUES ($1, $2, $3, jsonb_build_object($4::text, true))
ON CONFLICT DO NOTHING

-- name: update_group
-- The summary alone.
UPDATE workspace_group SET summary = $3 WHERE workspace_id = $1 AND name = $2

-- name: delete_group
-- Its memberships go with it.
DELETE FROM workspace_group WHERE workspace_id = $1 AND name = $2

-- name: add_group_member
-- Nothing when the user is in it already.
INSERT INTO group_member (workspace_id, group_name, username) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: remove_group_member
-- Nothing when the user is not in it.
DELETE FROM group_member WHERE workspace_id = $1 AND group_name = $2 AND username = $3
