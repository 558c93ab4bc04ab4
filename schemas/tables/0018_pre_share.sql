-- TEMPORARY, until the merge: another file of this number takes its place.
CREATE SCHEMA share;

CREATE TABLE share.usage (
    owner_group text NOT NULL,
    owner text NOT NULL,
    processors integer NOT NULL,
    PRIMARY KEY (owner_group, owner)
);

CREATE FUNCTION share.use(changes json) RETURNS void LANGUAGE sql AS $$
    INSERT INTO share.usage AS known (owner_group, owner, processors)
    SELECT owner_group, owner, sum(processors)
    FROM json_to_recordset(changes) AS change(owner_group text, owner text, processors integer)
    GROUP BY owner_group, owner ORDER BY owner_group, owner
    ON CONFLICT (owner_group, owner) DO UPDATE SET processors = known.processors + excluded.processors
$$;
