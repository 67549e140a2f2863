-- Who is told of an event: where its key was before, and where it is after it, as codes of
-- organizations; '' for at none. Absent where it is not known: the event is older, or of a
-- process that is.
ALTER TABLE feed_test.outbox
    ADD COLUMN place_before text COLLATE "C",
    ADD COLUMN place_after  text COLLATE "C";
ALTER TABLE feed_test.event
    ADD COLUMN place_before text COLLATE "C",
    ADD COLUMN place_after  text COLLATE "C";

-- Of the scope by which the reader was told what it has of the partition; '' if it is not
-- restricted.
ALTER TABLE feed_test.feed_cursor ADD COLUMN scope_version text NOT NULL DEFAULT '';
