-- name: list_workspaces_of_account
-- Workspaces an account is a member of, archived ones left out; $2 (workspace) is what a bound token opens.
SELECT w.id, w.name, w.owner, w.created_at, w.archived, m.username, m.role, m.disabled
  FROM workspace_user m
  JOIN workspace w ON w.id = m.workspace_id
 WHERE m.email = $1 AND NOT w.archived AND ($2::text IS NULL OR w.id = $2)
 ORDER BY w.id

-- name: list_workspaces
-- All workspaces, archived ones included.
SELECT id, name, owner, created_at, archived FROM workspace ORDER BY id LIMIT $1 OFFSET $2

-- name: get_workspace
-- One workspace.
SELECT id, name, owner, created_at, archived FROM workspace WHERE id = $1

-- name: workspace_exists
-- Whether the id is taken, by an archived workspace too.
SELECT EXISTS (SELECT FROM workspace WHERE id = $1)

-- name: username_exists
-- Whether the username is taken in a workspace.
SELECT EXISTS (SELECT FROM workspace_user WHERE workspace_id = $1 AND username = $2)

-- name: insert_workspace
-- Nothing when the id is taken.
INSERT INTO workspace (id, name, owner, sealed_key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: insert_group_all
-- The group every member is in.
INSERT INTO workspace_group (workspace_id, name, summary) VALUES ($1, 'all', 'The group that holds every member')

-- name: get_sealed_key
-- The workspace's key, wrapped by the master key.
SELECT sealed_key FROM workspace WHERE id = $1

-- name: rename_workspace
-- Its name, not its id.
UPDATE workspace SET name = $2 WHERE id = $1

-- name: set_archived
-- Archive or bring back; nothing when it is so already.
UPDATE workspace SET archived = $2 WHERE id = $1 AND archived <> $2

-- name: delete_archived_workspace
-- What refers to it goes with it; nothing when it is not archived.
DELETE FROM workspace WHERE id = $1 AND archived

-- name: delete_queue
-- Waiting and running jobs of a workspace; a completion that comes later changes nothing.
DELETE FROM job_queue WHERE workspace_id = $1

-- name: delete_logs
-- Logs of a workspace.
DELETE FROM job_log WHERE workspace_id = $1

-- name: delete_completed
-- Results of a workspace.
DELETE FROM job_completed WHERE workspace_id = $1

-- name: delete_jobs
-- Jobs of a workspace.
DELETE FROM job WHERE workspace_id = $1
