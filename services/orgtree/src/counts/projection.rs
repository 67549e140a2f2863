//! What registration tells of volunteers.

use std::sync::Arc;

use prost_types::Any;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::registration::v1::{VolunteerChanged, VolunteerStatus};
use zhiyuan_domain::SharedClock;
use zhiyuan_feed::reader::{EffectError, decode};
use zhiyuan_feed::{Event, Page, Projection};

use super::{Before, Volunteer, db, differences, newer};
use crate::authority;

const VOLUNTEER: &str = "zhiyuan.registration.v1.VolunteerChanged";

/// Keeps the rows of volunteers, notes what that changes in the figures, and ends the grants of
/// those who closed their accounts.
#[derive(Debug)]
pub(crate) struct FromRegistration {
    pub(crate) clock: SharedClock,
    pub(crate) trail: Trail,
    /// Rung when there is something to fold.
    pub(crate) fold: Arc<Notify>,
}

/// What is told of some volunteers.
#[derive(Debug, Default)]
struct Told {
    volunteers: Vec<Volunteer>,
    /// Whose accounts are closed.
    closed: Vec<Uuid>,
}

impl Told {
    fn add(&mut self, payload: &Any, revision: i64) -> Result<(), EffectError> {
        let Some(changed) = decode::<VolunteerChanged>(payload)? else { return Ok(()) };
        let volunteer = parse(&changed, revision)?;
        if changed.status() == VolunteerStatus::Closed {
            self.closed.push(volunteer.volunteer_id);
        }
        self.volunteers.push(volunteer);
        Ok(())
    }
}

fn parse(changed: &VolunteerChanged, revision: i64) -> Result<Volunteer, EffectError> {
    let active = match changed.status() {
        VolunteerStatus::Active => true,
        VolunteerStatus::AccountMissing | VolunteerStatus::Closed => false,
        VolunteerStatus::Unspecified => return Err("a volunteer without status".into()),
    };
    Ok(Volunteer {
        volunteer_id: Uuid::try_parse(&changed.volunteer_id)?,
        organization_code: changed.organization_code.clone(),
        active,
        verified: changed.level >= 1,
        league_member: changed.league_member,
        revision,
    })
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
        let mut told = Told::default();
        for event in events {
            told.add(&event.payload, event.revision)?;
        }
        let ids: Vec<Uuid> =
            told.volunteers.iter().map(|volunteer| volunteer.volunteer_id).collect();
        let before: Before = db::lock(transaction, &ids).await?;
        let changed = newer(&before, told.volunteers);
        store(transaction, &before, &changed, &[]).await?;
        self.end_grants(transaction, &told.closed).await
    }

    async fn replace(
        &self,
        transaction: &mut PgConnection,
        page: &Page,
    ) -> Result<(), EffectError> {
        let mut told = Told::default();
        for record in &page.records {
            told.add(&record.payload, record.revision)?;
        }
        let there = told.volunteers;
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
        store(transaction, &before, &changed, &removed).await?;
        self.end_grants(transaction, &told.closed).await
    }

    fn committed(&self) {
        self.fold.notify_one();
    }
}

