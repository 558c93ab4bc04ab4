-- TEMPORARY, until the merge: another file of this number takes its place.
ALTER TABLE match.claims
    ADD COLUMN site text,
    ADD COLUMN ce text,
    ADD COLUMN owner text,
    ADD COLUMN owner_group text,
    ADD COLUMN vo text,
    ADD COLUMN job_type text,
    ADD COLUMN job_group text,
    ADD COLUMN processors integer;
CREATE UNIQUE INDEX claims_attempt ON match.claims (job_id, attempt);
