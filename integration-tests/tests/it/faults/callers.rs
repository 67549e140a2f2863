//! Who called is gone before the answer, or who is called is about to end.

use std::time::Duration;

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{GetRegionRequest, GetRegionResponse};
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};
use zhiyuan_testkit::person_of;

use super::{assert_come_again, consent_texts, regions, until};
use crate::harness::client::patiently;
use crate::harness::{Client, Door, Own, Processes, Settings, Site, database, shared};

/// How many sessions wait for a row of another one's.
async fn waiting(site: &Site, table: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()",
    )
    .bind(table)
    .fetch_one(&mut site.main_database().await)
    .await
    .unwrap()
}

async fn locked<'c>(
    holder: &'c mut PgConnection,
    row: String,
) -> sqlx::Transaction<'c, sqlx::Postgres> {
    let mut transaction = holder.begin().await.unwrap();
    let sql = AssertSqlSafe(format!("SELECT FROM {row} FOR UPDATE"));
    assert_eq!(sqlx::query(sql).fetch_all(&mut *transaction).await.unwrap().len(), 1);
    transaction
}

#[tokio::test]
async fn who_vanishes_in_the_middle_of_a_call_has_registered_once_or_not_at_all() {
    // Nobody else lives there, so that nobody else waits for its serial.
    const REGION: &str = "341504";
    let client = Client::of(&shared());
    let somebody = |n: u32| person_of(REGION, 480_000 + n);
    let in_region = |form| RegisterRequest { region_code: REGION.to_owned(), ..form };
    let first = in_region(client.apply(&client.grpc, &somebody(0)).await);
    client.register_to_the_end(&client.grpc, &first).await.unwrap();
    let mut n = 0;
    for table in ["identity.sms_challenge", "registration.volunteer_serial"] {
        for turn in 0..2 {
            n += 1;
            let door = client.door(turn).clone();
            let form = in_region(client.apply(&door, &somebody(n)).await);
            let row = match table {
                "identity.sms_challenge" => {
                    format!("{table} WHERE challenge_id = '{}'", form.sms_challenge_id)
                }
                _ => format!("{table} WHERE region_code = '{REGION}'"),
            };
            let mut holder = client.site.main_database().await;
            let transaction = locked(&mut holder, row).await;
            let mut call = JoinSet::new();
            let (caller, sent) = (client.clone(), form.clone());
            call.spawn(async move { caller.register(&door, &sent).await });
            until("the call waits", || async { waiting(&client.site, table).await == 1 }).await;
            call.shutdown().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            transaction.commit().await.unwrap();
            until("nobody waits", || async { waiting(&client.site, table).await == 0 }).await;

            let volunteer = client.register_to_the_end(&client.grpc, &form).await.unwrap();
            let again = client.register_to_the_end(&client.json, &form).await.unwrap();
            assert_eq!(volunteer, again);
            let challenge: Uuid = form.sms_challenge_id.parse().unwrap();
            let (enrolments, tries): (i64, i64) = sqlx::query_as(
                "SELECT (SELECT count(*) FROM identity.enrolment WHERE challenge_id = $1),
                        (SELECT (tries + proof_tries)::bigint FROM identity.sms_challenge
                         WHERE challenge_id = $1)",
            )
            .bind(challenge)
            .fetch_one(&mut client.site.main_database().await)
            .await
            .unwrap();
            assert_eq!((enrolments, tries), (1, 1), "{table}");
        }
    }
    // No serial was given to nobody.
    let serials: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT last, (SELECT count(*) FROM registration.volunteer WHERE region_code = $1)
         FROM registration.volunteer_serial WHERE region_code = $1",
    )
    .bind(REGION)
    .fetch_all(&mut client.site.main_database().await)
    .await
    .unwrap();
    assert_eq!(serials, [(5, 5)]);
}

