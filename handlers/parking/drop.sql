-- name: settle
UPDATE bus.parked SET settled = 'dropped', settled_by = %(by)s, settled_at = %(at)s
WHERE parked_id = %(parked_id)s AND settled IS NULL RETURNING parked_id;
