-- Of the scope by which the reader was told what it has of the partition; '' if it is not
-- restricted.
ALTER TABLE {schema}.feed_cursor ADD COLUMN scope_version text NOT NULL DEFAULT '';
