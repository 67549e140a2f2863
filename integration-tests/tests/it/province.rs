//! 500 people of all counties of Anhui register at once; then every table is compared
//! with what was acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::StreamExt as _;
use tokio::sync::Mutex;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{RegisterRequest, Volunteer};
use zhiyuan_domain::{Partition, VolunteerNumber};
use zhiyuan_testkit::person_of;

use crate::counts::assert_recounted;
use crate::harness::{Client, Own, Site, database};

const PEOPLE: usize = 500;
const AT_ONCE: usize = 32;
/// County-level divisions of Anhui (GB/T 2260).
const COUNTIES: usize = 104;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_every_county_register_at_once_in_one_process() {
    let suite = Own::start("province").await;
    register_and_check(&suite.site).await;
    suite.stop().await;
}

/// Somebody whose registration was acknowledged.
struct Acknowledged {
    form: RegisterRequest,
    volunteer: Volunteer,
}

/// Two of these at once would be slower than one after the other.
static BUSY: Mutex<()> = Mutex::const_new(());

/// Registers everybody, half by gRPC and half by JSON, and checks what is stored.
pub(crate) async fn register_and_check(site: &Site) {
    let _alone = BUSY.lock().await;
    let client = Client::of(site);
    let regions = client.residences(&client.grpc, "340000").await;
    assert_eq!(regions.len(), COUNTIES);
    let organizations = client.registrable(&client.json).await;
    assert!(organizations.len() > 1_500, "{}", organizations.len());
    assert!(organizations.iter().all(|organization| organization.takes_registrations));
    let consents = client.consents(&client.grpc).await;

    let all: Vec<Acknowledged> = futures_util::stream::iter(0..PEOPLE)
        .map(|n| {
            let (client, door) = (&client, client.door(n));
            let region = &regions[n % regions.len()].code;
            // Another stride, as residence and organization have nothing to do with
            // each other.
            let organization = &organizations[(n * 7) % organizations.len()].code;
            // Each may choose to what besides the required text to consent.
            let consents = &consents[..1 + n % consents.len()];
            async move {
                let person = person_of(region, n.try_into().unwrap());
                let form = RegisterRequest {
                    region_code: region.clone(),
                    organization_code: organization.clone(),
                    league_member: n % 3 == 0,
                    consents: consents.to_vec(),
                    ..client.apply(door, &person).await
                };
                let volunteer = client.register_to_the_end(door, &form).await.unwrap();
                Acknowledged { form, volunteer }
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    check_volunteers(site, &all).await;
    check_accounts(site, &all).await;
    check_nothing_is_left_over(site).await;
    let counts = assert_recounted(site).await;
    assert_eq!(counts["AH"].1[0], PEOPLE as i64);

    // Nobody can register twice, whatever happened in between.
    let mut again = client.apply(&client.grpc, &person_of("340104", 900_000)).await;
    (again.name, again.id_number) = (all[0].form.name.clone(), all[0].form.id_number.clone());
    let refusal = client.register_to_the_end(&client.grpc, &again).await.unwrap_err();
    assert_eq!(refusal.reason, "ALREADY_REGISTERED");
}

fn id_of(acknowledged: &Acknowledged) -> Uuid {
    acknowledged.volunteer.id.parse().unwrap()
}

async fn check_volunteers(site: &Site, all: &[Acknowledged]) {
    let mut main = site.main_database().await;
    type Row = (Uuid, i16, String, String, String, bool, String, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT volunteer_id, partition, volunteer_number, region_code, organization_code,
                league_member, state, revision
         FROM registration.volunteer",
    )
    .fetch_all(&mut main)
    .await
    .unwrap();
    assert_eq!(rows.len(), PEOPLE);
    let stored: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.0, row)).collect();
    let mut serials: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in all {
        let (form, volunteer) = (&one.form, &one.volunteer);
        let (id, partition, number, region, organization, league_member, state, _) =
            &stored[&id_of(one)];
        assert_eq!(*partition, Partition::of(*id).get());
        assert_eq!(number, &volunteer.volunteer_number);
        assert_eq!((region, organization), (&form.region_code, &form.organization_code));
        assert_eq!((region, organization), (&volunteer.region_code, &volunteer.organization_code));
        assert_eq!((*league_member, state.as_str()), (form.league_member, "ACTIVE"));
        VolunteerNumber::parse(number).unwrap();
        assert!(number.starts_with(region));
        assert!(serials.entry(region.clone()).or_default().insert(number[6..14].to_owned()));
    }
    assert_eq!(serials.len(), COUNTIES);

    // One row for each number, of the same volunteer.
    let numbers: Vec<(String, Uuid)> =
        sqlx::query_as("SELECT volunteer_number, volunteer_id FROM registration.volunteer_number")
            .fetch_all(&mut main)
            .await
            .unwrap();
    assert_eq!(numbers.len(), PEOPLE);
    for (number, id) in numbers {
        assert_eq!(stored[&id].2, number);
    }
    // Serials are given without gaps.
    let last: Vec<(String, i32)> =
        sqlx::query_as("SELECT region_code, last FROM registration.volunteer_serial")
            .fetch_all(&mut main)
            .await
            .unwrap();
    assert_eq!(last.len(), COUNTIES);
    for (region, last) in last {
        let expected: BTreeSet<String> = (1..=last).map(|serial| format!("{serial:08}")).collect();
        assert_eq!(serials[&region], expected, "{region}");
    }

    type Saga = (Uuid, Option<Uuid>, String, bool, Option<String>);
    let sagas: Vec<Saga> = sqlx::query_as(
        "SELECT request_id, account_id, step, adopted, refusal FROM registration.registration",
    )
    .fetch_all(&mut main)
    .await
    .unwrap();
    assert_eq!(sagas.len(), PEOPLE);
    let sagas: HashMap<Uuid, Saga> = sagas.into_iter().map(|saga| (saga.0, saga)).collect();
    for one in all {
        let request_id = one.form.request_id.parse().unwrap();
        let expected = (request_id, Some(id_of(one)), "DONE".to_owned(), false, None);
        assert_eq!(sagas[&request_id], expected);
    }
}

async fn check_accounts(site: &Site, all: &[Acknowledged]) {
    let mut main = site.main_database().await;
    type Row = (Uuid, i16, String, i16, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT account_id, partition, state, level, id_number IS NOT NULL FROM identity.account",
    )
    .fetch_all(&mut main)
    .await
    .unwrap();
    assert_eq!(rows.len(), PEOPLE);
    let accounts: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.0, row)).collect();
    let numbers: Vec<Uuid> = sqlx::query_scalar("SELECT account_id FROM identity.number")
        .fetch_all(&mut main)
        .await
        .unwrap();
    let holders: BTreeSet<Uuid> = numbers.iter().copied().collect();
    assert_eq!((numbers.len(), holders.len()), (PEOPLE, PEOPLE));
    let rows: Vec<(Uuid, i16, String)> =
        sqlx::query_as("SELECT account_id, purpose, version FROM identity.consent_entry")
            .fetch_all(&mut main)
            .await
            .unwrap();
    let mut consents: HashMap<Uuid, BTreeSet<(i32, String)>> = HashMap::new();
    for (account, purpose, version) in rows {
        assert!(consents.entry(account).or_default().insert((purpose.into(), version)));
    }
    let states: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT account_id, state FROM identity.enrolment")
            .fetch_all(&mut main)
            .await
            .unwrap();
    assert_eq!(states.len(), PEOPLE);
    let enrolments: HashMap<Uuid, String> = states.into_iter().collect();
    let mut keys: Vec<Uuid> = sqlx::query_scalar("SELECT subject FROM keys.data_key")
        .fetch_all(&mut site.key_database().await)
        .await
        .unwrap();
    keys.sort_unstable();
    for one in all {
        let id = id_of(one);
        let expected = (id, Partition::of(id).get(), "ACTIVE".to_owned(), 1, true);
        assert_eq!(accounts[&id], expected);
        assert!(holders.contains(&id));
        let given: BTreeSet<(i32, String)> =
            one.form.consents.iter().map(|one| (one.purpose, one.version.clone())).collect();
        assert_eq!(consents[&id], given);
        assert_eq!(enrolments[&id], "ACTIVE");
        keys.binary_search(&id).unwrap();
    }
    // And that of the key that signs access tokens.
    assert_eq!(keys.len(), PEOPLE + 1);
}

/// No applicant, no unused code, and nobody was told anything but that it is done.
async fn check_nothing_is_left_over(site: &Site) {
    let mut main = site.main_database().await;
    database::assert_empty(
        &mut main,
        &[
            "identity.account WHERE state <> 'ACTIVE' OR activated_at IS NULL",
            "identity.enrolment WHERE state <> 'ACTIVE' OR name IS NOT NULL OR id_number IS NOT NULL
             OR phone IS NOT NULL OR password_hash IS NOT NULL",
            "identity.sms_challenge WHERE used_at IS NULL OR tries <> 1 OR proof_tries <> 0",
            "identity.notice WHERE template <> 'REGISTERED'",
            "identity.failed_check",
            "registration.registration WHERE next_step_at IS NOT NULL OR finished_at IS NULL",
        ],
    )
    .await;
    assert_eq!(database::count(&mut main, "identity.sms_challenge").await, PEOPLE as i64);
    database::assert_empty(&mut site.key_database().await, &["keys.destroyed"]).await;
}
