//! The figures of organizations are what a recount finds, at every quiet point.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationStatisticsRequest, GetOrganizationStatisticsResponse, OrganizationFigures,
};
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged, VolunteerStatus};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, Partition, SystemClock};
use zhiyuan_feed::{FeedConfig, NewEvent, Outbox, Publisher};
use zhiyuan_rpc::wire::{from_timestamp, timestamp};
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_standalone::ACCOUNT;
use zhiyuan_testkit::person;

use crate::harness::client::ORGANIZATION;
use crate::harness::processes::binary;
use crate::harness::{Client, Own, Processes, Settings, Site, database};

const PATIENCE: Duration = Duration::from_secs(90);
const ROOT: &str = "AH";
const CITY: &str = "AH-340100";
const COUNTY: &str = "AH-340122";

/// Volunteers, verified ones, those who say to be members of the League; members on rosters,
/// and those of them who have registered.
pub(crate) type Figures = [i64; 5];

/// Own figures and those of the subtree, of organizations that have any.
pub(crate) type Counts = BTreeMap<String, (Figures, Figures)>;

/// What registration keeps, counted up the parents: nothing of it is read from what
/// orgtree counts, or from the ancestors by which it does.
pub(crate) async fn recount(main: &mut PgConnection) -> Counts {
    let parents: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT code, parent_code FROM orgtree.organization")
            .fetch_all(&mut *main)
            .await
            .unwrap();
    let parents: BTreeMap<String, Option<String>> = parents.into_iter().collect();
    let volunteers: Vec<(String, i16, bool)> = sqlx::query_as(
        "SELECT organization_code, level, league_member FROM registration.volunteer
         WHERE state = 'ACTIVE' AND NOT account_missing AND NOT closed",
    )
    .fetch_all(&mut *main)
    .await
    .unwrap();
    let members: Vec<(String, bool)> = sqlx::query_as(
        "SELECT m.organization_code, coalesce(v.state = 'ACTIVE' AND NOT v.account_missing
                                              AND NOT v.closed, false)
         FROM registration.roster_member m
         LEFT JOIN registration.volunteer v
             ON v.partition = m.partition AND v.volunteer_id = m.person_id
         WHERE m.organization_code IS NOT NULL",
    )
    .fetch_all(main)
    .await
    .unwrap();
    let volunteers = volunteers.into_iter().map(|(organization, level, league_member)| {
        (organization, [1, i64::from(level >= 1), i64::from(league_member), 0, 0])
    });
    let members = members
        .into_iter()
        .map(|(organization, registered)| (organization, [0, 0, 0, 1, i64::from(registered)]));
    let mut counts = Counts::new();
    for (organization, one) in volunteers.chain(members) {
        let add = |figures: &mut Figures| {
            figures.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        };
        add(&mut counts.entry(organization.clone()).or_default().0);
        let mut at = Some(organization);
        while let Some(code) = at {
            add(&mut counts.entry(code.clone()).or_default().1);
            at = parents.get(&code).cloned().flatten();
        }
    }
    counts
}

async fn kept(main: &mut PgConnection) -> Counts {
    let rows: Vec<(String, Vec<i64>, Vec<i64>)> = sqlx::query_as(
        "SELECT organization_code,
                ARRAY[own_volunteers, own_verified_volunteers, own_league_members,
                      own_members, own_registered_members],
                ARRAY[subtree_volunteers, subtree_verified_volunteers, subtree_league_members,
                      subtree_members, subtree_registered_members]
         FROM orgtree.organization_count",
    )
    .fetch_all(main)
    .await
    .unwrap();
    let figures = |row: Vec<i64>| Figures::try_from(row).unwrap();
    rows.into_iter()
        .map(|(code, own, subtree)| (code, (figures(own), figures(subtree))))
        .filter(|(_, counted)| *counted != Default::default())
        .collect()
}

/// Waits for a quiet point, and compares every figure of every organization.
pub(crate) async fn assert_recounted(site: &Site) -> Counts {
    let mut main = site.main_database().await;
    database::until_quiet(&mut main).await;
    let (kept, recounted) = (kept(&mut main).await, recount(&mut main).await);
    assert_eq!(kept, recounted);
    kept
}

