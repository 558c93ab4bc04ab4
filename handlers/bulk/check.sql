-- name: submission
SELECT state, first_job_id, count, owner, owner_group, vo FROM job.submissions WHERE submission = %(submission)s;

-- name: queues
-- Every task queue that its jobs will wait in is there: made here, because nobody waits long for this transaction.
INSERT INTO match.queues (digest, requirements)
SELECT s.digest, s.requirements FROM job.shapes s
WHERE s.submission = %(submission)s AND NOT EXISTS (SELECT FROM match.queues q WHERE q.digest = s.digest)
ORDER BY s.digest ON CONFLICT DO NOTHING;