/// Guarantee 29: from the caller through gateway and service down to the statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_of_a_call_ends_with_its_deadline_or_its_caller_though_the_lock_is_held() {
    const TABLE: &str = "orgtree.region";
    let suite = Own::start("ended-statements").await;
    let client = Client::of(&suite.site);
    let mut holder = suite.site.main_database().await;
    let mut transaction = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE orgtree.region IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let waits = async || waiting(&suite.site, TABLE).await;
    for turn in 0..2 {
        let door = client.door(turn).clone();
        let mut call = JoinSet::new();
        call.spawn(async move { regions(&door).await });
        until("the call waits", || async { waits().await == 1 }).await;
        call.shutdown().await;
        until("nobody waits for who is gone", || async { waits().await == 0 }).await;
    }
    let path = "/zhiyuan.orgtree.v1.RegionService/GetRegion";
    let request = GetRegionRequest { code: "340104".to_owned() };
    let ended = client
        .grpc
        .call_with::<_, GetRegionResponse>(path, &request, &[("grpc-timeout", "1S")])
        .await
        .unwrap_err();
    assert_eq!((ended.code, &*ended.reason), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    until("nobody waits for what is over", || async { waits().await == 0 }).await;
    // It was held all the time.
    transaction.commit().await.unwrap();
    regions(&client.grpc).await.unwrap();
    suite.stop().await;
}

/// Whether somebody who calls a service now is told to come again, or finds nobody.
async fn is_turned_away(client: &Client, service: &str, door: &Door) -> bool {
    let unknown = Uuid::new_v4().to_string();
    let answer = match service {
        "identity" => consent_texts(door).await.map(drop),
        "registration" => client.registration(door, &unknown).await.map(drop),
        _ => regions(door).await.map(drop),
    };
    answer.is_err_and(|refusal| refusal.code == Code::Unavailable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_asked_to_end_finishes_what_runs_and_turns_others_away() {
    let mut suite = Processes::start("draining", Settings::default()).await;
    let client = Client::of(&suite.site);
    for (n, service) in ["identity", "registration", "gateway"].into_iter().enumerate() {
        let (door, other) = (client.door(n).clone(), client.door(n + 1));
        let somebody = |m: usize| person_of("340104", 490_000 + (n * 2 + m) as u32);
        let form = client.apply(&door, &somebody(0)).await;
        let late = client.apply(other, &somebody(1)).await;
        let mut holder = suite.site.main_database().await;
        let table = "identity.sms_challenge";
        let row = format!("{table} WHERE challenge_id = '{}'", form.sms_challenge_id);
        let transaction = locked(&mut holder, row).await;
        let mut call = JoinSet::new();
        let (caller, sent) = (client.clone(), form.clone());
        call.spawn(async move { caller.register(&door, &sent).await });
        until("the call waits", || async { waiting(&suite.site, table).await == 1 }).await;
        suite.signal(service, Signal::TERM);
        until("others are turned away", || is_turned_away(&client, service, other)).await;
        if service != "gateway" {
            let refusal = client.register(other, &late).await.unwrap_err();
            assert_eq!(refusal.code, Code::Unavailable, "{service}: {refusal:?}");
            assert_come_again(&refusal);
        }
        transaction.commit().await.unwrap();
        match call.join_next().await.unwrap().unwrap() {
            Ok(answer) => assert_ne!(answer.state(), RegistrationState::Review, "{service}"),
            // The call in the middle of which it was is done; the next one finds nobody.
            Err(refusal) => {
                assert_eq!(service, "identity", "{refusal:?}");
                assert_come_again(&refusal);
                let claimed = "identity.enrolment WHERE state = 'CLAIMED'";
                let mut main = suite.site.main_database().await;
                assert_eq!(database::count(&mut main, claimed).await, 1);
            }
        }
        suite.ended(service).await;
        suite.start_again(service).await;
        until("regions are told", || async { regions(&client.grpc).await.is_ok() }).await;
        for form in [&form, &late] {
            patiently(|| client.register(other, form)).await.unwrap();
            client.register_to_the_end(other, form).await.unwrap();
        }
    }
    suite.stop().await;
}
