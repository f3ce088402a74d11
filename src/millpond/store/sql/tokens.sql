-- name: insert_token
-- A token, of which only the digest is kept; nothing when the e-mail has no account. It ends with the token that asked
-- for it ($9, null: none) and after $10 (null: whenever) at the latest.
INSERT INTO token (token_hash, prefix, email, kind, label, workspace_id, scopes, expires_at)
SELECT $1, $2, a.email, $4, $5, $6, $7, least($8::timestamptz, asking.expires_at, now() + $10::interval)
  FROM account a LEFT JOIN token asking ON asking.token_hash = $9 AND asking.kind = 'token'
 WHERE a.email = $3

-- name: insert_session
-- A session that ends after $4; nothing when the e-mail has no account.
INSERT INTO token (token_hash, prefix, email, kind, label, expires_at)
SELECT $1, $2, a.email, 'session', 'session', now() + $4::interval FROM account a WHERE a.email = $3

-- name: list_tokens
-- Tokens of an account, newest first; $2 (workspace) limits them to those bound to it, $3 leaves sessions out.
SELECT prefix, label, expires_at, created_at, last_used_at, scopes, workspace_id, email
  FROM token
 WHERE email = $1 AND ($2::text IS NULL OR workspace_id = $2) AND (NOT $3::boolean OR kind = 'token')
   AND (expires_at IS NULL OR expires_at > now())
 ORDER BY created_at DESC, prefix
 LIMIT $4 OFFSET $5

-- name: revoke_token
-- Tokens of an account by their first characters; $3 (workspace) limits them to those bound to it.
DELETE FROM token WHERE email = $1 AND prefix = $2 AND ($3::text IS NULL OR workspace_id = $3)

-- name: end_session
-- A logout: tokens that are no sessions stay.
DELETE FROM token WHERE token_hash = $1 AND kind = 'session'

-- name: end_sessions
-- All sessions of an account but one ($2, null: none is spared).
DELETE FROM token WHERE email = $1 AND kind = 'session' AND token_hash IS DISTINCT FROM $2

-- name: delete_expired_tokens
-- Tokens of an account that open nothing any more.
DELETE FROM token WHERE email = $1 AND expires_at <= now()
