-- Who is told of an event: where its key was before, and where it is after it, as codes of
-- organizations; '' for at none. Absent where it is not known: the event is older, or of a
-- process that is.
ALTER TABLE {schema}.outbox
    ADD COLUMN place_before text COLLATE "C",
    ADD COLUMN place_after  text COLLATE "C";
ALTER TABLE {schema}.event
    ADD COLUMN place_before text COLLATE "C",
    ADD COLUMN place_after  text COLLATE "C";
