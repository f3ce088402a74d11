-- name: set_lock_timeout
-- A migration waits a while for busy tables, then fails instead of blocking the instance.
SET LOCAL lock_timeout = '20s'

-- name: lock
-- Those who migrate at once take turns; released with the transaction.
SELECT pg_advisory_xact_lock($1)

-- name: create_table
-- The record of what was applied.
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: table_exists
-- Whether any migration was ever applied.
SELECT to_regclass('schema_migration')::text

-- name: list
-- The numbers applied.
SELECT number FROM schema_migration

-- name: record
-- A migration and its record commit together.
INSERT INTO schema_migration (number, name) VALUES ($1, $2)
