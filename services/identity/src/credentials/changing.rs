//! Changes, each in one transaction with the end of sessions and the notice.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_domain::{IdNumber, Mobile, Password, PersonalDetails, shanghai_date};
use zhiyuan_postgres::again;
use zhiyuan_rpc::{Error as RpcError, FieldFault};

use crate::accounts;
use crate::accounts::db::{ByPhone, Owner};
use crate::audit;
use crate::delays::{self, db::Reservation};
use crate::devices::{self, DeviceToken};
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{self, Notice, Template};
use crate::recoveries;
use crate::sessions::{self, db::Which};
use crate::sign_in::{Owners, SecondProof, SignIn};
use crate::sms_codes::{self, Code};

/// A change of the password that is sent again within this time finds itself done.
const SENT_AGAIN: Duration = Duration::minutes(10);

/// Changes what people prove their accounts with.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) sign_in: SignIn,
}

/// A password that was forgotten, and what replaces it. Not for logs.
pub(crate) struct Reset {
    pub(crate) phone: Mobile,
    pub(crate) code: Code,
    pub(crate) new_password: Zeroizing<String>,
    pub(crate) second_proof: Option<SecondProof>,
    pub(crate) device: Option<DeviceToken>,
}

/// A change of phone. Not for logs.
pub(crate) struct PhoneChange {
    pub(crate) new_phone: Mobile,
    pub(crate) current: Code,
    pub(crate) new: Code,
}

/// What lets somebody set a password.
#[derive(Clone, Copy)]
enum Proof<'a> {
    /// The one before.
    Password(&'a Reservation),
    /// A code to the phone.
    Code {
        code: &'a Code,
        /// Of a second proof, if one was given.
        reserved: Option<&'a Reservation>,
        /// No device vouches besides that was known for long. Name and number are written on
        /// every list that the person is on: they show whose phone it is, and no more.
        alone: bool,
    },
}

impl Credentials {
    /// Changes the password of who is signed in. Sent again within ten minutes, it finds the
    /// new password in place and is done; so it is where the new one is the present one.
    ///
    /// # Errors
    /// `PasswordWrong`; a new password that can't be one.
    pub(crate) async fn change_password(
        &self,
        person: SignedIn,
        current: &str,
        new: &str,
    ) -> Result<()> {
        let owner = self.owner(person.account_id).await?;
        let since = self.sign_in.clock.now() - SENT_AGAIN;
        let mut conn = self.sign_in.issuer.pool.acquire().await?;
        let fresh = accounts::db::password_changed(&mut conn, owner.account_id, since).await?;
        drop(conn);
        // Who sends the change again has the new one in place. Looked at only just after a
        // change: else each attempt would be two guesses.
        let tried: &[&str] = if fresh { &[current, new] } else { &[current] };
        let Some((which, reserved)) = self.sign_in.find_present(&owner, tried).await? else {
            return Err(Error::PasswordWrong);
        };
        // Or it is the one that was there all the time.
        if which > 0 || current == new {
            let mut conn = self.sign_in.issuer.pool.acquire().await?;
            return delays::db::succeed(&mut conn, &reserved).await;
        }
        let changed = self.replace_password(person, &owner, new, &reserved).await;
        if changed.is_err() {
            // The present one was right.
            self.sign_in.give_back(Some(&reserved)).await?;
        }
        changed
    }

    /// What a new password may not be made of is looked at only now that the present one was
    /// right: else it would tell ID number and phone to whoever has a session.
    async fn replace_password(
        &self,
        person: SignedIn,
        owner: &Owner,
        new: &str,
        reserved: &Reservation,
    ) -> Result<()> {
        let new = self.new_password(owner, "new_password", new).await?;
        let hash = self.sign_in.hasher.hash(new.expose()).await?;
        let which = Which::Others(person.session_id);
        self.set_password(owner, &hash, which, Proof::Password(reserved)).await
    }

