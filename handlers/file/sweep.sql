-- name: begin
SELECT digest FROM file.begin_removals(%(until)s, %(most)s) digest;

-- name: go_on
-- Somebody else may have taken it, when those before it took long.
UPDATE file.sandboxes SET removing_at = clock_timestamp() WHERE digest = %(digest)s AND removing_at IS NOT NULL RETURNING digest;

-- name: removed
DELETE FROM file.sandboxes WHERE digest = %(digest)s AND removing_at IS NOT NULL;
