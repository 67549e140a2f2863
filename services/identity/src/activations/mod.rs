//! Beginning with the default password, the last 8 characters of the ID number.
//!
//! Who knows a classmate's number knows the default password too. So it opens no session, and
//! counts only together with a code to the phone on the roster: it yields a proof, with which
//! the person registers as everybody does and chooses a password. Nothing of it is stored.

pub(crate) mod db;
mod grpc;
mod proof;
mod redeeming;

pub(crate) use grpc::{ActivationRpc, proof_field};
pub(crate) use proof::Proof;
pub(crate) use redeeming::Activated;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::digest;
use zhiyuan_domain::{IdNumber, Mobile, PersonName, SharedClock, new_id, shanghai_date};
use zhiyuan_postgres::again;

use crate::challenges::Solution;
use crate::devices::DeviceToken;
use crate::error::{Error, Result};
use crate::keys::{self, Column, Vault};
use crate::sms_codes::{self, Challenge, Code, Sender, purpose_column};

/// Wrong default passwords after a right code, then the way is closed for the person.
pub(crate) const TRIES: i16 = 5;
/// A proof is good that long.
const PROOF_LIFE: Duration = Duration::minutes(30);
/// No challenge has it, not even one that no code fits.
const NEVER_RIGHT: &str = "switched off";

/// Activations, and what they need.
#[derive(Debug)]
pub(crate) struct Activations {
    pub(crate) sender: std::sync::Arc<Sender>,
    /// Whether anybody can begin with the default password at all.
    pub(crate) enabled: bool,
}

/// A proof that was just made.
pub(crate) struct Completed {
    pub(crate) proof: Proof,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) masked_name: String,
}

/// Somebody on a roster, opened. Not for logs.
pub(crate) struct Opened {
    pub(crate) name: PersonName,
    pub(crate) id_number: IdNumber,
    pub(crate) phone: Mobile,
}

/// Whether the default password of the holder of this number is the given one, in a time that
/// tells nothing of either.
pub(crate) fn is_default_password(number: &IdNumber, given: &str) -> bool {
    let number = number.as_str();
    let end = number.get(number.len().saturating_sub(8)..).unwrap_or_default();
    digest::equal(end.as_bytes(), given.as_bytes())
}

impl Activations {
    fn vault(&self) -> &Vault {
        &self.sender.vault
    }

    fn clock(&self) -> &SharedClock {
        &self.sender.clock
    }

    /// Sends a code to whoever alone is on a roster with this phone; for every other phone does
    /// the same and sends nothing.
    pub(crate) async fn start(
        &self,
        phone: Mobile,
        device: Option<DeviceToken>,
        solution: Option<Solution>,
    ) -> Result<sms_codes::Sent> {
        let person = self.person_of(&phone).await?.filter(|_| self.enabled);
        let purpose = SmsPurpose::Activation;
        let ask = sms_codes::Ask { phone, purpose, device, solution, via: None };
        self.sender.send_to_person(&ask, person).await
    }

    async fn person_of(&self, phone: &Mobile) -> Result<Option<Uuid>> {
        let mut conn = self.sender.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let indexes = self.vault().phone_indexes(versions, phone)?;
        db::person_of(&mut conn, &indexes).await
    }

    /// Takes code and default password for a proof.
    ///
    /// # Errors
    /// What is wrong with the code; after a right one, [`Error::DefaultPasswordWrong`].
    pub(crate) async fn complete(&self, code: &Code, given: &str) -> Result<Completed> {
        let sent = again(Error::is_lost, || self.evaluate(code)).await?;
        // A code that is right was sent to somebody.
        let person = sent.person_id.ok_or(Error::Inconsistent("identity.sms_challenge"))?;
        let listed = (sent.index_version, sent.phone_index.as_slice());
        let known = known(&self.sender.pool, self.vault(), self.clock(), person, listed).await?;
        let Some((seen, opened)) = known else { return Err(Error::DefaultPasswordWrong) };
        // Or the phone has another owner by now.
        if self.person_of(&opened.phone).await? != Some(person) {
            return Err(Error::DefaultPasswordWrong);
        }
        again(Error::is_lost, || self.compare(code, given, person, &seen, &opened)).await
    }

    /// The code first, whatever the default password: its try counts before anything is known
    /// of a person.
    async fn evaluate(&self, code: &Code) -> Result<Challenge> {
        let mut tx = self.sender.pool.begin().await?;
        let challenge = sms_codes::db::lock_challenge(&mut tx, code.challenge_id).await?;
        let purpose = purpose_column(SmsPurpose::Activation);
        let Some(challenge) = challenge.filter(|challenge| challenge.purpose == purpose) else {
            return Err(Error::SmsCodeWrong);
        };
        // Switched off meanwhile, no code is right.
        let digits = if self.enabled { code.digits.as_str() } else { NEVER_RIGHT };
        let code = Code { digits: digits.to_owned(), ..*code };
        let (sent, now) = (challenge.clone(), self.clock().now());
        let outcome = sms_codes::evaluate(&mut tx, self.vault(), &code, challenge, now).await?;
        tx.commit().await?;
        outcome.accepted().map(|()| sent)
    }

