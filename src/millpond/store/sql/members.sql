-- name: list_members
-- Members by username; groups are those they were added to.
SELECT m.username, m.email, a.name, m.role, m.disabled, m.created_at, a.is_superadmin,
       ARRAY(SELECT g.group_name FROM group_member g
              WHERE g.workspace_id = m.workspace_id AND g.username = m.username ORDER BY g.group_name) AS groups
  FROM workspace_user m
  JOIN account a ON a.email = m.email
 WHERE m.workspace_id = $1
 ORDER BY m.username
 LIMIT $2 OFFSET $3

-- name: get_member
-- One member by username.
SELECT m.username, m.email, a.name, m.role, m.disabled, m.created_at, a.is_superadmin,
       ARRAY(SELECT g.group_name FROM group_member g
              WHERE g.workspace_id = m.workspace_id AND g.username = m.username ORDER BY g.group_name) AS groups
  FROM workspace_user m
  JOIN account a ON a.email = m.email
 WHERE m.workspace_id = $1 AND m.username = $2

-- name: describe_actor
-- What an actor cannot know of itself; a superadmin may be here without a membership, or even an account.
SELECT coalesce(m.created_at, a.created_at, w.created_at) AS created_at, m.role, coalesce(m.disabled, false) AS disabled, a.name
  FROM workspace w
  LEFT JOIN account a ON a.email = $2
  LEFT JOIN workspace_user m ON m.workspace_id = w.id AND m.email = $2
 WHERE w.id = $1

-- name: list_usernames
-- Usernames alone.
SELECT username FROM workspace_user WHERE workspace_id = $1 ORDER BY username

-- name: username_to_email
-- The e-mail behind a username.
SELECT email FROM workspace_user WHERE workspace_id = $1 AND username = $2

-- name: insert_member
-- Nothing when the account has no row, or the username is taken.
INSERT INTO workspace_user (workspace_id, username, email, role)
SELECT $1, $2, a.email, $4 FROM account a WHERE a.email = $3
ON CONFLICT (workspace_id, username) DO NOTHING

-- name: lock_workspace
-- Held until the transaction ends, so that two administrators cannot remove each other at once. Weaker than FOR UPDATE:
-- inserts that refer to the workspace go on.
SELECT id FROM workspace WHERE id = $1 FOR NO KEY UPDATE

-- name: other_admin_exists
-- Whether an administrator other than $2 could still act.
SELECT EXISTS (SELECT FROM workspace_user
                WHERE workspace_id = $1 AND username <> $2 AND role = 'admin' AND NOT disabled)

-- name: update_member
-- Role and whether the member may enter.
UPDATE workspace_user SET role = $3, disabled = $4 WHERE workspace_id = $1 AND username = $2

-- name: delete_member
-- Memberships in groups go with it.
DELETE FROM workspace_user WHERE workspace_id = $1 AND username = $2
