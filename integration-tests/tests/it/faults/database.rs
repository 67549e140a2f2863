//! PostgreSQL is gone, or says nothing, or lets nobody win.

use std::time::Duration;

use futures_util::future::{join, join_all};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;
use tonic::Code;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};
use zhiyuan_testkit::person;

use super::{assert_come_again, consent_texts, forms, regions, register_all, until};
use crate::crashloop::checker;
use crate::harness::{Client, Own, Processes, Refusal, Settings, database};

/// The deadline of a call that names none is five seconds; a machine may be slow.
const AT_THE_DEADLINE: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(7);
/// All that the services may open, by `max_connections`, and those of the test.
const MOST_SESSIONS: i64 = 16 + 8 + 16 + 16 + 4;

/// One answer of every method, none of which has an effect that is missed.
async fn ask_all(client: &Client, first: u32) -> Vec<Result<(), Refusal>> {
    let one = |n: usize| async move {
        let door = client.door(n);
        let request_id = uuid::Uuid::new_v4().to_string();
        match n % 3 {
            0 => regions(door).await.map(drop),
            1 => client.registration(door, &request_id).await.map(drop),
            _ => {
                let phone = person(first + u32::try_from(n).unwrap()).mobile;
                client.send_code(door, &phone).await.map(drop)
            }
        }
    };
    join_all((0..24).map(one)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_gone_or_silent_every_call_ends_with_a_clear_answer() {
    let settings = Settings { durable: true, ..Settings::default() };
    let mut suite = Processes::start("database-gone", settings).await;
    let client = Client::of(&suite.site);
    let forms = forms(&client, 420_000, 24).await;
    let registered = register_all(&client, &forms[..4]).await;

    // Gone: told at once.
    suite.postgres.stop_immediately().await;
    let began = Instant::now();
    let form = client.register(&client.grpc, &forms[4]).await.map(drop);
    for answer in ask_all(&client, 430_000).await.into_iter().chain([form]) {
        let refusal = answer.unwrap_err();
        assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "UNAVAILABLE"));
        assert_come_again(&refusal);
    }
    assert!(began.elapsed() < AT_THE_DEADLINE, "{:?}", began.elapsed());
    consent_texts(&client.grpc).await.unwrap();
    suite.postgres.start(&[]).await;
    until("regions are told again", || async { regions(&client.grpc).await.is_ok() }).await;

    // Silent: told at the deadline, wave after wave.
    suite.postgres.freeze();
    let frozen = Instant::now();
    while frozen.elapsed() < SILENCE {
        let began = Instant::now();
        let sent = forms[4..].iter().enumerate();
        let sent = sent.map(|(n, form)| client.register(client.door(n), form));
        let (asked, sent) = join(ask_all(&client, 440_000), join_all(sent)).await;
        assert!(began.elapsed() < AT_THE_DEADLINE, "{:?}", began.elapsed());
        let sent = sent.into_iter().map(|answer| answer.map(drop));
        for answer in asked.into_iter().chain(sent) {
            assert_come_again(&answer.unwrap_err());
        }
        consent_texts(&client.json).await.unwrap();
    }
    suite.postgres.thaw();
    until("regions are told again", || async { regions(&client.grpc).await.is_ok() }).await;

    // Nobody who gave up is still at work, and nothing has piled up.
    let mut main = suite.site.main_database().await;
    let sessions = "pg_stat_activity WHERE backend_type = 'client backend'";
    assert!(database::count(&mut main, sessions).await <= MOST_SESSIONS);
    until("the sessions are idle", || async {
        let mut main = suite.site.main_database().await;
        let busy = "pg_stat_activity WHERE backend_type = 'client backend' AND state <> 'idle'
                    AND pid <> pg_backend_pid() AND state_change < now() - interval '2 s'";
        database::count(&mut main, busy).await == 0
    })
    .await;
    let all = register_all(&client, &forms).await;
    assert_eq!(all[..registered.len()], registered);
    assert_eq!(checker::half_done(&suite.site).await, [] as [String; 0]);
    suite.stop().await;
}

/// Makes the first transactions that insert into a table lose, by trigger.
struct Losing {
    admin: PgConnection,
    table: &'static str,
}

impl Losing {
    const SETUP: &str = "
        CREATE SCHEMA faults;
        CREATE SEQUENCE faults.lost;
        CREATE FUNCTION faults.lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            IF nextval('faults.lost') <= TG_ARGV[0]::bigint THEN
                RAISE EXCEPTION 'another transaction was first' USING ERRCODE = TG_ARGV[1];
            END IF;
            RETURN NEW;
        END $$";

