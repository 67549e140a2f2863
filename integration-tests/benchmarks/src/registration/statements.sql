-- The statements of one registration, in their order and in their transactions, as the
-- server logged them (`log_statement = all`) while one person registered. What the feeds,
-- the fold and the jobs do besides is not among them.

-- What the services make by themselves: ids in the order of time, sealed fields of their
-- usual lengths, partitions. One statement that the services do not have.
\set done :done + 1
SELECT made.request, made.enrolment, made.account, made.partition,
       ('00000000-0000-4000-8000-'
           || lpad(to_hex(:client_id::bigint * 1000000 + :done::bigint), 12, '0'))::uuid AS challenge,
       '{' || made.partition || '}' AS partitions, '{' || made.account || '}' AS keys,
       made.index AS phone_index, made.index AS index_of_phone,
       decode(md5(made.request::text) || md5(made.account::text), 'hex') AS index_of_number,
       substr(made.blob, 1, 45) AS name, substr(made.blob, 2, 54) AS id_number,
       substr(made.blob, 3, 50) AS phone, made.index || substr(made.blob, 1, 29) AS wrapped,
       '$argon2id$v=19$m=8,t=1,p=1$' || repeat('c', 65) AS password_hash,
       ARRAY[made.blob || made.index] AS payloads,
       '34' || lpad((random() * 103)::int::text, 4, '0') AS region_of_number,
       lpad((:client_id::bigint * 1000000 + :done::bigint)::text, 15, '0') AS number,
       '340104' AS region, 'AH-340104001' AS organization, made.now
FROM (SELECT (time || substr(md5(random()::text), 13))::uuid AS request,
             (time || substr(md5(random()::text), 13))::uuid AS enrolment,
             (time || substr(md5(random()::text), 13))::uuid AS account,
             (random() * 63)::int AS partition,
             decode(md5(random()::text) || md5(random()::text), 'hex') AS index,
             decode(md5(random()::text) || md5(random()::text) || md5(random()::text)
                 || md5(random()::text), 'hex') AS blob,
             clock_timestamp() AS now
      FROM lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') AS time
     ) made
\gset

-- registration: is the form known, and does the organization take registrations?
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request;
SELECT o.code, o.name, o.kind, o.state, o.parent_code, o.region_code, o.successor_code, o.leaf,
       o.contact_phone, o.contact_group_number, o.contact_note,
       ARRAY(SELECT a.name FROM UNNEST(o.ancestors) WITH ORDINALITY AS above (code, place)
             JOIN orgtree.organization a ON a.code = above.code
             ORDER BY above.place) AS "ancestor_names!"
FROM orgtree.organization o WHERE o.code = :organization;
SELECT code, name, level, parent_code, leaf FROM orgtree.region WHERE code = :region;
INSERT INTO registration.registration
    (request_id, digest, digest_version, enrolment_id, region_code, organization_code,
     league_member, step, next_step_at, last_call_at, created_at, registered_via)
VALUES (:request, :index_of_number, 1, :enrolment, :region, :organization, true, 'STARTED',
        :now, :now, :now, NULL)
ON CONFLICT (request_id) DO NOTHING;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request;

-- identity: the code is right, and the applicant is kept.
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
BEGIN;
SELECT version FROM identity.index_key WHERE active ORDER BY version;
INSERT INTO identity.enrolment
    (enrolment_id, state, refusal, account_id, challenge_id, index_version, phone_index, consents,
     created_at, updated_at)
VALUES (:enrolment, 'ACCEPTED', NULL, :account, :challenge, 1, :phone_index,
        '[{"purpose": 1, "version": "2026-11-01"}]', :now, :now)
ON CONFLICT (enrolment_id) DO NOTHING;
SELECT index_version, phone_index, purpose, mac_version, code_mac, expire_at, tries, proof_tries,
       proven_at, used_at, via
