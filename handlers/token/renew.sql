-- name: standing
SELECT banned FROM trust.standing(ARRAY[%(account)s::text]);