/// The figures as the service account of the demonstration asks for them.
fn statistics(site: &Site) -> StatisticsServiceClient<SuiteChannel> {
    let key = fs::read_to_string(site.files.key()).unwrap();
    let key = SigningKey::from_base64(&key).unwrap();
    let signer = AssertionSigner::new(ACCOUNT, key, Arc::new(SystemClock));
    let gateway = connect_lazy(&format!("http://{}", site.addresses.gateway)).unwrap();
    StatisticsServiceClient::new(SuiteChannel::new(gateway, "orgtree", Arc::new(signer)))
}

pub(crate) async fn ask(
    site: &Site,
    code: &str,
    cut: Option<OffsetDateTime>,
) -> Result<GetOrganizationStatisticsResponse, tonic::Status> {
    let request = GetOrganizationStatisticsRequest {
        organization_code: code.to_owned(),
        cut_time: cut.map(timestamp),
    };
    Ok(statistics(site).get_organization_statistics(request).await?.into_inner())
}

pub(crate) fn figures(told: Option<OrganizationFigures>) -> Figures {
    let told = told.unwrap();
    [
        told.volunteers,
        told.verified_volunteers,
        told.league_members,
        told.members,
        told.registered_members,
    ]
}

/// Changes volunteers as registration does: the row and its event in one transaction.
#[derive(Clone)]
struct Changer {
    pool: PgPool,
    outbox: Outbox,
    organizations: Arc<Vec<String>>,
}

