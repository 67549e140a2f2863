//! Sending a code: the limits first, in one transaction with the challenge; then
//! the vendor.

use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;
use zhiyuan_crypto::secret::random_digits;
use zhiyuan_domain::{Mobile, SharedClock, new_id};
use zhiyuan_postgres::again;

use super::{
    Allowance, CODE_LIFE, Challenge, DIGITS, INTERVAL, allowance, db, purpose_column, purpose_name,
};
use crate::error::{Error, Result};
use crate::keys::Vault;
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
    /// A limit, with the wait; or the vendor did not take the message, in which
    /// case it does not count.
    pub(crate) async fn send(&self, phone: &Mobile, purpose: SmsPurpose) -> Result<Sent> {
        let now = self.clock.now();
        let challenge_id = new_id(self.clock.as_ref());
        let code = random_digits(DIGITS);
        let mut conn = self.pool.acquire().await?;
        let index_version = crate::keys::db::newest_index_key(&mut conn).await?;
        let phone_index = self.vault.phone_index(index_version, phone)?;
        let challenge = Challenge {
            index_version,
            phone_index: phone_index.to_vec(),
            purpose: purpose_column(purpose),
            mac_version: self.vault.code_version(),
            code_mac: self.vault.code_mac(self.vault.code_version(), challenge_id, &code)?.to_vec(),
            expire_at: now + CODE_LIFE,
            tries: 0,
            proof_tries: 0,
            proven_at: None,
            used_at: None,
        };
        drop(conn);
        again(Error::is_lost, || self.reserve(challenge_id, &challenge, now)).await?;

        let purpose = purpose_name(purpose);
        let text = format!(
            "您的{purpose}验证码是 {code}，5 分钟内有效。请勿告诉他人，如非本人操作请忽略。"
        );
        match self.vendor.send_code(phone, &text, &code).await {
            // It may have arrived: the person waits for it, and asks again in a minute.
            Ok(()) | Err(SmsError::Unknown) => Ok(Sent {
                challenge_id,
                expire_at: challenge.expire_at,
                next_send_at: now + INTERVAL,
            }),
            // It counts: a phone that the vendor won't take costs a call each time.
            Err(SmsError::Refused) => Err(Error::SmsUnavailable),
            Err(SmsError::NotReached) => {
                self.give_back(challenge_id, &challenge.phone_index, now).await?;
                Err(Error::SmsUnavailable)
            }
        }
    }

    async fn reserve(
        &self,
        challenge_id: Uuid,
        challenge: &Challenge,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        let mut sent_at = db::lock_phone(&mut tx, &challenge.phone_index, now).await?;
        match allowance(&sent_at, now) {
            Allowance::Send => {}
            Allowance::TooSoon { until } => {
                return Err(Error::SmsTooSoon { wait: wait(until, now) });
            }
            Allowance::DailyLimit { until } => {
                return Err(Error::SmsDailyLimit { wait: wait(until, now) });
            }
        }
        sent_at.retain(|at| *at + super::WINDOW > now);
        sent_at.push(now);
        db::update_phone(&mut tx, &challenge.phone_index, &sent_at, now).await?;
        db::insert_challenge(&mut tx, challenge_id, challenge, now).await?;
        // The row that everybody shares comes last, so that it is locked shortest.
        let minute = now.replace_time(time::Time::MIDNIGHT)
            + Duration::minutes(i64::from(now.hour()) * 60 + i64::from(now.minute()));
        if !db::take_from_budget(&mut tx, minute, self.minute_budget).await? {
            return Err(Error::SmsBudgetExhausted { wait: wait(minute + Duration::MINUTE, now) });
        }
        tx.commit().await?;
        Ok(())
    }

    async fn give_back(
        &self,
        challenge_id: Uuid,
        phone_index: &[u8],
        sent: OffsetDateTime,
    ) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let mut sent_at = db::lock_phone(&mut tx, phone_index, now).await?;
        if let Some(index) = sent_at.iter().position(|at| *at == truncated(sent)) {
            sent_at.swap_remove(index);
        }
        db::update_phone(&mut tx, phone_index, &sent_at, now).await?;
        db::delete_challenge(&mut tx, challenge_id).await?;
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
