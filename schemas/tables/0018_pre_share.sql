CREATE SCHEMA share;
CREATE TABLE share.usage (owner_group text NOT NULL, owner text NOT NULL, processors integer NOT NULL, core_s double precision NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (owner_group, owner)) WITH (fillfactor = 50);
CREATE FUNCTION share.use(changes json) RETURNS void LANGUAGE sql AS $$
    INSERT INTO share.usage AS u SELECT owner_group, owner, sum(processors), 0, clock_timestamp() FROM json_to_recordset(changes) AS c (owner_group text, owner text, processors integer) GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (owner_group, owner) DO UPDATE SET processors = u.processors + excluded.processors, at = excluded.at
$$;
CREATE FUNCTION share.now() RETURNS TABLE (owner_group text, owner text, processors integer, core_s double precision) LANGUAGE sql STABLE AS $$ SELECT owner_group, owner, processors, core_s FROM share.usage $$;