FROM identity.sms_challenge WHERE challenge_id = :challenge FOR UPDATE;
UPDATE identity.sms_challenge SET tries = 1, proof_tries = 0, proven_at = :now
WHERE challenge_id = :challenge;
COMMIT;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended(:account::text, 1));
INSERT INTO keys.data_key (subject, kek, wrapped, created_at)
SELECT :account::uuid, 1, :wrapped::bytea, :now::timestamptz
WHERE NOT EXISTS (SELECT FROM keys.destroyed WHERE subject = :account)
ON CONFLICT (subject) DO NOTHING;
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;
COMMIT;
UPDATE identity.enrolment
SET state = 'PENDING', name = :name, id_number = :id_number, phone = :phone,
    password_hash = :password_hash, attempts = 1, next_check_at = :now, decide_by = :now,
    updated_at = :now
WHERE enrolment_id = :enrolment AND state = 'ACCEPTED';

-- identity: the register is asked, and the number claimed.
SELECT account_id, challenge_id, index_version, phone_index, consents, name, id_number, phone,
       password_hash, attempts, decide_by, decision
FROM identity.enrolment WHERE enrolment_id = :enrolment AND state = 'PENDING';
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;
BEGIN;
UPDATE identity.enrolment SET reserved_on = current_date
WHERE enrolment_id = :enrolment AND reserved_on IS DISTINCT FROM current_date;
SELECT version FROM identity.index_key WHERE active ORDER BY version;
INSERT INTO identity.failed_check AS f (subject_index, day, count) VALUES (:index_of_phone, current_date, 1)
ON CONFLICT (subject_index, day) DO UPDATE SET count = f.count + 1 WHERE f.count < 100
RETURNING count;
INSERT INTO identity.failed_check AS f (subject_index, day, count) VALUES (:index_of_number, current_date, 1)
ON CONFLICT (subject_index, day) DO UPDATE SET count = f.count + 1 WHERE f.count < 100
RETURNING count;
COMMIT;
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;
BEGIN;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment FOR UPDATE;
SELECT pg_advisory_xact_lock_shared(7);
SELECT version FROM identity.index_key WHERE active ORDER BY version;
SAVEPOINT claim;
INSERT INTO identity.account
    (partition, account_id, enrolment_id, state, level, name, id_number, phone, index_version,
     phone_index, password_hash, claimed_at)
VALUES (:partition, :account, :enrolment, 'INACTIVE', 1, :name, :id_number, :phone, 1, :phone_index,
        :password_hash, :now);
INSERT INTO identity.number (index_version, number_index, partition, account_id)
VALUES (1, :index_of_number, :partition, :account)
ON CONFLICT (index_version, number_index) DO NOTHING;
INSERT INTO identity.consent_entry
    (partition, account_id, number, purpose, version, text_hash, given, occasion, entered_at)
SELECT :partition, :account, coalesce(max(number), 0) + 1, 1, '2026-11-01', :index_of_number, true, 1,
       :now
FROM identity.consent_entry WHERE partition = :partition AND account_id = :account;
RELEASE SAVEPOINT claim;
UPDATE identity.sms_challenge SET used_at = :now WHERE challenge_id = :challenge AND used_at IS NULL;
UPDATE identity.enrolment
SET state = 'CLAIMED', refusal = NULL, name = NULL, id_number = NULL, phone = NULL,
    password_hash = NULL, next_check_at = NULL, updated_at = :now,
    claimed_at = CASE WHEN 'CLAIMED' = 'CLAIMED' THEN :now ELSE claimed_at END,
    revision = revision + 1
WHERE enrolment_id = :enrolment RETURNING revision;
INSERT INTO identity.outbox (partition, key, revision, type, payload)
SELECT partition, key, revision, type, payload
FROM unnest(:partitions::smallint[], :keys::text[], '{1}'::bigint[],
            '{zhiyuan.identity.v1.EnrolmentChanged}'::text[], :payloads::bytea[])
    WITH ORDINALITY AS new (partition, key, revision, type, payload, n) ORDER BY n;
COMMIT;
BEGIN;
UPDATE identity.enrolment SET reserved_on = NULL
WHERE enrolment_id = :enrolment AND reserved_on = current_date;
SELECT version FROM identity.index_key WHERE active ORDER BY version;
DELETE FROM identity.failed_check
WHERE subject_index = :index_of_phone AND day = current_date AND count <= 1;
DELETE FROM identity.failed_check
WHERE subject_index = :index_of_number AND day = current_date AND count <= 1;
COMMIT;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
SELECT state = 'ACTIVE' AS "active!", name, phone, index_version, phone_index
FROM identity.account WHERE partition = :partition AND account_id = :account;
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;

