-- name: enrol
SELECT * FROM trust.enrol(%(pilot_id)s, %(secret)s, %(use)s, %(peer)s, %(at)s);

-- name: standing
SELECT banned FROM trust.standing(ARRAY[%(account)s::text]);