    /// Compares under the lock of the person, and only while there are tries: of many at once,
    /// five wrong ones are compared.
    async fn compare(
        &self,
        code: &Code,
        given: &str,
        person: Uuid,
        seen: &db::Seen,
        opened: &Opened,
    ) -> Result<Completed> {
        let now = self.clock().now();
        let mut tx = self.sender.pool.begin().await?;
        let tries = db::lock(&mut tx, person, seen).await?;
        let Some(tries) = tries.filter(|tries| *tries < TRIES) else {
            return Err(Error::DefaultPasswordWrong);
        };
        if !is_default_password(&opened.id_number, given) {
            db::count_wrong(&mut tx, person, tries + 1).await?;
            tx.commit().await?;
            return Err(Error::DefaultPasswordWrong);
        }
        if !sms_codes::db::mark_used(&mut tx, code.challenge_id, now).await? {
            return Err(Error::SmsCodeUsed);
        }
        let proof = Proof::generate(new_id(self.clock().as_ref()));
        let index_version = keys::db::newest_index_key(&mut tx).await?;
        let mac_version = self.vault().code_version();
        let new = db::Activation {
            activation_id: proof.activation_id,
            person_id: person,
            index_version,
            phone_index: self.vault().phone_index(index_version, &opened.phone)?.to_vec(),
            mac_version,
            proof_mac: proof.mac(self.vault(), mac_version)?.to_vec(),
            expire_at: now + PROOF_LIFE,
            enrolment_id: None,
        };
        db::insert(&mut tx, &new).await?;
        tx.commit().await?;
        let masked_name = opened.name.masked();
        Ok(Completed { proof, expire_at: new.expire_at, masked_name })
    }
}

/// What a roster says of somebody, sealed and opened; nobody who is not on one any more, or whom
/// the roster lists with another phone than the one of this index.
async fn known(
    pool: &PgPool,
    vault: &Vault,
    clock: &SharedClock,
    person: Uuid,
    (index_version, phone_index): (i16, &[u8]),
) -> Result<Option<(db::Seen, Opened)>> {
    let seen = db::find(&mut *pool.acquire().await?, person).await?;
    let Some(seen) = seen else { return Ok(None) };
    let opened = match open(vault, clock, person, &seen).await {
        // Forgotten this very moment.
        Err(Error::KeyMissing) => return Ok(None),
        opened => opened?,
    };
    let Some(opened) = opened else { return Ok(None) };
    let listed = vault.phone_index(index_version, &opened.phone)?;
    Ok(digest::equal(&listed, phone_index).then_some((seen, opened)))
}

/// Opens what a roster says of somebody; `None` without a phone.
async fn open(
    vault: &Vault,
    clock: &SharedClock,
    person: Uuid,
    seen: &db::Seen,
) -> Result<Option<Opened>> {
    let Some(phone) = &seen.phone else { return Ok(None) };
    let key = vault.key(person).await?;
    let corrupt = || Error::Inconsistent("identity.roster_person");
    let name = vault.open(&key, Column::RosterName, person, &seen.name)?;
    let number = vault.open(&key, Column::RosterIdNumber, person, &seen.id_number)?;
    let phone = vault.open(&key, Column::RosterPhone, person, phone)?;
    let today = shanghai_date(clock.now());
    Ok(Some(Opened {
        name: PersonName::parse(&name).map_err(|_invalid| corrupt())?,
        id_number: IdNumber::parse(&number, today).map_err(|_invalid| corrupt())?,
        phone: Mobile::parse(&phone).map_err(|_invalid| corrupt())?,
    }))
}

#[cfg(test)]
mod tests {
    use time::macros::date;
    use zhiyuan_testkit::person;

    use super::*;

    #[test]
    fn the_default_password_is_the_end_of_the_number_and_nothing_else() {
        let number = IdNumber::parse("34182219980101005X", date!(2026 - 11 - 23)).unwrap();
        for right in ["0101005X", "0101005x", " ０１０１００５ｘ"] {
            let given = IdNumber::parse_end(right).unwrap();
            assert!(is_default_password(&number, &given), "{right}");
        }
        for wrong in ["01010051", "1010051X"] {
            let given = IdNumber::parse_end(wrong).unwrap();
            assert!(!is_default_password(&number, &given), "{wrong}");
        }
        assert!(!is_default_password(&number, "") && !is_default_password(&number, "X"));
    }

    /// 10,000 people, and for each the candidates of who knows the birthday and guesses the
    /// rest: only the comparison itself, as each try of the real way needs a code by SMS.
    #[test]
    fn of_ten_thousand_people_each_has_one_default_password() {
        let today = date!(2026 - 11 - 23);
        for n in 1..=10_000 {
            let number = IdNumber::parse(&person(n).id_number, today).unwrap();
            let text = number.as_str();
            let others = ["0000", "0011", "1234", "999X", &text[10..14]];
            let candidates = others.map(|end| format!("{}{end}", &text[10..14]));
            let right = candidates.iter().filter(|c| c.as_str() == &text[10..]).count();
            let taken = candidates.iter().filter(|c| is_default_password(&number, c)).count();
            assert_eq!(taken, right);
            assert!(is_default_password(&number, &text[10..]));
        }
    }
}