impl Changer {
    async fn new(site: &Site) -> Self {
        let pool = PgPool::connect(site.main_url()).await.unwrap();
        let config = FeedConfig::default();
        let outbox =
            Publisher::new("registration", pool.clone(), Arc::new(SystemClock), config).outbox();
        let organizations = sqlx::query_scalar(
            "SELECT code FROM orgtree.organization
             WHERE code LIKE 'AH-3401%' OR parent_code = 'AH' OR code = 'AH' ORDER BY code",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        Self { pool, outbox, organizations: Arc::new(organizations) }
    }

    /// Registers a volunteer, or moves and changes one who is there.
    async fn change(&self, number: usize, dice: usize) {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number as u128);
        let partition = Partition::of(id);
        let organization = &self.organizations[dice % self.organizations.len()];
        let (league_member, missing) = (dice.is_multiple_of(3), dice.is_multiple_of(7));
        let (level, volunteer_number) = ((dice % 4) as i16, format!("34{number:013}"));
        let mut transaction = self.pool.begin().await.unwrap();
        let revision: i64 = sqlx::query_scalar(
            "INSERT INTO registration.volunteer AS v
                 (partition, volunteer_id, volunteer_number, region_code, organization_code,
                  league_member, level, account_missing, state, registered_at, revision)
             VALUES ($1, $2, $3, '340122', $4, $5, $6, $7, 'ACTIVE', now(), 1)
             ON CONFLICT (partition, volunteer_id) DO UPDATE
             SET organization_code = $4, league_member = $5, level = $6, account_missing = $7,
                 revision = v.revision + 1
             RETURNING revision",
        )
        .bind(partition.get())
        .bind(id)
        .bind(&volunteer_number)
        .bind(organization)
        .bind(league_member)
        .bind(level)
        .bind(missing)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        let status =
            if missing { VolunteerStatus::AccountMissing } else { VolunteerStatus::Active };
        let state = VolunteerChanged {
            volunteer_id: id.to_string(),
            volunteer_number,
            region_code: "340122".into(),
            organization_code: organization.clone(),
            league_member,
            status: status.into(),
            level: level.into(),
            register_time: None,
        };
        let mut events = vec![NewEvent::new(partition, id.to_string(), revision, &state)];
        if dice.is_multiple_of(2) {
            events.push(self.put_on_roster(&mut transaction, id, dice).await);
        }
        self.outbox.append(&mut transaction, &events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Puts somebody on the roster of an organization, or takes the person off.
    async fn put_on_roster(
        &self,
        transaction: &mut PgConnection,
        id: Uuid,
        dice: usize,
    ) -> NewEvent {
        let organization = &self.organizations[dice / 7 % self.organizations.len()];
        let organization = (!dice.is_multiple_of(5)).then_some(organization);
        let revision: i64 = sqlx::query_scalar(
            "INSERT INTO registration.roster_member AS m
                 (partition, person_id, organization_code, since, ends_in, revision)
             VALUES ($1, $2, $3, CASE WHEN $3 IS NOT NULL THEN now() END,
                     CASE WHEN $3 IS NOT NULL THEN '2030-01' END, 1)
             ON CONFLICT (partition, person_id) DO UPDATE
             SET organization_code = excluded.organization_code, since = excluded.since,
                 ends_in = excluded.ends_in, revision = m.revision + 1
             RETURNING revision",
        )
        .bind(Partition::of(id).get())
        .bind(id)
        .bind(organization)
        .fetch_one(transaction)
        .await
        .unwrap();
        let state = RosterMemberChanged {
            person_id: id.to_string(),
            organization_code: organization.cloned().unwrap_or_default(),
        };
        NewEvent::new(Partition::of(id), id.to_string(), revision, &state)
    }

    /// Changes of a few hundred volunteers, by four at once.
    async fn rush(&self, round: usize) {
        let writers = (0..4).map(|writer| async move {
            for n in 0..60 {
                let mixed = (round * 977 + writer * 131 + n) * 2_654_435_761 % 1_000_003;
                self.change(mixed % 150, mixed).await;
            }
        });
        futures_util::future::join_all(writers).await;
    }
}

/// Hangs the county under another organization, as a new file of the tree does.
async fn hang(site: &Site, parent: &str) {
    let file = site.folder.join(format!("{COUNTY}-{parent}.csv"));
    let head = "code,name,kind,parent_code,region_code";
    let text = format!("{head}\n{COUNTY},共青团肥东县委员会,COUNTY,{parent},340122\n");
    fs::write(&file, text).unwrap();
    let mut migrate = Command::new(binary("orgtree"));
    migrate.arg("migrate").arg("--config").arg(site.files.of("orgtree"));
    migrate.env("ZHIYUAN_ORGTREE__SEED_ORGANIZATIONS", &file);
    let done = tokio::task::spawn_blocking(move || migrate.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_is_counted_at_every_level_above() {
    let suite = Own::start("counts").await;
    let client = Client::of(&suite.site);
    for number in 0..6 {
        let form = client.apply(client.door(number), &person(64_000 + number as u32)).await;
        client.register_to_the_end(client.door(number), &form).await.unwrap();
    }
    let counts = assert_recounted(&suite.site).await;
    let after = SystemClock.now();
    for code in [ROOT, CITY, "AH-340104", ORGANIZATION] {
        assert_eq!(counts[code].1[..2], [6, 6], "{code}");
        // `as_of` comes up to now within seconds.
        let until = Instant::now() + PATIENCE;
        let told = loop {
            let told = ask(&suite.site, code, None).await.unwrap();
            if from_timestamp(told.as_of.as_ref().unwrap()).unwrap() >= after {
                break told;
            }
            assert!(Instant::now() < until, "{told:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!((figures(told.own), figures(told.subtree)), counts[code], "{code}");
    }
    let beside = ask(&suite.site, "AH-340200", None).await.unwrap();
    assert_eq!(figures(beside.subtree), [0; 5]);
    for (code, cut, expected) in [
        ("AH-000000", None, Code::NotFound),
        ("?", None, Code::InvalidArgument),
        (ROOT, Some(after), Code::NotFound),
    ] {
        let refused = ask(&suite.site, code, cut).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{code}: {refused:?}");
    }
    suite.stop().await;
}

/// Transfers, marks and levels in any order, while orgtree is killed, while the tree
/// changes under it, and while everything is read again from snapshots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_is_what_a_recount_finds_whatever_goes_on() {
    let mut suite = Processes::start("counts-recount", Settings::default()).await;
    let site = suite.site.clone();
    // The services have read each other's snapshots: what is changed from here on is told by
    // events.
    database::until_quiet(&mut site.main_database().await).await;
    let changer = Changer::new(&site).await;
    let mut moved = Vec::new();
    for round in 0..5 {
        let rushing = changer.rush(round);
        let disturbing = async {
            match round {
                1 => hang(&site, ROOT).await,
                2 => {
                    suite.kill("orgtree");
                    suite.start_again("orgtree").await;
                }
                3 => {
                    let again = "UPDATE orgtree.feed_cursor SET rebuild_type = '';
                                 UPDATE orgtree.feed_slot SET holder = NULL";
                    let mut main = site.main_database().await;
                    sqlx::raw_sql(again).execute(&mut main).await.unwrap();
                }
                4 => hang(&site, CITY).await,
                _ => {}
            }
        };
        tokio::join!(rushing, disturbing);
        let counts = assert_recounted(&site).await;
        moved.push(counts[CITY].1);
        assert!(counts[ROOT].1[0] > 50, "{round}: {:?}", counts[ROOT]);
    }
    assert_ne!(moved[0], moved[1], "the county has left the city");
    verified(&site, 0).await;
    // And the operator's own recount tells what is wrong.
    let spoil = format!(
        "UPDATE orgtree.organization_count SET subtree_volunteers = subtree_volunteers + 1
         WHERE organization_code = '{CITY}'"
    );
    let mut main = site.main_database().await;
    sqlx::query(AssertSqlSafe(spoil)).execute(&mut main).await.unwrap();
    let told = verified(&site, 1).await;
    assert!(told.contains(CITY) && told.contains("subtree_volunteers"), "{told}");
    suite.stop().await;
}

/// `zhiyuan-orgtree verify`, which ends as expected.
async fn verified(site: &Site, code: i32) -> String {
    let mut verify = Command::new(binary("orgtree"));
    verify.arg("verify").arg("--config").arg(site.files.of("orgtree"));
    let done = tokio::task::spawn_blocking(move || verify.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{told}");
    told.into_owned()
}

/// Figures as of a cut are those of its time, while people come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_as_of_a_cut_stay_what_they_were() {
    let suite = Processes::start("counts-cut", Settings::default()).await;
    let site = suite.site.clone();
    let changer = Changer::new(&site).await;
    changer.rush(0).await;
    assert_recounted(&site).await;
    let mut main = site.main_database().await;
    // What was read from snapshots at the start could be stamped later than now.
    sqlx::query("UPDATE orgtree.feed_cursor SET stamped_to = NULL")
        .execute(&mut main)
        .await
        .unwrap();
    // On demand: as the day's cut is planned, a moment ahead, and before it.
    sqlx::query("DELETE FROM orgtree.feed_cut").execute(&mut main).await.unwrap();
    let at = SystemClock.now() + Duration::from_secs(1);
    let at = at.replace_nanosecond(0).unwrap();
    sqlx::query("INSERT INTO orgtree.feed_cut (at) VALUES ($1)")
        .bind(at)
        .execute(&mut main)
        .await
        .unwrap();
    let taken = async {
        let until = Instant::now() + PATIENCE;
        loop {
            match ask(&site, ROOT, Some(at)).await {
                Ok(told) => break told,
                Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
            }
            assert!(Instant::now() < until, "the cut is never taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (_, first) = tokio::join!(changer.rush(1), taken);
    changer.rush(2).await;
    assert_recounted(&site).await;
    // What had been sequenced by then, from the feed itself: the last state of each.
    let events: Vec<(Uuid, String, Vec<u8>)> = sqlx::query_as(
        "SELECT DISTINCT ON (key, type) key::uuid, type, payload FROM registration.event
         WHERE sequenced_at <= $1 ORDER BY key, type, revision DESC",
    )
    .bind(at)
    .fetch_all(&mut main)
    .await
    .unwrap();
    let (mut active, mut members, mut expected) = (BTreeSet::new(), BTreeSet::new(), [0; 5]);
    for (id, kind, payload) in events {
        if kind.ends_with("RosterMemberChanged") {
            let state: RosterMemberChanged = prost::Message::decode(&*payload).unwrap();
            if !state.organization_code.is_empty() {
                members.insert(id);
            }
            continue;
        }
        let state: VolunteerChanged = prost::Message::decode(&*payload).unwrap();
        if state.status() == VolunteerStatus::Active {
            active.insert(id);
            let one = [1, i64::from(state.level >= 1), i64::from(state.league_member)];
            expected.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        }
    }
    expected[3] = i64::try_from(members.len()).unwrap();
    expected[4] = i64::try_from(members.intersection(&active).count()).unwrap();
    let last = ask(&site, ROOT, Some(at)).await.unwrap();
    assert_eq!((figures(first.subtree), figures(last.subtree)), (expected, expected));
    assert_eq!(from_timestamp(last.as_of.as_ref().unwrap()), Some(at));
    let now = ask(&site, ROOT, None).await.unwrap();
    assert_ne!(figures(now.subtree), expected, "nobody came after the cut");
    suite.stop().await;
}
