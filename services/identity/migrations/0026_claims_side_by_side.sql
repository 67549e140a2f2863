-- A number has several claims at a time, each of another phone: an accomplice of whoever holds it
-- keeps the owner out no more. How many, the service sees to, under the holder's lock.
DROP INDEX identity.claim_open;
CREATE UNIQUE INDEX claim_open ON identity.claim (partition, holder_id, index_version, phone_index)
    WHERE ended_at IS NULL;
