//! What a process knows of sessions: the keys that sign their tokens, and which of them
//! ended before their tokens do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use uuid::Uuid;
use zhiyuan_crypto::VerifyingKey;

use crate::accounts::{Accounts, ServiceAccount};
use crate::jws::SKEW;
use crate::quota::Count;
use crate::token::LIFETIME;

/// How old the last word may be before what must not be served to an ended session is
/// refused.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// How old it may be before a service account is refused whatever it asks for: as long as an
/// access token of a person goes on.
pub const ACCOUNTS_KNOWN_FOR: Duration = Duration::from_secs(LIFETIME.unsigned_abs());

/// An ended session is remembered until no token of it can be valid: a token's life, and
/// the clocks of issuer and verifier each wrong by as much as is borne, and some more.
const REMEMBERED: Duration = Duration::from_secs((LIFETIME + 4 * SKEW).unsigned_abs());

/// What identity says: the keys, and the sessions that ended since it was asked last.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// All keys whose tokens count.
    pub keys: Vec<VerifyingKey>,
    /// Sessions that ended.
    pub ended: Vec<Uuid>,
    /// All service accounts that may call; none if they are those of the word before.
    pub accounts: Option<Vec<ServiceAccount>>,
    /// How often service accounts called, those that did today.
    pub counts: Vec<(Arc<str>, Count)>,
}

/// Shared by all calls of a process.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    known: Arc<RwLock<Known>>,
    accounts: Accounts,
}

#[derive(Debug, Default)]
struct Known {
    keys: BTreeMap<String, VerifyingKey>,
    /// When each was heard of.
    ended: HashMap<Uuid, Instant>,
    /// When the last question was sent that was answered.
    asked: Option<Instant>,
    swept: Option<Instant>,
}

impl Sessions {
    /// Knows nothing yet, and lets nobody in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what identity answered to a question that was sent at `asked`.
    pub fn hear(&self, word: Word, asked: Instant) {
        if let Some(accounts) = word.accounts {
            self.accounts.hear(accounts);
        }
        self.accounts.count(word.counts);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.keys = word.keys.into_iter().map(|key| (key.key_id(), key)).collect();
        known.ended.extend(word.ended.into_iter().map(|session| (session, asked)));
        known.asked = known.asked.max(Some(asked));
        let since_sweep = known.swept.map(|swept| asked.saturating_duration_since(swept));
        if since_sweep.is_none_or(|since| since >= Duration::from_mins(1)) {
            known.ended.retain(|_, heard| asked.saturating_duration_since(*heard) < REMEMBERED);
            known.swept = Some(asked);
        }
    }

    /// Takes over which keys count, where they are made. Says nothing of what ended.
    pub fn trust(&self, keys: impl IntoIterator<Item = VerifyingKey>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.keys = keys.into_iter().map(|key| (key.key_id(), key)).collect();
    }

    /// Ends a session here at once, before identity says so.
    pub fn end(&self, session_id: Uuid, now: Instant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.ended.insert(session_id, now);
    }

    /// The service accounts, of which identity tells in the same word.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Whether the last word is not older than [`STALE_AFTER`]. Its age is counted from when it
    /// was asked for: an answer says nothing of what ended while it travelled.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.is_younger(STALE_AFTER, now)
    }

    /// Whether the last word is young enough for service accounts to go by it where nothing
    /// strict is asked for. Their assertions are new each minute, so that nothing else would
    /// end them.
    pub fn knows_accounts(&self, now: Instant) -> bool {
        self.is_younger(ACCOUNTS_KNOWN_FOR, now)
    }

    /// Until when the last word is not older than this; none without a word.
    pub fn younger_until(&self, age: Duration) -> Option<Instant> {
        let asked = self.known.read().unwrap_or_else(PoisonError::into_inner).asked;
        asked.and_then(|asked| asked.checked_add(age))
    }

    fn is_younger(&self, age: Duration, now: Instant) -> bool {
        self.younger_until(age).is_some_and(|until| now <= until)
    }

    /// Whether there was any word yet.
    pub fn is_informed(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).asked.is_some()
    }

    pub(crate) fn key(&self, key_id: &str) -> Option<VerifyingKey> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).keys.get(key_id).cloned()
    }

    pub(crate) fn is_over(&self, session_id: Uuid) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).ended.contains_key(&session_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zhiyuan_crypto::SigningKey;

    #[test]
    fn is_stale_five_seconds_after_the_question_that_was_answered() {
        let sessions = Sessions::new();
        let begin = Instant::now();
        assert!(!sessions.is_fresh(begin) && !sessions.is_informed());
        sessions.hear(Word::default(), begin);
        assert!(sessions.is_informed());
        assert!(sessions.is_fresh(begin + STALE_AFTER));
        let late = begin + STALE_AFTER + Duration::from_millis(1);
        assert!(!sessions.is_fresh(late));
        // An answer that was long on its way makes nothing younger.
        sessions.hear(Word::default(), begin);
        assert!(!sessions.is_fresh(late));
    }

    #[test]
    fn ended_sessions_are_remembered_for_longer_than_any_token_lives() {
        let sessions = Sessions::new();
        let begin = Instant::now();
        let over = Uuid::from_u128(7);
        sessions.hear(Word { ended: vec![over], ..Word::default() }, begin);
        sessions.hear(Word::default(), begin + REMEMBERED - Duration::from_secs(1));
        assert!(sessions.is_over(over));
        sessions.hear(Word::default(), begin + REMEMBERED + Duration::from_mins(1));
        assert!(!sessions.is_over(over));
        sessions.end(over, begin);
        assert!(sessions.is_over(over));
    }

    #[test]
    fn a_key_that_is_not_named_any_more_is_forgotten_at_once() {
        let sessions = Sessions::new();
        let (old, new) = (SigningKey::generate(), SigningKey::generate());
        let both = vec![old.verifying_key(), new.verifying_key()];
        sessions.hear(Word { keys: both, ..Word::default() }, Instant::now());
        assert!(sessions.key(&old.key_id()).is_some());
        sessions.hear(Word { keys: vec![new.verifying_key()], ..Word::default() }, Instant::now());
        assert!(sessions.key(&old.key_id()).is_none());
        assert!(sessions.key(&new.key_id()).is_some());
    }
}
