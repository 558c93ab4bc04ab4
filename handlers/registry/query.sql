-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: accounts
SELECT u.account, true AS known, u.dns, u.email, coalesce(s.groups, '[]') AS groups
FROM registry.users u
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('group', g."group", 'vo', g.vo, 'properties', g.properties) ORDER BY m.number) AS groups
    FROM registry.members m JOIN registry.groups g ON g."group" = m."group" WHERE m.account = u.account
) s ON true
WHERE (%(account)s::text IS NULL OR u.account = %(account)s::text)
  AND (%(account)s::text IS NOT NULL OR u.account > %(after)s::text)
ORDER BY u.account LIMIT %(limit)s;
