-- name: job
SELECT j.job_id, j.owner, j.owner_group, j.vo, j.state, j.attempt, j.pilot_id, j.output_digest, j.description, t.body AS template,
       j.place, j.cells
FROM job.jobs j LEFT JOIN job.templates t USING (template_id) WHERE j.job_id = %(job_id)s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: expect
SELECT file.expect(%(digest)s, %(size_bytes)s) AS expected;
