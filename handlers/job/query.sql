-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: jobs
SELECT s.* FROM job.chosen(%(asked)s::jsonb, %(seen)s::jsonb, %(after)s, %(most)s, %(newest)s) c JOIN job.shown s USING (job_id)
ORDER BY CASE WHEN %(newest)s THEN -job_id ELSE job_id END;

-- name: history
SELECT job_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, state, minor_status,
       left(application_status, 300) AS application_status, attempt, source
FROM job.steps(%(job_ids)s::bigint[]) ORDER BY job_id, number;
