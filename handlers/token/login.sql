-- name: users
SELECT u.account, s.banned FROM registry.users u, trust.standing(ARRAY[u.account]) s WHERE u.dns && %(dns)s::text[];

-- name: groups
SELECT "group", vo, properties FROM registry.standing(%(account)s);
