-- name: lock_settings
-- Those who prepare an instance at once take turns.
SELECT pg_advisory_xact_lock(1296649293)

-- name: get_fingerprint
-- The digest of the master key the database was sealed with.
SELECT value #>> '{}' FROM instance_setting WHERE name = 'master_key_fingerprint'

-- name: record_fingerprint
-- Once, when the instance is made.
INSERT INTO instance_setting (name, value) VALUES ('master_key_fingerprint', to_json($1::text))

-- name: is_prepared
-- Whether the first start came to its end: what it made may have been deleted since, and stays so.
SELECT EXISTS (SELECT FROM instance_setting WHERE name = 'prepared')

-- name: record_prepared
-- Two first starts at once may both say so.
INSERT INTO instance_setting (name, value) VALUES ('prepared', 'true') ON CONFLICT (name) DO NOTHING

-- name: list_partitions
-- The partitions of the job tables.
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
 WHERE p.relname = ANY ($1::text[])

-- name: partition_statement
-- The statement that makes one partition: names and bounds come from dates, quoted by the database itself.
SELECT format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', $1::text, $2::text, $3::uuid, $4::uuid)
