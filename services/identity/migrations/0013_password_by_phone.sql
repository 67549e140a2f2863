-- When the password was set by whoever holds the phone, with no other proof; null once it was
-- set by one. Such a password is no second factor beside a code to that phone.
ALTER TABLE identity.account ADD COLUMN password_by_phone_at timestamptz;
