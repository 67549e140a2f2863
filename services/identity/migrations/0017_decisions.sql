-- What a person decided about an applicant of whom the register could not tell. It stays with
-- the enrolment: the level of an account says how well its number is proved, this says by whom.
ALTER TABLE identity.enrolment
    ADD COLUMN decision text
        CHECK (decision IN ('ACCEPT', 'NAME_MISMATCH', 'NUMBER_NOT_FOUND')),
    -- The account of who decided.
    ADD COLUMN decided_by uuid,
    ADD COLUMN decided_at timestamptz,
    ADD CHECK ((decision IS NULL) = (decided_by IS NULL)
               AND (decision IS NULL) = (decided_at IS NULL));
