//! A generated province, from its file and what is told of its people to its figures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use prost::{Message, Name};
use prost_types::Any;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use time::macros::datetime;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged, VolunteerStatus};
use zhiyuan_domain::{ManualClock, Partition, SharedClock};
use zhiyuan_feed::{Outbox, Page, Projection as _, Record};
use zhiyuan_testkit::country::{HEADER, Inhabitant, Totals};
use zhiyuan_testkit::{Country, TestDatabase};

use super::{Figures, FromRegistration, db, job};
use crate::{MIGRATOR, organizations};

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

fn volunteer(who: &Inhabitant, code: &str) -> Any {
    any(&VolunteerChanged {
        volunteer_id: who.id.to_string(),
        organization_code: code.to_owned(),
        league_member: who.league_member,
        status: VolunteerStatus::Active.into(),
        level: who.verified.into(),
        ..VolunteerChanged::default()
    })
}

fn member(who: &Inhabitant, code: &str) -> Any {
    any(&RosterMemberChanged { person_id: who.id.to_string(), organization_code: code.to_owned() })
}

fn figures(totals: &Totals) -> Figures {
    Figures {
        volunteers: totals.volunteers,
        verified_volunteers: totals.verified_volunteers,
        league_members: totals.league_members,
        members: totals.members,
        registered_members: totals.registered_members,
        ..Figures::default()
    }
}

#[tokio::test]
async fn the_figures_of_a_province_are_the_sums_of_its_people() {
    let database = TestDatabase::create("orgtree", &MIGRATOR).await;
    let pool = database.pool().await;
    let country = Country { organizations: 400, people: 4_000, ..Country::of_seed(3) };
    let all: Vec<_> = country.organizations().collect();
    let mut file = format!("{HEADER}\n");
    all.iter().for_each(|one| writeln!(file, "{}", one.line()).unwrap());
    let clock: SharedClock = Arc::new(ManualClock::new(datetime!(2026-11-30 12:00 UTC)));
    let trail = Trail::new("orgtree", clock.clone());
    let told = organizations::Told { outbox: Outbox::unattended("orgtree"), trail: trail.clone() };
    let mut connection = pool.acquire().await.unwrap();
    let loaded = organizations::load(&mut connection, &told, file.as_bytes(), false).await.unwrap();
    assert_eq!(loaded.new.len(), 400);
    drop(connection);

    // By partition, first the volunteers and then the members.
    let mut records: BTreeMap<(i16, bool), Vec<Record>> = BTreeMap::new();
    for (one, who) in all.iter().flat_map(|one| one.people().map(move |who| (one, who))) {
        let partition = Partition::of(who.id).get();
        let parts = [
            (false, who.registered, volunteer(&who, &one.code)),
            (true, who.member, member(&who, &one.code)),
        ];
        for (of_roster, _, payload) in parts.into_iter().filter(|(_, told, _)| *told) {
            let record = Record { key: who.id.to_string(), revision: 1, payload };
            records.entry((partition, of_roster)).or_default().push(record);
        }
    }
    let projection = FromRegistration { clock, trail, fold: Arc::default() };
    let [volunteers, members] = projection.snapshots() else { panic!("two kinds of people") };
    for ((partition, of_roster), mut records) in records {
        records.sort_by(|a, b| a.key.cmp(&b.key));
        let kind = if of_roster { *members } else { *volunteers };
        let page = Page { partition, kind, after: None, until: None, records };
        let mut transaction = pool.begin().await.unwrap();
        projection.replace(&mut transaction, &page).await.unwrap();
        transaction.commit().await.unwrap();
    }
    job::fold_all(&pool).await.unwrap();

    // From the leaves up: what is below comes after.
    let mut below: BTreeMap<&str, Totals> = BTreeMap::new();
    for one in all.iter().rev() {
        let own = one.totals();
        let mut subtree = below.remove(&*one.code).unwrap_or_default();
        subtree += own;
        let counted = db::get(&pool, &one.code).await.unwrap().0;
        assert_eq!(counted.own, figures(&own), "{one:?}");
        assert_eq!(counted.subtree, figures(&subtree), "{one:?}");
        if let Some(above) = &one.parent_code {
            *below.entry(&**above).or_default() += subtree;
        }
    }
    assert_eq!(db::verify(&pool).await.unwrap(), []);
}

#[tokio::test]
async fn a_recount_may_take_longer_than_a_statement_that_serves_people() {
    let database = TestDatabase::create("orgtree", &MIGRATOR).await;
    let impatient = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(
            PgConnectOptions::from_str(&database.runtime_url())
                .unwrap()
                .options([("statement_timeout", "50ms")]),
        )
        .await
        .unwrap();
    // Nobody reads the people for a while.
    let mut other = PgConnection::connect(&database.owner_url()).await.unwrap();
    let mut holding = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE orgtree.volunteer").execute(&mut *holding).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        holding.rollback().await.unwrap();
    };
    let (differences, ()) = tokio::join!(db::verify(&impatient), release);
    assert_eq!(differences.unwrap(), []);
    // And it is so for that statement alone.
    let slow = sqlx::query("SELECT pg_sleep(1)").execute(&impatient).await.unwrap_err();
    assert_eq!(slow.as_database_error().unwrap().code().unwrap(), "57014");
}
