//! Who is trusted, and with what.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use zhiyuan_crypto::VerifyingKey;
use zhiyuan_crypto::signature::InvalidKey;

/// A service that calls, known by its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the service, or of the service account.
    pub name: Arc<str>,
    /// What it may do here.
    pub scopes: Arc<BTreeSet<String>>,
    /// The id of the key by which it was known, if it is a service account that identity
    /// keeps; none, if the configuration names it.
    pub account_key: Option<Arc<str>>,
    /// The codes of the organizations that it sees in feeds, with everything below them;
    /// `None`: all there are.
    pub within: Option<Arc<BTreeSet<String>>>,
}

impl Caller {
    /// Tells whether the caller was given this very scope; there are no wildcards.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    /// Tells whether it is a service account, a system of somebody else.
    pub fn is_account(&self) -> bool {
        self.account_key.is_some()
    }
}

/// What the configuration says of a caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// Its Ed25519 public keys in base64: one, or two while it changes over.
    pub public_keys: Vec<String>,
    /// What it may do here.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Why the configured callers can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallers {
    /// A caller without a name.
    #[error("a caller has an empty name")]
    NoName,
    /// A caller that could never prove itself.
    #[error("caller \"{caller}\" has no public key")]
    NoKey {
        /// The name of the caller.
        caller: String,
    },
    /// A key that can't be read.
    #[error("caller \"{caller}\" has an invalid public key")]
    Key {
        /// The name of the caller.
        caller: String,
        /// What is wrong with it.
        #[source]
        source: InvalidKey,
    },
    /// A key that would not tell two callers apart, or is listed twice.
    #[error("callers \"{caller}\" and \"{other}\" have the same public key")]
    SharedKey {
        /// The name of the caller.
        caller: String,
        /// The one that already has the key; the same, if it is listed twice.
        other: String,
    },
}

/// The callers that a service trusts, found by the ids of their keys.
#[derive(Clone, Debug, Default)]
pub struct TrustedCallers {
    keys: BTreeMap<String, (VerifyingKey, Caller)>,
}

impl TrustedCallers {
    /// Reads the configured callers, by name.
    ///
    /// # Errors
    /// [`InvalidCallers`], naming the caller.
    pub fn new(callers: &BTreeMap<String, CallerConfig>) -> Result<Self, InvalidCallers> {
        let mut trusted = Self::default();
        for (name, config) in callers {
            trusted.add(name, config)?;
        }
        Ok(trusted)
    }

    fn add(&mut self, name: &str, config: &CallerConfig) -> Result<(), InvalidCallers> {
        if name.is_empty() {
            return Err(InvalidCallers::NoName);
        }
        if config.public_keys.is_empty() {
            return Err(InvalidCallers::NoKey { caller: name.to_owned() });
        }
        let scopes = Arc::new(config.scopes.iter().cloned().collect());
        let caller = Caller { name: name.into(), scopes, account_key: None, within: None };
        for text in &config.public_keys {
            let key = VerifyingKey::from_base64(text)
                .map_err(|source| InvalidCallers::Key { caller: name.to_owned(), source })?;
            match self.keys.entry(key.key_id()) {
                Entry::Vacant(entry) => entry.insert((key, caller.clone())),
                Entry::Occupied(entry) => {
                    let other = entry.get().1.name.to_string();
                    return Err(InvalidCallers::SharedKey { caller: name.to_owned(), other });
                }
            };
        }
        Ok(())
    }

    /// Whether somebody of this name is configured.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.keys.values().any(|(_, caller)| *caller.name == *name)
    }

    /// Returns the key of this id and whose it is.
    pub(crate) fn find(&self, key_id: &str) -> Option<&(VerifyingKey, Caller)> {
        self.keys.get(key_id)
    }
}
