-- name: begin
SELECT digest FROM file.begin_removals(%(until)s, %(most)s) digest;

-- name: removed
DELETE FROM file.sandboxes WHERE digest = %(digest)s AND removing_at IS NOT NULL;
