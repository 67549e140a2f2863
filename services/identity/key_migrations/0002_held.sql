-- Keys of people on rosters. The binaries of before don't know of such people, and would sweep
-- their keys, made a day ago, as those of nobody: so the keys of people say in a column of their
-- own when they were made, and are never old to them.
ALTER TABLE keys.data_key ADD COLUMN held_since timestamptz;
