-- name: job
SELECT job_id, owner, owner_group, vo, state, attempt, pilot_id FROM job.jobs WHERE job_id = %(job_id)s;
