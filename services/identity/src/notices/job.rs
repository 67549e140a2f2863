//! Sends queued notices.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;
use zhiyuan_domain::{Mobile, SharedClock};
use zhiyuan_rpc::chain;

use super::{GIVEN_UP_AFTER, Outcome, Template, WINDOW, allowed_at, db, recovery_of};
use crate::accounts;
use crate::challenges::minute_of;
use crate::enrolments::wait_after;
use crate::error::{Error, Result};
use crate::keys::{self, Column, Vault};
use crate::vendors::{SmsError, SmsVendor};

const BATCH: i64 = 16;
/// Longer than a batch can take, or another replica would send the rest of it too.
const LEASE: Duration = Duration::minutes(5);
/// About a day and a half of tries.
const MAX_ATTEMPTS: i32 = 150;
/// Who has to wait for longer is looked at again after this: shorter than what a wrong clock
/// is told by.
const LONGEST_DEFERRAL: Duration = Duration::minutes(45);

/// Sends notices.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) vendor: Arc<SmsVendor>,
    pub(crate) clock: SharedClock,
    /// Notices a minute for all phones together.
    pub(crate) minute_budget: i32,
}

/// A notice that may be sent: when it was counted, and for whom.
struct Counted {
    phone_index: [u8; 32],
    at: OffsetDateTime,
}

/// Sends queued notices until `stop`.
pub(crate) async fn send(
    notices: Notices,
    every: StdDuration,
    stop: CancellationToken,
) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = notices.pass().await {
            tracing::warn!(error = chain(&error), "notices could not be sent");
        }
    }
    Ok(())
}

impl Notices {
    async fn pass(&self) -> Result<()> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let due = db::lease(&mut conn, now, now + LEASE, BATCH).await?;
        drop(conn);
        for notice in due {
            if let Err(error) = self.deliver(&notice).await {
                tracing::warn!(notice.id = %notice.notice_id, error = chain(&error), "a notice failed");
            }
        }
        Ok(())
    }

    async fn deliver(&self, notice: &db::Due) -> Result<()> {
        let Some(phone) = self.phone_of(notice).await? else {
            return self.end(notice, Outcome::Nobody).await;
        };
        let template = Template::from_column(&notice.template)
            .ok_or(Error::Inconsistent("identity.notice"))?;
        if notice.handed_over && !self.vendor.knows_ids() {
            return self.end(notice, Outcome::Unknown).await;
        }
        let late = notice.created_at + GIVEN_UP_AFTER <= self.clock.now();
        let counted = match self.count(notice, &phone).await? {
            Ok(counted) => counted,
            Err(_until) if late => return self.end(notice, Outcome::OverBudget).await,
            Err(until) => {
                let mut conn = self.pool.acquire().await?;
                return db::defer(&mut conn, notice.notice_id, until).await;
            }
        };
        let text = self.text_of(notice, template)?;
        let outcome = match self.vendor.send(notice.notice_id, &phone, &text).await {
            Ok(()) => return self.end(notice, Outcome::Taken).await,
            // A second message would be worse than none: what may have arrived counts.
            Err(SmsError::Unknown) => return self.end(notice, Outcome::Unknown).await,
            Err(SmsError::Refused) => Outcome::Refused,
            Err(SmsError::NotReached) => Outcome::NotReached,
        };
        self.give_back(&counted).await?;
        if late || notice.attempts >= MAX_ATTEMPTS {
            return self.end(notice, outcome).await;
        }
        let next = self.clock.now() + wait_after(notice.attempts);
        db::postpone(&mut *self.pool.acquire().await?, notice.notice_id, next).await
    }

    fn text_of(&self, notice: &db::Due, template: Template) -> Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(template.text().to_owned());
        if template.brings_objection_code() {
            let recovery =
                recovery_of(&notice.once).ok_or(Error::Inconsistent("identity.notice"))?;
            let codes = self.vault.objection_codes(recovery)?;
            let code = codes.first().ok_or(Error::Inconsistent("code keys"))?;
            text.push_str(code);
        }
        Ok(text)
    }

    /// Counts a notice before it is handed over, so that the budgets hold however many
    /// processes send; else when to look again.
    async fn count(
        &self,
        notice: &db::Due,
        phone: &Mobile,
    ) -> Result<std::result::Result<Counted, OffsetDateTime>> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let versions = crate::keys::db::active_index_keys(&mut tx).await?;
        let counted = keys::Counted::of(&versions, |key| self.vault.phone_index(key, phone))?;
        let (phone_index, earlier) = (counted.index, counted.earlier);
        let mut sent_at = db::lock_phone(&mut tx, &phone_index, now).await?;
        let mut before = db::sent_earlier(&mut tx, &earlier).await?;
        before.extend(&sent_at);
        let allowed_at = allowed_at(&before, now);
        if allowed_at > now {
            return Ok(Err(allowed_at.min(now + LONGEST_DEFERRAL)));
        }
        let at = now.replace_microsecond(now.microsecond()).unwrap_or(now);
        sent_at.retain(|at| *at + WINDOW > now);
        sent_at.push(at);
        db::update_phone(&mut tx, &phone_index, &sent_at).await?;
        let minute = minute_of(now);
        if !db::take_from_budget(&mut tx, minute, self.minute_budget).await? {
            return Ok(Err(minute + Duration::MINUTE));
        }
        db::hand_over(&mut tx, notice.notice_id).await?;
        tx.commit().await?;
        Ok(Ok(Counted { phone_index, at }))
    }

    /// A phone is not charged with what it was not sent. The minute is: who can't be reached
    /// is not to be asked more often.
    async fn give_back(&self, counted: &Counted) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now();
        let mut sent_at = db::lock_phone(&mut tx, &counted.phone_index, now).await?;
        if let Some(index) = sent_at.iter().position(|at| *at == counted.at) {
            sent_at.swap_remove(index);
        }
        db::update_phone(&mut tx, &counted.phone_index, &sent_at).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The phone; `None` if the account is gone.
    async fn phone_of(&self, notice: &db::Due) -> Result<Option<Mobile>> {
        let id = notice.notice_id;
        let text = match (notice.account_id, &notice.phone) {
            (Some(account_id), _) => {
                let mut conn = self.pool.acquire().await?;
                let Some(holder) = accounts::db::find(&mut conn, account_id).await? else {
                    return Ok(None);
                };
                drop(conn);
                let key = self.vault.key(account_id).await?;
                self.vault.open(&key, Column::AccountPhone, account_id, &holder.phone)?
            }
            (None, Some(sealed)) => {
                let key = self.vault.key(id).await?;
                self.vault.open(&key, Column::NoticePhone, id, sealed)?
            }
            (None, None) => return Ok(None),
        };
        Mobile::parse(&text).map(Some).map_err(|_invalid| Error::Inconsistent("identity.notice"))
    }

    async fn end(&self, notice: &db::Due, outcome: Outcome) -> Result<()> {
        let id = notice.notice_id;
        db::end(&mut *self.pool.acquire().await?, id, outcome, self.clock.now()).await?;
        // The phone had a key of its own.
        if notice.phone.is_some() { self.vault.destroy_key(id).await } else { Ok(()) }
    }
}
