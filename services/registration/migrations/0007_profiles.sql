-- What volunteers state of themselves and change, and where they were.

-- Which state of the record the person has seen: raised by every change of it that the
-- person makes. (`revision` is raised by what identity tells too.)
ALTER TABLE registration.volunteer
    ADD COLUMN profile_revision bigint NOT NULL DEFAULT 1 CHECK (profile_revision > 0);

-- What is stated besides region and membership; no row while nothing is. The numbers are
-- those of the contract.
CREATE TABLE registration.profile (
    partition          smallint   NOT NULL,
    volunteer_id       uuid       NOT NULL,
    political_status   smallint,
    education          smallint,
    employment         smallint,
    skills             smallint[] NOT NULL,
    service_categories smallint[] NOT NULL,
    PRIMARY KEY (partition, volunteer_id),
    FOREIGN KEY (partition, volunteer_id) REFERENCES registration.volunteer
);

-- Commands of people that were carried out, so that one that is sent again is known: each
-- row is written by the transaction of its effect.
CREATE TABLE registration.request (
    partition      smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    -- The account of the caller.
    caller         uuid        NOT NULL,
    method         text        NOT NULL,
    request_id     uuid        NOT NULL,
    -- Of all other fields, keyed.
    digest         bytea       NOT NULL CHECK (octet_length(digest) = 32),
    digest_version smallint    NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (partition, caller, method, request_id)
);
CREATE INDEX request_created ON registration.request (created_at);

-- Where volunteers were. Who never changed has no row, so that registering costs none.
ALTER TABLE registration.volunteer
    -- With the present one; null: since the registration.
    ADD COLUMN organization_since timestamptz;
CREATE TABLE registration.past_organization (
    partition         smallint    NOT NULL,
    volunteer_id      uuid        NOT NULL,
    -- Of the volunteer, with which it was left.
    revision          bigint      NOT NULL,
    organization_code text        NOT NULL,
    joined_at         timestamptz NOT NULL,
    left_at           timestamptz NOT NULL,
    PRIMARY KEY (partition, volunteer_id, revision),
    FOREIGN KEY (partition, volunteer_id) REFERENCES registration.volunteer
);

-- Accounts that their owners closed: nobody is told of but as closed, and what they stated
-- is gone.
ALTER TABLE registration.account ADD COLUMN closed boolean NOT NULL DEFAULT false;
ALTER TABLE registration.volunteer ADD COLUMN closed boolean NOT NULL DEFAULT false;
