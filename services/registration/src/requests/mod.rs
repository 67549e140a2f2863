//! Commands of people that were carried out, each known again by the id that the client
//! gave it and by a keyed digest of what it said.

pub(crate) mod db;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use zhiyuan_crypto::{KeyedDigest, digest::equal};
use zhiyuan_domain::{AccountId, RequestId};
use zhiyuan_rpc::Error as RpcError;

use crate::error::{Error, Result};

/// How long a command is known again.
pub(crate) const KEPT: Duration = Duration::days(30);

/// A command of a person.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) caller: AccountId,
    /// With the service, such as `registration.UpdateMyProfile`.
    pub(crate) method: &'static str,
    pub(crate) request_id: RequestId,
    /// All that it says but its id, in one order, in its parsed spelling.
    pub(crate) says: Vec<(&'static str, Vec<u8>)>,
}

impl Command {
    /// Whether the command was carried out before.
    ///
    /// # Errors
    /// `RequestIdReused` when another one was, under its id.
    pub(crate) async fn is_done(
        &self,
        connection: &mut PgConnection,
        keys: &KeyedDigest,
    ) -> Result<bool> {
        let Some(known) = db::find(connection, self).await? else { return Ok(false) };
        let digest = self.digest(keys, known.digest_version)?;
        if equal(&digest, &known.digest) { Ok(true) } else { Err(Error::RequestIdReused) }
    }

    /// Notes in the transaction of its effect that the command is carried out. What it is
    /// about is locked, so nobody else does the same; another command of the caller under the
    /// same id, about something else, may have come first.
    ///
    /// # Errors
    /// `RequestIdReused` when it has; `CONFLICT`.
    pub(crate) async fn note(
        &self,
        transaction: &mut PgConnection,
        keys: &KeyedDigest,
        now: OffsetDateTime,
    ) -> Result<()> {
        let version = keys.version();
        let digest = self.digest(keys, version)?;
        let known = db::Known { digest: digest.to_vec(), digest_version: version };
        if db::insert(transaction, self, &known, now).await? {
            return Ok(());
        }
        // Another command is told; the same one, or one that is gone, is looked for again.
        self.is_done(transaction, keys).await?;
        Err(RpcError::conflict("the request id was used at the same time").into())
    }

    fn digest(&self, keys: &KeyedDigest, version: i16) -> Result<[u8; 32]> {
        let begun = keys.begin(version, self.method)?;
        let said = self.says.iter().fold(begun, |digest, (name, value)| digest.field(name, value));
        Ok(said.finish())
    }
}
