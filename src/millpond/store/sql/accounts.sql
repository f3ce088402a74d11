-- name: get_account
-- One account; operator_only is true when every membership is an operator's.
SELECT a.email, a.username, a.is_superadmin, a.name, a.company, a.created_at, a.password_hash IS NOT NULL AS has_password,
       coalesce((SELECT bool_and(m.role = 'operator') FROM workspace_user m WHERE m.email = a.email), false)
           AND NOT a.is_superadmin AS operator_only
  FROM account a
 WHERE a.email = $1

-- name: list_accounts
-- Accounts by e-mail.
SELECT a.email, a.username, a.is_superadmin, a.name, a.company, a.created_at, a.password_hash IS NOT NULL AS has_password,
       coalesce((SELECT bool_and(m.role = 'operator') FROM workspace_user m WHERE m.email = a.email), false)
           AND NOT a.is_superadmin AS operator_only
  FROM account a
 ORDER BY a.email
 LIMIT $1 OFFSET $2

-- name: account_exists
-- Whether the e-mail has an account.
SELECT EXISTS (SELECT FROM account WHERE email = $1)

-- name: get_password_hash
-- What a password is checked against; null when there is no account, or none but login links open it.
SELECT password_hash FROM account WHERE email = $1

-- name: insert_account
-- Nothing when the e-mail is taken.
INSERT INTO account (email, username, password_hash, is_superadmin, name, company)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING

-- name: ensure_superadmin
-- The first superadmin; nothing when there is one already.
INSERT INTO account (email, username, is_superadmin)
SELECT $1, $2, true
 WHERE NOT EXISTS (SELECT FROM account WHERE is_superadmin)
ON CONFLICT (email) DO UPDATE SET is_superadmin = true

-- name: lock_superadmins
-- Held until the transaction ends, so that two of them cannot remove each other at once.
SELECT email FROM account WHERE is_superadmin ORDER BY email FOR UPDATE

-- name: update_account
-- Each flag says whether its value is given.
UPDATE account
   SET is_superadmin = coalesce($2, is_superadmin),
       password_hash = coalesce($3, password_hash),
       name = CASE WHEN $4 THEN $5 ELSE name END,
       company = CASE WHEN $6 THEN $7 ELSE company END
 WHERE email = $1

-- name: delete_account
-- Its memberships, tokens and login links go with it.
DELETE FROM account WHERE email = $1

-- name: forget_folder_grants
-- What folders grant to the usernames of an account in one workspace ($2), or in all (null): who gets a name later
-- must not inherit it.
UPDATE folder f
   SET owners = array_remove(f.owners, 'u/' || m.username), extra_perms = f.extra_perms - ('u/' || m.username)
  FROM workspace_user m
 WHERE m.email = $1 AND ($2::text IS NULL OR m.workspace_id = $2) AND f.workspace_id = m.workspace_id
   AND (f.owners @> ARRAY['u/' || m.username] OR f.extra_perms ? ('u/' || m.username))

-- name: forget_group_grants
-- The same for the management of groups.
UPDATE workspace_group g
   SET extra_perms = g.extra_perms - ('u/' || m.username)
  FROM workspace_user m
 WHERE m.email = $1 AND ($2::text IS NULL OR m.workspace_id = $2) AND g.workspace_id = m.workspace_id
   AND g.extra_perms ? ('u/' || m.username)

-- name: insert_login_link
-- A link that logs in once; nothing when the e-mail has no account.
INSERT INTO login_link (token_hash, email, expires_at)
SELECT $1, a.email, now() + $3::interval FROM account a WHERE a.email = $2

-- name: redeem_login_link
-- The link is gone whoever wins; of two at once, one gets the row.
DELETE FROM login_link WHERE token_hash = $1 RETURNING email, expires_at > now() AS is_valid

-- name: delete_expired_links
-- Links nobody used in time.
DELETE FROM login_link WHERE expires_at <= now()
