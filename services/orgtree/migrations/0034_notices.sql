-- Periodic notices (通报): how the organizations right below one stand, as of a cut. A draft may
-- be deleted; what was issued is there for ever, as it was.

CREATE TABLE orgtree.notice (
    notice_id          uuid        PRIMARY KEY,
    issuer_code        text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- At the cut.
    issuer_name        text        NOT NULL,
    cut_id             bigint      NOT NULL,
    as_of              timestamptz NOT NULL,
    -- When the tree that the rows are by had come to be.
    tree_at            timestamptz NOT NULL,
    -- Of ten thousand members.
    target             integer     NOT NULL CHECK (target BETWEEN 1 AND 10000),
    deadline           date        NOT NULL,
    drafted_by         uuid        NOT NULL,
    drafted_at         timestamptz NOT NULL,
    -- Since which changes are told, and whether nothing of that one was hidden from anybody.
    previous_id        uuid        REFERENCES orgtree.notice,
    previous_is_open   boolean     NOT NULL,
    -- All of these once it is issued.
    year               integer,
    serial             integer     CHECK (serial > 0),
    issued_by          uuid,
    issued_at          timestamptz,
    supersedes_id      uuid        UNIQUE REFERENCES orgtree.notice CHECK (supersedes_id <> notice_id),
    UNIQUE (issuer_code, year, serial),
    CHECK ((issued_at IS NULL) = (year IS NULL)),
    CHECK ((issued_at IS NULL) = (serial IS NULL)),
    CHECK ((issued_at IS NULL) = (issued_by IS NULL)),
    CHECK (issued_at IS NOT NULL OR supersedes_id IS NULL)
);
CREATE INDEX notice_issuer ON orgtree.notice (issuer_code, notice_id);
CREATE INDEX notice_previous ON orgtree.notice (previous_id) WHERE previous_id IS NOT NULL;

-- The rows, in their order; the total has place 0.
CREATE TABLE orgtree.notice_row (
    notice_id            uuid     NOT NULL REFERENCES orgtree.notice ON DELETE CASCADE,
    place                integer  NOT NULL CHECK (place >= 0),
    organization_code    text COLLATE "C" NOT NULL,
    name                 text     NOT NULL,
    members              bigint   NOT NULL,
    -- Of those, as stated.
    stated_members       bigint   NOT NULL,
    registered_members   bigint   NOT NULL,
    volunteers           bigint   NOT NULL,
    verified_volunteers  bigint   NOT NULL,
    without_administrator integer NOT NULL,
    -- What the organization itself states.
    statement_source     text,
    stated_on            date,
    -- The first five of the notice before: none if the organization was not in it.
    before               bigint[] CHECK (cardinality(before) = 5),
    PRIMARY KEY (notice_id, place),
    UNIQUE (notice_id, organization_code)
);
CREATE INDEX notice_row_organization ON orgtree.notice_row (organization_code, notice_id)
    WHERE place > 0;

-- The files of what was issued, each with its signature.
CREATE TABLE orgtree.notice_file (
    notice_id uuid     NOT NULL REFERENCES orgtree.notice,
    -- Whether it is the whole one, and not the one with hidden figures.
    whole     boolean  NOT NULL,
    -- PeriodicNoticeFormat of the contract.
    format    smallint NOT NULL CHECK (format > 0),
    content   bytea    NOT NULL,
    key_id    text     NOT NULL,
    signature bytea    NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (notice_id, whole, format)
);

-- The public keys by which anything was ever signed.
CREATE TABLE orgtree.notice_key (
    key_id     text  PRIMARY KEY,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32)
);

-- What was issued never changes; of a draft nothing changes but that it is issued.
CREATE FUNCTION orgtree.keep_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.issued_at IS NOT NULL THEN
        RAISE EXCEPTION 'what was issued is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF (NEW.notice_id, NEW.issuer_code, NEW.issuer_name, NEW.cut_id, NEW.as_of, NEW.tree_at,
        NEW.target, NEW.deadline, NEW.drafted_by, NEW.drafted_at, NEW.previous_id,
        NEW.previous_is_open)
       IS DISTINCT FROM
       (OLD.notice_id, OLD.issuer_code, OLD.issuer_name, OLD.cut_id, OLD.as_of, OLD.tree_at,
        OLD.target, OLD.deadline, OLD.drafted_by, OLD.drafted_at, OLD.previous_id,
        OLD.previous_is_open)
    THEN
        RAISE EXCEPTION 'a draft is issued as it is' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER notice_kept BEFORE UPDATE OR DELETE ON orgtree.notice
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_notice();
CREATE TRIGGER notice_not_truncated BEFORE TRUNCATE ON orgtree.notice
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();

-- Rows come and go with a draft, and are never changed. Of a draft that is deleted there is no
-- notice any more when its rows go; whoever else takes a row away waits for who issues.
CREATE FUNCTION orgtree.keep_notice_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_notice uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.notice_id ELSE OLD.notice_id END;
    issued timestamptz;
BEGIN
    SELECT n.issued_at INTO issued FROM orgtree.notice n WHERE n.notice_id = of_notice FOR SHARE;
    IF TG_OP = 'UPDATE' OR issued IS NOT NULL THEN
        RAISE EXCEPTION 'what was issued is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER notice_row_kept BEFORE INSERT OR UPDATE OR DELETE ON orgtree.notice_row
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_notice_row();
CREATE TRIGGER notice_row_not_truncated BEFORE TRUNCATE ON orgtree.notice_row
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
CREATE TRIGGER notice_file_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON orgtree.notice_file
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
CREATE TRIGGER notice_key_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON orgtree.notice_key
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
