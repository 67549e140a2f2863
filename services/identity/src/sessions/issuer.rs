//! Begins, renews and ends sessions.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_auth::token;
use zhiyuan_auth::{Sessions, SignedIn};
use zhiyuan_contracts::identity::v1::Tokens;
use zhiyuan_crypto::secret::random_bytes;
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::wire::timestamp;

use super::db::Which;
use super::{Lifetimes, MOST, RefreshToken, Session, Worth, db};
use crate::accounts;
use crate::audit;
use crate::error::{Error, Result};
use crate::keys::Vault;
use crate::signing_keys::SigningKeys;

/// Issues tokens.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) keys: SigningKeys,
    pub(crate) clock: SharedClock,
    /// Of sessions begun with one factor.
    pub(crate) lifetimes: Lifetimes,
    /// Of sessions begun with a second factor.
    pub(crate) short_lifetimes: Lifetimes,
    /// What this process knows of ended sessions.
    pub(crate) known: Sessions,
    /// What is recorded of changes.
    pub(crate) trail: Trail,
}

/// What a session begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) account_id: Uuid,
    pub(crate) second_factor: bool,
    pub(crate) client_name: String,
}

impl Issuer {
    /// Begins a session, in a transaction that has locked the account and seen that it is
    /// active. Also the ids of sessions that ended for it.
    pub(crate) async fn begin(
        &self,
        tx: &mut PgConnection,
        beginning: Beginning,
    ) -> Result<(Session, Vec<Uuid>)> {
        let now = self.clock.now();
        let lifetimes = self.lifetimes(beginning.second_factor);
        let end_at = now + lifetimes.longest;
        let session = Session {
            account_id: beginning.account_id,
            session_id: new_id(self.clock.as_ref()),
            second_factor: beginning.second_factor,
            client_name: beginning.client_name,
            generation: 1,
            nonce: random_bytes::<32>().to_vec(),
            created_at: now,
            refreshed_at: now,
            expire_at: lifetimes.expire_at(now, end_at),
            end_at,
        };
        let ended = db::end(tx, session.account_id, Which::Oldest(MOST - 1)).await?;
        db::insert(tx, &session).await?;
        Ok((session, ended))
    }

    /// The tokens of a session as it stands.
    ///
    /// # Errors
    /// `NoSigningKey`.
    pub(crate) fn tokens(&self, session: &Session) -> Result<Tokens> {
        let now = self.clock.now();
        let person = SignedIn {
            account_id: session.account_id,
            session_id: session.session_id,
            second_factor: session.second_factor,
        };
        let (seconds, session_end) = (now.unix_timestamp(), session.expire_at.unix_timestamp());
        let access_token = token::issue(&self.keys.current()?, &person, seconds, session_end);
        let ends = OffsetDateTime::from_unix_timestamp(token::expire_at(seconds, session_end))
            .map_err(|_out_of_range| Error::Inconsistent("identity.session"))?;
        Ok(Tokens {
            access_token,
            access_expire_time: Some(timestamp(ends)),
            refresh_token: RefreshToken::of(session, &self.vault)?.render(),
            refresh_expire_time: Some(timestamp(session.expire_at)),
        })
    }

    /// Renews a session by its refresh token.
    ///
    /// # Errors
    /// `SessionOver`.
    pub(crate) async fn renew(&self, token: &RefreshToken) -> Result<Tokens> {
        again(Error::is_lost, || self.try_renew(token)).await
    }

    async fn try_renew(&self, token: &RefreshToken) -> Result<Tokens> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        // Accounts are locked before sessions, everywhere.
        let active = accounts::db::lock_active(&mut tx, token.account_id).await?;
        let session = db::lock(&mut tx, token.account_id, token.session_id).await?;
        let Some(mut session) = session.filter(|session| token.is_of(session, &self.vault)) else {
            return Err(Error::SessionOver);
        };
        match session.worth(token.generation, now) {
            Worth::Good if active => {}
            worth @ (Worth::Good | Worth::Copied | Worth::Expired) => {
                let ended =
                    db::end(&mut tx, token.account_id, Which::One(token.session_id)).await?;
                if worth == Worth::Copied {
                    let copied = audit::by_identity(token.account_id, "identity.session.copied");
                    self.trail.append(&mut tx, &copied).await?;
                }
                tx.commit().await?;
                self.hear(&ended);
                tracing::info!(session.id = %token.session_id, "a refresh token ended its session");
                return Err(Error::SessionOver);
            }
        }
        session.generation += 1;
        session.refreshed_at = now;
        let lifetimes = self.lifetimes(session.second_factor);
        session.expire_at = lifetimes.expire_at(now, session.end_at);
        db::renew(&mut tx, &session).await?;
        // Before the commit: the old token must not be used up for nothing.
        let tokens = self.tokens(&session)?;
        tx.commit().await?;
        Ok(tokens)
    }

    /// Ends the session of a refresh token, if it goes on. One that was used before does it
    /// as well: whoever has it, the session is to end.
    pub(crate) async fn end_by(&self, token: &RefreshToken) -> Result<()> {
        let work = || async {
            let mut tx = self.pool.begin().await?;
            accounts::db::lock_active(&mut tx, token.account_id).await?;
            let session = db::lock(&mut tx, token.account_id, token.session_id).await?;
            if !session.is_some_and(|session| token.is_of(&session, &self.vault)) {
                return Ok(Vec::new());
            }
            let ended = db::end(&mut tx, token.account_id, Which::One(token.session_id)).await?;
            tx.commit().await?;
            Ok(ended)
        };
        let ended: Vec<Uuid> = again(Error::is_lost, work).await?;
        self.hear(&ended);
        Ok(())
    }

    /// Ends sessions of an account; how many there were.
    pub(crate) async fn end(&self, account_id: Uuid, which: Which) -> Result<usize> {
        let work = || async {
            let mut tx = self.pool.begin().await?;
            accounts::db::lock_active(&mut tx, account_id).await?;
            let ended = db::end(&mut tx, account_id, which).await?;
            tx.commit().await?;
            Ok(ended)
        };
        let ended: Vec<Uuid> = again(Error::is_lost, work).await?;
        self.hear(&ended);
        Ok(ended.len())
    }

    /// Lets this process know at once that sessions are over, whose end is committed.
    pub(crate) fn hear(&self, ended: &[Uuid]) {
        for session in ended {
            self.known.end(*session, std::time::Instant::now());
        }
    }

    fn lifetimes(&self, second_factor: bool) -> Lifetimes {
        if second_factor { self.short_lifetimes } else { self.lifetimes }
    }
}
