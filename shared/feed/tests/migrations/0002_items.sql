-- What the service of the tests keeps, and what its follower makes of it.
CREATE TABLE feed_test.item (
    partition smallint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    revision  bigint   NOT NULL,
    value     integer  NOT NULL,
    PRIMARY KEY (partition, key)
);
CREATE TABLE feed_test.copy (
    partition smallint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    revision  bigint   NOT NULL,
    value     integer  NOT NULL,
    PRIMARY KEY (partition, key)
);
-- Every event that was ever applied.
CREATE TABLE feed_test.effect (
    n         bigint   GENERATED ALWAYS AS IDENTITY,
    partition smallint NOT NULL,
    position  bigint   NOT NULL,
    key       text     NOT NULL,
    revision  bigint   NOT NULL,
    -- The cut that the effect comes after.
    after_cut bigint   NOT NULL
);
