CREATE TABLE registration.volunteer (
    partition         smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    -- The account's id.
    volunteer_id      uuid        NOT NULL,
    volunteer_number  text        NOT NULL CHECK (volunteer_number ~ '^[0-9]{15}$'),
    region_code       text        NOT NULL,
    organization_code text        NOT NULL,
    league_member     boolean     NOT NULL,
    -- INACTIVE: the account is not active yet, so nobody is shown this row. VOID:
    -- the account was lost before it was ever active; the number is not given again.
    state             text        NOT NULL CHECK (state IN ('INACTIVE', 'ACTIVE', 'VOID')),
    registered_at     timestamptz NOT NULL,
    -- Raised by every change, for the feed.
    revision          bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (partition, volunteer_id)
);

-- A number is unique over all partitions, which a key of `volunteer` can't say.
CREATE TABLE registration.volunteer_number (
    volunteer_number text     PRIMARY KEY,
    partition        smallint NOT NULL,
    volunteer_id     uuid     NOT NULL
);

-- The last serial given in a region. Taken as late as a transaction can, because
-- everybody who registers in that region waits for this row.
CREATE TABLE registration.volunteer_serial (
    region_code text    PRIMARY KEY,
    last        integer NOT NULL CHECK (last BETWEEN 1 AND 99999999)
);
