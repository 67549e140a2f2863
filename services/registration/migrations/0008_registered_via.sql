-- The platform on whose page the person registered, by the name of its account.
ALTER TABLE registration.registration ADD COLUMN registered_via text;
