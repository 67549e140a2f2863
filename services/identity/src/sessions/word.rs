//! Which sessions ended, read from the rows.

use time::Duration;
use zhiyuan_auth::sessions::Word;
use zhiyuan_auth::token::LIFETIME;
use zhiyuan_rpc::revocations::{RevocationSource, SourceError};

use super::db::{self, Ended};
use crate::error::Result;
use crate::signing_keys::{self, SigningKeys, Stored};

/// An end is of no interest any more when no token of the session can be valid, whatever
/// clocks say within what is borne.
pub(crate) const MATTERS: Duration = Duration::seconds(LIFETIME + 300);

/// Reads keys and ended sessions, from the cursor of the reading before on.
///
/// # Errors
/// `ClockOff`: a process whose clock is wrong would say that keys are over which are not.
pub(crate) async fn read(keys: &SigningKeys, from: i64) -> Result<(Vec<Stored>, Ended)> {
    let mut conn = keys.pool.acquire().await?;
    let now = keys.agreed.now(&mut conn).await?;
    let keys = signing_keys::db::list(&mut conn, now).await?;
    let ended = db::ended(&mut conn, from, MATTERS).await?;
    Ok((keys, ended))
}

/// What identity itself goes by: its own rows.
#[derive(Debug)]
pub(crate) struct OwnWord {
    keys: SigningKeys,
    cursor: i64,
}

impl OwnWord {
    pub(crate) fn new(keys: SigningKeys) -> Self {
        Self { keys, cursor: 0 }
    }
}

impl RevocationSource for OwnWord {
    async fn ask(&mut self) -> std::result::Result<Word, SourceError> {
        let (stored, ended) = read(&self.keys, self.cursor).await?;
        self.keys.adopt(&stored).await?;
        let keys = stored.iter().map(Stored::verifying_key).collect::<Result<Vec<_>>>()?;
        self.cursor = ended.cursor;
        Ok(Word { keys, ended: ended.sessions })
    }
}
