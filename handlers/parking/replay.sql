-- name: settle
UPDATE bus.parked SET settled = 'replayed', settled_by = %(by)s, settled_at = %(at)s
WHERE parked_id = %(parked_id)s AND settled IS NULL RETURNING queue, reason;

-- name: unsettle
UPDATE bus.parked SET settled = NULL, settled_by = NULL, settled_at = NULL WHERE parked_id = %(parked_id)s;

-- name: owe
-- Backdated, because the relay takes what others left behind only after a while.
INSERT INTO bus.unsent (unsent_id, recorded_at, queue, parked_id)
VALUES (gen_random_uuid(), now() - interval '1 minute', %(queue)s, %(parked_id)s);
