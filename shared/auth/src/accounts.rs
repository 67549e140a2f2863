//! What a process knows of service accounts: the callers that identity keeps, besides those
//! of the configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use zhiyuan_crypto::VerifyingKey;

use crate::callers::Caller;
use crate::quota::{Count, Counter, Quota, Spent};

/// How long after a use identity is told of it at the latest, if it answers.
pub const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Accounts that are told of at once, at most.
pub const MOST_TOLD: usize = 1000;

/// A system of somebody else that may call, as identity tells of it. One that is disabled is
/// not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The name, which the suite's own services don't have.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Arc<BTreeSet<String>>,
    /// One key, or two while it changes over.
    pub keys: Vec<AccountKey>,
    /// How often it may call.
    pub quota: Quota,
    /// The codes of the organizations that it sees in feeds; `None`: all there are.
    pub within: Option<Arc<BTreeSet<String>>>,
}

/// A public key of a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    /// The key.
    pub key: VerifyingKey,
    /// Not before then, in seconds since 1970.
    pub use_at: i64,
    /// Not from then on, in seconds since 1970.
    pub expire_at: i64,
}

/// What is to be told of a service account's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Whose.
    pub account: Arc<str>,
    /// How many since identity was told last.
    pub calls: u32,
    /// The ids of the keys, and when each was used last, in seconds since 1970.
    pub keys: Vec<(Arc<str>, i64)>,
}

/// Shared by all calls of a process.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<String, Held>,
    counters: BTreeMap<Arc<str>, Counter>,
}

#[derive(Clone, Debug)]
struct Held {
    key: AccountKey,
    caller: Caller,
    /// Cancelled once the key doesn't count any more, or no more as it did.
    over: CancellationToken,
}

impl Accounts {
    /// Takes over all accounts that there are: any other is none from now on.
    pub fn hear(&self, accounts: Vec<ServiceAccount>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut known.keys);
        let mut counters = BTreeMap::new();
        for ServiceAccount { name, scopes, keys, quota, within } in accounts {
            for key in keys {
                let id = key.key.key_id();
                let caller = Caller {
                    name: Arc::clone(&name),
                    scopes: Arc::clone(&scopes),
                    account_key: Some(id.as_str().into()),
                    within: within.clone(),
                };
                // What is open goes on only as what it was begun as.
                let over = match before.remove(&id) {
                    Some(held) if held.caller == caller => held.over,
                    Some(held) => {
                        held.over.cancel();
                        CancellationToken::new()
                    }
                    None => CancellationToken::new(),
                };
                known.keys.insert(id, Held { key, caller, over });
            }
            let mut counter = known.counters.remove(&name).unwrap_or_default();
            counter.quota = quota;
            counters.insert(name, counter);
        }
        known.counters = counters;
        for gone in before.into_values() {
            gone.over.cancel();
        }
    }

    /// Takes over how often all processes together were called, by account.
    pub fn count(&self, counts: impl IntoIterator<Item = (Arc<str>, Count)>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in counts {
            if let Some(counter) = known.counters.get_mut(&name) {
                counter.hear(count);
            }
        }
    }

    /// Whose key this is, if it counts at a time.
    pub(crate) fn find(&self, key_id: &str, now: i64) -> Option<(VerifyingKey, Caller)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let held = known.keys.get(key_id)?;
        let counts = (held.key.use_at..held.key.expire_at).contains(&now);
        counts.then(|| (held.key.key.clone(), held.caller.clone()))
    }

    /// Cancelled once the caller is none any more; none for a caller by configuration.
    pub fn over(&self, caller: &Caller) -> Option<CancellationToken> {
        let key_id = caller.account_key.as_deref()?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let held = known.keys.get(key_id).filter(|held| held.caller == *caller);
        Some(held.map_or_else(cancelled, |held| held.over.clone()))
    }

    /// Whether the caller may go on but for what it sees: its key, its name and its scopes are
    /// what they were, and its organizations are not.
    pub fn is_elsewhere(&self, caller: &Caller) -> bool {
        let Some(key_id) = caller.account_key.as_deref() else { return false };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.get(key_id).is_some_and(|held| {
            let same = Caller { within: caller.within.clone(), ..held.caller.clone() };
            same == *caller && held.caller.within != caller.within
        })
    }

    /// Counts a call of a service account at a time, in seconds since 1970; one by
    /// configuration has no quota.
    ///
    /// # Errors
    /// [`Spent`], when it has called as often as it may.
    pub fn spend(&self, caller: &Caller, now: i64) -> Result<(), Spent> {
        let Some(key_id) = &caller.account_key else { return Ok(()) };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever is gone meanwhile is refused elsewhere.
        let Some(counter) = known.counters.get_mut(&caller.name) else { return Ok(()) };
        counter.spend(key_id, now)
    }

    /// What identity was not told of for long enough.
    pub fn untold(&self, now: Instant) -> Vec<Use> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let uses = known.counters.iter_mut().filter_map(|(name, counter)| {
            let (calls, keys) = counter.untold(now, TOLD_AFTER)?;
            Some(Use { account: Arc::clone(name), calls, keys })
        });
        uses.take(MOST_TOLD).collect()
    }

    /// Notes that identity was told.
    pub fn told(&self, uses: &[Use]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for told in uses {
            if let Some(counter) = known.counters.get_mut(&told.account) {
                counter.told(told.calls, &told.keys);
            }
        }
    }
}

