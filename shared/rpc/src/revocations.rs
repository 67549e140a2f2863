//! How a process hears which sessions ended, so that it can verify access tokens by
//! itself.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_auth::Sessions;
use zhiyuan_auth::sessions::Word;
use zhiyuan_contracts::identity::v1::ListRevocationsRequest;
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_crypto::VerifyingKey;

use crate::client::SuiteChannel;
use crate::error::chain;

/// How often identity is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How soon again after it did not answer, and how long it has to answer.
const AGAIN: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no word.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Whoever knows which sessions ended.
pub trait RevocationSource: Send {
    /// Asks what ended since it was asked last.
    fn ask(&mut self) -> impl Future<Output = Result<Word, SourceError>> + Send;
}

/// Identity, asked by another service.
#[derive(Debug)]
pub struct FromIdentity {
    client: SessionServiceClient<SuiteChannel>,
    cursor: String,
}

impl FromIdentity {
    /// Asks over this channel.
    pub fn new(identity: SuiteChannel) -> Self {
        Self { client: SessionServiceClient::new(identity), cursor: String::new() }
    }
}

impl RevocationSource for FromIdentity {
    async fn ask(&mut self) -> Result<Word, SourceError> {
        let request = ListRevocationsRequest { cursor: self.cursor.clone() };
        let answer = self.client.list_revocations(request).await?.into_inner();
        let keys = answer.signing_keys.iter().map(|bytes| {
            let bytes = <&[u8; 32]>::try_from(bytes.as_slice())?;
            Ok(VerifyingKey::from_bytes(bytes)?)
        });
        let ended = answer.ended_sessions.iter().map(|bytes| Ok(Uuid::from_slice(bytes)?));
        let word = Word {
            keys: keys.collect::<Result<_, SourceError>>()?,
            ended: ended.collect::<Result<_, SourceError>>()?,
        };
        // Only now: what could not be read is asked for again.
        self.cursor = answer.cursor;
        Ok(word)
    }
}

/// Asks again and again, until `stop`.
///
/// # Errors
/// Never.
pub async fn watch<S: RevocationSource>(
    mut source: S,
    sessions: Sessions,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut heard = true;
    loop {
        let asked = Instant::now();
        let wait = match tokio::time::timeout(PATIENCE, source.ask()).await {
            Ok(Ok(word)) => {
                sessions.hear(word, asked);
                if !heard {
                    tracing::info!("it is known again which sessions ended");
                }
                heard = true;
                EVERY
            }
            failed => {
                let why = match &failed {
                    Ok(Err(error)) => chain(error.as_ref()),
                    _ => "no answer in time".to_owned(),
                };
                // Once, and not again until it has been better.
                if std::mem::take(&mut heard) {
                    tracing::warn!(error = why, "it is not known which sessions ended");
                }
                AGAIN
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Ok(());
        }
    }
}
