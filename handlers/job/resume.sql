-- name: resume
SELECT * FROM job.resume_all(%(ranges)s::jsonb, %(at)s, %(event_id)s);
