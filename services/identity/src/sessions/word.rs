//! Which sessions ended and which service accounts there are, read from the rows.

use time::Duration;
use zhiyuan_auth::accounts::Use;
use zhiyuan_auth::quota::{Count, day_of};
use zhiyuan_auth::sessions::Word;
use zhiyuan_auth::token::LIFETIME;
use zhiyuan_rpc::revocations::{RevocationSource, SourceError};

use super::Cursor;
use super::db::{self, Ended};
use crate::error::Result;
use crate::service_accounts::word::to_known;
use crate::service_accounts::{self, Account};
use crate::signing_keys::{self, SigningKeys, Stored};

/// An end is of no interest any more when no token of the session can be valid, whatever
/// clocks say within what is borne.
pub(crate) const MATTERS: Duration = Duration::seconds(LIFETIME + 300);

/// Ended sessions of one answer: 16 bytes each.
const PAGE: usize = 4096;

/// What the rows say.
pub(crate) struct Reading {
    pub(crate) keys: Vec<Stored>,
    pub(crate) ended: Ended,
    /// All service accounts that may call.
    pub(crate) accounts: Vec<Account>,
    /// How often those that did called today.
    pub(crate) counts: Vec<(String, Count)>,
}

/// Reads all of it; ended sessions from the cursor of the reading before on.
///
/// # Errors
/// `ClockOff`: a process whose clock is wrong would say that keys are over which are not.
pub(crate) async fn read(keys: &SigningKeys, from: Cursor) -> Result<Reading> {
    let mut conn = keys.pool.acquire().await?;
    let ended = db::ended(&mut conn, from, MATTERS, PAGE).await?;
    let now = keys.agreed.compare(ended.now)?;
    let today = day_of(now.unix_timestamp());
    Ok(Reading {
        keys: signing_keys::db::list(&mut conn, now).await?,
        ended,
        accounts: service_accounts::db::active(&mut conn, now).await?,
        counts: service_accounts::db::counts(&mut conn, today).await?,
    })
}

/// What identity itself goes by: its own rows.
#[derive(Debug)]
pub(crate) struct OwnWord {
    keys: SigningKeys,
    cursor: Cursor,
}

impl OwnWord {
    pub(crate) fn new(keys: SigningKeys) -> Self {
        Self { keys, cursor: Cursor::default() }
    }
}

impl RevocationSource for OwnWord {
    async fn ask(&mut self) -> std::result::Result<Word, SourceError> {
        let Reading { keys: stored, ended, accounts, counts } =
            read(&self.keys, self.cursor).await?;
        self.keys.adopt(&stored).await?;
        let keys = stored.iter().map(Stored::verifying_key).collect::<Result<Vec<_>>>()?;
        let accounts = accounts.iter().map(to_known).collect::<Result<Vec<_>>>()?;
        let mut sessions = ended.sessions;
        let (mut cursor, mut more) = (ended.cursor, ended.more);
        while more {
            let next = read(&self.keys, cursor).await?.ended;
            sessions.extend(next.sessions);
            (cursor, more) = (next.cursor, next.more);
        }
        self.cursor = cursor;
        let counts = counts.into_iter().map(|(name, count)| (name.into(), count)).collect();
        Ok(Word { keys, ended: sessions, accounts: Some(accounts), counts })
    }

    async fn tell(&mut self, uses: &[Use]) -> std::result::Result<(), SourceError> {
        Ok(service_accounts::word::count(&self.keys.pool, uses, self.keys.clock.now()).await?)
    }
}
