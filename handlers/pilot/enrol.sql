-- name: enrol
SELECT * FROM trust.enrol(%(pilot_id)s, %(secret)s, %(use)s, %(peer)s, %(at)s);

-- name: standing
SELECT banned FROM trust.standing(ARRAY[%(account)s::text]);

-- name: configurations
-- The community's first, the site's after it: the later one wins.
SELECT pilot FROM (
    SELECT 1 AS layer, v.pilot FROM trust.enrolments e JOIN registry.vos v ON v.vo = e.vo WHERE e.pilot_id = %(pilot_id)s
    UNION ALL
    SELECT 2, s.pilot FROM trust.enrolments e JOIN site.sites s ON s.site = e.site WHERE e.pilot_id = %(pilot_id)s
) told WHERE pilot <> '{}' ORDER BY layer;
