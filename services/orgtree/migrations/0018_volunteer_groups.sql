-- Groups of volunteers are organizations too; and what is registered elsewhere says under which
-- code.

-- A binary of before takes a row of the new kind for one that can't be: groups are made once all
-- replicas run this one.
ALTER TABLE orgtree.organization
    DROP CONSTRAINT organization_kind_check,
    ADD CONSTRAINT organization_kind_check CHECK (kind BETWEEN 1 AND 9);

-- 统一社会信用代码, 18 characters of GB 32100; absent of most. Of the present alone.
ALTER TABLE orgtree.organization
    ADD COLUMN credit_code text COLLATE "C"
        CONSTRAINT organization_credit_code CHECK (credit_code ~ '^[0-9A-HJ-NPQRTUWXY]{18}$'),
    -- No two that are open have the same: looked at when all of a transaction is done, since a
    -- file may give one's to another.
    ADD CONSTRAINT organization_credit_code_once EXCLUDE USING btree (credit_code WITH =)
        WHERE (state = 1) DEFERRABLE INITIALLY DEFERRED;
