-- name: phases
SELECT site, phase, count(*) AS count, avg(seconds) AS mean_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_s, max(seconds) AS max_s
FROM pilot.phases WHERE at >= %(since)s AND (%(site)s::text IS NULL OR site = %(site)s)
GROUP BY site, phase ORDER BY site, min(number), phase LIMIT %(limit)s;

-- name: leaving
SELECT site, left(coalesce(reason, ''), 200) AS reason, failed, count(*) AS count
FROM pilot.phases WHERE phase = 'leaving' AND at >= %(since)s AND (%(site)s::text IS NULL OR site = %(site)s)
GROUP BY 1, 2, 3 ORDER BY site, failed DESC, count(*) DESC, 2 LIMIT %(limit)s;
