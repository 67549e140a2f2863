//! The first half: consents, age, code; then the applicant is kept and the register
//! is asked for the first time.

use std::sync::Arc;

use sqlx::PgPool;
use time::{Date, OffsetDateTime};
use tracing::Instrument as _;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::digest;
use zhiyuan_crypto::keys::KeyStoreError;
use zhiyuan_crypto::password::PasswordHasher;
use zhiyuan_domain::{
    AgeClass, AgeRule, EnrolmentId, IdNumber, Mobile, Password, PersonName, SharedClock, Statement,
    new_id, registration_age,
};
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::again;

use super::db::guardians;
use super::guardian::Guardian;
use super::{DECIDE_WITHIN, Enrolment, LEASE, Refusal, State, db};
use crate::activations::{self, Activated, Proof};
use crate::claims;
use crate::consents::{Given, Lack, Texts};
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::{Column, Vault};
use crate::notices::{self, Notice, Template};
use crate::sms_codes::{self, Code, Outcome};
use crate::vendors::RealNameRegister;

/// What somebody applies with. Not for logs: the code is in clear.
pub(crate) struct Application {
    pub(crate) enrolment_id: EnrolmentId,
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
    /// What proves that it is the person's phone.
    pub(crate) by: By,
    pub(crate) password: Password,
    pub(crate) consents: Vec<Given>,
    /// The platform on whose page the person registers.
    pub(crate) via: Option<String>,
    /// Looked at only if the person is too young to register alone.
    pub(crate) guardian: Option<Guardian>,
    pub(crate) own_income: bool,
    /// If the number is another one's, it is claimed, and this is said to it.
    pub(crate) claim: Option<Statement>,
}

/// What proves the phone of who applies.
pub(crate) enum By {
    Code(Code),
    /// A proof of an activation, by its id; the applicant is who it stands for.
    Activation(Uuid),
}

impl By {
    /// What is noted of it. Nobody's challenge has the id of an activation.
    fn id(&self) -> Uuid {
        match self {
            Self::Code(code) => code.challenge_id,
            Self::Activation(id) => *id,
        }
    }
}

/// On what ground somebody may register.
enum Ground<'a> {
    Adult,
    OwnIncome,
    Consent(&'a Guardian),
}

/// Enrolments, and what they need.
#[derive(Debug, Clone)]
pub(crate) struct Enrolments {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) hasher: Arc<PasswordHasher>,
    pub(crate) register: Arc<RealNameRegister>,
    pub(crate) texts: Texts,
    pub(crate) clock: SharedClock,
    pub(crate) rules: Rules,
    pub(crate) outbox: Outbox,
    pub(crate) trail: Trail,
}

/// What an operator can set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) age_rule: AgeRule,
    /// Failed checks a day for a phone.
    pub(crate) failed_checks_per_phone: i32,
    /// Failed checks a day for an ID number. High, since strangers can use them up.
    pub(crate) failed_checks_per_number: i32,
    pub(crate) claims: claims::Limits,
}

impl Enrolments {
    /// Begins an enrolment or goes on with it, as far as it goes now. A repeated
    /// call burns no try of the code.
    ///
    /// # Errors
    /// Only what may work later: a refusal is a state.
    pub(crate) async fn begin(&self, application: &Application) -> Result<Enrolment> {
        let enrolment_id = application.enrolment_id.as_uuid();
        let known = db::find(&mut *self.pool.acquire().await?, enrolment_id).await?;
        let enrolment = match known {
            Some(enrolment) => enrolment,
            // Nobody is let in whose password can't be hashed soon: refused before the code is
            // looked at, and before the database has work that comes to nothing.
            None if self.hasher.is_busy() => return Err(Error::HashingBusy),
            None => self.accept(application).await?,
        };
        if enrolment.state == State::Accepted {
            self.keep(application, &enrolment).await
        } else {
            Ok(enrolment)
        }
    }

    /// Ends an enrolment whose row is locked, and tells of it in the same transaction; also whose
    /// number was claimed, unless that came to something.
    pub(crate) async fn end(
        &self,
        tx: &mut sqlx::PgConnection,
        id: Uuid,
        state: State,
        refusal: Option<Refusal>,
    ) -> Result<()> {
        let now = self.clock.now();
        let revision = db::end(tx, id, state, refusal, now).await?;
        let ends = claims::State::after(state, refusal);
        if let Some(holder) = claims::db::end(tx, id, ends, now).await? {
            let clock = self.clock.as_ref();
            let notice = Notice::claim_to_account(clock, Template::ClaimEnded, id, holder);
            notices::db::queue(tx, &notice, now).await?;
        }
        let changed = feed::enrolment_changed(id, revision, state);
        Ok(self.outbox.append(tx, &[changed]).await?)
    }

