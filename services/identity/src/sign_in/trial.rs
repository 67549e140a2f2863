//! What counts for one attempt: delays of its identifier, or of its device.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_domain::Mobile;
use zhiyuan_postgres::again;

use super::SignIn;
use crate::challenges::{self, Challenges, Need, Scope, Solution};
use crate::delays::Way;
use crate::delays::db::{Counter, Reservation, Reserved, give_back, reserve, succeed};
use crate::devices::Device;
use crate::error::{Error, Result};
use crate::sms_codes::{self, Code, Outcome};

/// An attempt that is made.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The blind index of the identifier, whether or not anybody has it.
    pub(crate) subject_index: [u8; 32],
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
        Counter { subject_index: self.subject_index, way, device_id }
    }

    fn scope(&self, way: Way) -> Scope<'_> {
        let purpose = match way {
            Way::Password => 1,
            Way::Code => 2,
        };
        Scope { method: "SignIn", purpose, subject_index: &self.subject_index }
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
        way: Way,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let need = self.need(conn, trial, now).await?;
        self.challenges.is_cleared(&trial.scope(way), need, solution, now).await
    }

    /// Lets an attempt in that brings the work that is needed just now, and spends it.
    ///
    /// # Errors
    /// `ChallengeRequired`; the transaction is to be rolled back then.
    pub(crate) async fn admit(
        &self,
        tx: &mut PgConnection,
        trial: &Trial,
        way: Way,
        solution: Option<&Solution>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let need = self.need(tx, trial, now).await?;
        let _spent = self.challenges.admit(tx, &trial.scope(way), need, solution, now).await?;
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
    /// Evaluates a code; the try counts whatever comes after. One with a challenge of
    /// another phone or purpose tells nothing, and so delays nobody.
    ///
    /// # Errors
    /// When it isn't right; `SignInDelayed`.
    pub(crate) async fn check_code(
        &self,
        code: &Code,
        sent: (&Mobile, SmsPurpose),
        trial: &Trial,
    ) -> Result<()> {
        let work = || async {
            let (vault, now) = (&self.issuer.vault, self.clock.now());
            let mut tx = self.issuer.pool.begin().await?;
            let challenge = sms_codes::challenge_of(&mut tx, vault, code, sent).await?;
            let Some(challenge) = challenge else { return Ok(Outcome::Wrong) };
            let reserved = trial.reserve(&mut tx, Way::Code, now).await?;
            let outcome = sms_codes::evaluate(&mut tx, vault, code, challenge, now).await?;
            match outcome {
                Outcome::Right => succeed(&mut tx, &reserved).await?,
                Outcome::Wrong => {}
                // Nothing was learned.
                Outcome::Expired | Outcome::Used | Outcome::Exhausted => {
                    give_back(&mut tx, &reserved, now).await?;
                }
            }
            tx.commit().await?;
            Ok(outcome)
        };
        let outcome: Outcome = again(Error::is_lost, work).await?;
        if outcome == Outcome::Wrong {
            self.count_failure().await?;
        }
        outcome.accepted()
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
    pub(crate) async fn trial_of(&self, account_id: Uuid) -> Result<Trial> {
        let mut conn = self.issuer.pool.acquire().await?;
        let version = crate::keys::db::newest_index_key(&mut conn).await?;
        let subject_index = self.issuer.vault.account_index(version, account_id)?;
        Ok(Trial { subject_index, device: None })
    }

    /// The counter of codes of a phone, for whoever has no known device.
    pub(crate) async fn trial_of_phone(&self, phone: &Mobile) -> Result<Trial> {
        let mut conn = self.issuer.pool.acquire().await?;
        let (_, subject_index) = self.owners.phone_index(&mut conn, phone).await?;
        Ok(Trial { subject_index, device: None })
    }
}
