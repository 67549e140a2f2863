//! Checking an access token, as every service does with each call, against verifying its
//! signature alone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zhiyuan_auth::sessions::Word;
use zhiyuan_auth::token::{self, TokenVerifier};
use zhiyuan_auth::{Sessions, SignedIn};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, SystemClock, new_id};

use crate::load::rate;
use crate::registration::mean;
use crate::report::{Findings, Goal, Row, per_second, say};

const ROUNDS: u32 = 4;
/// Between two looks at the clock.
const BATCH: usize = 100;
/// Sessions that ended not long ago: as many sign out in a province in a quarter of an hour.
const ENDED: usize = 20_000;

pub(crate) fn measure(time: Duration) -> anyhow::Result<Findings> {
    let key = SigningKey::generate();
    let person = SignedIn {
        account_id: new_id(&SystemClock),
        session_id: new_id(&SystemClock),
        second_factor: false,
    };
    let now = SystemClock.now().unix_timestamp();
    let token = token::issue(&key, &person, now, i64::MAX);
    let sessions = Sessions::new();
    let ended = (0..ENDED).map(|_| new_id(&SystemClock)).collect();
    let keys = vec![key.verifying_key()];
    let word = Word { keys, ended, accounts: None, counts: Default::default() };
    sessions.hear(word, Instant::now());
    let verifier = TokenVerifier::new(sessions, Arc::new(SystemClock));
    let (message, _) = token.rsplit_once('.').unwrap_or_default();
    let signature = key.sign(message.as_bytes());
    let public = key.verifying_key();

    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let each = time / (2 * ROUNDS);
        bare.push(repeat(each, || {
            public.verify(black_box(message.as_bytes()), &signature).is_ok()
        })?);
        ours.push(repeat(each, || verifier.verify(black_box(&token)).is_ok())?);
    }
    let (ours, bare) = (mean(ours.into_iter()), mean(bare.into_iter()));
    say(&format!("  tokens {}, signatures {}", per_second(ours), per_second(bare)));
    Ok(Findings {
        rows: vec![Row {
            what: "checking an access token",
            measured: per_second(ours),
            against: format!("verifying its signature alone: {}", per_second(bare)),
            ratio: Some(ours / bare),
            goal: Goal::AtLeast(0.9),
        }],
        limits: vec![format!(
            "one core, by turns; {ENDED} sessions are known to have ended; what a check costs \
             besides the signature is reading the claims: {:.1} µs",
            1e6 / ours - 1e6 / bare
        )],
    })
}

/// How often something can be done in a second, on this thread.
fn repeat(time: Duration, done: impl Fn() -> bool) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        for _ in 0..BATCH {
            anyhow::ensure!(done(), "what is right was refused");
        }
        count += BATCH;
    }
    Ok(rate(count, start.elapsed()))
}
