-- The ledger of consents: what a person agreed to and took back, in order. Rows are only
-- added; what holds for a purpose is its last one.
CREATE TABLE identity.consent_entry (
    partition  smallint    NOT NULL,
    account_id uuid        NOT NULL,
    -- 1, 2, 3 … of the account, whose row is locked meanwhile.
    number     integer     NOT NULL CHECK (number > 0),
    purpose    smallint    NOT NULL CHECK (purpose > 0),
    -- Of the text that was agreed to.
    version    text        NOT NULL,
    -- SHA-256 of that text as it was shown; unknown for consents from before the ledger.
    text_hash  bytea       CHECK (length(text_hash) = 32),
    -- Given, or taken back.
    given      boolean     NOT NULL,
    -- 1: while registering, 2: by the person, signed in.
    occasion   smallint    NOT NULL CHECK (occasion IN (1, 2)),
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (partition, account_id, number),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE
);

INSERT INTO identity.consent_entry
    (partition, account_id, number, purpose, version, given, occasion, entered_at)
SELECT partition, account_id,
       row_number() OVER (PARTITION BY partition, account_id ORDER BY given_at, purpose, version),
       purpose, version, true, 1, given_at
FROM identity.consent;

-- The table of before stays for the binaries of before, until the next release: what they
-- write there while they are replaced is entered here.
CREATE FUNCTION identity.enter_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO identity.consent_entry
        (partition, account_id, number, purpose, version, given, occasion, entered_at)
    SELECT NEW.partition, NEW.account_id, coalesce(max(number), 0) + 1, NEW.purpose, NEW.version,
           true, 1, NEW.given_at
    FROM identity.consent_entry
    WHERE partition = NEW.partition AND account_id = NEW.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER enter_consent AFTER INSERT ON identity.consent
    FOR EACH ROW EXECUTE FUNCTION identity.enter_consent();

-- An entry goes with its account, when a registration comes to nothing, and never alone.
CREATE FUNCTION identity.keep_consent_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (
        SELECT FROM identity.account
        WHERE partition = OLD.partition AND account_id = OLD.account_id)
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the ledger of consents is only added to' USING ERRCODE = '42501';
END $$;
CREATE TRIGGER keep_consent_entry BEFORE UPDATE OR DELETE ON identity.consent_entry
    FOR EACH ROW EXECUTE FUNCTION identity.keep_consent_entry();
CREATE TRIGGER keep_consent_entries BEFORE TRUNCATE ON identity.consent_entry
    EXECUTE FUNCTION identity.keep_consent_entry();

-- What people agree to at this moment; nobody does whose account is closed.
CREATE VIEW identity.consent_in_force AS
SELECT partition, account_id, purpose, version
FROM (SELECT DISTINCT ON (partition, account_id, purpose)
             partition, account_id, purpose, version, given
      FROM identity.consent_entry
      ORDER BY partition, account_id, purpose, number DESC) AS latest
JOIN identity.account USING (partition, account_id)
WHERE given AND state <> 'CLOSED';
