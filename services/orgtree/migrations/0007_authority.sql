-- Who administers what, and the requests that changed something.

-- Whether an organization is another one or lies below it: the one rule by which a grant
-- reaches, for checks, lists, counts and exports alike. Plain SQL that is not strict, so
-- that it is inlined and finds the indexes.
CREATE FUNCTION orgtree.is_within(code text, ancestors text[], above text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT code = above OR ancestors @> ARRAY[above] $$;

CREATE TABLE orgtree.authority_grant (
    grant_id          uuid        PRIMARY KEY,
    account_id        uuid        NOT NULL,
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- Role of the contract.
    role              smallint    NOT NULL CHECK (role BETWEEN 1 AND 4),
    -- Absent if the operator of the suite gave it.
    granted_by        uuid,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz CHECK (expires_at > created_at),
    revoked_at        timestamptz,
    revoked_by        uuid,
    -- When nothing that was allowed by it could take effect any more, and somebody had
    -- waited for that.
    settled_at        timestamptz,
    CHECK (account_id <> granted_by),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK (settled_at IS NULL OR revoked_at IS NOT NULL)
);
CREATE INDEX authority_grant_account ON orgtree.authority_grant (account_id)
    WHERE revoked_at IS NULL;
CREATE INDEX authority_grant_organization ON orgtree.authority_grant (organization_code)
    WHERE revoked_at IS NULL;

-- A grant ends, and changes in no other way; one that ended never counts again.
CREATE FUNCTION orgtree.keep_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.grant_id, NEW.account_id, NEW.organization_code, NEW.role, NEW.created_at)
           IS DISTINCT FROM
       (OLD.grant_id, OLD.account_id, OLD.organization_code, OLD.role, OLD.created_at)
       OR (NEW.granted_by, NEW.expires_at) IS DISTINCT FROM (OLD.granted_by, OLD.expires_at)
       OR OLD.revoked_at IS NOT NULL
          AND (NEW.revoked_at, NEW.revoked_by) IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_by)
       OR OLD.settled_at IS NOT NULL AND NEW.settled_at IS DISTINCT FROM OLD.settled_at
    THEN
        RAISE EXCEPTION 'a grant can only end' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_kept BEFORE UPDATE ON orgtree.authority_grant
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_grant();
CREATE TRIGGER grant_not_deleted BEFORE DELETE OR TRUNCATE ON orgtree.authority_grant
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();

-- Calls that changed something, in the transaction of the change: the same call, sent
-- again, has the same answer and no second effect. Kept for 30 days.
CREATE TABLE orgtree.request (
    caller     uuid        NOT NULL,
    -- Of the contract, such as `CreateGrant`.
    method     text        NOT NULL,
    request_id uuid        NOT NULL,
    -- Of the request, so that another one is told apart. Without a key: what a request to
    -- this service says stands in clear beside it.
    digest     bytea       NOT NULL CHECK (octet_length(digest) = 32),
    -- The answer, a message of the contract; it never holds a secret.
    answer     bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (request_id, caller, method)
);
CREATE INDEX request_created ON orgtree.request (created_at);
