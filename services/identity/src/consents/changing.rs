//! Agreeing and taking back, each an entry of the ledger and an event.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_domain::SharedClock;
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::again;

use super::{NewEntry, Occasion, Purpose, Standing, Texts, db};
use crate::error::{Error, Result};
use crate::{accounts, audit, feed};

/// The ledger of consents.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) outbox: Outbox,
    pub(crate) trail: Trail,
    pub(crate) texts: Texts,
}

impl Ledger {
    /// Agrees to a text. `seen`: the entry of the purpose that the person was shown, or 0.
    ///
    /// # Errors
    /// `ConsentOutdated`; `ConsentChanged`; `SignInRefused` when the account is none any more.
    pub(crate) async fn give(
        &self,
        account_id: Uuid,
        (purpose, version): (Purpose, &str),
        seen: i32,
    ) -> Result<Standing> {
        let text = self.texts.in_force(purpose).ok_or(Error::Inconsistent("texts of consents"))?;
        if text.version != version {
            return Err(Error::ConsentOutdated { version: text.version.clone() });
        }
        let entry = NewEntry {
            purpose,
            version: version.to_owned(),
            text_hash: Some(text.hash()),
            given: true,
            occasion: Occasion::SignedIn,
        };
        let stands = again(Error::is_lost, || self.enter(account_id, &entry, Some(seen))).await?;
        stands.ok_or(Error::Inconsistent("identity.consent_entry"))
    }

    /// Takes a consent back; where the person stands, if anything was ever agreed to.
    ///
    /// # Errors
    /// `ConsentRequired`; `SignInRefused` when the account is none any more.
    pub(crate) async fn withdraw(
        &self,
        account_id: Uuid,
        purpose: Purpose,
    ) -> Result<Option<Standing>> {
        if self.texts.in_force(purpose).is_some_and(|text| text.required) {
            return Err(Error::ConsentRequired);
        }
        let entry = NewEntry {
            purpose,
            version: String::new(),
            text_hash: None,
            given: false,
            occasion: Occasion::SignedIn,
        };
        again(Error::is_lost, || self.enter(account_id, &entry, None)).await
    }

    async fn enter(
        &self,
        account_id: Uuid,
        entry: &NewEntry,
        seen: Option<i32>,
    ) -> Result<Option<Standing>> {
        let mut tx = self.pool.begin().await?;
        if !accounts::db::lock_active(&mut tx, account_id).await? {
            return Err(Error::SignInRefused);
        }
        let stood = standing(&mut tx, account_id, entry.purpose).await?;
        let changes = match &stood {
            Some(stood) if entry.given => !stood.given || stood.version != entry.version,
            Some(stood) => stood.given,
            None => entry.given,
        };
        if !changes {
            return Ok(stood);
        }
        let latest = stood.as_ref().map_or(0, |stood| stood.number);
        if seen.is_some_and(|seen| seen != latest) {
            return Err(Error::ConsentChanged);
        }
        let mut entry = entry.clone();
        if let (false, Some(stood)) = (entry.given, &stood) {
            // What was agreed to is what is taken back.
            entry.version.clone_from(&stood.version);
        }
        db::insert(&mut tx, account_id, std::slice::from_ref(&entry), self.clock.now()).await?;
        tell(&mut tx, &self.outbox, account_id).await?;
        let action =
            if entry.given { "identity.consent.given" } else { "identity.consent.withdrawn" };
        let record = audit::by_owner(account_id, action).because(entry.purpose.as_word());
        self.trail.append(&mut tx, &record).await?;
        let stands = standing(&mut tx, account_id, entry.purpose).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(stands)
    }
}

/// Tells of all consents of an account, whose row is locked.
pub(crate) async fn tell(tx: &mut PgConnection, outbox: &Outbox, account_id: Uuid) -> Result<()> {
    let stands = db::standings(tx, account_id).await?;
    let given: Vec<_> = stands
        .into_iter()
        .filter(|stands| stands.given)
        .map(|stands| (stands.purpose, stands.version))
        .collect();
    let revision = accounts::db::raise_revision(tx, account_id).await?;
    outbox.append(tx, &[feed::consents_changed(account_id, revision, &given)]).await?;
    Ok(())
}

async fn standing(
    tx: &mut PgConnection,
    account_id: Uuid,
    purpose: Purpose,
) -> Result<Option<Standing>> {
    let all = db::standings(tx, account_id).await?;
    Ok(all.into_iter().find(|stands| stands.purpose == purpose))
}
