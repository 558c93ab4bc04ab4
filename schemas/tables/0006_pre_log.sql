-- Lines of jobs and pilots as they stream in.
CREATE SCHEMA log;

CREATE TABLE log.lines (
    subject text NOT NULL,
    attempt integer NOT NULL,
    stream text NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (subject, attempt, stream, number)
);
