-- When the password was set last by a change or a reset; null before the first. A change that
-- is sent again shortly after is known by it.
ALTER TABLE identity.account ADD COLUMN password_changed_at timestamptz;
