-- name: job
SELECT job_id, owner, attempt, pilot_id, output_digest, description FROM job.jobs WHERE job_id = %(job_id)s;
