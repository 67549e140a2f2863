//! What registration tells of volunteers, and of members on rosters.

use std::sync::Arc;

use prost_types::Any;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged, VolunteerStatus};
use zhiyuan_domain::SharedClock;
use zhiyuan_feed::reader::{EffectError, decode};
use zhiyuan_feed::{Event, Page, Projection};

use super::{Before, Chosen, Part, Roster, Volunteer, db, differences, newer, statements};
use crate::authority;

const VOLUNTEER: &str = "zhiyuan.registration.v1.VolunteerChanged";
const MEMBER: &str = "zhiyuan.registration.v1.RosterMemberChanged";

/// Keeps the rows of volunteers and members, notes what that changes in the figures, and ends
/// the grants of those who closed their accounts.
#[derive(Debug)]
pub(crate) struct FromRegistration {
    pub(crate) clock: SharedClock,
    pub(crate) trail: Trail,
    /// Rung when there is something to fold.
    pub(crate) fold: Arc<Notify>,
}

/// What is told of some people.
#[derive(Debug, Default)]
struct Told {
    parts: Vec<(Uuid, Part)>,
    /// Whose accounts are closed.
    closed: Vec<Uuid>,
}

impl Told {
    fn add(&mut self, payload: &Any, revision: i64) -> Result<(), EffectError> {
        if let Some(changed) = decode::<VolunteerChanged>(payload)? {
            let id = Uuid::try_parse(&changed.volunteer_id)?;
            if changed.status() == VolunteerStatus::Closed {
                self.closed.push(id);
            }
            self.parts.push((id, Part::Chosen(chosen(&changed, revision)?)));
        } else if let Some(changed) = decode::<RosterMemberChanged>(payload)? {
            let id = Uuid::try_parse(&changed.person_id)?;
            let code = changed.organization_code;
            let organization_code = (!code.is_empty()).then_some(code);
            self.parts.push((id, Part::Roster(Roster { organization_code, revision })));
        }
        Ok(())
    }
}

