//! What counts for one attempt: delays of its identifier, or of its device; and codes.

use sqlx::PgConnection;
use time::OffsetDateTime;
use tracing::Instrument as _;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_domain::Mobile;
use zhiyuan_postgres::again;

use super::{SecondProof, SignIn};
use crate::accounts::db::Owner;
use crate::challenges::{self, Challenges, Need, Scope, Solution};
use crate::delays::Way;
use crate::delays::db::{Counter, Reservation, Reserved, give_back, reserve};
use crate::devices::Device;
use crate::error::{Error, Result};
use crate::keys::{self, Counted};
use crate::sms_codes::{self, Code, Outcome};

/// What somebody tries to sign in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password, alone or with a code.
    Password,
    /// A code alone.
    Code,
}

/// An attempt that is made.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The blind index of the identifier, whether or not anybody has it.
    pub(crate) subject: Counted,
    /// A known device of an account that the identifier may name.
    pub(crate) device: Option<Device>,
}

impl Trial {
    /// The account that the device is known for.
    pub(crate) fn device_of(&self) -> Option<Uuid> {
        self.device.as_ref().map(|device| device.account_id)
    }

    fn counter(&self, way: Way) -> Counter {
        let device_id = self.device.as_ref().map(|device| device.device_id);
        Counter { subject: self.subject.clone(), way, device_id }
    }

    fn scope(&self, kind: Kind) -> Scope<'_> {
        let purpose = match kind {
            Kind::Password => 1,
            Kind::Code => 2,
        };
        Scope { method: "SignIn", purpose, subject_index: &self.subject.index }
    }

    /// Counts the attempt as failed before it is evaluated.
    ///
    /// # Errors
    /// `SignInDelayed`.
    pub(crate) async fn reserve(
        &self,
        tx: &mut PgConnection,
        way: Way,
        now: OffsetDateTime,
    ) -> Result<Reservation> {
        match reserve(tx, &self.counter(way), now).await? {
            Reserved::Allowed(reservation) => Ok(reservation),
            Reserved::Wait(wait) => Err(Error::SignInDelayed { wait }),
        }
    }
}

/// Asks for work while much more fails than usual.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) challenges: Challenges,
}

impl Gate {
    /// Whether a captcha was solved in place of the work that is needed just now. Asks its
    /// vendor, so no transaction is open.
    ///
    /// # Errors
    /// `ChallengeRequired`, when it was not.
    pub(crate) async fn is_cleared(
        &self,
        conn: &mut PgConnection,
        trial: &Trial,
        kind: Kind,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let need = self.need(conn, trial, now).await?;
        self.challenges.is_cleared(&trial.scope(kind), need, solution, now).await
    }

    /// Lets an attempt in that brings the work that is needed just now, and spends it.
    ///
    /// # Errors
    /// `ChallengeRequired`; the transaction is to be rolled back then.
    pub(crate) async fn admit(
        &self,
        tx: &mut PgConnection,
        trial: &Trial,
        kind: Kind,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let need = self.need(tx, trial, now).await?;
        let _spent = self.challenges.admit(tx, &trial.scope(kind), need, solution, now).await?;
        Ok(())
    }

    async fn need(
        &self,
        conn: &mut PgConnection,
        trial: &Trial,
        now: OffsetDateTime,
    ) -> Result<Option<Need>> {
        let failed = challenges::db::failed_sign_ins(conn, now).await?;
        Ok(self.challenges.rules.required_for_sign_in(failed, trial.device.is_some()))
    }
}

impl SignIn {
    /// Evaluates a code; the try counts, at its challenge and nowhere else, whatever comes
    /// after. One with a challenge of another phone or purpose tells nothing, and so is not
    /// even counted among everybody's failures.
    ///
    /// # Errors
    /// When it isn't right.
    pub(crate) async fn check_code(&self, code: &Code, sent: (&Mobile, SmsPurpose)) -> Result<()> {
        let work = || async {
            let (vault, now) = (&self.issuer.vault, self.clock.now());
            let mut tx = self.issuer.pool.begin().await?;
            let challenge = sms_codes::challenge_of(&mut tx, vault, code, sent).await?;
            let Some(challenge) = challenge else { return Ok(None) };
            let outcome = sms_codes::evaluate(&mut tx, vault, code, challenge, now).await?;
            tx.commit().await?;
            Ok(Some(outcome))
        };
        let outcome: Option<Outcome> = again(Error::is_lost, work).await?;
        if outcome == Some(Outcome::Wrong) {
            self.count_failure().await?;
        }
        outcome.unwrap_or(Outcome::Wrong).accepted()
    }