-- registration: the volunteer and the number, hidden.
BEGIN;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
UPDATE registration.registration
SET step = 'CLAIMED', retry_at = NULL, account_id = coalesce(:account, account_id),
    adopted = adopted OR false, refusal = coalesce(NULL, refusal),
    successor_code = coalesce(NULL, successor_code), next_step_at = :now, finished_at = NULL,
    attempts = 0
WHERE request_id = :request;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
COMMIT;
SELECT o.code, o.name, o.kind, o.state, o.parent_code, o.region_code, o.successor_code, o.leaf,
       o.contact_phone, o.contact_group_number, o.contact_note,
       ARRAY(SELECT a.name FROM UNNEST(o.ancestors) WITH ORDINALITY AS above (code, place)
             JOIN orgtree.organization a ON a.code = above.code
             ORDER BY above.place) AS "ancestor_names!"
FROM orgtree.organization o WHERE o.code = :organization;
BEGIN;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
SELECT volunteer_number, region_code, organization_code, league_member, state, closed, registered_at
FROM registration.volunteer WHERE partition = :partition AND volunteer_id = :account;
INSERT INTO registration.volunteer_serial AS serial (region_code, last)
VALUES (:region_of_number, 1)
ON CONFLICT (region_code) DO UPDATE SET last = serial.last + 1 RETURNING last;
WITH number AS (
    INSERT INTO registration.volunteer_number (volunteer_number, partition, volunteer_id)
    VALUES (:number, :partition, :account)
)
INSERT INTO registration.volunteer
    (partition, volunteer_id, volunteer_number, region_code, organization_code, league_member, state,
     registered_at)
VALUES (:partition, :account, :number, :region_of_number, :organization, true, 'INACTIVE', :now);
UPDATE registration.registration
SET step = 'REGISTERED', retry_at = NULL, account_id = coalesce(NULL, account_id),
    adopted = adopted OR false, refusal = coalesce(NULL, refusal),
    successor_code = coalesce(NULL, successor_code), next_step_at = :now, finished_at = NULL,
    attempts = 0
WHERE request_id = :request;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
COMMIT;

-- identity: the account is active, whoever had the phone long before has it no more, and what
-- was agreed to is told.
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
SELECT state IN ('ACTIVE', 'DISABLED') AS "active!", name AS "name!", phone AS "phone!", index_version,
       phone_index AS "phone_index!"
FROM identity.account
WHERE partition = :partition AND account_id = :account AND state <> 'CLOSED';
SELECT version FROM identity.index_key WHERE active ORDER BY version;
BEGIN;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment FOR UPDATE;
UPDATE identity.account SET state = 'ACTIVE', activated_at = :now, revision = revision + 1
WHERE partition = :partition AND account_id = :account AND state = 'INACTIVE'
RETURNING revision, level;
UPDATE identity.account a SET phone_attached = false
FROM (SELECT partition, account_id FROM identity.account
      WHERE (index_version, phone_index) IN
            (SELECT * FROM unnest('{1}'::smallint[], ARRAY[:phone_index::bytea]))
        AND phone_attached
        AND state IN ('ACTIVE', 'DISABLED') AND account_id <> :account
        AND coalesce(phone_proven_at, claimed_at) < :now
      ORDER BY partition, account_id FOR NO KEY UPDATE) recycled
WHERE a.partition = recycled.partition AND a.account_id = recycled.account_id
RETURNING a.account_id;
INSERT INTO identity.outbox (partition, key, revision, type, payload)
SELECT partition, key, revision, type, payload
FROM unnest(:partitions::smallint[], :keys::text[], '{1}'::bigint[],
            '{zhiyuan.identity.v1.AccountChanged}'::text[], :payloads::bytea[])
    WITH ORDINALITY AS new (partition, key, revision, type, payload, n) ORDER BY n;
