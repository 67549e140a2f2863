//! What happens is told: to an internal platform through the gateway, and from service
//! to service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;
use tonic::Code;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::feed::v1::{Cursor, Event, PullRequest, SnapshotRequest};
use zhiyuan_contracts::orgtree::v1::{OrganizationChanged, OrganizationState};
use zhiyuan_contracts::registration::v1::{RegistrationState, VolunteerChanged, VolunteerStatus};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;
use zhiyuan_feed::reader::decode;
use zhiyuan_feed::{Error, PARTITIONS, Source};
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_standalone::ACCOUNT;
use zhiyuan_testkit::person;

use crate::harness::client::{ORGANIZATION, REGION};
use crate::harness::{Client, Own, Processes, Settings, Site};

const KIND: &str = "zhiyuan.registration.v1.VolunteerChanged";
const PATIENCE: Duration = Duration::from_secs(60);

/// The feed of a service, through the gateway, with a key.
fn source_as(site: &Site, service: &str, account: &str, key: &str) -> Source {
    let key = SigningKey::from_base64(key).unwrap();
    let signer = AssertionSigner::new(account, key, Arc::new(SystemClock));
    let gateway = connect_lazy(&format!("http://{}", site.addresses.gateway)).unwrap();
    let channel = SuiteChannel::new(gateway, service, Arc::new(signer));
    Source::new(channel, &format!("zhiyuan.{service}.v1.FeedService"))
}

/// As the internal platform of the demonstration.
fn source_of(site: &Site, service: &str) -> Source {
    source_as(site, service, ACCOUNT, &fs::read_to_string(site.files.key()).unwrap())
}

fn source(site: &Site) -> Source {
    source_of(site, "registration")
}

/// All keys of a kind with their revisions, as the snapshots tell.
async fn snapshot(source: &Source, kind: &str) -> BTreeSet<(String, i64)> {
    let mut all = BTreeSet::new();
    for partition in 0..PARTITIONS {
        let request = SnapshotRequest {
            partition: partition.into(),
            r#type: kind.to_owned(),
            page_size: 500,
            ..Default::default()
        };
        let page = source.snapshot(request).await.unwrap();
        assert!(page.next_page_token.is_empty());
        all.extend(page.records.into_iter().map(|record| (record.key, record.revision)));
    }
    all
}

fn revisions(events: &[Event]) -> BTreeSet<(String, i64)> {
    events.iter().map(|event| (event.key.clone(), event.revision)).collect()
}

fn everything() -> PullRequest {
    let cursor = |partition| Cursor { partition: i32::from(partition), ..Default::default() };
    PullRequest { cursors: (0..PARTITIONS).map(cursor).collect() }
}

/// Follows until an event of each key has come, and a heartbeat after it.
async fn follow(source: &Source, keys: &BTreeSet<String>) -> Vec<Event> {
    let mut stream = source.pull(everything()).await.unwrap();
    let mut events: Vec<Event> = Vec::new();
    let following = async {
        loop {
            let message = stream.message().await.unwrap().unwrap();
            events.extend(message.events);
            let told: BTreeSet<&String> = events.iter().map(|event| &event.key).collect();
            if message.heartbeat.is_some() && keys.iter().all(|key| told.contains(key)) {
                break;
            }
        }
    };
    timeout(PATIENCE, following).await.unwrap();
    events
}

fn state(event: &Event) -> VolunteerChanged {
    decode(event.payload.as_ref().unwrap()).unwrap().unwrap()
}

