-- How payloads are kept apart: what a community demands, and what each job had.
ALTER TABLE registry.vos ADD COLUMN least_isolation text NOT NULL DEFAULT 'none';
ALTER TABLE job.jobs ADD COLUMN isolation text;

-- A job as its owner sees it.
DROP VIEW job.shown;
CREATE VIEW job.shown AS
SELECT job_id, attempt, state, minor_status, left(application_status, 300) AS application_status, job_name, job_group, owner,
       owner_group, vo, site, pilot_id, isolation, exit_code, output_digest, output_bytes,
       to_char(submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS submitted_at,
       to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS changed_at
FROM job.jobs;
