-- Up to whom, in the order in which identity made them known, it was looked whether they are on a
-- roster: whom a batch made known that a crash cut off is on none.
CREATE TABLE registration.roster_look (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    up_to   uuid        NOT NULL,
    next_at timestamptz NOT NULL
);
INSERT INTO registration.roster_look (up_to, next_at)
VALUES ('00000000-0000-0000-0000-000000000000', '-infinity');
