//! Makes assertions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zhiyuan_crypto::SigningKey;
use zhiyuan_crypto::secret::random_bytes;
use zhiyuan_domain::clock::SharedClock;

use crate::jws::{self, LIFETIME};

/// An assertion with less time left than this is not used for another call, in seconds.
const RESERVE: i64 = 20;

/// Signs the assertions of one caller, and keeps each for as long as it serves.
#[derive(Debug)]
pub struct AssertionSigner {
    caller: String,
    key: SigningKey,
    clock: SharedClock,
    made: Mutex<HashMap<String, Made>>,
}

#[derive(Debug)]
struct Made {
    at: i64,
    token: Token,
}

/// Silent in `Debug`: until it ends, an assertion is as good as the caller.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

impl AssertionSigner {
    /// Signs as `caller`, the name under which others know the public key.
    pub fn new(caller: &str, key: SigningKey, clock: SharedClock) -> Self {
        Self { caller: caller.to_owned(), key, clock, made: Mutex::default() }
    }

    /// Returns an assertion for the service `audience`, with at least 20 s left.
    pub fn sign(&self, audience: &str) -> String {
        let now = self.clock.now().unix_timestamp();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Made { at, token }) = made.get(audience) {
            // An assertion from the future means that the clock was set back.
            if (0..=LIFETIME - RESERVE).contains(&now.saturating_sub(*at)) {
                return token.0.clone();
            }
        }
        let token = jws::sign(&self.key, &self.caller, audience, now, &random_bytes::<16>());
        made.insert(audience.to_owned(), Made { at: now, token: Token(token.clone()) });
        token
    }
}
