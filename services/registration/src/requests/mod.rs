//! Commands of people that were carried out, each known again by the id that the client
//! gave it and by a keyed digest of what it said.

pub(crate) mod db;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use zhiyuan_crypto::{KeyedDigest, digest::equal};
use zhiyuan_domain::{AccountId, RequestId};

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

    /// Notes in the transaction of its effect that the command is carried out. The row of
    /// the volunteer is locked, so nobody else does the same.
    pub(crate) async fn note(
        &self,
        transaction: &mut PgConnection,
        keys: &KeyedDigest,
        now: OffsetDateTime,
    ) -> Result<()> {
        let version = keys.version();
        let digest = self.digest(keys, version)?;
        let known = db::Known { digest: digest.to_vec(), digest_version: version };
        db::insert(transaction, self, &known, now).await
    }

    fn digest(&self, keys: &KeyedDigest, version: i16) -> Result<[u8; 32]> {
        let begun = keys.begin(version, self.method)?;
        let said = self.says.iter().fold(begun, |digest, (name, value)| digest.field(name, value));
        Ok(said.finish())
    }
}
