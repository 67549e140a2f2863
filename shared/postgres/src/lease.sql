-- What somebody was allowed under a lease commits within 2 s of the lease's end, or not at
-- all: the process may have been paused after it tested the lease. For the migration of a
-- table with a row for each such change, say of the audit, and a column
-- `lease_ends_at timestamptz` (by the clock of the database; NULL: without a lease); write
-- your own schema and table.
CREATE FUNCTION service.refuse_late_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() > NEW.lease_ends_at + interval '2 seconds' THEN
        RAISE EXCEPTION 'the lease ended before the commit'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$;
-- Deferred: it looks at the clock when the transaction commits.
CREATE CONSTRAINT TRIGGER lease_not_over AFTER INSERT ON service.change
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.lease_ends_at IS NOT NULL)
    EXECUTE FUNCTION service.refuse_late_commit();
