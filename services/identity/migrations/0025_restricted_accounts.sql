-- Which organizations a service account sees in feeds, with everything below them; empty: all.
ALTER TABLE identity.service_account
    ADD COLUMN within text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(within) <= 20 AND array_position(within, NULL) IS NULL);
