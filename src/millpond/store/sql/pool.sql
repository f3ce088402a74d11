-- name: try_session_lock
-- Leadership: held by the connection until it closes.
SELECT pg_try_advisory_lock($1)