    async fn run(&mut self, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.admin).await.unwrap();
    }

    async fn first(&mut self, times: i64, code: &str) {
        let table = self.table;
        self.run(format!(
            "DROP TRIGGER IF EXISTS lose ON {table}; SELECT setval('faults.lost', 1, false);
             CREATE TRIGGER lose BEFORE INSERT ON {table} FOR EACH ROW
             EXECUTE FUNCTION faults.lose({times}, '{code}')"
        ))
        .await;
    }

    /// How many have tried.
    async fn tried(&mut self) -> i64 {
        let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM faults.lost";
        sqlx::query_scalar(sql).fetch_one(&mut self.admin).await.unwrap()
    }

    async fn none(mut self) -> PgConnection {
        self.run(format!("DROP TRIGGER lose ON {}", self.table)).await;
        self.admin
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_to_other_transactions_is_tried_again_and_only_then_told() {
    let suite = Own::start("conflicts").await;
    let client = Client::of(&suite.site);
    let mut admin = suite.site.main_database().await;
    sqlx::raw_sql(Losing::SETUP).execute(&mut admin).await.unwrap();
    let mut n = 450_000;
    // serialization_failure, deadlock_detected
    for code in ["40001", "40P01"] {
        for table in [
            "identity.sms_challenge",
            "registration.registration",
            "identity.enrolment",
            "identity.account",
            "registration.volunteer",
        ] {
            n += 1;
            let door = client.door(n as usize);
            let mut losing = Losing { admin, table };
            // Twice: nobody notices.
            losing.first(2, code).await;
            let form = match client.send_code(door, &person(n).mobile).await {
                Ok(sent) => RegisterRequest {
                    sms_challenge_id: sent.challenge_id,
                    sms_code: client.simulators.code(&person(n).mobile).await,
                    ..client.form(door, &person(n)).await
                },
                Err(refusal) => panic!("{table} {code}: {refusal:?}"),
            };
            let answer = client.register(door, &form).await;
            let answer = answer.unwrap_or_else(|refusal| panic!("{table} {code}: {refusal:?}"));
            assert_eq!(answer.state(), RegistrationState::Active, "{table} {code}");
            assert_eq!(losing.tried().await, 3, "{table} {code}");
            admin = losing.none().await;
        }
    }
    // For ever: told, and nothing is there.
    for (table, refused) in [
        ("identity.sms_challenge", "code"),
        ("registration.registration", "form"),
        ("registration.volunteer", "form"),
    ] {
        n += 1;
        let (door, somebody) = (client.door(n as usize), person(n));
        let mut losing = Losing { admin, table };
        let refusal = if refused == "code" {
            losing.first(1_000, "40001").await;
            client.send_code(door, &somebody.mobile).await.map(drop)
        } else {
            let form = client.apply(door, &somebody).await;
            losing.first(1_000, "40001").await;
            client.register(door, &form).await.map(drop)
        };
        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.code, &*refusal.reason), (Code::Aborted, "CONFLICT"), "{table}");
        assert_come_again(&refusal);
        assert!(losing.tried().await >= 4, "{table}");
        admin = losing.none().await;
    }
    // Whom identity keeps already waits for the end of a lease, not for a quarter of an hour.
    let form = client.apply(&client.grpc, &person(n + 1)).await;
    let mut losing = Losing { admin, table: "identity.account" };
    losing.first(1_000, "40001").await;
    let answer = client.register(&client.grpc, &form).await.unwrap();
    assert_eq!(answer.state(), RegistrationState::Pending);
    let tried = losing.tried().await;
    let over = "UPDATE identity.enrolment SET next_check_at = now() WHERE state = 'PENDING'";
    losing.run(over.to_owned()).await;
    let until = Instant::now() + AT_THE_DEADLINE;
    while losing.tried().await == tried {
        assert!(Instant::now() < until, "nobody tries again");
        tokio::time::sleep(super::POLL).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut admin = losing.none().await;
    let far = "identity.enrolment WHERE state = 'PENDING'
               AND next_check_at > now() + interval '20 s'";
    assert_eq!(database::count(&mut admin, far).await, 0);
    sqlx::raw_sql(over).execute(&mut admin).await.unwrap();
    let done = client.outcome(&client.grpc, &form.request_id).await.unwrap();
    assert_eq!(done.state(), RegistrationState::Active);
    client.register_to_the_end(&client.grpc, &form).await.unwrap();
    suite.stop().await;
}
