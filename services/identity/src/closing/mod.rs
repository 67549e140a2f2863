//! The end of an account, by its owner: nothing is left of it that tells who it was.
//!
//! The row stays, so that the id is never somebody else's; the ID number is free. The data
//! key is destroyed after the commit, and by the sweep of keys if the process dies before:
//! backups of the database hold ciphertext that nobody can open.

mod db;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_domain::Mobile;
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::again;
use zhiyuan_rpc::chain;

use crate::accounts::{self, db::Owner};
use crate::audit;
use crate::claims;
use crate::delays::{self, db::Reservation};
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::Column;
use crate::notices::{self, Notice};
use crate::sessions::{self, db::Which};
use crate::sign_in::SignIn;
use crate::sms_codes::Code;

/// Closes accounts.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) sign_in: SignIn,
    pub(crate) outbox: Outbox,
}

/// What shows that it is the owner who closes an account: a stolen session is not enough,
/// nor a stolen phone. Not for logs.
pub(crate) struct Proof {
    pub(crate) password: Zeroizing<String>,
    pub(crate) code: Code,
}

impl Closing {
    /// Closes the account of who is signed in.
    ///
    /// # Errors
    /// See `AccountService.CloseMyAccount`.
    pub(crate) async fn close(&self, person: SignedIn, proof: &Proof) -> Result<()> {
        let id = person.account_id;
        let (owner, phone) = self.owner(id).await?;
        let reserved = self.check(&owner, &phone, proof).await?;
        let (vault, clock) = (&self.sign_in.issuer.vault, self.sign_in.clock.as_ref());
        let notice = Notice::account_closed(vault, clock, id, phone.as_e164()).await?;
        let work = || self.try_close(&owner, &proof.code, &reserved, &notice);
        let ended = again(Error::is_lost, work).await?;
        self.sign_in.issuer.hear(&ended);
        self.outbox.wake();
        if let Err(error) = vault.destroy_key(id).await {
            // It is closed all the same; the sweep of keys comes by.
            tracing::warn!(account.id = %id, error = chain(&error), "a data key is left");
        }
        Ok(())
    }

    /// The owner of an account, and the phone.
    ///
    /// # Errors
    /// `SignInRefused` when it is closed.
    async fn owner(&self, id: Uuid) -> Result<(Owner, Mobile)> {
        let vault = &self.sign_in.issuer.vault;
        let mut conn = self.sign_in.issuer.pool.acquire().await?;
        let owner = accounts::db::owner_of(&mut conn, id).await?.ok_or(Error::SignInRefused)?;
        drop(conn);
        let key = self.sign_in.owners.key(id).await?;
        let phone = vault.open(&key, Column::AccountPhone, id, &owner.phone)?;
        let phone = Mobile::parse(&phone);
        Ok((owner, phone.map_err(|_invalid| Error::Inconsistent("identity.account"))?))
    }

    /// Checks both factors; the attempt at the password is counted until it is done.
    async fn check(&self, owner: &Owner, phone: &Mobile, proof: &Proof) -> Result<Reservation> {
        // Before the code is looked at, so that its proof is not shortened for nothing.
        if self.sign_in.hasher.is_busy() {
            return Err(Error::HashingBusy);
        }
        // The code first: without the phone nobody tries passwords.
        let sent = (phone, SmsPurpose::CloseAccount);
        self.sign_in.check_code(&proof.code, sent).await?;
        let right = self.sign_in.verify_present(owner, &proof.password).await?;
        right.ok_or(Error::PasswordWrong)
    }

    /// All of it in one transaction; the sessions that ended.
    async fn try_close(
        &self,
        seen: &Owner,
        code: &Code,
        reserved: &Reservation,
        notice: &Notice,
    ) -> Result<Vec<Uuid>> {
        let (now, id) = (self.sign_in.clock.now(), seen.account_id);
        let mut tx = self.sign_in.issuer.pool.begin().await?;
        let owner = self.sign_in.lock(&mut tx, id).await?;
        // Changed by another call meanwhile: what proved this one is none any more.
        if owner.password_hash != seen.password_hash {
            return Err(Error::PasswordWrong);
        }
        self.sign_in.use_code(&mut tx, code, seen, &owner).await?;
        delays::db::succeed(&mut tx, reserved).await?;
        let told = (&self.outbox, &self.sign_in.issuer.trail);
        let record = audit::by_owner(id, "identity.account.closed");
        let ended = end_account(&mut tx, id, now, told, &record).await?;
        claims::release(&mut tx, &self.outbox, id, now).await?;
        notices::db::queue(&mut tx, notice, now).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// Ends an account, whose row is locked, in every respect: nothing is left of it that tells who it
/// was. The sessions that ended; the data key is for the caller to destroy after the commit.
pub(crate) async fn end_account(
    tx: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
    (outbox, trail): (&Outbox, &Trail),
    record: &Record,
) -> Result<Vec<Uuid>> {
    let ended = sessions::db::end(tx, id, Which::All).await?;
    let (revision, level) = db::close(tx, id, now).await?;
    outbox.append(tx, &[feed::account_closed(id, revision, level)]).await?;
    trail.append(tx, record).await?;
    Ok(ended)
}
