-- The feed of this schema, written: `shared/feed` tells what the tables mean.

-- What the transaction that made a change tells of it; the sequencer moves it on.
CREATE SEQUENCE identity.outbox_seq;
CREATE TABLE identity.outbox (
    seq       bigint   NOT NULL DEFAULT nextval('identity.outbox_seq'),
    partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    event_id  uuid     NOT NULL DEFAULT gen_random_uuid(),
    key       text COLLATE "C" NOT NULL,
    revision  bigint   NOT NULL CHECK (revision > 0),
    -- The full name of the message.
    type      text     NOT NULL,
    payload   bytea    NOT NULL,
    PRIMARY KEY (seq, partition)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE identity.event (
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
CREATE FUNCTION identity.refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER event_append_only BEFORE UPDATE ON identity.event
    FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_update();

-- The last event of each partition, and up to where events were trimmed.
CREATE TABLE identity.feed_head (
    partition         smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 63),
    position          bigint   NOT NULL,
    event_id          uuid     NOT NULL,
    previous_event_id uuid,
    trimmed_to        bigint   NOT NULL DEFAULT 0 CHECK (trimmed_to < position)
) WITH (fillfactor = 50);

-- The stamp of the last pass of the sequencer; one row.
CREATE TABLE identity.feed_watermark (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    watermark timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO identity.feed_watermark (watermark) VALUES ('2000-01-01 00:00:00Z');

-- Who follows, and what they had applied when they came last.
CREATE TABLE identity.feed_follower (
    follower  text        NOT NULL,
    partition smallint    NOT NULL,
    position  bigint      NOT NULL,
    seen_at   timestamptz NOT NULL,
    PRIMARY KEY (follower, partition)
);
