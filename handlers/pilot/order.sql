-- name: pilot
SELECT state FROM pilot.pilots WHERE pilot_id = %(pilot_id)s;

-- name: give
SELECT number, fresh FROM pilot.give_order(%(pilot_id)s, %(order)s, NULL, NULL, %(level)s, %(by)s, %(valid_s)s);
