-- Organizations are told of in the feed: by partition, each change with a revision.
-- Those that are here already are read from snapshots; nothing happens to them now.

-- `Partition::of_key`. Codes are ASCII without a backslash, so the cast takes them byte
-- by byte; `convert_to` would not be immutable.
ALTER TABLE orgtree.organization
    ADD COLUMN partition smallint NOT NULL
        GENERATED ALWAYS AS (get_byte(sha256(code::bytea), 0) % 64) STORED,
    -- One more with each change of what is told.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0);
-- Snapshots are walked by it.
CREATE INDEX organization_partition ON orgtree.organization (partition, code);
