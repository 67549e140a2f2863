-- Wrapped data keys, in a database of their own: its backups live shorter than
-- those of the data, so that a destroyed key stays destroyed.
CREATE TABLE keys.data_key (
    subject    uuid        PRIMARY KEY,
    kek        smallint    NOT NULL,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- Subjects whose key was destroyed; they never get another.
CREATE TABLE keys.destroyed (
    subject      uuid        PRIMARY KEY,
    destroyed_at timestamptz NOT NULL
);
