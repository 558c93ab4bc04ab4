-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: job
SELECT job_id, owner, owner_group, vo, state, attempt, pilot_id FROM job.jobs WHERE job_id = %(job_id)s;

-- name: give
SELECT number, fresh FROM pilot.give_order(%(pilot_id)s, 'peek', %(job_id)s, %(attempt)s, NULL, %(by)s, %(valid_s)s);

-- name: usage
SELECT attempt, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, measures
FROM job.usage WHERE job_id = %(job_id)s;
