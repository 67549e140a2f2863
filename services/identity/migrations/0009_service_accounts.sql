-- Systems of others that may call: internal platforms, the credit system, H5 gateways. The
-- operator keeps them; a row is never deleted, so that a name is never somebody else's.
CREATE TABLE identity.service_account (
    -- The `iss` of its assertions.
    name               text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{1,62}$'),
    -- For people: what a text message calls it.
    title              text        NOT NULL CHECK (length(title) BETWEEN 1 AND 32),
    kind               text        NOT NULL CHECK (kind IN ('PLATFORM', 'CREDIT_SYSTEM', 'GATEWAY')),
    scopes             text[]      NOT NULL,
    calls_per_minute   integer     NOT NULL CHECK (calls_per_minute > 0),
    calls_per_day      integer     NOT NULL CHECK (calls_per_day > 0),
    -- Look-ups of persons by ID number or phone.
    look_ups_per_day   integer     NOT NULL CHECK (look_ups_per_day >= 0),
    created_at         timestamptz NOT NULL,
    disabled_at        timestamptz
);

-- Public keys; two at most that have not expired, so that an account can change over.
CREATE TABLE identity.service_account_key (
    key_id       text COLLATE "C" PRIMARY KEY,
    account      text COLLATE "C" NOT NULL REFERENCES identity.service_account,
    public_key   bytea       NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    use_at       timestamptz NOT NULL,
    expire_at    timestamptz NOT NULL CHECK (expire_at > use_at),
    created_at   timestamptz NOT NULL,
    -- Some seconds late: told by the process that was called.
    last_used_at timestamptz
);
CREATE INDEX service_account_key_account ON identity.service_account_key (account);

-- Calls of an account in all processes, of the last minute and the last day that there were
-- any; as late as `last_used_at`.
CREATE TABLE identity.service_account_count (
    account         text COLLATE "C" PRIMARY KEY REFERENCES identity.service_account,
    minute          bigint NOT NULL,
    calls_in_minute bigint NOT NULL,
    day             bigint NOT NULL,
    calls_in_day    bigint NOT NULL
);

-- Look-ups of persons on the last day that there were any: exact, in the transaction of each.
-- The name is that of a caller by configuration too.
CREATE TABLE identity.look_up_count (
    caller   text COLLATE "C" PRIMARY KEY,
    day      bigint  NOT NULL,
    look_ups integer NOT NULL
);

-- What platforms call volunteers. Nothing personal: what looks like an ID number or a phone is
-- refused.
CREATE TABLE identity.external_id (
    platform    text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL CHECK (length(external_id) BETWEEN 1 AND 64),
    partition   smallint    NOT NULL,
    account_id  uuid        NOT NULL,
    bound_at    timestamptz NOT NULL,
    PRIMARY KEY (platform, external_id),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE
);
CREATE INDEX external_id_account ON identity.external_id (partition, account_id);

-- The platform on whose page the person registers that the code was sent to: the code is good
-- there alone.
ALTER TABLE identity.sms_challenge ADD COLUMN via text COLLATE "C";
