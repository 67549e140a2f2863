//! How a recovery takes effect.

use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_domain::Mobile;
use zhiyuan_postgres::again;

use super::{Recoveries, Recovery, State, db};
use crate::accounts::{self, db::ByPhone, db::Owner};
use crate::delays::{self, db::Reservation};
use crate::error::{Error, Result};
use crate::keys::{self, Column};
use crate::notices::{self, Notice, Template};
use crate::sessions::{self, db::Which};
use crate::sign_in::{MOST_OF_PHONE, SecondProof};
use crate::sms_codes::{self, Code};

/// What the person proves it with. Not for logs.
pub(crate) struct Completion {
    pub(crate) phone: Mobile,
    pub(crate) code: Code,
    pub(crate) proof: SecondProof,
    pub(crate) new_password: Zeroizing<String>,
}

/// What a completion writes; made before its transaction.
struct Prepared {
    account_id: Uuid,
    recovery_id: Uuid,
    sealed: Vec<u8>,
    hash: String,
    notices: [Notice; 2],
}

impl Recoveries {
    /// Makes the new phone that of the account, and sets a password.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.CompletePhoneRecovery`.
    pub(crate) async fn complete(&self, completion: &Completion) -> Result<()> {
        let sign_in = &self.credentials.sign_in;
        if sign_in.hasher.is_busy() {
            return Err(Error::HashingBusy);
        }
        let phone = &completion.phone;
        sign_in.check_code(&completion.code, (phone, SmsPurpose::RecoverAccount)).await?;
        let (recoveries, owners) = self.approved_for(phone).await?;
        if owners.is_empty() {
            return Err(Error::RecoveryNotFound);
        }
        let proof = Some(&completion.proof);
        let (owner, reserved) = sign_in.proved_and_counted(phone, owners, proof, None).await?;
        let own = recoveries.iter().find(|one| one.account_id == Some(owner.account_id));
        let completed = match own {
            Some(recovery) => {
                self.complete_one(completion, recovery, (&owner, reserved.as_ref())).await
            }
            None => Err(Error::RecoveryNotFound),
        };
        if completed.is_err() {
            // The proof was right.
            sign_in.give_back(reserved.as_ref()).await?;
        }
        completed
    }

    /// The recoveries that are approved for a phone, and whose they are.
    async fn approved_for(&self, phone: &Mobile) -> Result<(Vec<Recovery>, Vec<Owner>)> {
        let sign_in = &self.credentials.sign_in;
        let mut conn = sign_in.issuer.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let indexes = sign_in.issuer.vault.phone_indexes(versions, phone)?;
        let now = sign_in.clock.now();
        let recoveries = db::approved_for(&mut conn, &indexes, now, MOST_OF_PHONE).await?;
        let mut owners = Vec::new();
        for recovery in &recoveries {
            let Some(account_id) = recovery.account_id else { continue };
            owners.extend(accounts::db::owner_of(&mut conn, account_id).await?);
        }
        Ok((recoveries, owners))
    }

    async fn complete_one(
        &self,
        completion: &Completion,
        recovery: &Recovery,
        (owner, reserved): (&Owner, Option<&Reservation>),
    ) -> Result<()> {
        let sign_in = &self.credentials.sign_in;
        recovery.may_complete(sign_in.clock.now())?;
        let text = &completion.new_password;
        // Neither of the old phone nor of the new one.
        self.credentials.new_password(owner, "new_password", text).await?;
        let vault = &sign_in.issuer.vault;
        let (id, new_phone) = (owner.account_id, completion.phone.as_e164());
        let key = vault.key(id).await?;
        let sealed = vault.seal(&key, Column::AccountPhone, id, new_phone)?;
        let renewed = Owner { phone: sealed.clone(), ..owner.clone() };
        let password = self.credentials.new_password(&renewed, "new_password", text).await?;
        let hash = sign_in.hasher.hash(password.expose()).await?;
        let old_phone = vault.open(&key, Column::AccountPhone, id, &owner.phone)?;
        let clock = sign_in.clock.as_ref();
        let template = Template::RecoveryCompleted;
        let notices = [
            Notice::phone_changed(vault, clock, id, &old_phone).await?,
            Notice::recovery_to_account(clock, template, recovery.recovery_id, id),
        ];
        let prepared =
            Prepared { account_id: id, recovery_id: recovery.recovery_id, sealed, hash, notices };
        let work = || self.try_complete(completion, &prepared, reserved);
        let ended = again(Error::is_lost, work).await?;
        sign_in.issuer.hear(&ended);
        Ok(())
    }

    /// All of it in one transaction; the sessions that ended.
    async fn try_complete(
        &self,
        completion: &Completion,
        prepared: &Prepared,
        reserved: Option<&Reservation>,
    ) -> Result<Vec<Uuid>> {
        let sign_in = &self.credentials.sign_in;
        let id = prepared.account_id;
        let mut tx = sign_in.issuer.pool.begin().await?;
        // By a clock that is ahead, nobody would have had the time to object.
        let now = sign_in.issuer.keys.agreed.now(&mut tx).await?;
        sign_in.lock(&mut tx, id).await?;
        let locked = db::lock(&mut tx, prepared.recovery_id).await?;
        // Objected to meanwhile, or done by another call.
        locked.ok_or(Error::RecoveryNotFound)?.may_complete(now)?;
        if !sms_codes::db::mark_used(&mut tx, completion.code.challenge_id, now).await? {
            return Err(Error::SmsCodeUsed);
        }
        let phone = (&completion.phone, prepared.sealed.as_slice());
        self.credentials.adopt_phone(&mut tx, id, phone, now).await?;
        // What two administrators vouch for is the phone, and so is no second factor at once.
        let by_phone = ByPhone::Since(now);
        accounts::db::set_password(&mut tx, id, &prepared.hash, by_phone, now).await?;
        let ended = sessions::db::end(&mut tx, id, Which::All).await?;
        if let Some(reserved) = reserved {
            delays::db::succeed(&mut tx, reserved).await?;
        }
        db::end(&mut tx, prepared.recovery_id, State::Completed, now).await?;
        self.credentials.record(&mut tx, id, "identity.phone_recovery.completed").await?;
        for notice in &prepared.notices {
            notices::db::queue(&mut tx, notice, now).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}
