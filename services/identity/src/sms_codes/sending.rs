//! Sending a code: the limits first, in one transaction with the challenge; then
//! the vendor.

use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::secret::random_digits;
use zhiyuan_domain::{Mobile, SharedClock, new_id};
use zhiyuan_postgres::again;

use super::later::Message;
use super::{
    Allowance, CODE_LIFE, Challenge, DIGITS, INTERVAL, allowance, db, purpose_column, purpose_name,
};
use crate::challenges::{self, Challenges, Need, Scope, Solution, Solved, minute_of};
use crate::devices::{self, DeviceToken};
use crate::error::{Error, Result};
use crate::keys::{Counted, Vault};
use crate::vendors::{SmsError, SmsVendor};

/// Sends codes.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) vendor: std::sync::Arc<SmsVendor>,
    pub(crate) clock: SharedClock,
    /// Codes a minute for all phones together.
    pub(crate) minute_budget: i32,
    pub(crate) challenges: Challenges,
    /// Codes that are sent after the answer.
    pub(crate) later: mpsc::Sender<Message>,
}

/// Who asks for a code.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) phone: Mobile,
    pub(crate) purpose: SmsPurpose,
    pub(crate) device: Option<DeviceToken>,
    pub(crate) solution: Option<Solution>,
    /// On whose page the person is; nowhere but on ours, if there is none.
    pub(crate) via: Option<Via>,
}

/// A platform on whose page somebody registers.
#[derive(Debug)]
pub(crate) struct Via {
    /// The name of its account.
    pub(crate) name: String,
    /// What people call it.
    pub(crate) title: String,
}

impl Ask {
    /// What the person reads.
    fn text(&self, code: &str) -> String {
        if self.purpose == SmsPurpose::GuardianConsent {
            let place = self.via.as_ref().map(|via| format!("在「{}」", via.title));
            let place = place.unwrap_or_default();
            // Whoever gets it is to pass it on, or to no one.
            return format!(
                "有未成年人{place}注册青年志愿者，请您以监护人身份同意。同意请提供验证码 \
                 {code}，5 分钟内有效；如不同意或不是其监护人，请勿告诉任何人。"
            );
        }
        if self.purpose == SmsPurpose::Activation {
            return format!(
                "您正在用默认密码办理志愿者注册，验证码是 {code}，5 分钟内有效。请勿告诉他人，如非本人操作请忽略。"
            );
        }
        let what = match &self.via {
            Some(via) => format!("您正在通过「{}」注册志愿者，验证码是 {code}", via.title),
            None => format!("您的{}验证码是 {code}", purpose_name(self.purpose)),
        };
        format!("{what}，5 分钟内有效。请勿告诉他人，如非本人操作请忽略。")
    }
}

/// A code that is being sent.
struct Sending<'a> {
    ask: &'a Ask,
    challenge_id: Uuid,
    challenge: Challenge,
    /// The phone under index keys before the newest one.
    earlier: Vec<Vec<u8>>,
    /// No work is needed: the device proved this very phone, or a captcha was solved.
    exempt: bool,
    /// Codes that the minute had sent when it was looked at.
    load: u32,
    now: OffsetDateTime,
}

impl Sending<'_> {
    fn scope(&self) -> Scope<'_> {
        Scope {
            method: "SendSmsCode",
            purpose: purpose_column(self.ask.purpose),
            subject_index: &self.challenge.phone_index,
        }
    }

    fn sent(&self) -> Sent {
        Sent {
            challenge_id: self.challenge_id,
            expire_at: self.challenge.expire_at,
            next_send_at: self.now + INTERVAL,
        }
    }
}

/// A code that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) challenge_id: Uuid,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) next_send_at: OffsetDateTime,
}

impl Sender {
    /// Sends a code to a phone.
    ///
    /// # Errors
    /// A limit, with the wait; a challenge to be solved first; or the vendor did not take the
    /// message, in which case neither the code nor the solution counts.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Sent> {
        let now = self.clock.now();
        let code = random_digits(DIGITS);
        let sending = self.prepare(ask, (&code, None), now).await?;
        let solved = again(Error::is_lost, || self.reserve(&sending)).await?;

