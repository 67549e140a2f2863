-- Who stands behind a grant, for changes that take two people; and how many check numbers of
-- an invitation were wrong.

-- Who invited, whoever confirmed; absent of a grant that came without an invitation.
ALTER TABLE orgtree.authority_grant
    ADD COLUMN invited_by uuid,
    ADD CONSTRAINT authority_grant_invited_by CHECK (account_id <> invited_by);
-- Of those that are not forgotten yet.
UPDATE orgtree.authority_grant g SET invited_by = i.invited_by
FROM orgtree.invitation i WHERE i.grant_id = g.grant_id;
-- Also of those that ended: who has ever given somebody a role stands behind what they give.
CREATE INDEX authority_grant_held ON orgtree.authority_grant (account_id);

-- As before, and who invited does not change either.
CREATE OR REPLACE FUNCTION orgtree.keep_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.grant_id, NEW.account_id, NEW.organization_code, NEW.role, NEW.created_at)
           IS DISTINCT FROM
       (OLD.grant_id, OLD.account_id, OLD.organization_code, OLD.role, OLD.created_at)
       OR (NEW.granted_by, NEW.invited_by, NEW.expires_at, NEW.delegated_from)
           IS DISTINCT FROM
          (OLD.granted_by, OLD.invited_by, OLD.expires_at, OLD.delegated_from)
       OR OLD.revoked_at IS NOT NULL
          AND (NEW.revoked_at, NEW.revoked_by) IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_by)
       OR OLD.settled_at IS NOT NULL AND NEW.settled_at IS DISTINCT FROM OLD.settled_at
    THEN
        RAISE EXCEPTION 'a grant can only end' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- With the fifth it is withdrawn.
ALTER TABLE orgtree.invitation
    ADD COLUMN wrong_numbers smallint NOT NULL DEFAULT 0 CHECK (wrong_numbers BETWEEN 0 AND 5);
