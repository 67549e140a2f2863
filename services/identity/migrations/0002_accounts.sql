-- Persons with an account. Sealed columns are bound to schema, table, column and
-- row; their data key lies in the key store, under the account id.
CREATE TABLE identity.account (
    partition     smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    account_id    uuid        NOT NULL,
    enrolment_id  uuid        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('INACTIVE', 'ACTIVE')),
    -- How well the person has proved the ID number: 1 is name and number match the
    -- register.
    level         smallint    NOT NULL CHECK (level BETWEEN 0 AND 3),
    name          bytea       NOT NULL,
    -- Absent for people who are verified without giving it.
    id_number     bytea,
    phone         bytea       NOT NULL,
    index_version smallint    NOT NULL,
    phone_index   bytea       NOT NULL,
    password_hash text        NOT NULL,
    claimed_at    timestamptz NOT NULL,
    activated_at  timestamptz,
    revision      bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (partition, account_id)
);

-- Who owns an ID number: one row for each active index key. The unique key is what
-- decides, once and for all replicas.
CREATE TABLE identity.number (
    index_version smallint NOT NULL,
    number_index  bytea    NOT NULL,
    partition     smallint NOT NULL,
    account_id    uuid     NOT NULL,
    PRIMARY KEY (index_version, number_index),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE
);
CREATE INDEX number_account ON identity.number (partition, account_id);

CREATE TABLE identity.consent (
    partition  smallint    NOT NULL,
    account_id uuid        NOT NULL,
    purpose    smallint    NOT NULL,
    version    text        NOT NULL,
    given_at   timestamptz NOT NULL,
    PRIMARY KEY (partition, account_id, purpose, version),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE
);
