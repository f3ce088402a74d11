-- name: find_linked_job
-- The job a link names, with what tells which flow it answers to.
SELECT j.id, j.kind, j.parent_job, j.step_place, j.step_attempt, p.kind AS parent_kind, q.job_id IS NOT NULL AS is_live
  FROM job j
  JOIN workspace w ON w.id = j.workspace_id AND NOT w.archived
  LEFT JOIN job p ON p.workspace_id = j.workspace_id AND p.id = j.parent_job
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
 WHERE j.workspace_id = $1 AND j.id = $2

-- name: hold_flow
-- Where a flow stands, which changes no more until the commit.
SELECT s.status, q.job_id IS NOT NULL AS is_live
  FROM flow_status s
  LEFT JOIN job_queue q ON q.workspace_id = s.workspace_id AND q.job_id = s.job_id
 WHERE s.workspace_id = $1 AND s.job_id = $2
   FOR UPDATE OF s

-- name: find_step_job
-- The job of one attempt of a step; of several, as loops have, the last.
SELECT id
  FROM job
 WHERE workspace_id = $1 AND parent_job = $2 AND step_place = $3 AND step_attempt = $4
 ORDER BY step_index DESC NULLS LAST LIMIT 1

-- name: add_approval
-- An answer, unless the same one was given: by this job, or by another job of the same attempt of a step. The flow is held.
INSERT INTO flow_approval (workspace_id, flow_job, job_id, resume_id, step, attempt, approver, approved, payload)
SELECT $1, $2, $3, $4::bigint, $5, $6::integer, $7, $8::boolean, $9::json
 WHERE NOT EXISTS (SELECT FROM flow_approval
                    WHERE workspace_id = $1 AND flow_job = $2 AND resume_id = $4 AND step IS NOT DISTINCT FROM $5 AND attempt = $6)
ON CONFLICT DO NOTHING

-- name: list_payloads
-- All answers given to a flow, in order of arrival.
SELECT step, attempt, resume_id, approver, approved, payload
  FROM flow_approval
 WHERE workspace_id = $1 AND flow_job = $2
 ORDER BY created_at, job_id, resume_id

-- name: list_approvers
-- Who approved what a link is about, in order of arrival: a step ($3), beside those who approved the flow as a whole.
SELECT resume_id, approver
  FROM flow_approval
 WHERE workspace_id = $1 AND flow_job = $2 AND approved AND (step IS NULL OR step = $3 AND attempt = $4)
 ORDER BY created_at, job_id, resume_id