fn cancelled() -> CancellationToken {
    let over = CancellationToken::new();
    over.cancel();
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use zhiyuan_crypto::SigningKey;

    const LATER: i64 = 1_000;

    fn account(name: &str, keys: &[&SigningKey], scope: &str) -> ServiceAccount {
        ServiceAccount {
            name: name.into(),
            scopes: Arc::new(BTreeSet::from([scope.to_owned()])),
            keys: keys
                .iter()
                .map(|key| AccountKey { key: key.verifying_key(), use_at: 100, expire_at: 200 })
                .collect(),
            quota: Quota { per_minute: 2, per_day: 3 },
            within: None,
        }
    }

    fn within(codes: &[&str], account: ServiceAccount) -> ServiceAccount {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        ServiceAccount { within: Some(Arc::new(codes)), ..account }
    }

    #[test]
    fn a_key_counts_in_its_time_and_while_identity_tells_of_it() {
        let (accounts, key) = (Accounts::default(), SigningKey::generate());
        accounts.hear(vec![account("platform", &[&key], "feed")]);
        let found = |now| accounts.find(&key.key_id(), now).map(|(_, caller)| caller.name);
        assert_eq!([found(99), found(200)], [None, None]);
        assert_eq!(found(100).as_deref(), Some("platform"));
        assert_eq!(found(199).as_deref(), Some("platform"));
        accounts.hear(Vec::new());
        assert_eq!(found(150), None);
    }

    #[test]
    fn what_is_open_is_over_with_its_key_its_account_or_a_scope_and_not_before() {
        let (old, new) = (SigningKey::generate(), SigningKey::generate());
        let both = || vec![account("platform", &[&old, &new], "feed")];
        for (then, over) in [
            (both(), false),
            (vec![account("platform", &[&old], "feed")], false),
            (vec![account("platform", &[&new], "feed")], true),
            (vec![account("platform", &[&old, &new], "statistics")], true),
            (vec![account("another", &[&old], "feed")], true),
            (Vec::new(), true),
        ] {
            let accounts = Accounts::default();
            accounts.hear(both());
            let (_, caller) = accounts.find(&old.key_id(), 150).unwrap();
            let open = accounts.over(&caller).unwrap();
            accounts.hear(then.clone());
            assert_eq!(open.is_cancelled(), over, "{then:?}");
            // Who opens something only now hears the same.
            assert_eq!(accounts.over(&caller).unwrap().is_cancelled(), over, "{then:?}");
        }
    }

    #[test]
    fn what_is_open_is_over_with_its_organizations_and_then_it_is_told_apart() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let everywhere = || account("platform", &[&key], "feed");
        let here = || within(&["AH-340100"], everywhere());
        let there = || within(&["AH-340100", "AH-340200"], everywhere());
        for (before, after, over, elsewhere) in [
            (here(), here(), false, false),
            (here(), there(), true, true),
            (here(), everywhere(), true, true),
            (everywhere(), here(), true, true),
            (everywhere(), within(&[], everywhere()), true, true),
            (here(), within(&["AH-340200"], account("platform", &[&key], "other")), true, false),
            (here(), within(&["AH-340100"], account("platform", &[&other], "feed")), true, false),
        ] {
            let accounts = Accounts::default();
            accounts.hear(vec![before]);
            let (_, caller) = accounts.find(&key.key_id(), 150).unwrap();
            let open = accounts.over(&caller).unwrap();
            accounts.hear(vec![after.clone()]);
            assert_eq!(open.is_cancelled(), over, "{after:?}");
            assert_eq!(accounts.is_elsewhere(&caller), elsewhere, "{after:?}");
        }
    }

    #[test]
    fn a_use_is_told_once_and_what_was_not_told_stays() {
        let (accounts, key) = (Accounts::default(), SigningKey::generate());
        accounts.hear(vec![account("platform", &[&key], "feed")]);
        let (_, caller) = accounts.find(&key.key_id(), 150).unwrap();
        let begin = Instant::now();
        assert!(accounts.untold(begin).is_empty());
        accounts.spend(&caller, LATER).unwrap();
        let uses = accounts.untold(begin);
        let keys = vec![(key.key_id().as_str().into(), LATER)];
        assert_eq!(uses, [Use { account: "platform".into(), calls: 1, keys }]);
        // It did not arrive; and it is not tried again at once.
        assert!(accounts.untold(begin).is_empty());
        assert_eq!(accounts.untold(begin + TOLD_AFTER), uses);
        accounts.told(&uses);
        assert!(accounts.untold(begin + 2 * TOLD_AFTER).is_empty());
        // The same list again forgets nothing of it.
        accounts.hear(vec![account("platform", &[&key], "feed")]);
        accounts.spend(&caller, LATER).unwrap();
        assert!(accounts.spend(&caller, LATER).is_err());
    }
}
