-- Who wants to found an organization applies to the one that would be above it.

CREATE TABLE orgtree.application (
    application_id       uuid        PRIMARY KEY,
    applicant            uuid        NOT NULL,
    -- Its successor, once it is merged.
    superior_code        text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- What the organization is to be: the columns of `organization`.
    kind                 smallint    NOT NULL CHECK (kind BETWEEN 1 AND 9),
    name                 text        NOT NULL CHECK (name <> ''),
    region_code          text COLLATE "C" REFERENCES orgtree.region,
    credit_code          text COLLATE "C",
    contact_phone        text        NOT NULL,
    contact_group_number text        NOT NULL,
    contact_note         text        NOT NULL,
    -- What for, in the words of the applicant.
    purpose              text        NOT NULL CHECK (purpose <> ''),
    -- 1: waits for the superior; 2: returned, waits for the applicant; 3: accepted; 4: rejected;
    -- 5: withdrawn; 6: nobody did anything in time; 7: the superior was closed.
    state                smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 7),
    -- Goes up with each change.
    revision             bigint      NOT NULL DEFAULT 1,
    submitted_at         timestamptz NOT NULL,
    changed_at           timestamptz NOT NULL,
    -- It waits until then.
    expires_at           timestamptz NOT NULL,
    -- What the superior wrote last.
    note                 text        NOT NULL DEFAULT '',
    -- Who returned, accepted or rejected it last.
    decided_by           uuid,
    -- What was made by accepting it.
    organization_code    text COLLATE "C" UNIQUE REFERENCES orgtree.organization,
    grant_id             uuid        UNIQUE REFERENCES orgtree.authority_grant,
    -- Nobody decides about the own one.
    CHECK (decided_by <> applicant),
    CHECK (state NOT IN (2, 3, 4) OR decided_by IS NOT NULL),
    CHECK ((state = 3) = (organization_code IS NOT NULL)),
    CHECK ((state = 3) = (grant_id IS NOT NULL)),
    -- How to reach somebody is kept while it waits; afterwards it is the organization's, or nobody's.
    CHECK (state IN (1, 2)
           OR contact_phone = '' AND contact_group_number = '' AND contact_note = '')
);
CREATE INDEX application_applicant ON orgtree.application (applicant, application_id);
CREATE INDEX application_superior ON orgtree.application (superior_code, application_id);
CREATE INDEX application_waiting ON orgtree.application (expires_at) WHERE state IN (1, 2);
CREATE INDEX application_ended ON orgtree.application (changed_at) WHERE state NOT IN (1, 2);

-- What has ended has one end, and nobody's application becomes another's.
CREATE FUNCTION orgtree.keep_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state NOT IN (1, 2) OR NEW.revision <= OLD.revision
       OR (NEW.application_id, NEW.applicant, NEW.submitted_at)
          IS DISTINCT FROM (OLD.application_id, OLD.applicant, OLD.submitted_at)
    THEN
        RAISE EXCEPTION 'an application ends once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER application_kept BEFORE UPDATE ON orgtree.application
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_application();

-- Who follows a closed organization: the first open one along its successors; null if nobody
-- does. A circle, which only a file could make, ends the walk.
CREATE FUNCTION orgtree.followed_by(code text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    WITH RECURSIVE chain (code, state, successor_code) AS (
        SELECT o.code, o.state, o.successor_code
        FROM orgtree.organization o WHERE o.code = followed_by.code
        UNION
        SELECT o.code, o.state, o.successor_code
        FROM chain c JOIN orgtree.organization o ON o.code = c.successor_code
        WHERE c.state = 2)
    SELECT chain.code FROM chain WHERE chain.state = 1
    $$;
