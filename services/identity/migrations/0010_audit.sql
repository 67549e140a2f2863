-- The audit of this schema: `shared/audit` tells what the tables mean.

-- What the transaction of an act leaves; the sealer moves it on.
CREATE SEQUENCE identity.audit_pending_seq;
CREATE TABLE identity.audit_pending (
    seq                bigint      PRIMARY KEY DEFAULT nextval('identity.audit_pending_seq'),
    at                 timestamptz NOT NULL,
    actor_kind         text        NOT NULL
        CHECK (actor_kind IN ('PERSON', 'SERVICE_ACCOUNT', 'SERVICE', 'OPERATOR')),
    -- The account id of a person; the name of anybody else.
    actor              text        NOT NULL,
    action             text        NOT NULL,
    subject_account_id uuid,
    organization_code  text COLLATE "C",
    purpose            text,
    outcome            text        NOT NULL CHECK (outcome IN ('DONE', 'REFUSED')),
    detail_keys        text[]      NOT NULL,
    detail_values      text[]      NOT NULL,
    trace_id           text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- The chain: dense from 1, each entry over the hash of the one before.
CREATE TABLE identity.audit_entry (
    index              bigint      PRIMARY KEY CHECK (index > 0),
    previous_hash      bytea       NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash               bytea       NOT NULL CHECK (octet_length(hash) = 32),
    at                 timestamptz NOT NULL,
    actor_kind         text        NOT NULL,
    actor              text        NOT NULL,
    action             text        NOT NULL,
    subject_account_id uuid,
    organization_code  text COLLATE "C",
    purpose            text,
    outcome            text        NOT NULL,
    detail_keys        text[]      NOT NULL,
    detail_values      text[]      NOT NULL,
    trace_id           text
);
CREATE INDEX audit_entry_subject ON identity.audit_entry (subject_account_id, index)
    WHERE subject_account_id IS NOT NULL;

-- What was signed: so long was the chain then, and so it ended.
CREATE TABLE identity.audit_head (
    size          bigint      PRIMARY KEY CHECK (size > 0),
    hash          bytea       NOT NULL CHECK (octet_length(hash) = 32),
    signed_at     timestamptz NOT NULL,
    -- Of the head before; 0 of the first one.
    previous_size bigint      NOT NULL CHECK (previous_size >= 0 AND previous_size < size),
    key_id        text        NOT NULL,
    signature     bytea       NOT NULL
);

CREATE FUNCTION identity.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_audit_change();
CREATE TRIGGER audit_head_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_audit_change();
