//! Sends queued notices.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use sqlx::PgPool;
use time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_domain::{Mobile, SharedClock};
use zhiyuan_rpc::chain;

use super::{Template, db};
use crate::accounts;
use crate::enrolments::wait_after;
use crate::error::{Error, Result};
use crate::keys::{Column, Vault};
use crate::vendors::{SmsError, SmsVendor};

const BATCH: i64 = 16;
/// Longer than a batch can take, or another replica would send the rest of it too.
const LEASE: Duration = Duration::minutes(5);
/// About a day and a half of tries.
const MAX_ATTEMPTS: i32 = 150;

/// Sends notices.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) vendor: Arc<SmsVendor>,
    pub(crate) clock: SharedClock,
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
        let id = notice.notice_id;
        let Some(phone) = self.phone_of(notice).await? else {
            return self.end(id, notice.phone.is_some(), false).await;
        };
        let template = Template::from_column(&notice.template)
            .ok_or(Error::Inconsistent("identity.notice"))?;
        match self.vendor.send(&phone, template.text()).await {
            // A second message would be worse than none: what may have arrived counts.
            Ok(()) | Err(SmsError::Unknown) => self.end(id, notice.phone.is_some(), true).await,
            Err(SmsError::Refused | SmsError::NotReached) if notice.attempts >= MAX_ATTEMPTS => {
                self.end(id, notice.phone.is_some(), false).await
            }
            Err(SmsError::Refused | SmsError::NotReached) => {
                let next = self.clock.now() + wait_after(notice.attempts);
                db::postpone(&mut *self.pool.acquire().await?, id, next).await
            }
        }
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

    async fn end(&self, id: Uuid, own_key: bool, sent: bool) -> Result<()> {
        db::end(&mut *self.pool.acquire().await?, id, sent, self.clock.now()).await?;
        if own_key { self.vault.destroy_key(id).await } else { Ok(()) }
    }
}