    /// Sets a new password for whoever proves the phone.
    ///
    /// # Errors
    /// See `CredentialService.ResetPassword`.
    pub(crate) async fn reset_password(&self, reset: &Reset) -> Result<()> {
        if self.sign_in.hasher.is_busy() {
            return Err(Error::HashingBusy);
        }
        let purpose = SmsPurpose::ResetPassword;
        self.sign_in.check_code(&reset.code, (&reset.phone, purpose)).await?;
        let owners = self.sign_in.owners.of_phone(&reset.phone).await?;
        let (proof, now) = (reset.second_proof.as_ref(), self.sign_in.clock.now());
        let mut conn = self.sign_in.issuer.pool.acquire().await?;
        let device = match &reset.device {
            Some(token) => devices::db::find(&mut conn, token, now).await?,
            None => None,
        };
        drop(conn);
        let known = device.as_ref().map(|device| device.account_id);
        let (owner, reserved) =
            self.sign_in.proved_and_counted(&reset.phone, owners, proof, known).await?;
        if !owner.active {
            return Err(Error::AccountNotFound);
        }
        let settled = device.filter(|device| device.is_settled(now));
        let alone = settled.is_none_or(|device| device.account_id != owner.account_id);
        let set = self.reset_of(&owner, reset, (reserved.as_ref(), alone)).await;
        if set.is_err() {
            // The proof was right.
            self.sign_in.give_back(reserved.as_ref()).await?;
        }
        set
    }

    async fn reset_of(
        &self,
        owner: &Owner,
        reset: &Reset,
        (reserved, alone): (Option<&Reservation>, bool),
    ) -> Result<()> {
        let new = self.new_password(owner, "new_password", &reset.new_password).await?;
        let hash = self.sign_in.hasher.hash(new.expose()).await?;
        self.set_password(
            owner,
            &hash,
            Which::All,
            Proof::Code { code: &reset.code, reserved, alone },
        )
        .await
    }

    async fn set_password(
        &self,
        seen: &Owner,
        hash: &str,
        which: Which,
        proof: Proof<'_>,
    ) -> Result<()> {
        let work = || async {
            let now = self.sign_in.clock.now();
            let mut tx = self.sign_in.issuer.pool.begin().await?;
            let owner = self.sign_in.lock(&mut tx, seen.account_id).await?;
            match proof {
                // Changed by another call meanwhile: what proved this one is none any more.
                Proof::Password(_) if owner.password_hash != seen.password_hash => {
                    return Err(Error::PasswordWrong);
                }
                Proof::Password(reserved) => delays::db::succeed(&mut tx, reserved).await?,
                Proof::Code { code, reserved, .. } => {
                    self.sign_in.use_code(&mut tx, code, seen, &owner).await?;
                    if let Some(reserved) = reserved {
                        delays::db::succeed(&mut tx, reserved).await?;
                    }
                }
            }
            // Somebody else may have had the old one too, and made a device known.
            devices::db::forget_account(&mut tx, owner.account_id).await?;
            let by_phone = match proof {
                Proof::Password(_) => ByPhone::AsBefore,
                Proof::Code { alone: true, .. } => ByPhone::Since(now),
                Proof::Code { alone: false, .. } => ByPhone::No,
            };
            accounts::db::set_password(&mut tx, owner.account_id, hash, by_phone, now).await?;
            let ended = sessions::db::end(&mut tx, owner.account_id, which).await?;
            let action = match proof {
                Proof::Password(_) => "identity.password.changed",
                Proof::Code { .. } => "identity.password.reset",
            };
            self.record(&mut tx, owner.account_id, action).await?;
            let notice = self.notice(Template::PasswordChanged, owner.account_id, now);
            notices::db::queue(&mut tx, &notice, now).await?;
            tx.commit().await?;
            Ok(ended)
        };
        let ended: Vec<Uuid> = again(Error::is_lost, work).await?;
        self.sign_in.issuer.hear(&ended);
        Ok(())
    }

