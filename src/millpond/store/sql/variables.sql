-- name: get_variable
-- One variable, whoever asks; an expired one is gone already.
SELECT v.path, v.value, v.is_secret, v.description, v.extra_perms::text, v.labels, v.account, v.is_oauth, v.expires_at,
       v.edited_by, v.edited_at,
       EXISTS (SELECT FROM resource r WHERE r.workspace_id = v.workspace_id AND r.path = v.path) AS is_linked
  FROM variable v
 WHERE v.workspace_id = $1 AND v.path = $2 AND (v.expires_at IS NULL OR v.expires_at > now())

-- name: get_values
-- What jobs read, several at once: values and what decides who may see them.
SELECT path, value, is_secret, extra_perms::text
  FROM variable
 WHERE workspace_id = $1 AND path = ANY ($2::text[]) AND (expires_at IS NULL OR expires_at > now())

-- name: lock_variable
-- The row about to change, held until the transaction ends.
SELECT path, value, is_secret, extra_perms::text
  FROM variable
 WHERE workspace_id = $1 AND path = $2 AND (expires_at IS NULL OR expires_at > now())
   FOR UPDATE

-- name: variable_exists
-- Whether the path is taken by a variable.
SELECT EXISTS (
       SELECT FROM variable WHERE workspace_id = $1 AND path = $2 AND (expires_at IS NULL OR expires_at > now()))

-- name: list_variables
-- Variables the actor may see, secret values left out; $2 to $5 are the actor, the rest filters.
SELECT v.path, CASE WHEN v.is_secret THEN NULL ELSE v.value END AS value, v.is_secret, v.description,
       v.extra_perms::text, v.labels, v.account, v.is_oauth, v.expires_at, v.edited_by, v.edited_at,
       EXISTS (SELECT FROM resource r WHERE r.workspace_id = v.workspace_id AND r.path = v.path) AS is_linked
  FROM variable v
 WHERE v.workspace_id = $1
   AND ($2::boolean OR split_part(v.path, '/', 1) || '/' || split_part(v.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(v.path, 'f/') AND split_part(v.path, '/', 2) = ANY ($4::text[]))
        OR v.extra_perms ?| $5::text[])
   AND (v.expires_at IS NULL OR v.expires_at > now())
   AND v.path !~ '^u/[^/]+/secret_arg/'
   AND ($6::text IS NULL OR starts_with(v.path, $6))
   AND ($7::text IS NULL OR v.path = $7)
   AND ($8::text IS NULL OR v.description ILIKE $8)
   AND ($9::text IS NULL OR (NOT v.is_secret AND v.value ILIKE $9))
   AND ($10::text IS NULL OR v.path ILIKE $10 OR v.description ILIKE $10 OR (NOT v.is_secret AND v.value ILIKE $10))
   AND ($11::text[] IS NULL OR v.labels @> $11)
 ORDER BY v.path
 LIMIT $12 OFFSET $13

-- name: insert_variable
-- Nothing when the path is taken; a variable that has expired is replaced, with all that belonged to it.
INSERT INTO variable (workspace_id, path, value, is_secret, description, labels, account, is_oauth, expires_at, edited_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (workspace_id, path) DO UPDATE
   SET value = excluded.value, is_secret = excluded.is_secret, description = excluded.description,
       labels = excluded.labels, account = excluded.account, is_oauth = excluded.is_oauth,
       expires_at = excluded.expires_at, edited_by = excluded.edited_by, edited_at = now(), extra_perms = '{}'
 WHERE variable.expires_at <= now()

-- name: update_variable
-- A null leaves the column as it is; the flags say whether labels and expiry are given.
UPDATE variable
   SET path = $3,
       value = coalesce($4, value),
       is_secret = coalesce($5, is_secret),
       description = coalesce($6, description),
       labels = CASE WHEN $7 THEN $8::text[] ELSE labels END,
       expires_at = CASE WHEN $9 THEN $10::timestamptz ELSE expires_at END,
       edited_by = $11,
       edited_at = now()
 WHERE workspace_id = $1 AND path = $2

-- name: delete_variable
-- One variable, expired or not.
DELETE FROM variable WHERE workspace_id = $1 AND path = $2

-- name: delete_expired_at
-- Make room at a path for a variable that is renamed.
DELETE FROM variable WHERE workspace_id = $1 AND path = $2 AND expires_at <= now()
