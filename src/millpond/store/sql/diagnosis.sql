-- name: server_version
-- The version of the server, such as 18.1.
SELECT current_setting('server_version')