fn chosen(changed: &VolunteerChanged, revision: i64) -> Result<Chosen, EffectError> {
    let active = match changed.status() {
        VolunteerStatus::Active => true,
        VolunteerStatus::AccountMissing | VolunteerStatus::Closed => false,
        VolunteerStatus::Unspecified => return Err("a volunteer without status".into()),
    };
    Ok(Chosen {
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
        &[VOLUNTEER, MEMBER]
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
        let ids: Vec<Uuid> = told.parts.iter().map(|(id, _part)| *id).collect();
        statements::keep(transaction, &told.parts).await?;
        let before: Before = db::lock(transaction, &ids).await?;
        let changed = newer(&before, told.parts);
        self.store(transaction, &before, &changed).await?;
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
        let end = |key: &Option<String>| key.as_deref().map(Uuid::try_parse).transpose();
        let (after, until) = (end(&page.after)?, end(&page.until)?);
        let (after, until) = (after.unwrap_or(Uuid::nil()), until.unwrap_or(Uuid::max()));
        statements::keep(transaction, &told.parts).await?;
        let before = db::lock_range(transaction, page.partition, after, until).await?;
        let changed = replaced(&before, page.kind, told.parts);
        self.store(transaction, &before, &changed).await?;
        self.end_grants(transaction, &told.closed).await
    }

    fn committed(&self) {
        self.fold.notify_one();
    }
}

/// The rows that are other than a snapshot says: its part of each is what is told, or nothing.
fn replaced(before: &Before, kind: &str, told: Vec<(Uuid, Part)>) -> Vec<Volunteer> {
    let mut rows = before.clone();
    for row in rows.values_mut() {
        match kind {
            MEMBER => row.roster = Roster::default(),
            _ => row.chosen = Chosen::default(),
        }
    }
    for (id, part) in told {
        let row = rows.entry(id).or_insert_with(|| Volunteer::unknown(id));
        match part {
            Part::Chosen(chosen) => row.chosen = chosen,
            Part::Roster(roster) => row.roster = roster,
        }
    }
    rows.into_values().filter(|row| before.get(&row.volunteer_id) != Some(row)).collect()
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

    async fn store(
        &self,
        transaction: &mut PgConnection,
        before: &Before,
        changed: &[Volunteer],
    ) -> Result<(), EffectError> {
        let (gone, there): (Vec<&Volunteer>, Vec<&Volunteer>) =
            changed.iter().partition(|row| row.is_unknown());
        let gone: Vec<Uuid> = gone.iter().map(|row| row.volunteer_id).collect();
        db::upsert(transaction, &there).await?;
        db::delete(transaction, &gone).await?;
        let mut differences = differences(before, changed);
        statements::follow(transaction, &mut differences, self.clock.now()).await?;
        Ok(db::append_deltas(transaction, &differences).await?)
    }
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
        crate::organizations::load(&mut connection, &told, file.as_bytes(), false).await.unwrap();
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

    fn member(id: Uuid, organization: &str, revision: i64) -> Record {
        let changed = RosterMemberChanged {
            person_id: id.to_string(),
            organization_code: organization.to_owned(),
        };
        let type_url = format!("type.googleapis.com/{}", RosterMemberChanged::full_name());
        let payload = Any { type_url, value: changed.encode_to_vec() };
        Record { key: id.to_string(), revision, payload }
    }

    async fn replace_by(pool: &PgPool, kind: &'static str, records: Vec<Record>) {
        let clock: SharedClock = Arc::new(ManualClock::new(datetime!(2026-11-23 12:00 UTC)));
        let trail = Trail::new("orgtree", clock.clone());
        let projection = FromRegistration { clock, trail, fold: Arc::default() };
        let partition = Partition::of(KEPT).get();
        let page = Page { partition, kind, after: None, until: None, records };
        let mut transaction = pool.begin().await.unwrap();
        projection.replace(&mut transaction, &page).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Volunteers, members, registered members at the root, after a recount.
    async fn figures(pool: &PgPool) -> [i64; 3] {
        crate::counts::job::fold_all(pool).await.unwrap();
        assert_eq!(db::verify(pool).await.unwrap(), []);
        let own = db::get(pool, "A").await.unwrap().0.own;
        [own.volunteers, own.members, own.registered_members]
    }

    #[tokio::test]
    async fn a_snapshot_of_one_part_leaves_the_other_as_it_is() {
        let (_database, pool) = pool().await;
        let active = || vec![record(KEPT, VolunteerStatus::Active)];
        replace_by(&pool, VOLUNTEER, active()).await;
        replace_by(&pool, MEMBER, vec![member(KEPT, "A", 1), member(CLOSED, "A", 4)]).await;
        assert_eq!(figures(&pool).await, [1, 2, 1]);
        // Nobody has registered after all.
        replace_by(&pool, VOLUNTEER, Vec::new()).await;
        assert_eq!(figures(&pool).await, [0, 2, 0]);
        replace_by(&pool, VOLUNTEER, active()).await;
        replace_by(&pool, MEMBER, vec![member(CLOSED, "", 5)]).await;
        assert_eq!(figures(&pool).await, [1, 0, 0]);
        // Nothing is told of them any more, so nothing is kept.
        replace_by(&pool, VOLUNTEER, Vec::new()).await;
        replace_by(&pool, MEMBER, Vec::new()).await;
        assert_eq!(figures(&pool).await, [0, 0, 0]);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM orgtree.volunteer")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(rows, 0);
    }

    /// Stated members, and who counts with them, at the root, after a recount.
    async fn stated(pool: &PgPool) -> [i64; 2] {
        figures(pool).await;
        let own = db::get(pool, "A").await.unwrap().0.own;
        [own.stated_members, own.stated_registered]
    }

    #[tokio::test]
    async fn what_is_stated_counts_with_who_says_to_be_a_member_until_there_is_a_roster() {
        let (_database, pool) = pool().await;
        let league_member = |id: Uuid, league_member: bool, revision| {
            let changed = VolunteerChanged {
                volunteer_id: id.to_string(),
                organization_code: "A".into(),
                status: VolunteerStatus::Active.into(),
                league_member,
                ..VolunteerChanged::default()
            };
            let type_url = format!("type.googleapis.com/{}", VolunteerChanged::full_name());
            let payload = Any { type_url, value: changed.encode_to_vec() };
            Record { key: id.to_string(), revision, payload }
        };
        for statement in [
            "INSERT INTO orgtree.member_statement
                 (statement_id, organization_code, members, source, stated_on, stated_by, created_at)
             VALUES (gen_random_uuid(), 'A', 40, '自报', '2026-11-01', gen_random_uuid(), now())",
            "INSERT INTO orgtree.count_delta
                 (organization_code, after_cut, volunteers, verified_volunteers, league_members,
                  stated_members)
             VALUES ('A', 0, 0, 0, 0, 40)",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        assert_eq!(stated(&pool).await, [40, 0]);
        let both =
            |first: bool| vec![league_member(KEPT, first, 1), league_member(CLOSED, true, 1)];
        replace_by(&pool, VOLUNTEER, both(true)).await;
        assert_eq!(stated(&pool).await, [40, 2]);
        replace_by(&pool, VOLUNTEER, both(false)).await;
        assert_eq!(stated(&pool).await, [40, 1]);
        // Somebody is on the roster: it counts from here.
        replace_by(&pool, MEMBER, vec![member(KEPT, "A", 1)]).await;
        assert_eq!(stated(&pool).await, [0, 0]);
        assert_eq!(figures(&pool).await, [2, 1, 1]);
        replace_by(&pool, VOLUNTEER, both(true)).await;
        assert_eq!(stated(&pool).await, [0, 0]);
    }
}
