//! How a process hears which sessions ended and which service accounts there are, so that it
//! can verify access tokens and assertions by itself.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_auth::accounts::Use;
use zhiyuan_auth::quota::{Count, Quota};
use zhiyuan_auth::sessions::Word;
use zhiyuan_auth::{AccountKey, ServiceAccount, Sessions};
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_contracts::identity::v1::{
    ListRevocationsRequest, ReportServiceAccountUsesRequest, ServiceAccount as WireAccount,
    ServiceAccountCount, ServiceAccountKey, ServiceAccountKeyUse, ServiceAccountUse,
};
use zhiyuan_crypto::VerifyingKey;

use crate::client::SuiteChannel;
use crate::error::chain;
use crate::wire::{from_timestamp, timestamp};

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

    /// Tells how often service accounts called.
    fn tell(&mut self, uses: &[Use]) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Identity, asked by another service.
#[derive(Debug)]
pub struct FromIdentity {
    client: SessionServiceClient<SuiteChannel>,
    cursor: String,
    accounts_version: Vec<u8>,
}

impl FromIdentity {
    /// Asks over this channel.
    pub fn new(identity: SuiteChannel) -> Self {
        Self {
            client: SessionServiceClient::new(identity),
            cursor: String::new(),
            accounts_version: Vec::new(),
        }
    }
}

impl RevocationSource for FromIdentity {
    async fn ask(&mut self) -> Result<Word, SourceError> {
        let mut request = ListRevocationsRequest {
            cursor: self.cursor.clone(),
            service_accounts_version: self.accounts_version.clone(),
        };
        let mut answer = self.client.list_revocations(request.clone()).await?.into_inner();
        while answer.more {
            request.cursor.clone_from(&answer.cursor);
            let next = self.client.list_revocations(request.clone()).await?.into_inner();
            answer.ended_sessions.extend(next.ended_sessions);
            (answer.cursor, answer.more) = (next.cursor, next.more);
        }
        let keys = answer.signing_keys.iter().map(|bytes| key(bytes));
        let changed = answer.service_accounts_version != self.accounts_version;
        let accounts = changed.then(|| {
            let everywhere = answer.service_accounts.iter().map(account);
            let restricted = answer.restricted_service_accounts.iter().map(restricted);
            everywhere.chain(restricted).collect()
        });
        let ended = answer.ended_sessions.iter().map(|bytes| Ok(Uuid::from_slice(bytes)?));
        let word = Word {
            keys: keys.collect::<Result<_, SourceError>>()?,
            ended: ended.collect::<Result<_, SourceError>>()?,
            accounts: accounts.transpose()?,
            counts: answer.service_account_counts.into_iter().map(count).collect(),
        };
        // Only now: what could not be read is asked for again.
        self.cursor = answer.cursor;
        self.accounts_version = answer.service_accounts_version;
        Ok(word)
    }

    async fn tell(&mut self, uses: &[Use]) -> Result<(), SourceError> {
        let uses = uses.iter().map(|told| ServiceAccountUse {
            account: told.account.to_string(),
            calls: told.calls,
            keys: told.keys.iter().filter_map(key_use).collect(),
        });
        let request = ReportServiceAccountUsesRequest { uses: uses.collect() };
        self.client.report_service_account_uses(request).await?;
        Ok(())
    }
}

fn key(bytes: &[u8]) -> Result<VerifyingKey, SourceError> {
    Ok(VerifyingKey::from_bytes(<&[u8; 32]>::try_from(bytes)?)?)
}

fn key_use((key_id, at): &(Arc<str>, i64)) -> Option<ServiceAccountKeyUse> {
    let at = OffsetDateTime::from_unix_timestamp(*at).ok()?;
    Some(ServiceAccountKeyUse { key_id: key_id.to_string(), last_use_time: Some(timestamp(at)) })
}

/// Reads a service account as identity tells it.
///
/// # Errors
/// When a key or a time is none.
fn account(told: &WireAccount) -> Result<ServiceAccount, SourceError> {
    let keys = told.keys.iter().map(|told: &ServiceAccountKey| {
        let seconds = |at: &Option<prost_types::Timestamp>| {
            let at = at.as_ref().and_then(from_timestamp);
            at.map(OffsetDateTime::unix_timestamp).ok_or("a key of a service account has no time")
        };
        Ok(AccountKey {
            key: key(&told.public_key)?,
            use_at: seconds(&told.use_time)?,
            expire_at: seconds(&told.expire_time)?,
        })
    });
    Ok(ServiceAccount {
        name: told.name.as_str().into(),
        scopes: Arc::new(told.scopes.iter().cloned().collect::<BTreeSet<_>>()),
        keys: keys.collect::<Result<_, SourceError>>()?,
        quota: Quota { per_minute: told.calls_per_minute, per_day: told.calls_per_day },
        within: None,
    })
}

/// The same, of one that sees some organizations alone.
fn restricted(told: &WireAccount) -> Result<ServiceAccount, SourceError> {
    let within = Some(Arc::new(told.within.iter().cloned().collect()));
    Ok(ServiceAccount { within, ..account(told)? })
}

fn count(told: ServiceAccountCount) -> (Arc<str>, Count) {
    let count = Count {
        minute: told.minute,
        in_minute: told.calls_in_minute,
        day: told.day,
        in_day: told.calls_in_day,
    };
    (told.account.into(), count)
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
                tell(&mut source, &sessions).await;
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

/// Tells how often service accounts called, if there is something to tell. What did not arrive
/// is told the next time.
async fn tell<S: RevocationSource>(source: &mut S, sessions: &Sessions) {
    let uses = sessions.accounts().untold(Instant::now());
    if uses.is_empty() {
        return;
    }
    match tokio::time::timeout(PATIENCE, source.tell(&uses)).await {
        Ok(Ok(())) => sessions.accounts().told(&uses),
        Ok(Err(error)) => {
            tracing::warn!(error = chain(error.as_ref()), "uses of service accounts are untold");
        }
        Err(_late) => tracing::warn!("uses of service accounts are untold: no answer in time"),
    }
}
