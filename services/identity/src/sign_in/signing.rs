//! From an attempt to a session.

use sqlx::PgConnection;
use tracing::Instrument as _;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::{SignInResponse, SmsPurpose};
use zhiyuan_crypto::digest;
use zhiyuan_domain::{IdNumber, Mobile};
use zhiyuan_postgres::again;

use super::trial::{Kind, Trial};
use super::{PASSWORD_IS_PHONE, SecondProof, SignIn};
use crate::accounts::{self, db::Owner};
use crate::challenges::Solution;
use crate::delays::Way;
use crate::delays::db::Reservation;
use crate::devices::{self, Device, DeviceToken};
use crate::error::{Error, Result};
use crate::keys::Counted;
use crate::sessions::issuer::Beginning;
use crate::sms_codes::{self, Code};

/// What somebody says who it is.
pub(crate) enum Identifier {
    Phone(Mobile),
    Number(IdNumber),
}

/// What somebody signs in with; at least one of password and code. Not for logs.
pub(crate) struct Attempt {
    pub(crate) identifier: Identifier,
    pub(crate) password: Option<Zeroizing<String>>,
    /// Only with a phone.
    pub(crate) code: Option<Code>,
    pub(crate) second_proof: Option<SecondProof>,
    pub(crate) device: Option<DeviceToken>,
    pub(crate) solution: Option<Solution>,
    pub(crate) client_name: String,
}

impl SignIn {
    /// Signs somebody in.
    ///
    /// # Errors
    /// See `SignInService.SignIn`.
    pub(crate) async fn sign_in(&self, attempt: &Attempt) -> Result<SignInResponse> {
        // Before a try of the code is burnt for nothing.
        if attempt.password.is_some() && self.hasher.is_busy() {
            return Err(Error::HashingBusy);
        }
        self.issuer.keys.current()?;
        let (trial, candidates) = self.look(attempt).await?;
        let reserved = self.reserve(&trial, attempt).await?;
        if let (Some(code), Identifier::Phone(phone)) = (&attempt.code, &attempt.identifier) {
            let checked = self.check_code(code, (phone, SmsPurpose::SignIn)).await;
            if let Err(error) = checked {
                // The password was not looked at.
                self.give_back(reserved.as_ref()).await?;
                return Err(error);
            }
        }
        let proved = match (&attempt.password, &attempt.identifier) {
            (Some(password), _) => {
                self.proved_by_password(candidates, password).await.map(|owner| (owner, None))
            }
            (None, Identifier::Phone(phone)) => {
                let proof = attempt.second_proof.as_ref();
                self.proved_by_code(phone, candidates, proof, trial.device_of()).await
            }
            // Refused where the request was read.
            (None, Identifier::Number(_)) => Err(Error::SignInRefused),
        };
        let (owner, proof) = match proved {
            Ok((owner, proof)) if owner.active => (owner, proof),
            Ok(_) | Err(Error::SignInRefused) => {
                self.count_failure().await?;
                return Err(Error::SignInRefused);
            }
            Err(error) => {
                self.give_back(reserved.as_ref()).await?;
                return Err(error);
            }
        };
        // Of a password or of a second proof, never of both.
        let (reserved, device) = (reserved.or(proof), trial.device.as_ref());
        again(Error::is_lost, || self.begin(attempt, &owner, reserved.as_ref(), device)).await
    }

    /// Who may be meant, and what counts for this attempt. The same work whoever it is.
    async fn look(&self, attempt: &Attempt) -> Result<(Trial, Vec<Owner>)> {
        let candidates = match &attempt.identifier {
            Identifier::Phone(phone) => self.owners.of_phone(phone).await?,
            Identifier::Number(number) => {
                self.owners.of_number(number).await?.into_iter().collect()
            }
        };
        let mut conn = self.issuer.pool.acquire().await?;
        let versions = crate::keys::db::active_index_keys(&mut conn).await?;
        let subject = Counted::of(&versions, |key| match &attempt.identifier {
            Identifier::Phone(phone) => self.issuer.vault.phone_index(key, phone),
            Identifier::Number(number) => self.issuer.vault.number_index(key, number),
        })?;
        let device = match &attempt.device {
            Some(token) => devices::db::find(&mut conn, token, self.clock.now()).await?,
            None => None,
        };
        // One of another account is none here: strangers have devices too.
        let device = device
            .filter(|device| candidates.iter().any(|owner| owner.account_id == device.account_id));
        Ok((Trial { subject, device }, candidates))
    }

