-- name: identify
-- Who shows these credentials, and what they may touch in workspace $1 (null: outside any), in one round trip.
-- Credentials are one of: a token ($2), the superadmin secret's e-mail and username ($3, $4), a job ($6 to $8).
-- A job without a lease ($8) is one the instance itself acts for, a flow whose expressions are evaluated: $9 and $10 say
-- as whom it runs.
-- $5 is the e-mail whose jobs are a superadmin's when it has no account: the secret's.
WITH shown AS (
    SELECT a.email, a.username, a.is_superadmin, t.scopes, t.workspace_id AS bound_to,
           extract(epoch FROM t.expires_at - now())::float8 AS expires_in_secs,
           t.last_used_at < now() - interval '1 minute' AS use_is_stale,
           NULL::uuid AS job_id, NULL::text AS job_username, NULL::text AS job_kind, NULL::text AS runnable_path,
           NULL::text AS flow_step_id, NULL::text AS created_by, NULL::text AS trigger_kind, NULL::text AS schedule_path,
           NULL::uuid AS parent_job, NULL::uuid AS root_job, NULL::text AS flow_path, NULL::boolean AS is_test
      FROM token t
      JOIN account a ON a.email = t.email
     WHERE t.token_hash = $2 AND (t.expires_at IS NULL OR t.expires_at > now())
    UNION ALL
    SELECT $3::text, $4::text, true, NULL, NULL, NULL, false,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
     WHERE $3 IS NOT NULL
    UNION ALL
    SELECT j.email, split_part(j.permissioned_as, '/', 2), coalesce(a.is_superadmin, j.email = $5, false),
           NULL, j.workspace_id, NULL, false,
           j.id, split_part(j.permissioned_as, '/', 2), j.kind, j.runnable_path,
           j.flow_step_id, j.created_by, j.trigger_kind, j.schedule_path, j.parent_job, j.root_job, j.flow_path, j.is_test
      FROM job_queue q
      JOIN job j ON j.workspace_id = q.workspace_id AND j.id = q.job_id
      LEFT JOIN account a ON a.email = j.email
     WHERE q.workspace_id = $6 AND q.job_id = $7 AND q.state = 'running' AND q.lease_token = $8
       AND starts_with(j.permissioned_as, 'u/')
    UNION ALL
    SELECT $9::text, split_part($10::text, '/', 2), coalesce(a.is_superadmin, $9 = $5, false), NULL, $6, NULL, false,
           $7, split_part($10, '/', 2), 'flow', NULL, NULL, split_part($10, '/', 2), NULL, NULL, NULL, NULL, NULL, false
      FROM (SELECT) AS acted LEFT JOIN account a ON a.email = $9
     WHERE $8::bigint IS NULL AND starts_with($10, 'u/')
)
SELECT shown.email, shown.username, shown.is_superadmin, shown.scopes, shown.bound_to,
       shown.expires_in_secs, shown.use_is_stale,
       shown.job_id, shown.job_kind, shown.runnable_path, shown.flow_step_id, shown.created_by,
       shown.trigger_kind, shown.schedule_path, shown.parent_job, shown.root_job, shown.flow_path, shown.is_test,
       w.archived, m.username AS member_username, m.role, m.disabled,
       held.groups, opened.readable, opened.writable, opened.owned
  FROM shown
  LEFT JOIN workspace w ON w.id = $1
  LEFT JOIN workspace_user m ON m.workspace_id = w.id AND m.email = shown.email
        AND (shown.job_username IS NULL OR m.username = shown.job_username)
  LEFT JOIN LATERAL (
      SELECT array_agg(g.group_name) AS groups
        FROM group_member g
       WHERE g.workspace_id = m.workspace_id AND g.username = m.username
  ) held ON true
  LEFT JOIN LATERAL (
      SELECT ARRAY['u/' || m.username, 'g/all'] || array_agg('g/' || g.name) AS names
        FROM unnest(held.groups) AS g (name)
  ) principal ON true
  LEFT JOIN LATERAL (
      SELECT array_agg(f.name) FILTER (WHERE f.owners && principal.names OR f.extra_perms ?| principal.names) AS readable,
             array_agg(f.name) FILTER (WHERE f.owners && principal.names OR EXISTS (
                 SELECT FROM jsonb_each(f.extra_perms) AS p (name, may_write)
                  WHERE p.name = ANY (principal.names) AND p.may_write = 'true')) AS writable,
             array_agg(f.name) FILTER (WHERE f.owners && principal.names) AS owned
        FROM folder f
       WHERE f.workspace_id = m.workspace_id
  ) opened ON true

-- name: touch_token
-- A token was used; the condition keeps servers from writing the same minute twice.
UPDATE token SET last_used_at = now() WHERE token_hash = $1 AND last_used_at < now() - interval '1 minute'
