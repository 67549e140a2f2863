-- When the password was set last by a change or a reset; null before the first. A change that
-- is sent again shortly after is known by it.
ALTER TABLE identity.account ADD COLUMN password_changed_at timestamptz;

-- Set just before a notice is handed to whoever delivers it. Found by the next process, it
-- tells that the one before ended without a word of what became of it.
ALTER TABLE identity.notice ADD COLUMN handed_over boolean NOT NULL DEFAULT false;
-- Whose notice it is where it went to a phone that is not the account's any more.
ALTER TABLE identity.notice ADD COLUMN owner_id uuid;
CREATE INDEX notice_owner ON identity.notice (owner_id, notice_id) WHERE owner_id IS NOT NULL;
