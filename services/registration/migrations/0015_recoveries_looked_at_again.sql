-- Recoveries that are approved are looked at again until they are over: whether both
-- administrators still may. Those from before as well.
ALTER TABLE registration.phone_recovery
    DROP CONSTRAINT phone_recovery_check3,
    ADD CHECK (step = 'APPROVED'
               OR (step IN ('STARTING', 'APPROVING', 'CANCELLING')) = (next_step_at IS NOT NULL));
UPDATE registration.phone_recovery SET next_step_at = approved_at WHERE step = 'APPROVED';