        match self.vendor.send_code(&ask.phone, &ask.text(&code), &code).await {
            // It may have arrived: the person waits for it, and asks again in a minute.
            Ok(()) | Err(SmsError::Unknown) => Ok(sending.sent()),
            // It counts: a phone that the vendor won't take costs a call each time.
            Err(SmsError::Refused) => Err(Error::SmsUnavailable),
            Err(SmsError::NotReached) => {
                self.give_back(&sending, solved.as_ref()).await?;
                Err(Error::SmsUnavailable)
            }
        }
    }

    /// Sends a code if it is known whose phone it is, and else does the same work for a
    /// challenge that no code fits. It is sent after the answer, and counts whatever becomes of
    /// it: nobody learns from the answer, its time, or the next one whether it was sent.
    ///
    /// # Errors
    /// A limit, with the wait; a challenge to be solved first.
    pub(crate) async fn send_to_person(&self, ask: &Ask, person: Option<Uuid>) -> Result<Sent> {
        let now = self.clock.now();
        let digits = random_digits(DIGITS);
        // Six digits are what anybody can type: they never fit none.
        let code = if person.is_some() { digits.as_str() } else { "" };
        let sending = self.prepare(ask, (code, person), now).await?;
        again(Error::is_lost, || self.reserve(&sending)).await?;
        if person.is_some() {
            let (phone, text) = (ask.phone.clone(), ask.text(&digits));
            let message = Message { phone, text, code: digits.to_string() };
            if self.later.try_send(message).is_err() {
                tracing::warn!("a code of an activation was not sent: too many wait");
            }
        }
        Ok(sending.sent())
    }

    /// Refuses, before anything is locked or written, whoever would be refused anyway.
    async fn prepare<'a>(
        &self,
        ask: &'a Ask,
        (code, person): (&str, Option<Uuid>),
        now: OffsetDateTime,
    ) -> Result<Sending<'a>> {
        let challenge_id = new_id(self.clock.as_ref());
        let mut conn = self.pool.acquire().await?;
        let versions = crate::keys::db::active_index_keys(&mut conn).await?;
        let counted = Counted::of(&versions, |key| self.vault.phone_index(key, &ask.phone))?;
        let device = match &ask.device {
            Some(token) => devices::db::find(&mut conn, token, now).await?,
            None => None,
        };
        let (mut sent_at, load) = db::look(&mut conn, &counted.index, minute_of(now)).await?;
        sent_at.extend(db::sent_earlier(&mut conn, &counted.earlier).await?);
        drop(conn);
        let challenge = Challenge {
            index_version: counted.version,
            phone_index: counted.index.to_vec(),
            purpose: purpose_column(ask.purpose),
            mac_version: self.vault.code_version(),
            code_mac: self.vault.code_mac(self.vault.code_version(), challenge_id, code)?.to_vec(),
            expire_at: now + CODE_LIFE,
            tries: 0,
            proof_tries: 0,
            proven_at: None,
            used_at: None,
            via: ask.via.as_ref().map(|via| via.name.clone()),
            person_id: person,
        };
        let exempt = device.is_some_and(|device| device.proved(&self.vault, &ask.phone));
        let earlier = counted.earlier;
        let mut sending = Sending { ask, challenge_id, challenge, earlier, exempt, load, now };
        let need = self.need(&sending, &sent_at, load)?;
        let (scope, solution) = (sending.scope(), ask.solution.as_ref());
        if self.challenges.is_cleared(&scope, need, solution, now).await? {
            sending.exempt = true;
        } else {
            self.challenges.judge(&scope, need, solution, now)?;
        }
        Ok(sending)
    }

    /// The work that is needed for one more code, after those that the phone and the minute
    /// had.
    fn need(
        &self,
        sending: &Sending<'_>,
        sent_at: &[OffsetDateTime],
        load: u32,
    ) -> Result<Option<Need>> {
        let now = sending.now;
        match allowance(sent_at, now) {
            Allowance::Send => {}
            Allowance::TooSoon { until } => {
                return Err(Error::SmsTooSoon { wait: wait(until, now) });
            }
            Allowance::DailyLimit { until } => {
                return Err(Error::SmsDailyLimit { wait: wait(until, now) });
            }
        }
        let of_phone = sent_at.iter().filter(|at| **at + super::WINDOW > now).count();
        Ok(self.challenges.rules.required(load, of_phone, sending.exempt))
    }

    async fn reserve(&self, sending: &Sending<'_>) -> Result<Option<Solved>> {
        let now = sending.now;
        let (scope, solution) = (sending.scope(), sending.ask.solution.as_ref());
        let phone_index = &sending.challenge.phone_index;
        let mut tx = self.pool.begin().await?;
        let mut sent_at = db::lock_phone(&mut tx, phone_index, now).await?;
        let mut before = db::sent_earlier(&mut tx, &sending.earlier).await?;
        before.extend(&sent_at);
        let need = self.need(sending, &before, sending.load)?;
        let mut solved = self.challenges.admit(&mut tx, &scope, need, solution, now).await?;
        sent_at.retain(|at| *at + super::WINDOW > now);
        sent_at.push(now);
        db::update_phone(&mut tx, phone_index, &sent_at, now).await?;
        db::insert_challenge(&mut tx, sending.challenge_id, &sending.challenge, now).await?;
        // The row that everybody shares comes last, so that it is locked shortest.
        let minute = minute_of(now);
        let Some(load) = db::take_from_budget(&mut tx, minute, self.minute_budget).await? else {
            return Err(Error::SmsBudgetExhausted { wait: wait(minute + Duration::MINUTE, now) });
        };
        // Only now is it known exactly how many came before.
        let need = self.need(sending, &before, load)?;
        if solved.is_some() {
            self.challenges.judge(&scope, need, solution, now)?;
        } else {
            solved = self.challenges.admit(&mut tx, &scope, need, solution, now).await?;
        }
        tx.commit().await?;
        Ok(solved)
    }

    async fn give_back(&self, sending: &Sending<'_>, solved: Option<&Solved>) -> Result<()> {
        let now = self.clock.now();
        let phone_index = &sending.challenge.phone_index;
        let mut tx = self.pool.begin().await?;
        let mut sent_at = db::lock_phone(&mut tx, phone_index, now).await?;
        if let Some(index) = sent_at.iter().position(|at| *at == truncated(sending.now)) {
            sent_at.swap_remove(index);
        }
        db::update_phone(&mut tx, phone_index, &sent_at, now).await?;
        db::delete_challenge(&mut tx, sending.challenge_id).await?;
        if let Some(solved) = solved {
            challenges::db::give_back(&mut tx, solved).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// As PostgreSQL stores it: in microseconds.
fn truncated(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}

fn wait(until: OffsetDateTime, now: OffsetDateTime) -> StdDuration {
    (until - now).try_into().unwrap_or_default()
}
