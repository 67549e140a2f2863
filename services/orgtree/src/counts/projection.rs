//! What registration tells of volunteers.

use std::sync::Arc;

use prost_types::Any;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{VolunteerChanged, VolunteerStatus};
use zhiyuan_feed::reader::{EffectError, decode};
use zhiyuan_feed::{Event, Page, Projection};

use super::{Before, Volunteer, db, differences, newer};

const VOLUNTEER: &str = "zhiyuan.registration.v1.VolunteerChanged";

/// Keeps the rows of volunteers, and notes what that changes in the figures.
#[derive(Debug)]
pub(crate) struct FromRegistration {
    /// Rung when there is something to fold.
    pub(crate) fold: Arc<Notify>,
}

fn parse(payload: &Any, revision: i64) -> Result<Option<Volunteer>, EffectError> {
    let Some(changed) = decode::<VolunteerChanged>(payload)? else { return Ok(None) };
    let active = match changed.status() {
        VolunteerStatus::Active => true,
        VolunteerStatus::AccountMissing | VolunteerStatus::Closed => false,
        VolunteerStatus::Unspecified => return Err("a volunteer without status".into()),
    };
    Ok(Some(Volunteer {
        volunteer_id: Uuid::try_parse(&changed.volunteer_id)?,
        organization_code: changed.organization_code,
        active,
        verified: changed.level >= 1,
        league_member: changed.league_member,
        revision,
    }))
}

#[async_trait::async_trait]
impl Projection for FromRegistration {
    fn snapshots(&self) -> &'static [&'static str] {
        &[VOLUNTEER]
    }

    async fn apply(
        &self,
        transaction: &mut PgConnection,
        events: &[Event],
    ) -> Result<(), EffectError> {
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            told.extend(parse(&event.payload, event.revision)?);
        }
        let ids: Vec<Uuid> = told.iter().map(|volunteer| volunteer.volunteer_id).collect();
        let before: Before = db::lock(transaction, &ids).await?;
        let changed = newer(&before, told);
        store(transaction, &before, &changed, &[]).await
    }

    async fn replace(
        &self,
        transaction: &mut PgConnection,
        page: &Page,
    ) -> Result<(), EffectError> {
        let mut there = Vec::with_capacity(page.records.len());
        for record in &page.records {
            there.extend(parse(&record.payload, record.revision)?);
        }
        let end = |key: &Option<String>| key.as_deref().map(Uuid::try_parse).transpose();
        let (after, until) = (end(&page.after)?, end(&page.until)?);
        let (after, until) = (after.unwrap_or(Uuid::nil()), until.unwrap_or(Uuid::max()));
        let before = db::lock_range(transaction, page.partition, after, until).await?;
        let stays = |id: &Uuid| there.iter().any(|volunteer| volunteer.volunteer_id == *id);
        let removed: Vec<Uuid> = before.keys().copied().filter(|id| !stays(id)).collect();
        let changed: Vec<Volunteer> = there
            .iter()
            .filter(|new| before.get(&new.volunteer_id) != Some(*new))
            .cloned()
            .collect();
        store(transaction, &before, &changed, &removed).await
    }

    fn committed(&self) {
        self.fold.notify_one();
    }
}

async fn store(
    transaction: &mut PgConnection,
    before: &Before,
    changed: &[Volunteer],
    removed: &[Uuid],
) -> Result<(), EffectError> {
    db::upsert(transaction, changed).await?;
    db::delete(transaction, removed).await?;
    db::append_deltas(transaction, &differences(before, changed, removed)).await?;
    Ok(())
}