impl FromRegistration {
    async fn end_grants(
        &self,
        transaction: &mut PgConnection,
        closed: &[Uuid],
    ) -> Result<(), EffectError> {
        let now = self.clock.now();
        Ok(authority::end_of_closed(transaction, closed, &self.trail, now).await?)
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

#[cfg(test)]
mod tests {
    use prost::{Message as _, Name as _};
    use sqlx::PgPool;
    use time::macros::datetime;
    use zhiyuan_domain::{ManualClock, Partition};
    use zhiyuan_feed::Record;
    use zhiyuan_testkit::TestDatabase;

    use super::*;
    use crate::MIGRATOR;

    const KEPT: Uuid = Uuid::from_u128(0x0193_8a6e_7c00_7abc_8def_0000_0000_0000);
    const CLOSED: Uuid = Uuid::from_u128(0x0193_8a6e_7c00_7abc_8def_0000_0000_0040);

    /// A root, and a grant there for both; the one who stays administers nothing.
    async fn pool() -> (TestDatabase, PgPool) {
        let database = TestDatabase::create("orgtree", &MIGRATOR).await;
        let pool = database.pool().await;
        let file = "code,name,kind,parent_code,region_code\nA,省,PROVINCIAL,,\n";
        let clock: SharedClock = Arc::new(ManualClock::new(datetime!(2026-11-23 12:00 UTC)));
        let told = crate::organizations::Told {
            outbox: zhiyuan_feed::Outbox::unattended("orgtree"),
            trail: Trail::new("orgtree", clock),
        };
        let mut connection = pool.acquire().await.unwrap();
        crate::organizations::load(&mut connection, &told, file.as_bytes()).await.unwrap();
        drop(connection);
        for (account, role) in [(CLOSED, 1_i16), (CLOSED, 4), (KEPT, 3)] {
            sqlx::query(
                "INSERT INTO orgtree.authority_grant
                     (grant_id, account_id, organization_code, role, created_at)
                 VALUES (gen_random_uuid(), $1, 'A', $2, '2026-11-23 11:00Z')",
            )
            .bind(account)
            .bind(role)
            .execute(&pool)
            .await
            .unwrap();
        }
        (database, pool)
    }

    fn record(id: Uuid, status: VolunteerStatus) -> Record {
        let changed = VolunteerChanged {
            volunteer_id: id.to_string(),
            organization_code: "A".into(),
            status: status.into(),
            level: 1,
            ..VolunteerChanged::default()
        };
        let type_url = format!("type.googleapis.com/{}", VolunteerChanged::full_name());
        let payload = Any { type_url, value: changed.encode_to_vec() };
        Record { key: id.to_string(), revision: 2, payload }
    }

    async fn replace(pool: &PgPool, status: VolunteerStatus) {
        let clock: SharedClock = Arc::new(ManualClock::new(datetime!(2026-11-23 12:00 UTC)));
        let trail = Trail::new("orgtree", clock.clone());
        let projection = FromRegistration { clock, trail, fold: Arc::default() };
        let page = Page {
            partition: Partition::of(KEPT).get(),
            kind: VOLUNTEER,
            after: None,
            until: None,
            records: vec![record(KEPT, VolunteerStatus::Active), record(CLOSED, status)],
        };
        let mut transaction = pool.begin().await.unwrap();
        projection.replace(&mut transaction, &page).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn counting(pool: &PgPool) -> Vec<(Uuid, i16)> {
        let sql = "SELECT account_id, role FROM orgtree.authority_grant
                   WHERE revoked_at IS NULL ORDER BY role";
        sqlx::query_as(sql).fetch_all(pool).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_delegated_by_who_closed_the_account_ends_with_it() {
        let (_database, pool) = pool().await;
        sqlx::query(
            "INSERT INTO orgtree.authority_grant
                 (grant_id, account_id, organization_code, role, granted_by, created_at,
                  expires_at, delegated_from)
             SELECT gen_random_uuid(), $1, 'A', role, account_id, created_at,
                    created_at + interval '1 day', grant_id
             FROM orgtree.authority_grant WHERE account_id = $2 AND role = 1",
        )
        .bind(KEPT)
        .bind(CLOSED)
        .execute(&pool)
        .await
        .unwrap();
        assert_eq!(counting(&pool).await.len(), 4);
        replace(&pool, VolunteerStatus::Closed).await;
        assert_eq!(counting(&pool).await, [(KEPT, 3)]);
        let recorded: Vec<Option<Uuid>> = sqlx::query_scalar(
            "SELECT subject_account_id FROM orgtree.audit_pending
             WHERE action = 'orgtree.grant.revoked'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(recorded.iter().filter(|subject| **subject == Some(KEPT)).count(), 1);
        assert_eq!(recorded.len(), 3);
    }

    #[tokio::test]
    async fn the_grants_of_who_closed_the_account_end_and_nobody_elses() {
        let (_database, pool) = pool().await;
        assert_eq!(Partition::of(KEPT), Partition::of(CLOSED));
        for status in [VolunteerStatus::Active, VolunteerStatus::AccountMissing] {
            replace(&pool, status).await;
            assert_eq!(counting(&pool).await.len(), 3, "{status:?}");
        }
        // Told twice, it is done once.
        for _ in 0..2 {
            replace(&pool, VolunteerStatus::Closed).await;
            assert_eq!(counting(&pool).await, [(KEPT, 3)]);
        }
        let recorded: Vec<(String, String, Option<Uuid>, Vec<String>)> = sqlx::query_as(
            "SELECT actor_kind, actor, subject_account_id, detail_values
             FROM orgtree.audit_pending WHERE action = 'orgtree.grant.revoked'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(recorded.len(), 2);
        for (kind, actor, subject, details) in recorded {
            assert_eq!((kind.as_str(), actor.as_str()), ("SERVICE", "orgtree"));
            assert_eq!(subject, Some(CLOSED));
            assert_eq!(details.last().map(String::as_str), Some("closed"));
        }
    }
}