SELECT DISTINCT ON (purpose) number, purpose, version, given, entered_at
FROM identity.consent_entry WHERE partition = :partition AND account_id = :account
ORDER BY purpose, number DESC;
UPDATE identity.account SET revision = revision + 1
WHERE partition = :partition AND account_id = :account RETURNING revision;
INSERT INTO identity.outbox (partition, key, revision, type, payload)
SELECT partition, key, revision, type, payload
FROM unnest(:partitions::smallint[], :keys::text[], '{2}'::bigint[],
            '{zhiyuan.identity.v1.ConsentsChanged}'::text[], :payloads::bytea[])
    WITH ORDINALITY AS new (partition, key, revision, type, payload, n) ORDER BY n;
UPDATE identity.enrolment
SET state = 'ACTIVE', refusal = NULL, name = NULL, id_number = NULL, phone = NULL,
    password_hash = NULL, next_check_at = NULL, updated_at = :now,
    claimed_at = CASE WHEN 'ACTIVE' = 'CLAIMED' THEN :now ELSE claimed_at END,
    revision = revision + 1
WHERE enrolment_id = :enrolment RETURNING revision;
INSERT INTO identity.outbox (partition, key, revision, type, payload)
SELECT partition, key, revision, type, payload
FROM unnest(:partitions::smallint[], :keys::text[], '{1}'::bigint[],
            '{zhiyuan.identity.v1.EnrolmentChanged}'::text[], :payloads::bytea[])
    WITH ORDINALITY AS new (partition, key, revision, type, payload, n) ORDER BY n;
COMMIT;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
SELECT state = 'ACTIVE' AS "active!", name, phone, index_version, phone_index
FROM identity.account WHERE partition = :partition AND account_id = :account;
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;

-- registration: the volunteer is shown, and the form answered.
BEGIN;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
UPDATE registration.volunteer SET state = 'ACTIVE', revision = revision + 1
WHERE partition = :partition AND volunteer_id = :account AND state = 'INACTIVE';
INSERT INTO registration.account (partition, account_id, level, revision)
VALUES (:partition, :account, 1, 0) ON CONFLICT (partition, account_id) DO NOTHING;
UPDATE registration.volunteer v SET level = a.level, closed = a.closed
FROM registration.account a
WHERE v.partition = :partition AND v.volunteer_id = :account
  AND a.partition = :partition AND a.account_id = :account
RETURNING v.volunteer_id, v.volunteer_number, v.region_code, v.organization_code, v.league_member,
          v.registered_at, v.level, v.account_missing, v.closed, v.revision;
INSERT INTO registration.outbox (partition, key, revision, type, payload)
SELECT partition, key, revision, type, payload
FROM unnest(:partitions::smallint[], :keys::text[], '{1}'::bigint[],
            '{zhiyuan.registration.v1.VolunteerChanged}'::text[], :payloads::bytea[])
    WITH ORDINALITY AS new (partition, key, revision, type, payload, n) ORDER BY n;
UPDATE registration.registration
SET step = 'DONE', retry_at = NULL, account_id = coalesce(NULL, account_id),
    adopted = adopted OR false, refusal = coalesce(NULL, refusal),
    successor_code = coalesce(NULL, successor_code), next_step_at = NULL, finished_at = :now,
    attempts = 0
WHERE request_id = :request;
SELECT request_id, digest, digest_version, enrolment_id, account_id, adopted, region_code,
       organization_code, league_member, step, refusal, successor_code, retry_at, next_step_at,
       last_call_at, attempts
FROM registration.registration WHERE request_id = :request FOR UPDATE;
COMMIT;
SELECT volunteer_number, region_code, organization_code, league_member, state, registered_at
FROM registration.volunteer WHERE partition = :partition AND volunteer_id = :account;
SELECT enrolment_id, state, refusal, account_id, phone_index, index_version, next_check_at, decide_by,
       waited, created_at
FROM identity.enrolment WHERE enrolment_id = :enrolment;
SELECT state = 'ACTIVE' AS "active!", name, phone, index_version, phone_index
FROM identity.account WHERE partition = :partition AND account_id = :account;
SELECT kek, wrapped FROM keys.data_key WHERE subject = :account;
