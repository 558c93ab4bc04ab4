-- name: limits
SELECT limit_id, site, ce, attribute, value, most, running, delay_s, burst, tokens,
       extract(epoch FROM at)::double precision AS at_s, extract(epoch FROM clock_timestamp())::double precision AS now_s
FROM match.limits WHERE (%(site)s::text IS NULL OR site = %(site)s) AND limit_id > %(after)s ORDER BY limit_id LIMIT %(limit)s;
