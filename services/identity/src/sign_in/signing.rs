//! From an attempt to a session.

use std::sync::Arc;

use tracing::Instrument as _;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::{SignInResponse, SmsPurpose};
use zhiyuan_crypto::digest;
use zhiyuan_crypto::password::PasswordHasher;
use zhiyuan_domain::{IdNumber, Mobile, SharedClock};
use zhiyuan_postgres::again;

use super::{Owners, RECYCLED_AFTER, SecondProof};
use crate::accounts::{self, db::Owner};
use crate::error::{Error, Result};
use crate::sessions::issuer::{Beginning, Issuer};
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
    pub(crate) client_name: String,
}

/// Signs people in.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) owners: Owners,
    pub(crate) hasher: Arc<PasswordHasher>,
    pub(crate) issuer: Issuer,
    pub(crate) clock: SharedClock,
}

impl SignIn {
    /// Signs somebody in.
    ///
    /// # Errors
    /// See `SignInService.SignIn`.
    pub(crate) async fn sign_in(&self, attempt: &Attempt) -> Result<SignInResponse> {
        if attempt.password.is_some() && self.hasher.is_busy() {
            // Before a try of the code is burnt.
            return Err(Error::HashingBusy);
        }
        if let (Some(code), Identifier::Phone(phone)) = (&attempt.code, &attempt.identifier) {
            self.check_code(code, phone, SmsPurpose::SignIn).await?;
        }
        let candidates = match &attempt.identifier {
            Identifier::Phone(phone) => self.owners.of_phone(phone).await?,
            Identifier::Number(number) => {
                self.owners.of_number(number).await?.into_iter().collect()
            }
        };
        let owner = match &attempt.password {
            Some(password) => self.proved_by_password(candidates, password).await?,
            None => {
                let (proof, now) = (attempt.second_proof.as_ref(), self.clock.now());
                self.owners.proved_by_code(candidates, proof, None, now).await?
            }
        };
        if !owner.active {
            return Err(Error::SignInRefused);
        }
        again(Error::is_lost, || self.begin(attempt, &owner)).await
    }

    /// Evaluates a code; the try counts whatever comes after.
    ///
    /// # Errors
    /// When it isn't right.
    pub(crate) async fn check_code(
        &self,
        code: &Code,
        phone: &Mobile,
        purpose: SmsPurpose,
    ) -> Result<()> {
        let work = || async {
            let mut tx = self.issuer.pool.begin().await?;
            let (vault, now) = (&self.issuer.vault, self.clock.now());
            let sent = (phone, purpose);
            let outcome = sms_codes::evaluate(&mut tx, vault, code, sent, now).await?;
            tx.commit().await?;
            Ok(outcome)
        };
        again(Error::is_lost, work).await?.accepted()
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

    async fn begin(&self, attempt: &Attempt, seen: &Owner) -> Result<SignInResponse> {
        let (now, account_id) = (self.clock.now(), seen.account_id);
        let mut tx = self.issuer.pool.begin().await?;
        if !accounts::db::lock_active(&mut tx, account_id).await? {
            return Err(Error::SignInRefused);
        }
        // What was proved may have changed before the lock.
        let owner = accounts::db::owner_of(&mut tx, account_id).await?;
        let owner = owner.ok_or(Error::SignInRefused)?;
        if attempt.password.is_some() && owner.password_hash != seen.password_hash {
            return Err(Error::SignInRefused);
        }
        if let (Some(code), Identifier::Phone(_)) = (&attempt.code, &attempt.identifier) {
            if !digest::equal(&owner.phone_index, &seen.phone_index) {
                return Err(Error::SignInRefused);
            }
            if !sms_codes::db::mark_used(&mut tx, code.challenge_id, now).await? {
                return Err(Error::SmsCodeUsed);
            }
            accounts::db::phone_proven(&mut tx, account_id, now).await?;
        }
        let beginning = Beginning {
            account_id,
            second_factor: attempt.password.is_some() && attempt.code.is_some(),
            client_name: attempt.client_name.clone(),
        };
        let (session, ended) = self.issuer.begin(&mut tx, beginning).await?;
        // Before the commit: a session that nobody can have a token of is none.
        let tokens = self.issuer.tokens(&session)?;
        tx.commit().await?;
        self.issuer.hear(&ended);
        Ok(SignInResponse {
            tokens: Some(tokens),
            session_id: session.session_id.to_string(),
            account_id: account_id.to_string(),
            device_token: String::new(),
        })
    }

    /// Detaches a phone that was proved for an account just now from those who have not
    /// proved it for long.
    pub(crate) async fn take_phone(
        tx: &mut sqlx::PgConnection,
        (index_version, phone_index): (i16, &[u8]),
        owner: Uuid,
        now: time::OffsetDateTime,
    ) -> Result<()> {
        let not_since = now - RECYCLED_AFTER;
        let detached =
            accounts::db::detach_phone(tx, index_version, phone_index, owner, not_since).await?;
        for account in detached {
            tracing::info!(account.id = %account, "a phone has another owner");
        }
        Ok(())
    }
}