    /// Lets the attempt in, as far as it needs a password or work: counted as failed before
    /// it is evaluated.
    async fn reserve(&self, trial: &Trial, attempt: &Attempt) -> Result<Option<Reservation>> {
        let kind = if attempt.password.is_some() { Kind::Password } else { Kind::Code };
        let (solution, now) = (attempt.solution.as_ref(), self.clock.now());
        let mut conn = self.issuer.pool.acquire().await?;
        let cleared = self.gate.is_cleared(&mut conn, trial, kind, solution, now).await?;
        drop(conn);
        let work = || async {
            let mut tx = self.issuer.pool.begin().await?;
            let reserved = match kind {
                Kind::Password => Some(trial.reserve(&mut tx, Way::Password, now).await?),
                // Counted at its challenge, where it is evaluated.
                Kind::Code => None,
            };
            if !cleared {
                self.gate.admit(&mut tx, trial, kind, solution, now).await?;
            }
            tx.commit().await?;
            Ok(reserved)
        };
        again(Error::is_lost, work).await
    }

    /// One hash either way, whoever is asked for.
    async fn proved_by_password(&self, candidates: Vec<Owner>, password: &str) -> Result<Owner> {
        let mut candidates = candidates.into_iter();
        // Of several who share a phone, none can be meant: the ID number tells them apart.
        let only = candidates.next().filter(|_| candidates.next().is_none());
        let span = tracing::info_span!("password.verify");
        let Some(owner) = only else {
            self.hasher.verify_nothing().instrument(span).await?;
            return Err(Error::SignInRefused);
        };
        let right = self.hasher.verify(password, &owner.password_hash).instrument(span).await?;
        if right { Ok(owner) } else { Err(Error::SignInRefused) }
    }

    async fn begin(
        &self,
        attempt: &Attempt,
        seen: &Owner,
        reserved: Option<&Reservation>,
        device: Option<&Device>,
    ) -> Result<SignInResponse> {
        let account_id = seen.account_id;
        let mut tx = self.issuer.pool.begin().await?;
        let owner = self.lock(&mut tx, account_id).await?;
        // What was proved may have changed before the lock.
        if attempt.password.is_some() && owner.password_hash != seen.password_hash {
            return Err(Error::SignInRefused);
        }
        if let Some(code) = &attempt.code {
            self.use_code(&mut tx, code, seen, &owner).await?;
        }
        let device_token = self.know(&mut tx, attempt, &owner, device).await?;
        let both = attempt.password.is_some() && attempt.code.is_some();
        let since = self.clock.now() - PASSWORD_IS_PHONE;
        let beginning = Beginning {
            account_id,
            // A password that the phone alone has set is that phone once more.
            second_factor: both
                && !accounts::db::password_by_phone(&mut tx, account_id, since).await?,
            client_name: attempt.client_name.clone(),
        };
        let (session, ended) = self.issuer.begin(&mut tx, beginning).await?;
        // Before the commit: a session that nobody can have a token of is none.
        let tokens = self.issuer.tokens(&session)?;
        if let Some(reserved) = reserved {
            // Last, as the row is the identifier's, which others try as well.
            crate::delays::db::succeed(&mut tx, reserved).await?;
        }
        tx.commit().await?;
        self.issuer.hear(&ended);
        Ok(SignInResponse {
            tokens: Some(tokens),
            session_id: session.session_id.to_string(),
            account_id: account_id.to_string(),
            device_token,
        })
    }

    /// Locks an account that somebody is signed in to.
    pub(crate) async fn lock(&self, tx: &mut PgConnection, id: uuid::Uuid) -> Result<Owner> {
        if !accounts::db::lock_active(tx, id).await? {
            return Err(Error::SignInRefused);
        }
        accounts::db::owner_of(tx, id).await?.ok_or(Error::SignInRefused)
    }

    /// Uses up a code that proved the phone of an account, whose row is locked, unless it
    /// has another phone by now.
    ///
    /// # Errors
    /// `SmsCodeUsed`; `SignInRefused`.
    pub(crate) async fn use_code(
        &self,
        tx: &mut PgConnection,
        code: &Code,
        seen: &Owner,
        owner: &Owner,
    ) -> Result<()> {
        let now = self.clock.now();
        if !digest::equal(&owner.phone_index, &seen.phone_index) {
            return Err(Error::SignInRefused);
        }
        if !sms_codes::db::mark_used(tx, code.challenge_id, now).await? {
            return Err(Error::SmsCodeUsed);
        }
        accounts::db::phone_proven(tx, owner.account_id, now).await
    }

    /// Makes the device known from which somebody is signed in; its token.
    async fn know(
        &self,
        tx: &mut PgConnection,
        attempt: &Attempt,
        owner: &Owner,
        device: Option<&Device>,
    ) -> Result<String> {
        let now = self.clock.now();
        // A password proves no phone.
        let proved = (owner.index_version, owner.phone_index.as_slice());
        let phone = attempt.code.is_some().then_some(proved);
        match (device, &attempt.device) {
            (Some(device), Some(token)) if device.account_id == owner.account_id => {
                if let Some(phone) = phone {
                    devices::db::prove(tx, device, phone, now).await?;
                }
                Ok(token.expose().to_string())
            }
            _ => {
                let token = devices::db::issue(tx, owner.account_id, phone, now).await?;
                Ok(token.expose().to_string())
            }
        }
    }
}
