//! The public keys of access tokens, as a page: a JSON Web Key Set (RFC 7517, RFC 8037).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Request;
use tonic::transport::Channel;
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_contracts::identity::v1::{ListSigningKeysRequest, SigningKey};
use zhiyuan_contracts::policy::Policies;

use crate::upstream::Upstreams;

/// The method that lists them.
const METHOD: &str = "/zhiyuan.identity.v1.SessionService/ListSigningKeys";
/// How long an answer is repeated: whoever asks, identity is asked no more often.
const FRESH: Duration = Duration::from_secs(5);
/// How long after a question that had no answer nobody is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the last answer is repeated while there is none. New keys are published for
/// longer before tokens are signed with them.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long to wait for an answer.
const WAIT: Duration = Duration::from_secs(2);
/// The length of a public key, in bytes.
const KEY: usize = 32;

/// The key set, asked for when somebody asks.
#[derive(Debug)]
pub(crate) struct Keys {
    client: SessionServiceClient<Channel>,
    kept: Mutex<Kept>,
}

impl Keys {
    /// For the service that the contracts name; nothing where they name none.
    pub(crate) fn new(policies: &Policies, upstreams: &Upstreams) -> Option<Self> {
        let upstream = upstreams.of(policies.find(METHOD)?)?;
        let client = SessionServiceClient::new(upstream.calls.clone());
        Some(Self { client, kept: Mutex::default() })
    }

    /// The key set as JSON; nothing when it is not known.
    pub(crate) async fn json(&self) -> Option<Bytes> {
        // Held while identity is asked, so that all who wait share one answer.
        let mut kept = self.kept.lock().await;
        if kept.is_due(Instant::now()) {
            // Before the answer: whoever leaves while it is awaited has asked as well.
            kept.asked(Instant::now());
            match self.ask().await {
                Ok(json) => kept.answered(json, Instant::now()),
                Err(error) => tracing::warn!(%error, "the signing keys could not be listed"),
            }
        }
        kept.good(Instant::now())
    }

    async fn ask(&self) -> Result<Bytes, NoKeys> {
        let mut request = Request::new(ListSigningKeysRequest::default());
        request.set_timeout(WAIT);
        let mut client = self.client.clone();
        let answer = tokio::time::timeout(WAIT, client.list_signing_keys(request)).await;
        let answer = answer.map_err(|_late| NoKeys::Late)?;
        let keys = answer.map_err(|status| NoKeys::Refused(status.code()))?.into_inner().keys;
        written(&keys)
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error("no answer in time")]
    Late,
    #[error("answered with {0:?}")]
    Refused(tonic::Code),
    #[error("answered with no key, or with one that is none")]
    Malformed,
    #[error("the keys can't be written")]
    Json(#[from] serde_json::Error),
}

#[derive(Debug, Serialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
}

/// Writes the key set. One without a key would make every token bad, so it is no answer.
fn written(keys: &[SigningKey]) -> Result<Bytes, NoKeys> {
    let good = |key: &SigningKey| key.public_key.len() == KEY && !key.id.is_empty();
    if keys.is_empty() || !keys.iter().all(good) {
        return Err(NoKeys::Malformed);
    }
    let key = |key: &SigningKey| Key {
        kty: "OKP",
        crv: "Ed25519",
        x: URL_SAFE_NO_PAD.encode(&key.public_key),
        kid: key.id.clone(),
        purpose: "sig",
        alg: "EdDSA",
    };
    Ok(serde_json::to_vec(&KeySet { keys: keys.iter().map(key).collect() })?.into())
}

/// What was answered last, and when somebody asked.
#[derive(Debug, Default)]
struct Kept {
    asked: Option<Instant>,
    answer: Option<(Instant, Bytes)>,
}

impl Kept {
    fn is_due(&self, now: Instant) -> bool {
        let within = |at: Instant, limit| now.saturating_duration_since(at) < limit;
        let fresh = self.answer.as_ref().is_some_and(|(at, _)| within(*at, FRESH));
        !fresh && !self.asked.is_some_and(|at| within(at, AGAIN))
    }

    fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    fn answered(&mut self, json: Bytes, now: Instant) {
        self.answer = Some((now, json));
    }

    fn good(&self, now: Instant) -> Option<Bytes> {
        let (at, json) = self.answer.as_ref()?;
        (now.saturating_duration_since(*at) < LONGEST).then(|| json.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_asked_for_every_few_seconds_and_a_second_after_there_was_no_answer() {
        let (mut kept, start) = (Kept::default(), Instant::now());
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(kept.is_due(start) && kept.good(start).is_none());
        kept.asked(start);
        assert!(!kept.is_due(after(999)) && kept.is_due(after(1000)));
        kept.asked(after(1000));
        kept.answered(Bytes::from_static(b"keys"), after(1500));
        assert!(!kept.is_due(after(6499)) && kept.is_due(after(6500)));
        kept.asked(after(6500));
        assert!(!kept.is_due(after(7499)) && kept.is_due(after(7500)));
    }

    #[test]
    fn the_last_answer_is_good_for_an_hour() {
        let (mut kept, start) = (Kept::default(), Instant::now());
        kept.answered(Bytes::from_static(b"keys"), start);
        assert!(kept.good(start + LONGEST.saturating_sub(Duration::from_nanos(1))).is_some());
        assert!(kept.good(start + LONGEST).is_none());
    }

    #[test]
    fn no_key_and_a_key_that_is_none_are_no_answer() {
        let key = |id: &str, length| SigningKey {
            id: id.to_owned(),
            public_key: vec![7; length],
            ..Default::default()
        };
        assert!(written(&[key("a", 32), key("b", 32)]).is_ok());
        for bad in [&[][..], &[key("a", 31)], &[key("a", 32), key("", 32)], &[key("a", 33)]] {
            assert!(matches!(written(bad), Err(NoKeys::Malformed)), "{bad:?}");
        }
    }
}
