//! Sessions: begun by signing in, renewed by refresh tokens that are good once, ended by
//! the person, by a change of credentials, or by a refresh token that comes twice.
//!
//! Access tokens are verified by every service alone. What ends a session before they
//! do is a row of `session_end`, which every process reads each second.

pub(crate) mod db;
pub(crate) mod grpc;
pub(crate) mod issuer;
pub(crate) mod job;
mod refresh_token;
pub(crate) mod word;

pub(crate) use refresh_token::RefreshToken;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Sessions of one account; when one more begins, the one that was renewed longest ago ends.
pub(crate) const MOST: i64 = 20;
/// Characters of the name of a device.
pub(crate) const CLIENT_NAME: usize = 32;

/// How long sessions go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    /// Without being renewed.
    pub(crate) idle: Duration,
    /// However often they are renewed.
    pub(crate) longest: Duration,
}

impl Lifetimes {
    /// When a session ends that is renewed now.
    pub(crate) fn expire_at(&self, now: OffsetDateTime, end_at: OffsetDateTime) -> OffsetDateTime {
        (now + self.idle).min(end_at)
    }
}

/// A session that goes on.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) account_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) second_factor: bool,
    pub(crate) client_name: String,
    pub(crate) generation: i64,
    pub(crate) nonce: Vec<u8>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) refreshed_at: OffsetDateTime,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) end_at: OffsetDateTime,
}

/// Silent about the nonce, of which refresh tokens are made.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("session_id", &self.session_id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// How far somebody has read which sessions ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The oldest transaction that was open at the reading before: what it ended may not have
    /// been there to read.
    pub(crate) next: i64,
    /// In the middle of a reading: the oldest one that was open when it began, and the last
    /// end that was read of it, by transaction and session.
    began: i64,
    pub(crate) after: Option<(i64, Uuid)>,
}

impl Cursor {
    /// The cursor after a page that was read while `open` was the oldest open transaction, and
    /// that ended with `last` if it was full.
    pub(crate) fn follow(self, open: i64, last: Option<(i64, Uuid)>) -> Self {
        let began = if self.after.is_some() { self.began } else { open };
        match last {
            Some(last) => Self { next: self.next, began, after: Some(last) },
            // Whatever committed while it was read is read again from where it began.
            None => Self { next: began, began, after: None },
        }
    }

    /// Reads it as [`Display`](std::fmt::Display) writes it; empty is the beginning.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut parts = text.split('.');
        let mut number =
            || parts.next().and_then(|part| part.parse::<i64>().ok()).filter(|part| *part >= 0);
        let next = number()?;
        let cursor = match number() {
            None => Self { next, began: next, after: None },
            Some(began) => {
                let xid = number()?;
                let session = parts.next().and_then(|part| Uuid::try_parse(part).ok())?;
                Self { next, began, after: Some((xid, session)) }
            }
        };
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.after {
            None => write!(f, "{}", self.next),
            Some((xid, session)) => write!(f, "{}.{}.{xid}.{session}", self.next, self.began),
        }
    }
}

/// What a refresh token is worth to a session whose row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It renews the session.
    Good,
    /// It was used before: somebody has a copy, and nobody knows who.
    Copied,
    /// The session's time is over.
    Expired,
}

impl Session {
    /// Judges a token of this session that is known to be ours.
    pub(crate) fn worth(&self, generation: i64, now: OffsetDateTime) -> Worth {
        if generation != self.generation {
            Worth::Copied
        } else if now >= self.expire_at {
            Worth::Expired
        } else {
            Worth::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    #[test]
    fn a_token_is_good_once_and_until_the_session_expires() {
        let session = Session {
            account_id: Uuid::nil(),
            session_id: Uuid::nil(),
            second_factor: false,
            client_name: String::new(),
            generation: 3,
            nonce: Vec::new(),
            created_at: NOON,
            refreshed_at: NOON,
            expire_at: NOON + Duration::DAY,
            end_at: NOON + Duration::WEEK,
        };
        assert_eq!(session.worth(3, NOON), Worth::Good);
        assert_eq!(session.worth(2, NOON), Worth::Copied);
        // Even when the session is over: whoever has the copy has it.
        assert_eq!(session.worth(2, NOON + Duration::DAY), Worth::Copied);
        assert_eq!(session.worth(3, NOON + Duration::DAY), Worth::Expired);
    }

    #[test]
    fn a_cursor_goes_on_from_where_its_reading_began_and_survives_its_text() {
        let session = Uuid::from_u128(7);
        let begun = Cursor::default().follow(90, Some((40, session)));
        // Meanwhile later transactions are the oldest open ones: they say nothing.
        let on = begun.follow(120, Some((60, session)));
        let read = on.follow(130, None);
        assert_eq!(read, Cursor { next: 90, began: 90, after: None });
        assert_eq!(read.follow(140, None).next, 140);
        for cursor in [Cursor::default(), begun, on, read] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        for text in
            ["-1", "x", "1.2", "1.2.3", "1.2.3.x", "01", "1.2.-3.x", "1.", "9".repeat(30).as_str()]
        {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn renewing_never_leads_past_the_longest() {
        let lifetimes = Lifetimes { idle: Duration::DAY, longest: Duration::days(3) };
        let end_at = NOON + lifetimes.longest;
        assert_eq!(lifetimes.expire_at(NOON, end_at), NOON + Duration::DAY);
        assert_eq!(lifetimes.expire_at(NOON + Duration::days(2) + Duration::HOUR, end_at), end_at);
    }
}