/// Waits until a query of the administrator tells `true`.
async fn until(database: &mut PgConnection, what: &str, sql: &'static str) {
    let waiting = async {
        while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *database).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_platform_follows_registrations_through_the_gateway() {
    let suite = Own::start("feeds").await;
    let client = Client::of(&suite.site);
    let source = source(&suite.site);
    let mut registered = BTreeMap::new();
    for number in 0..12 {
        let form = client.apply(client.door(number), &person(60_000 + number as u32)).await;
        let volunteer = client.register_to_the_end(client.door(number), &form).await.unwrap();
        registered.insert(volunteer.id.clone(), volunteer);
    }
    let keys = registered.keys().cloned().collect();
    let events = follow(&source, &keys).await;
    // Once each, and nobody else: who is not visible yet is not told of.
    assert_eq!(events.len(), registered.len());
    for event in &events {
        let (told, volunteer) = (state(event), &registered[&event.key]);
        assert_eq!(told.volunteer_id, event.key);
        assert_eq!(told.volunteer_number, volunteer.volunteer_number);
        assert_eq!((told.region_code.as_str(), told.level), (REGION, 1));
        assert_eq!(told.organization_code, ORGANIZATION);
        assert_eq!(told.status(), VolunteerStatus::Active);
        assert_eq!((event.revision, event.position > 0), (1, true));
    }
    // The snapshot tells the same.
    assert_eq!(snapshot(&source, KIND).await, revisions(&events));
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_platform_follows_organizations_through_the_gateway() {
    let suite = Own::start("feeds-organizations").await;
    let source = source_of(&suite.site, "orgtree");
    // They were loaded in one transaction.
    let events = follow(&source, &BTreeSet::from([ORGANIZATION.to_owned()])).await;
    assert_eq!(events.len(), 1699);
    let event = events.iter().find(|event| event.key == ORGANIZATION).unwrap();
    let told: OrganizationChanged = decode(event.payload.as_ref().unwrap()).unwrap().unwrap();
    assert_eq!((told.code.as_str(), told.state()), (ORGANIZATION, OrganizationState::Active));
    assert_eq!((event.revision, told.region_code.as_str()), (1, REGION));
    let kind = "zhiyuan.orgtree.v1.OrganizationChanged";
    assert_eq!(snapshot(&source, kind).await, revisions(&events));
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_follows() {
    let suite = Own::start("feeds-closed").await;
    let own = fs::read_to_string(suite.site.files.key()).unwrap();
    let other = SigningKey::generate().to_base64().to_string();
    for (account, key) in [(ACCOUNT, &other), ("registration", &own), ("nobody", &other)] {
        for service in ["registration", "orgtree"] {
            let source = source_as(&suite.site, service, account, key);
            let refused = loop {
                let refused = source.pull(everything()).await;
                let Err(Error::Source(refused)) = refused else { panic!("{account} follows") };
                // A service that has just started may not have heard yet which accounts
                // there are.
                if refused.reason != "REVOCATIONS_STALE" {
                    break refused;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let expected = (Code::Unauthenticated, "UNAUTHENTICATED");
            assert_eq!((refused.code, &*refused.reason), expected);
        }
    }
    suite.stop().await;
}

/// identity was restored to an older state: it lost an account, and its feed ends
/// earlier. The volunteer is marked and told of, never removed; and unmarked, should the
/// account come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volunteer_whose_account_is_gone_is_marked_and_reported() {
    let suite = Own::start("feeds-restored").await;
    let client = Client::of(&suite.site);
    for number in 61_000..61_004 {
        let form = client.apply(&client.grpc, &person(number)).await;
        client.register_to_the_end(&client.grpc, &form).await.unwrap();
    }
    let mut main = suite.site.main_database().await;
    until(
        &mut main,
        "registration has heard of all accounts",
        "SELECT count(*) = 4 FROM registration.account WHERE revision > 0",
    )
    .await;
    // One that is alone in its partition: else that one's head is still there.
    sqlx::raw_sql(
        "CREATE TABLE identity.lost AS SELECT * FROM identity.account a WHERE NOT EXISTS (
             SELECT FROM identity.event e
             WHERE e.partition = get_byte(uuid_send(a.account_id), 15) & 63
               AND e.key <> a.account_id::text) LIMIT 1",
    )
    .execute(&mut main)
    .await
    .unwrap();
    let lost: uuid::Uuid = sqlx::query_scalar("SELECT account_id FROM identity.lost")
        .fetch_one(&mut main)
        .await
        .unwrap();
    let forget =
        "DELETE FROM identity.account WHERE account_id IN (SELECT account_id FROM identity.lost);
         DELETE FROM identity.event e USING identity.lost l WHERE e.key = l.account_id::text;
         DELETE FROM identity.feed_head h
         WHERE NOT EXISTS (SELECT FROM identity.event e WHERE e.partition = h.partition);";
    sqlx::raw_sql(forget).execute(&mut main).await.unwrap();
    until(
        &mut main,
        "the volunteer is marked, and it is told",
        "SELECT count(*) = 1 AND NOT EXISTS (SELECT FROM registration.outbox)
         FROM registration.volunteer
         WHERE account_missing AND volunteer_id IN (SELECT account_id FROM identity.lost)",
    )
    .await;
    let source = source(&suite.site);
    let told = |events: Vec<Event>| {
        let of_lost: Vec<Event> =
            events.into_iter().filter(|event| event.key == lost.to_string()).collect();
        let last = of_lost.last().unwrap();
        (last.revision, state(last).status())
    };
    let keys = BTreeSet::from([lost.to_string()]);
    assert_eq!(told(follow(&source, &keys).await), (2, VolunteerStatus::AccountMissing));

    sqlx::raw_sql("INSERT INTO identity.account SELECT * FROM identity.lost")
        .execute(&mut main)
        .await
        .unwrap();
    sqlx::raw_sql(
        "UPDATE registration.feed_cursor SET rebuild_type = '', rebuild_token = NULL;
         UPDATE registration.feed_slot SET holder = NULL",
    )
    .execute(&mut main)
    .await
    .unwrap();
    until(
        &mut main,
        "the mark is gone, and it is told",
        "SELECT NOT EXISTS (SELECT FROM registration.volunteer WHERE account_missing)
            AND NOT EXISTS (SELECT FROM registration.outbox)",
    )
    .await;
    assert_eq!(told(follow(&source, &keys).await), (3, VolunteerStatus::Active));
    suite.stop().await;
}

/// Nobody waits longer for a verdict than identity does: it is told, not asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_was_waited_for_is_heard_at_once() {
    // Whoever only asks, asks a quarter of an hour later.
    let rarely = ("registration", "\n[recovery]\ninterval_ms = 3600000\n".to_owned());
    let suite =
        Processes::start("feeds-verdict", Settings { config: vec![rarely], ..Settings::default() })
            .await;
    let client = Client::of(&suite.site);
    client.simulators.set_real_name("down").await;
    let form = client.apply(&client.grpc, &person(62_000)).await;
    let waiting = client.register_patiently(&client.grpc, &form).await.unwrap();
    assert_eq!(waiting.state(), RegistrationState::Pending);
    client.simulators.set_real_name("ok").await;
    let done = client.outcome(&client.grpc, &form.request_id).await.unwrap();
    assert_eq!(done.state(), RegistrationState::Active);
    suite.stop().await;
}
