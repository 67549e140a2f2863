//! People: told of as registration does, or copied as the rows that come of it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged, VolunteerStatus};
use zhiyuan_domain::Partition;
use zhiyuan_feed::{NewEvent, Outbox};
use zhiyuan_testkit::Country;
use zhiyuan_testkit::country::{Inhabitant, Totals};

use super::Told;
use crate::stage::Stage;

/// Events of one transaction.
const BATCH: usize = 5_000;
/// Bytes that are sent at once.
const PIECE: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(50);

/// What was read of the feed, and what there is.
const BEHIND: &str = "
SELECT EXISTS (SELECT FROM registration.feed_head h
               LEFT JOIN orgtree.feed_cursor c
                 ON c.feed = 'registration' AND c.partition = h.partition
               WHERE c.position IS DISTINCT FROM h.position)";

/// Tells of the first people while orgtree is not there, and waits until it has caught up.
pub(super) async fn tell(
    stage: &mut Stage,
    admin: &mut PgConnection,
    country: &Country,
    told: u64,
) -> anyhow::Result<Told> {
    if told == 0 {
        return Ok(Told { events: 0, sequenced: Duration::ZERO, applied: Duration::ZERO });
    }
    stage.stop_part("orgtree");
    let began = Instant::now();
    let outbox = Outbox::unattended("registration");
    let mut events = Vec::new();
    let mut count = 0;
    for one in country.organizations() {
        for who in one.people().take_while(|who| who.number < told) {
            events.extend(events_of(&who, &one.code));
        }
        if events.len() >= BATCH {
            count += events.len();
            append(&outbox, admin, &events).await?;
            events.clear();
        }
        if one.people_numbers().end >= told {
            break;
        }
    }
    count += events.len();
    append(&outbox, admin, &events).await?;
    while_true(admin, "SELECT EXISTS (SELECT FROM registration.outbox)").await?;
    let sequenced = began.elapsed();
    let began = Instant::now();
    stage.start_part("orgtree").await?;
    while_true(admin, BEHIND).await?;
    Ok(Told { events: count, sequenced, applied: began.elapsed() })
}

async fn append(
    outbox: &Outbox,
    admin: &mut PgConnection,
    events: &[NewEvent],
) -> anyhow::Result<()> {
    let mut transaction = admin.begin().await?;
    for batch in events.chunks(BATCH) {
        outbox.append(&mut transaction, batch).await?;
    }
    Ok(transaction.commit().await?)
}

fn events_of(who: &Inhabitant, code: &str) -> impl Iterator<Item = NewEvent> + use<> {
    let (key, partition) = (who.id.to_string(), Partition::of(who.id));
    let volunteer = who.registered.then(|| {
        let state = VolunteerChanged {
            volunteer_id: key.clone(),
            organization_code: code.to_owned(),
            league_member: who.league_member,
            status: VolunteerStatus::Active.into(),
            level: who.verified.into(),
            ..VolunteerChanged::default()
        };
        NewEvent::new(partition, key.clone(), 1, &state)
    });
    let member = who.member.then(|| {
        let state =
            RosterMemberChanged { person_id: key.clone(), organization_code: code.to_owned() };
        NewEvent::new(partition, key.clone(), 1, &state)
    });
    member.into_iter().chain(volunteer)
}

async fn while_true(admin: &mut PgConnection, sql: &'static str) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *admin).await? {
        anyhow::ensure!(Instant::now() < until, "it takes too long until not: {sql}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The rows of the people who are not told of.
pub(super) async fn copy(
    admin: &mut PgConnection,
    country: &Country,
    told: u64,
) -> anyhow::Result<Duration> {
    sqlx::raw_sql("DROP INDEX IF EXISTS orgtree.benchmark_organization")
        .execute(&mut *admin)
        .await?;
    let began = Instant::now();
    let mut copying = admin
        .copy_in_raw(
            "COPY orgtree.volunteer (partition, volunteer_id, organization_code, active, verified,
                 league_member, revision, roster_organization_code, roster_revision) FROM STDIN",
        )
        .await?;
    let mut text = String::with_capacity(PIECE + 256);
    for one in country.organizations() {
        for who in one.people().skip_while(|who| who.number < told) {
            let partition = Partition::of(who.id).get();
            let chosen = if who.registered { &*one.code } else { "" };
            let roster = if who.member { &*one.code } else { "\\N" };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{partition}\t{}\t{chosen}\t{}\t{}\t{}\t{}\t{roster}\t{}",
                who.id,
                who.registered,
                who.verified,
                who.league_member,
                u8::from(who.registered),
                u8::from(who.member),
            );
            if text.len() >= PIECE {
                copying.send(text.as_bytes()).await?;
                text.clear();
            }
        }
    }
    copying.send(text.as_bytes()).await?;
    copying.finish().await?;
    Ok(began.elapsed())
}

/// What those rows make of the figures: a difference of each organization.
pub(super) async fn append_differences(
    admin: &mut PgConnection,
    country: &Country,
    told: u64,
) -> anyhow::Result<()> {
    let mut copying = admin
        .copy_in_raw(
            "COPY orgtree.count_delta (organization_code, after_cut, volunteers,
                 verified_volunteers, league_members, members, registered_members) FROM STDIN",
        )
        .await?;
    let mut text = String::with_capacity(PIECE + 256);
    for one in country.organizations() {
        let mut sum = Totals::default();
        one.people().skip_while(|who| who.number < told).for_each(|who| sum += who.totals());
        if sum == Totals::default() {
            continue;
        }
        let _ = writeln!(
            text,
            "{}\t0\t{}\t{}\t{}\t{}\t{}",
            one.code,
            sum.volunteers,
            sum.verified_volunteers,
            sum.league_members,
            sum.members,
            sum.registered_members,
        );
        if text.len() >= PIECE {
            copying.send(text.as_bytes()).await?;
            text.clear();
        }
    }
    copying.send(text.as_bytes()).await?;
    copying.finish().await?;
    Ok(())
}

/// The services have no use for it; without, a count of a county would read all.
pub(super) async fn index(admin: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql("CREATE INDEX benchmark_organization ON orgtree.volunteer (organization_code)")
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql("VACUUM ANALYZE orgtree.volunteer").execute(&mut *admin).await?;
    sqlx::raw_sql("ANALYZE orgtree.organization, orgtree.organization_count")
        .execute(admin)
        .await?;
    Ok(())
}
