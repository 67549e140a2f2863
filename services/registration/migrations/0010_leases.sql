-- The net under leases: what somebody was allowed under one commits within 2 s of its end, or
-- not at all, since the process may have been paused after it tested the lease.
-- `shared/audit` writes the record.

-- By the clock of the database; NULL: without a lease.
ALTER TABLE registration.audit_pending ADD COLUMN lease_ends_at timestamptz;

CREATE FUNCTION registration.refuse_late_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() > NEW.lease_ends_at + interval '2 seconds' THEN
        RAISE EXCEPTION 'the lease ended before the commit'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$;
-- Deferred: it looks at the clock when the transaction commits.
CREATE CONSTRAINT TRIGGER lease_not_over AFTER INSERT ON registration.audit_pending
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.lease_ends_at IS NOT NULL)
    EXECUTE FUNCTION registration.refuse_late_commit();
