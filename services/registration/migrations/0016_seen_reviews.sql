-- Who has looked at whom a review is about: only they decide.
ALTER TABLE registration.registration ADD COLUMN review_seen_by uuid[] NOT NULL DEFAULT '{}';
-- Looks are kept for half a year.
CREATE INDEX look_day ON registration.look (day);
