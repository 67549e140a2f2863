-- Grants that are delegated: given by whoever holds the one that they come from, for a time,
-- and ended with it.
ALTER TABLE orgtree.authority_grant
    ADD COLUMN delegated_from uuid REFERENCES orgtree.authority_grant,
    ADD CONSTRAINT authority_grant_delegated CHECK (
        delegated_from IS NULL
        OR granted_by IS NOT NULL AND expires_at IS NOT NULL
           AND expires_at <= created_at + interval '720 hours');
CREATE INDEX authority_grant_delegated_from ON orgtree.authority_grant (delegated_from)
    WHERE revoked_at IS NULL AND delegated_from IS NOT NULL;
CREATE INDEX authority_grant_delegated_by ON orgtree.authority_grant (granted_by)
    WHERE revoked_at IS NULL AND delegated_from IS NOT NULL;

-- As before, and what it comes from does not change either.
CREATE OR REPLACE FUNCTION orgtree.keep_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.grant_id, NEW.account_id, NEW.organization_code, NEW.role, NEW.created_at)
           IS DISTINCT FROM
       (OLD.grant_id, OLD.account_id, OLD.organization_code, OLD.role, OLD.created_at)
       OR (NEW.granted_by, NEW.expires_at, NEW.delegated_from)
           IS DISTINCT FROM (OLD.granted_by, OLD.expires_at, OLD.delegated_from)
       OR OLD.revoked_at IS NOT NULL
          AND (NEW.revoked_at, NEW.revoked_by) IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_by)
       OR OLD.settled_at IS NOT NULL AND NEW.settled_at IS DISTINCT FROM OLD.settled_at
    THEN
        RAISE EXCEPTION 'a grant can only end' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- The chain ends after one step, whoever writes.
CREATE FUNCTION orgtree.delegate_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orgtree.authority_grant
               WHERE grant_id = NEW.delegated_from AND delegated_from IS NOT NULL) THEN
        RAISE EXCEPTION 'what is delegated is not delegated any further'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_delegated_once BEFORE INSERT ON orgtree.authority_grant
    FOR EACH ROW WHEN (NEW.delegated_from IS NOT NULL)
    EXECUTE FUNCTION orgtree.delegate_once();

-- Whether what a grant is delegated from counts, and reaches an organization itself, wherever
-- the tree has moved meanwhile. It has a subquery, and so is not inlined: whoever asks looks
-- first whether the grant is delegated at all.
CREATE FUNCTION orgtree.delegation_reaches(
    parent uuid, code text, ancestors text[], at timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT EXISTS (
        SELECT FROM orgtree.authority_grant d
        WHERE d.grant_id = parent
          AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > at)
          AND orgtree.is_within(code, ancestors, d.organization_code))
    $$;

-- A role that waits for whoever has the code.
CREATE TABLE orgtree.invitation (
    invitation_id     uuid        PRIMARY KEY,
    -- Of the code, which is kept nowhere, under a key of the service.
    code_digest       bytea       NOT NULL UNIQUE CHECK (octet_length(code_digest) = 32),
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    role              smallint    NOT NULL CHECK (role BETWEEN 1 AND 4),
    invited_by        uuid        NOT NULL,
    -- Of the one that is delegated; absent if the role is given for good.
    delegated_from    uuid        REFERENCES orgtree.authority_grant,
    note              text        NOT NULL,
    created_at        timestamptz NOT NULL,
    -- The code is good until then.
    expires_at        timestamptz NOT NULL CHECK (expires_at > created_at),
    grant_expires_at  timestamptz CHECK (grant_expires_at > created_at),
    accepted_by       uuid,
    accepted_at       timestamptz,
    -- The grant that was made; and the one that ended with it.
    grant_id          uuid        UNIQUE REFERENCES orgtree.authority_grant,
    handed_over       uuid        REFERENCES orgtree.authority_grant,
    withdrawn_at      timestamptz,
    CHECK (delegated_from IS NULL OR grant_expires_at IS NOT NULL),
    CHECK (accepted_by <> invited_by),
    CHECK ((accepted_by IS NULL) = (accepted_at IS NULL)),
    CHECK (grant_id IS NULL OR accepted_by IS NOT NULL AND withdrawn_at IS NULL),
    CHECK (handed_over IS NULL OR grant_id IS NOT NULL)
);
CREATE INDEX invitation_invited_by ON orgtree.invitation (invited_by);
CREATE INDEX invitation_organization ON orgtree.invitation (organization_code);
CREATE INDEX invitation_created ON orgtree.invitation (created_at);

-- How many codes were wrong within an hour, by account. Each is counted before it is looked
-- up, and taken back when it is right. Kept for a day.
CREATE TABLE orgtree.wrong_code (
    caller uuid        NOT NULL,
    -- When it began.
    hour   timestamptz NOT NULL,
    wrong  bigint      NOT NULL CHECK (wrong >= 0),
    PRIMARY KEY (caller, hour)
);
CREATE INDEX wrong_code_hour ON orgtree.wrong_code (hour);
