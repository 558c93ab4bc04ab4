-- name: order
SELECT o.pilot_id, o."order", o.job_id, o.attempt, o.outcome, j.owner, j.vo
FROM pilot.orders o LEFT JOIN job.jobs j ON j.job_id = o.job_id WHERE o.number = %(number)s;

-- name: end
WITH over AS (DELETE FROM bus.timers WHERE timer = 'order/' || %(number)s::bigint)
UPDATE pilot.orders SET outcome = %(outcome)s, reason = %(reason)s, ended_at = %(at)s WHERE number = %(number)s;
