-- What an administrator decided about a registration of which the register could not tell; it
-- is delivered to identity by whoever carries the registration on.
ALTER TABLE registration.registration
    ADD COLUMN decision text
        CHECK (decision IN ('ACCEPT', 'NAME_MISMATCH', 'NUMBER_NOT_FOUND')),
    -- The account of who decided.
    ADD COLUMN decided_by uuid,
    ADD COLUMN decided_at timestamptz,
    ADD CHECK ((decision IS NULL) = (decided_by IS NULL)
               AND (decision IS NULL) = (decided_at IS NULL));
-- Those that wait, in the order in which the forms came: the ids are made in it.
CREATE INDEX registration_review ON registration.registration (enrolment_id)
    WHERE step = 'REVIEW' AND decision IS NULL;
