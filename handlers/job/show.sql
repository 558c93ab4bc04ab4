-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: job
SELECT j.job_id, j.owner, j.owner_group, j.vo, j.submission::text AS submission, j.reschedules, j.description, t.body AS template,
       j.place, j.cells, u.measures
FROM job.jobs j LEFT JOIN job.templates t USING (template_id)
LEFT JOIN job.usage u ON u.job_id = j.job_id AND u.attempt = j.attempt WHERE j.job_id = %(job_id)s;

-- name: orders
SELECT "order", attempt, pilot_id, requested_by, at, outcome, ended_at, reason FROM (
    SELECT number, "order", attempt, pilot_id, requested_by, coalesce(outcome, 'requested') AS outcome, left(reason, 300) AS reason,
           to_char(given_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
           to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ended_at
    FROM pilot.orders WHERE job_id = %(job_id)s ORDER BY number DESC LIMIT 20
) newest ORDER BY number;