    pub(crate) async fn load(&self, enrolment_id: Uuid) -> Result<Enrolment> {
        db::find(&mut *self.pool.acquire().await?, enrolment_id)
            .await?
            .ok_or(Error::EnrolmentNotFound)
    }

    pub(crate) fn today(&self) -> Date {
        zhiyuan_domain::shanghai_date(self.clock.now())
    }

    /// On what ground this person may register, or why not, whatever the code. Decided
    /// before the code is looked at, so that it burns no try.
    fn ground<'a>(&self, application: &'a Application) -> std::result::Result<Ground<'a>, Refusal> {
        let birth = application.id_number.birth_date();
        let class = registration_age(birth, self.today(), self.rules.age_rule);
        let ground = match (class, &application.guardian) {
            (AgeClass::TooYoung, _) => return Err(Refusal::UnderAge),
            (AgeClass::Adult, _) => Ground::Adult,
            (AgeClass::Minor | AgeClass::WorkingAge, Some(guardian)) => Ground::Consent(guardian),
            (class, None) if class.needs_guardian(application.own_income) => {
                return Err(Refusal::GuardianRequired);
            }
            (AgeClass::Minor | AgeClass::WorkingAge, None) => Ground::OwnIncome,
        };
        self.texts.check(&application.consents).map_err(|lack| match lack {
            Lack::Missing => Refusal::ConsentMissing,
            Lack::Outdated => Refusal::ConsentOutdated,
        })?;
        Ok(ground)
    }

    /// The verdict on the code and the row that remembers it, in one transaction.
    async fn accept(&self, application: &Application) -> Result<Enrolment> {
        let now = self.clock.now();
        let enrolment_id = application.enrolment_id.as_uuid();
        let (ground, mut refusal) = match self.ground(application) {
            Ok(ground) => (ground, None),
            Err(refusal) => (Ground::Adult, Some(refusal)),
        };
        let mut tx = self.pool.begin().await?;
        let index_version = crate::keys::db::newest_index_key(&mut tx).await?;
        let phone_index = self.vault.phone_index(index_version, &application.phone)?;
        let guardian = match ground {
            Ground::Consent(guardian) => Some(guardian),
            Ground::Adult | Ground::OwnIncome => None,
        };
        let guardian_phone_index = guardian
            .map(|guardian| self.vault.phone_index(index_version, &guardian.details.phone))
            .transpose()?;
        // The enrolment first: of two calls at once, the second waits here and then
        // finds the verdict of the first instead of evaluating the code again.
        let new = db::Accepted {
            enrolment_id,
            refusal,
            account_id: new_id(self.clock.as_ref()),
            challenge_id: application.by.id(),
            index_version,
            phone_index: &phone_index,
            consents: if refusal.is_some() { &[] } else { &application.consents },
            own_income: matches!(ground, Ground::OwnIncome),
            guardian: guardian.zip(guardian_phone_index.as_ref()).map(|(guardian, index)| {
                guardians::Accepted {
                    challenge_id: guardian.code.challenge_id,
                    phone_index: index,
                    relation: guardian.relation,
                }
            }),
        };
        let inserted = db::insert(&mut tx, &new, now).await?;
        if inserted && refusal.is_none() {
            let via = application.via.as_ref();
            if let By::Code(code) = &application.by {
                let sent = (&application.phone, SmsPurpose::Register);
                refusal = Refusal::of_code(self.evaluate(&mut tx, code, sent, via, now).await?);
            }
            // Always in this order, and never a guardian's challenge in the place of a
            // person's: no two applications wait for each other.
            if let (None, Some(guardian)) = (refusal, guardian) {
                let sent = (&guardian.details.phone, SmsPurpose::GuardianConsent);
                let outcome = self.evaluate(&mut tx, &guardian.code, sent, via, now).await?;
                refusal = Refusal::of_guardians_code(outcome);
            }
            // Last: a guardian's code that was mistyped costs no activation.
            if let (None, By::Activation(activation)) = (refusal, &application.by)
                && !activations::db::use_up(&mut tx, *activation, enrolment_id, now).await?
            {
                refusal = Some(Refusal::ActivationProofOver);
            }
            if refusal.is_some() {
                self.end(&mut tx, enrolment_id, State::Refused, refusal).await?;
            }
        }
        tx.commit().await?;
        self.outbox.wake();
        self.load(enrolment_id).await
    }

    /// Whom the proof of an activation stands for; or the enrolment as it stands, if it has
    /// gone on without, or is refused as the proof is good for nothing.
    pub(crate) async fn activated(
        &self,
        enrolment_id: Uuid,
        proof: &Proof,
    ) -> Result<std::result::Result<Activated, Enrolment>> {
        let known = db::find(&mut *self.pool.acquire().await?, enrolment_id).await?;
        if let Some(enrolment) = known.as_ref().filter(|known| known.state != State::Accepted) {
            return Ok(Err(enrolment.clone()));
        }
        let clock = &self.clock;
        let found = Activated::find(&self.pool, &self.vault, clock, proof, enrolment_id).await?;
        if let Some(activated) = found {
            return Ok(Ok(activated));
        }
        if known.is_none() {
            let mut tx = self.pool.begin().await?;
            let new = db::Accepted {
                enrolment_id,
                refusal: Some(Refusal::ActivationProofOver),
                account_id: new_id(self.clock.as_ref()),
                challenge_id: proof.activation_id,
                index_version: crate::keys::db::newest_index_key(&mut tx).await?,
                phone_index: &[],
                consents: &[],
                own_income: false,
                guardian: None,
            };
            db::insert(&mut tx, &new, self.clock.now()).await?;
            tx.commit().await?;
        }
        Ok(Err(self.load(enrolment_id).await?))
    }

    /// Evaluates a code that was sent for this, on the page that the person is on.
    async fn evaluate(
        &self,
        tx: &mut sqlx::PgConnection,
        code: &Code,
        sent: (&Mobile, SmsPurpose),
        via: Option<&String>,
        now: OffsetDateTime,
    ) -> Result<Outcome> {
        let challenge = sms_codes::challenge_of(tx, &self.vault, code, sent).await?;
        // Who was told of one platform, or of none, has not agreed to another.
        match challenge.filter(|challenge| challenge.via.as_ref() == via) {
            Some(challenge) => sms_codes::evaluate(tx, &self.vault, code, challenge, now).await,
            None => Ok(Outcome::Wrong),
        }
    }

    /// Keeps the applicant, sealed under the data key of the account to be, and asks
    /// the register.
    async fn keep(&self, application: &Application, enrolment: &Enrolment) -> Result<Enrolment> {
        let id = enrolment.enrolment_id;
        let subject = enrolment.account_id.ok_or(Error::Inconsistent("identity.enrolment"))?;
        self.same_phones(application, enrolment)?;
        let password_hash = self
            .hasher
            .hash(application.password.expose())
            .instrument(tracing::info_span!("password.hash"))
            .await?;
        let key = match self.vault.make_key(subject).await {
            Ok(key) => key,
            // Undone meanwhile: the tombstone tells.
            Err(Error::KeyStore(KeyStoreError::Destroyed)) => return self.load(id).await,
            Err(error) => return Err(error),
        };
        let guardian = match (&application.guardian, &enrolment.guardian_phone_index) {
            (Some(guardian), Some(_)) => {
                Some(guardian.details.seal(&self.vault, &key, Column::EnrolmentGuardian, id)?)
            }
            _ => None,
        };
        let applicant = db::Applicant {
            name: self.vault.seal(&key, Column::EnrolmentName, id, application.name.as_str())?,
            id_number: self.vault.seal(
                &key,
                Column::EnrolmentIdNumber,
                id,
                application.id_number.as_str(),
            )?,
            phone: self.vault.seal(
                &key,
                Column::EnrolmentPhone,
                id,
                application.phone.as_e164(),
            )?,
            password_hash,
            guardian,
            claim_statement: match &application.claim {
                Some(statement) => {
                    let column = Column::ClaimStatement;
                    Some(self.vault.seal(&key, column, id, statement.as_str())?)
                }
                None => None,
            },
        };
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let (lease, by) = (now + LEASE, now + DECIDE_WITHIN);
        let kept = db::keep_applicant(&mut conn, id, &applicant, lease, by, now).await?;
        drop(conn);
        if kept {
            again(Error::is_lost, || self.check(id)).await?;
        }
        self.load(id).await
    }

    /// The proofs were for one phone each; going on with another one is none.
    fn same_phones(&self, application: &Application, enrolment: &Enrolment) -> Result<()> {
        let inconsistent = || Error::Inconsistent("identity.enrolment");
        let version = enrolment.index_version.ok_or_else(inconsistent)?;
        let is = |phone: &Mobile, proven: &[u8]| {
            Ok::<bool, Error>(digest::equal(&self.vault.phone_index(version, phone)?, proven))
        };
        let proven = enrolment.phone_index.as_deref().ok_or_else(inconsistent)?;
        let guardian = match (&enrolment.guardian_phone_index, &application.guardian) {
            (None, _) => true,
            (Some(proven), Some(guardian)) => is(&guardian.details.phone, proven)?,
            (Some(_), None) => false,
        };
        if guardian && is(&application.phone, proven)? {
            Ok(())
        } else {
            Err(Error::EnrolmentNotFound)
        }
    }
}
