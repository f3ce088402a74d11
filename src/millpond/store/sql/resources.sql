-- name: get_resource
-- One resource, whoever asks.
SELECT r.path, r.value, r.description, r.resource_type, r.extra_perms::text, r.labels, r.created_by, r.edited_at,
       EXISTS (SELECT FROM variable v WHERE v.workspace_id = r.workspace_id AND v.path = r.path) AS is_linked
  FROM resource r
 WHERE r.workspace_id = $1 AND r.path = $2

-- name: get_value
-- What a job reads: the value, its type, and what decides who may see it.
SELECT value, resource_type, extra_perms::text FROM resource WHERE workspace_id = $1 AND path = $2

-- name: get_values
-- What references stand for, several at once.
SELECT path, value, resource_type, extra_perms::text FROM resource WHERE workspace_id = $1 AND path = ANY ($2::text[])

-- name: lock_value
-- The row with its value, held until the transaction ends.
SELECT value, resource_type, extra_perms::text FROM resource WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: lock_resource
-- The row about to change, held until the transaction ends.
SELECT path, resource_type, extra_perms::text FROM resource WHERE workspace_id = $1 AND path = $2 FOR UPDATE

-- name: resource_exists
-- Whether the path is taken by a resource.
SELECT EXISTS (SELECT FROM resource WHERE workspace_id = $1 AND path = $2)

-- name: list_resources
-- Resources the actor may see, by path descending as clients expect; $2 to $5 are the actor, the rest filters.
-- json holds what jsonb cannot (NUL escapes, huge numbers): such a value matches no subset, and does not fail the list.
SELECT r.path, r.description, r.resource_type, r.extra_perms::text, r.labels, r.created_by, r.edited_at,
       EXISTS (SELECT FROM variable v WHERE v.workspace_id = r.workspace_id AND v.path = r.path) AS is_linked
  FROM resource r
 WHERE r.workspace_id = $1
   AND ($2::boolean OR split_part(r.path, '/', 1) || '/' || split_part(r.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(r.path, 'f/') AND split_part(r.path, '/', 2) = ANY ($4::text[]))
        OR r.extra_perms ?| $5::text[])
   AND ($6::text[] IS NULL OR r.resource_type = ANY ($6))
   AND ($7::text[] IS NULL OR r.resource_type <> ALL ($7))
   AND ($8::text IS NULL OR starts_with(r.path, $8))
   AND ($9::text IS NULL OR r.path = $9)
   AND ($10::text IS NULL OR r.description ILIKE $10)
   AND ($11::text IS NULL OR CASE WHEN r.value::text !~ '\\u0000|(^|[\[,:[:space:]])-?([0-9.]{255}|[0-9.]+[eE][+-]?[0-9]{5})'
                                  THEN r.value::text::jsonb @> $11::jsonb ELSE false END)
   AND ($12::text IS NULL OR r.path ILIKE $12 OR r.description ILIKE $12 OR r.resource_type ILIKE $12 OR r.value::text ILIKE $12)
   AND ($13::text[] IS NULL OR r.labels @> $13)
 ORDER BY r.path DESC
 LIMIT $14 OFFSET $15

-- name: search_resources
-- Paths and values the actor may see, for client-side search; states and caches are left out.
SELECT r.path, r.value
  FROM resource r
 WHERE r.workspace_id = $1
   AND ($2::boolean OR split_part(r.path, '/', 1) || '/' || split_part(r.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(r.path, 'f/') AND split_part(r.path, '/', 2) = ANY ($4::text[]))
        OR r.extra_perms ?| $5::text[])
   AND r.resource_type NOT IN ('state', 'cache')
 ORDER BY r.path
 LIMIT 1000

-- name: list_names
-- The name inside each visible value of one type; a value with a NUL escape has none that text can hold.
SELECT r.path, CASE WHEN r.value::text !~ '\\u0000' THEN r.value ->> 'name' END AS name
  FROM resource r
 WHERE r.workspace_id = $1
   AND ($2::boolean OR split_part(r.path, '/', 1) || '/' || split_part(r.path, '/', 2) = ANY ($3::text[])
        OR (starts_with(r.path, 'f/') AND split_part(r.path, '/', 2) = ANY ($4::text[]))
        OR r.extra_perms ?| $5::text[])
   AND r.resource_type = $6
   AND CASE WHEN r.value::text !~ '\\u0000' AND json_typeof(r.value) = 'object'
            THEN r.value ->> 'name' IS NOT NULL ELSE false END
 ORDER BY r.path

-- name: insert_resource
-- Nothing when the path is taken.
INSERT INTO resource (workspace_id, path, value, description, resource_type, labels, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- name: upsert_resource
-- Create or overwrite at once; who created it and who may see it stay.
INSERT INTO resource (workspace_id, path, value, description, resource_type, labels, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace_id, path) DO UPDATE
   SET value = excluded.value,
       description = coalesce(excluded.description, resource.description),
       resource_type = excluded.resource_type,
       labels = coalesce(excluded.labels, resource.labels),
       edited_at = now()

-- name: put_state
-- A state, written in one statement; nothing when the path holds another type.
INSERT INTO resource (workspace_id, path, value, description, resource_type, created_by)
VALUES ($1, $2, $3, $4, 'state', $5)
ON CONFLICT (workspace_id, path) DO UPDATE
   SET value = excluded.value, description = coalesce(excluded.description, resource.description), edited_at = now()
 WHERE resource.resource_type = 'state'

-- name: update_resource
-- Each flag says whether its value is given; a path is always given.
UPDATE resource
   SET path = $3,
       value = CASE WHEN $4 THEN $5::json ELSE value END,
       description = CASE WHEN $6 THEN $7 ELSE description END,
       resource_type = coalesce($8, resource_type),
       labels = CASE WHEN $9 THEN $10::text[] ELSE labels END,
       edited_at = now()
 WHERE workspace_id = $1 AND path = $2

-- name: update_value
-- The value alone.
UPDATE resource SET value = $3, edited_at = now() WHERE workspace_id = $1 AND path = $2

-- name: delete_resource
-- One resource.
DELETE FROM resource WHERE workspace_id = $1 AND path = $2
