-- The feeds of other services, read: `shared/feed` tells what the tables mean.

-- What was applied, moved in the transaction of the effect.
CREATE TABLE {schema}.feed_cursor (
    feed             text     NOT NULL,
    partition        smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    position         bigint   NOT NULL DEFAULT 0,
    event_id         uuid,
    -- Nothing that was applied was stamped later.
    stamped_to       timestamptz,
    -- While the partition is rebuilt from snapshots: the message that is being read
    -- ('' before the first page), the next page, and the head to go on from.
    rebuild_type     text,
    rebuild_token    text,
    -- The last key of the page before.
    rebuild_after    text COLLATE "C",
    rebuild_position bigint,
    rebuild_event_id uuid,
    PRIMARY KEY (feed, partition),
    CHECK ((position = 0) = (event_id IS NULL))
) WITH (fillfactor = 50);

-- Partitions are shared out to the processes of this service by slots. A lease keeps
-- two from doing the same work; the cursors keep them from doing harm.
CREATE TABLE {schema}.feed_slot (
    feed         text     NOT NULL,
    slot         smallint NOT NULL,
    holder       uuid,
    leased_until timestamptz,
    -- Everything stamped up to then was applied, in all partitions of the slot.
    watermark    timestamptz,
    PRIMARY KEY (feed, slot)
) WITH (fillfactor = 50);

-- Times at which everything that was stamped until then is applied, and nothing later,
-- in all partitions of all feeds. While one is open, what is stamped later waits.
CREATE TABLE {schema}.feed_cut (
    cut_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Each later than the one before.
    at       timestamptz NOT NULL UNIQUE,
    -- Absent while it is open.
    taken_at timestamptz,
    -- Whether really nothing later was applied.
    exact    boolean,
    CHECK ((taken_at IS NULL) = (exact IS NULL))
);
