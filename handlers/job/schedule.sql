-- name: job
SELECT j.job_id, j.state, j.attempt, j.version, j.priority, j.job_group, j.description, t.body AS template, j.place, j.cells, j.owner,
       j.owner_group, j.vo
FROM job.jobs j LEFT JOIN job.templates t USING (template_id) WHERE j.job_id = %(job_id)s;

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags FROM site.sites;

-- name: queue
-- Not an upsert: that would write, and lock, the queue's row for every job.
WITH known AS (
    SELECT queue_id FROM match.queues WHERE digest = %(digest)s
), made AS (
    INSERT INTO match.queues (digest, requirements) SELECT %(digest)s, %(requirements)s::jsonb
    WHERE NOT EXISTS (SELECT FROM known) ON CONFLICT DO NOTHING RETURNING queue_id
)
SELECT queue_id FROM known UNION ALL SELECT queue_id FROM made;

-- name: join
UPDATE job.jobs SET queue_id = %(queue_id)s WHERE job_id = %(job_id)s;

-- name: wait
-- A queue that another process is just making has no id yet: then no version fits, and all is read again.
SELECT job.move(%(job_id)s, CASE WHEN %(queue_id)s::bigint IS NULL THEN -1 ELSE %(version)s END,
                'Waiting', 'Pilot Agent Submission', NULL, %(at)s, 'job.schedule', %(event_id)s);

-- name: fail
SELECT job.move(%(job_id)s, %(version)s, 'Failed', 'No candidate site', %(reason)s, %(at)s, 'job.schedule', %(event_id)s);
