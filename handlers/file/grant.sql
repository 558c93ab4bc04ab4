-- name: job
SELECT job_id, owner, owner_group, vo, state, attempt, pilot_id, output_digest, description FROM job.jobs WHERE job_id = %(job_id)s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: expect
SELECT file.expect(%(digest)s, %(size_bytes)s) AS expected;
