-- Of all organizations a few have a code: the index is of those alone, and no longer kept up with
-- each of the others. Built anew within one scan, while nobody reads organizations; the migrator
-- waits for that no longer than a few seconds at a time.
ALTER TABLE orgtree.organization
    DROP CONSTRAINT organization_credit_code_once,
    ADD CONSTRAINT organization_credit_code_once EXCLUDE USING btree (credit_code WITH =)
        WHERE (state = 1 AND credit_code IS NOT NULL) DEFERRABLE INITIALLY DEFERRED;
