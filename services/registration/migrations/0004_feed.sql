-- The feed of this schema, written: `shared/feed` tells what the tables mean.

-- What the transaction that made a change tells of it; the sequencer moves it on.
CREATE SEQUENCE registration.outbox_seq;
CREATE TABLE registration.outbox (
    seq       bigint   NOT NULL DEFAULT nextval('registration.outbox_seq'),
    partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    event_id  uuid     NOT NULL DEFAULT gen_random_uuid(),
    key       text COLLATE "C" NOT NULL,
    revision  bigint   NOT NULL CHECK (revision > 0),
    -- The full name of the message.
    type      text     NOT NULL,
    payload   bytea    NOT NULL,
    PRIMARY KEY (seq, partition)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE registration.event (
    partition         smallint    NOT NULL,
    position          bigint      NOT NULL CHECK (position > 0),
    event_id          uuid        NOT NULL,
    -- Of the event before it in the partition.
    previous_event_id uuid,
    sequenced_at      timestamptz NOT NULL,
    key               text COLLATE "C" NOT NULL,
    revision          bigint      NOT NULL,
    type              text        NOT NULL,
    payload           bytea       NOT NULL,
    PRIMARY KEY (partition, position),
    CHECK ((position = 1) = (previous_event_id IS NULL))
);
CREATE FUNCTION registration.refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER event_append_only BEFORE UPDATE ON registration.event
    FOR EACH STATEMENT EXECUTE FUNCTION registration.refuse_update();

-- The last event of each partition, and up to where events were trimmed.
CREATE TABLE registration.feed_head (
    partition         smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 63),
    position          bigint   NOT NULL,
    event_id          uuid     NOT NULL,
    previous_event_id uuid,
    trimmed_to        bigint   NOT NULL DEFAULT 0 CHECK (trimmed_to < position)
) WITH (fillfactor = 50);

-- The stamp of the last pass of the sequencer; one row.
CREATE TABLE registration.feed_watermark (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    watermark timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO registration.feed_watermark (watermark) VALUES ('2000-01-01 00:00:00Z');

-- Who follows, and what they had applied when they came last.
CREATE TABLE registration.feed_follower (
    follower  text        NOT NULL,
    partition smallint    NOT NULL,
    position  bigint      NOT NULL,
    seen_at   timestamptz NOT NULL,
    PRIMARY KEY (follower, partition)
);

-- The feeds of other services, read: `shared/feed` tells what the tables mean.

-- What was applied, moved in the transaction of the effect.
CREATE TABLE registration.feed_cursor (
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
CREATE TABLE registration.feed_slot (
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
CREATE TABLE registration.feed_cut (
    cut_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Each later than the one before.
    at       timestamptz NOT NULL UNIQUE,
    -- Absent while it is open.
    taken_at timestamptz,
    -- Whether really nothing later was applied.
    exact    boolean,
    CHECK ((taken_at IS NULL) = (exact IS NULL))
);
