-- At which organization an item is, as far as it was said; '' for at none.
CREATE TABLE feed_test.place (
    partition smallint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    place     text     NOT NULL,
    PRIMARY KEY (partition, key)
);