    /// Which of the accounts of a phone is meant by somebody who has proved it by a code. A
    /// second proof counts as failed before it is compared with anything, and the reservation
    /// is handed to whoever commits what it was given for.
    ///
    /// # Errors
    /// As `Owners::proved_by_code`; `SignInDelayed`.
    pub(crate) async fn proved_by_code(
        &self,
        phone: &Mobile,
        owners: Vec<Owner>,
        proof: Option<&SecondProof>,
        known_device: Option<Uuid>,
    ) -> Result<(Owner, Option<Reservation>)> {
        let reserved = match proof {
            // Nobody can be guessed at where nobody is.
            Some(_) if !owners.is_empty() => {
                let trial = self.trial_of_phone(phone).await?;
                Some(self.reserve_alone(&trial, Way::SecondProof).await?)
            }
            _ => None,
        };
        let (now, shared) = (self.clock.now(), owners.len() > 1);
        match self.owners.proved_by_code(owners, proof, known_device, now).await {
            // Who proves to be one of those who share a phone clears nothing of what was
            // tried at the others.
            Ok(owner) if shared => {
                self.give_back(reserved.as_ref()).await?;
                Ok((owner, None))
            }
            Ok(owner) => Ok((owner, reserved)),
            Err(Error::SignInRefused) => Err(Error::SignInRefused),
            Err(error) => {
                // It was compared with nothing.
                self.give_back(reserved.as_ref()).await?;
                Err(error)
            }
        }
    }

    /// Reserves an attempt in a transaction of its own.
    ///
    /// # Errors
    /// `SignInDelayed`.
    async fn reserve_alone(&self, trial: &Trial, way: Way) -> Result<Reservation> {
        let work = || async {
            let mut tx = self.issuer.pool.begin().await?;
            let reserved = trial.reserve(&mut tx, way, self.clock.now()).await?;
            tx.commit().await?;
            Ok(reserved)
        };
        again(Error::is_lost, work).await
    }

    /// Whether a password is that of somebody who is signed in. Counted as failed before it is
    /// looked at; the reservation if it is right.
    ///
    /// # Errors
    /// `SignInDelayed`; `HashingBusy`.
    pub(crate) async fn verify_present(
        &self,
        owner: &Owner,
        password: &str,
    ) -> Result<Option<Reservation>> {
        let found = self.find_present(owner, &[password]).await?;
        Ok(found.map(|(_, reserved)| reserved))
    }

    /// Which of some passwords is that of somebody who is signed in, and the reservation. One
    /// attempt, however many they are.
    ///
    /// # Errors
    /// `SignInDelayed`; `HashingBusy`.
    pub(crate) async fn find_present(
        &self,
        owner: &Owner,
        passwords: &[&str],
    ) -> Result<Option<(usize, Reservation)>> {
        let trial = self.trial_of(owner.account_id).await?;
        let reserved = self.reserve_alone(&trial, Way::Password).await?;
        for (at, password) in passwords.iter().enumerate() {
            let span = tracing::info_span!("password.verify");
            match self.hasher.verify(password, &owner.password_hash).instrument(span).await {
                Ok(true) => return Ok(Some((at, reserved))),
                Ok(false) => {}
                Err(error) => {
                    self.give_back(Some(&reserved)).await?;
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// As [`Self::proved_by_code`], for what is no signing in: one that is refused counts
    /// among the failures of everybody.
    pub(crate) async fn proved_and_counted(
        &self,
        phone: &Mobile,
        owners: Vec<Owner>,
        proof: Option<&SecondProof>,
        known_device: Option<Uuid>,
    ) -> Result<(Owner, Option<Reservation>)> {
        let proved = self.proved_by_code(phone, owners, proof, known_device).await;
        if matches!(proved, Err(Error::SignInRefused)) {
            self.count_failure().await?;
        }
        proved
    }

    /// Counts a failure of everybody's, by which it is told whether more fails than usual.
    pub(crate) async fn count_failure(&self) -> Result<()> {
        let mut conn = self.issuer.pool.acquire().await?;
        challenges::db::count_failed_sign_in(&mut conn, self.clock.now()).await
    }

    /// Gives an attempt back that was not evaluated after all.
    pub(crate) async fn give_back(&self, reserved: Option<&Reservation>) -> Result<()> {
        let Some(reserved) = reserved else { return Ok(()) };
        let work = || async {
            let mut tx = self.issuer.pool.begin().await?;
            give_back(&mut tx, reserved, self.clock.now()).await?;
            tx.commit().await?;
            Ok(())
        };
        again(Error::is_lost, work).await
    }

    /// The counter of wrong passwords of somebody who is signed in: strangers can't fill
    /// it, and who has a stolen session has no more tries than a stranger.
    async fn trial_of(&self, account_id: Uuid) -> Result<Trial> {
        let mut conn = self.issuer.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let index = |key| self.issuer.vault.account_index(key, account_id);
        Ok(Trial { subject: Counted::of(&versions, index)?, device: None })
    }

    /// The counter of second proofs of a phone.
    async fn trial_of_phone(&self, phone: &Mobile) -> Result<Trial> {
        let mut conn = self.issuer.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let index = |key| self.issuer.vault.phone_index(key, phone);
        Ok(Trial { subject: Counted::of(&versions, index)?, device: None })
    }
}