    /// Changes the phone of who is signed in. Sent again, it finds the new phone in place
    /// and is done.
    ///
    /// # Errors
    /// See `CredentialService.ChangePhone`.
    pub(crate) async fn change_phone(&self, person: SignedIn, change: &PhoneChange) -> Result<()> {
        let owner = self.owner(person.account_id).await?;
        let key = self.sign_in.owners.key(owner.account_id).await?;
        let vault = &self.sign_in.issuer.vault;
        let old = vault.open(&key, Column::AccountPhone, owner.account_id, &owner.phone)?;
        let old = Mobile::parse(&old).map_err(|_invalid| inconsistent())?;
        if old == change.new_phone {
            return Ok(());
        }
        let purpose = SmsPurpose::ChangePhone;
        self.sign_in.check_code(&change.current, (&old, purpose)).await?;
        self.sign_in.check_code(&change.new, (&change.new_phone, purpose)).await?;
        let text = change.new_phone.as_e164();
        let sealed = vault.seal(&key, Column::AccountPhone, owner.account_id, text)?;
        let clock = self.sign_in.clock.as_ref();
        let notice = Notice::phone_changed(vault, clock, owner.account_id, old.as_e164()).await?;
        let work = || async {
            let now = self.sign_in.clock.now();
            let mut tx = self.sign_in.issuer.pool.begin().await?;
            let locked = self.sign_in.lock(&mut tx, owner.account_id).await?;
            self.sign_in.use_code(&mut tx, &change.current, &owner, &locked).await?;
            if !sms_codes::db::mark_used(&mut tx, change.new.challenge_id, now).await? {
                return Err(Error::SmsCodeUsed);
            }
            let id = owner.account_id;
            self.adopt_phone(&mut tx, id, (&change.new_phone, &sealed), now).await?;
            // Who has the old phone and the account wants no other one.
            recoveries::db::end_open_of(&mut tx, id, recoveries::State::Objected, now).await?;
            let which = Which::Others(person.session_id);
            let ended = sessions::db::end(&mut tx, id, which).await?;
            self.record(&mut tx, id, "identity.phone.changed").await?;
            notices::db::queue(&mut tx, &notice, now).await?;
            tx.commit().await?;
            Ok(ended)
        };
        let ended: Vec<Uuid> = again(Error::is_lost, work).await?;
        self.sign_in.issuer.hear(&ended);
        Ok(())
    }

    /// Gives an account, whose row is locked, a phone that was proved just now.
    pub(crate) async fn adopt_phone(
        &self,
        tx: &mut PgConnection,
        account_id: Uuid,
        (phone, sealed): (&Mobile, &[u8]),
        now: OffsetDateTime,
    ) -> Result<()> {
        let (version, index) = self.sign_in.owners.phone_index(tx, phone).await?;
        accounts::db::set_phone(tx, account_id, sealed, version, &index, now).await?;
        let everywhere = self.sign_in.owners.phone_indexes(tx, phone).await?;
        Owners::take_phone(tx, &everywhere, account_id, now).await?;
        // They proved the old one.
        devices::db::forget_account(tx, account_id).await
    }

    pub(crate) async fn record(
        &self,
        tx: &mut PgConnection,
        account_id: Uuid,
        action: &'static str,
    ) -> Result<()> {
        let record = audit::by_owner(account_id, action);
        Ok(self.sign_in.issuer.trail.append(tx, &record).await?)
    }

    async fn owner(&self, account_id: Uuid) -> Result<Owner> {
        let mut conn = self.sign_in.issuer.pool.acquire().await?;
        accounts::db::owner_of(&mut conn, account_id).await?.ok_or(Error::SignInRefused)
    }

    /// Parses a password that is to be set, which must be made of nothing personal.
    pub(crate) async fn new_password(
        &self,
        owner: &Owner,
        field: &'static str,
        text: &str,
    ) -> Result<Password> {
        let (vault, id) = (&self.sign_in.issuer.vault, owner.account_id);
        let key = self.sign_in.owners.key(id).await?;
        let sealed = owner.id_number.as_deref().ok_or_else(inconsistent)?;
        let number = vault.open(&key, Column::AccountIdNumber, id, sealed)?;
        let phone = vault.open(&key, Column::AccountPhone, id, &owner.phone)?;
        let today = shanghai_date(self.sign_in.clock.now());
        let number = IdNumber::parse(&number, today).map_err(|_invalid| inconsistent())?;
        let phone = Mobile::parse(&phone).map_err(|_invalid| inconsistent())?;
        let details = PersonalDetails { id_number: &number, mobile: &phone };
        Password::parse(text, &details)
            .map_err(|error| RpcError::invalid_fields(vec![FieldFault::new(field, error)]).into())
    }

    fn notice(&self, template: Template, account_id: Uuid, now: OffsetDateTime) -> Notice {
        Notice::to_account(self.sign_in.clock.as_ref(), template, account_id, now)
    }
}

fn inconsistent() -> Error {
    Error::Inconsistent("identity.account")
}
