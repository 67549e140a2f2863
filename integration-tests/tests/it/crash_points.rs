//! Services are killed before and after every step of a registration: while the
//! transaction that takes the step is under way, and when it is committed and nobody
//! knows it yet.
//!
//! The services have no code for that. A trigger of the test holds the session of the
//! database at the step, on an advisory lock; then the service is stopped where it is, the
//! session either ended (*before*: what it did is rolled back) or let go (*after*: it has
//! been told to commit, and does), and the service killed.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState, Volunteer};
use zhiyuan_testkit::{Person, person};

use crate::counts::assert_recounted;
use crate::crashloop::checker;
use crate::harness::client::patiently;
use crate::harness::{Client, Processes, Refusal, Settings};

/// Nobody else in these tests is one of these.
const FIRST: u32 = 300_000;
const REACHED_WITHIN: Duration = Duration::from_secs(30);
/// Longer than the leases of those who were killed.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(10);

/// Where a step is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    table: &'static str,
    name: &'static str,
}

const STEP: Column = Column { table: "registration.registration", name: "step" };
const STATE: Column = Column { table: "identity.enrolment", name: "state" };

/// How a registration is brought to a step, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing in the way.
    Plain,
    /// The register is out of order for its first two answers.
    Later,
    /// The register can't tell.
    Rare,
    /// The register says no.
    Mismatch,
    /// The organization is closed after the ID number was claimed.
    Closing,
}

impl Way {
    /// The way that leads to a step. A step that is new fails here.
    fn to(column: Column, step: &str) -> Self {
        match (column, step) {
            (STEP, "STARTED" | "CLAIMED" | "REGISTERED" | "DONE") => Self::Plain,
            (STEP, "PENDING") => Self::Later,
            (STATE, "ACCEPTED" | "PENDING" | "CLAIMED" | "ACTIVE") => Self::Plain,
            (STEP | STATE, "REVIEW") => Self::Rare,
            (STATE, "REFUSED") => Self::Mismatch,
            (STEP, "UNDOING" | "REFUSED") | (STATE, "DISCARDED") => Self::Closing,
            _ => panic!("{step} of {column:?} is new: tell how a registration gets there"),
        }
    }
}

impl Way {
    /// How it ends, if not with a volunteer or a review.
    fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Later | Self::Rare => None,
            Self::Mismatch => Some("ID_NAME_MISMATCH"),
            Self::Closing => Some("ORGANIZATION_CLOSED"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// Who is killed where.
#[derive(Debug)]
struct Point {
    victim: &'static str,
    column: Column,
    step: String,
    moment: Moment,
    way: Way,
}

/// A form that was sent while somebody was killed.
struct Case {
    label: String,
    form: RegisterRequest,
    person: Person,
    way: Way,
    /// Its client never came back, and it never got as far as identity.
    given_up: bool,
}

impl Case {
    fn request_id(&self) -> Uuid {
        self.form.request_id.parse().unwrap()
    }
}

/// All steps that a column knows, from its constraint.
async fn steps(admin: &mut PgConnection, column: Column) -> Vec<String> {
    let (schema, table) = column.table.split_once('.').unwrap();
    sqlx::query_scalar(
        "SELECT (regexp_matches(pg_get_constraintdef(oid), '''([A-Z]+)''', 'g'))[1]
         FROM pg_constraint WHERE conrelid = format('%I.%I', $1, $2)::regclass AND conname = $3",
    )
    .bind(schema)
    .bind(table)
    .bind(format!("{table}_{}_check", column.name))
    .fetch_all(admin)
    .await
    .unwrap()
}

/// Every point: the service itself, before and after each of its commits; and who called
/// it, when the commit is done and its answer on the way.
async fn points(admin: &mut PgConnection) -> Vec<Point> {
    let mut points = Vec::new();
    for (column, victim) in [(STEP, "registration"), (STATE, "identity")] {
        let steps = steps(admin, column).await;
        assert!(steps.len() > 6, "{column:?} {steps:?}");
        for step in steps {
            let way = Way::to(column, &step);
            let point = |victim, moment| Point { victim, column, step: step.clone(), moment, way };
            points.extend([point(victim, Moment::Before), point(victim, Moment::After)]);
            if column == STATE {
                points.push(point("registration", Moment::After));
            }
        }
    }
    // Refused at once, without anything to undo.
    for moment in [Moment::Before, Moment::After] {
        let step = "REFUSED".to_owned();
        let victim = "registration";
        points.push(Point { victim, column: STEP, step, moment, way: Way::Mismatch });
    }
    // Who is asked last whether the organization still stands.
    let step = "CLAIMED".to_owned();
    let (victim, moment) = ("orgtree", Moment::After);
    points.push(Point { victim, column: STEP, step, moment, way: Way::Plain });
    points
}

/// The trigger that holds a session, and the session that holds the lock.
struct Trap {
    admin: PgConnection,
    column: Column,
}

impl Trap {
    const SETUP: &str = "
        CREATE SCHEMA crash;
        CREATE FUNCTION crash.hold() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET lock_timeout = 0 AS $$ BEGIN
            IF TG_ARGV[0] = coalesce(to_jsonb(NEW) ->> 'request_id',
                                     (SELECT request_id::text FROM registration.registration
                                      WHERE enrolment_id = NEW.enrolment_id)) THEN
                PERFORM pg_advisory_xact_lock_shared(4711, 1);
            END IF;
            RETURN NEW;
        END $$;
        CREATE TABLE crash.closing (request_id uuid PRIMARY KEY);
        CREATE FUNCTION crash.close() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF EXISTS (SELECT FROM crash.closing c WHERE c.request_id = NEW.request_id) THEN
                UPDATE orgtree.organization SET state = 2 WHERE code = NEW.organization_code;
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER close AFTER UPDATE ON registration.registration
        FOR EACH ROW WHEN (NEW.step = 'CLAIMED') EXECUTE FUNCTION crash.close()";

    async fn set(mut admin: PgConnection, point: &Point, request_id: &str) -> Self {
        let Column { table, name } = point.column;
        let (kind, time) = match point.moment {
            Moment::Before => ("TRIGGER crash BEFORE", ""),
            Moment::After => ("CONSTRAINT TRIGGER crash AFTER", "DEFERRABLE INITIALLY DEFERRED"),
        };
        let step = &point.step;
        let sql = format!(
            "SELECT pg_advisory_lock(4711, 1);
             CREATE {kind} INSERT OR UPDATE ON {table} {time} FOR EACH ROW
             WHEN (NEW.{name} = '{step}') EXECUTE FUNCTION crash.hold('{request_id}')"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        Self { admin, column: point.column }
    }

    /// The sessions that it holds.
    async fn held(&mut self) -> Vec<i32> {
        sqlx::query_scalar(
            "SELECT pid FROM pg_locks
             WHERE locktype = 'advisory' AND classid = 4711 AND NOT granted",
        )
        .fetch_all(&mut self.admin)
        .await
        .unwrap()
    }

    async fn until_held(&mut self, what: &str) -> Vec<i32> {
        let until = Instant::now() + REACHED_WITHIN;
        loop {
            let held = self.held().await;
            if !held.is_empty() {
                return held;
            }
            assert!(Instant::now() < until, "{what}: no registration gets there");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends the sessions, or lets them go; returns once they are over.
    async fn open(&mut self, held: &[i32], moment: Moment) {
        if moment == Moment::Before {
            sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid")
                .bind(held)
                .execute(&mut self.admin)
                .await
                .unwrap();
        } else {
            let unlock = "SELECT pg_advisory_unlock(4711, 1)";
            sqlx::query(unlock).execute(&mut self.admin).await.unwrap();
        }
        let until = Instant::now() + REACHED_WITHIN;
        let waits = "SELECT count(*) FROM pg_locks
                     WHERE pid = ANY($1) AND (locktype = 'transactionid' OR NOT granted)";
        loop {
            let left: i64 =
                sqlx::query_scalar(waits).bind(held).fetch_one(&mut self.admin).await.unwrap();
            if left == 0 {
                return;
            }
            assert!(Instant::now() < until, "a session does not come to its end");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn remove(mut self) -> PgConnection {
        let sql =
            format!("SELECT pg_advisory_unlock_all(); DROP TRIGGER crash ON {}", self.column.table);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.admin).await.unwrap();
        self.admin
    }
}

/// How far a registration is, in both tables; empty where it is not there.
async fn stands(admin: &mut PgConnection, request_id: Uuid) -> (String, String) {
    sqlx::query_as(
        "SELECT coalesce(max(r.step), ''), coalesce(max(e.state), '')
         FROM registration.registration r LEFT JOIN identity.enrolment e USING (enrolment_id)
         WHERE r.request_id = $1",
    )
    .bind(request_id)
    .fetch_one(admin)
    .await
    .unwrap()
}

struct Crashes {
    suite: Processes,
    client: Client,
    organizations: Vec<String>,
    cases: Vec<Case>,
}

impl Crashes {
    async fn start() -> Self {
        let settings = Settings { durable: true, ..Settings::default() };
        let suite = Processes::start("crash-points", settings).await;
        let client = Client::of(&suite.site);
        let organizations = client.registrable(&client.grpc).await;
        let organizations = organizations.into_iter().map(|one| one.code).collect();
        let mut admin = suite.site.main_database().await;
        sqlx::raw_sql(Trap::SETUP).execute(&mut admin).await.unwrap();
        Self { suite, client, organizations, cases: Vec::new() }
    }

    async fn crash(&mut self, admin: PgConnection, point: &Point) -> PgConnection {
        let n = self.cases.len();
        let label =
            format!("{} killed {:?} {} ({:?})", point.victim, point.moment, point.step, point.way);
        let mut person = person(FIRST + u32::try_from(n).unwrap());
        match point.way {
            Way::Plain | Way::Closing => {}
            Way::Later => person.name.push_str("稍后"),
            Way::Rare => person.name.push('𠮷'),
            Way::Mismatch => person.name.push_str("不符"),
        }
        let door = self.client.door(n).clone();
        let mut form = self.client.apply(&door, &person).await;
        form.organization_code.clone_from(&self.organizations[n]);
        let request_id: Uuid = form.request_id.parse().unwrap();
        let mut admin = admin;
        if point.way == Way::Closing {
            sqlx::query("INSERT INTO crash.closing VALUES ($1)")
                .bind(request_id)
                .execute(&mut admin)
                .await
                .unwrap();
        }
        let mut trap = Trap::set(admin, point, &form.request_id).await;
        let mut call = JoinSet::new();
        let (client, sent) = (self.client.clone(), form.clone());
        call.spawn(async move { client.register(&door, &sent).await });
        let held = trap.until_held(&label).await;
        // It must not go on once the session does, nor may the server see it gone before.
        self.suite.freeze(point.victim).await;
        // Two clients of three are gone as well: nobody sends the call again on its behalf.
        let stays = n.is_multiple_of(3);
        if !stays {
            call.shutdown().await;
        }
        trap.open(&held, point.moment).await;
        self.suite.kill(point.victim);
        let mut admin = trap.remove().await;

        let (step, state) = stands(&mut admin, request_id).await;
        let there = if point.column == STEP { step } else { state };
        match point.moment {
            Moment::Before => assert_ne!(there, point.step, "{label}"),
            // Who was not killed goes on from there.
            Moment::After if point.column == STATE || point.victim == "orgtree" => {
                assert_ne!(there, "", "{label}");
            }
            Moment::After => assert_eq!(there, point.step, "{label}"),
        }
        self.suite.start_again(point.victim).await;
        if stays && let Err(refusal) = call.join_next().await.unwrap().unwrap() {
            // The gateway lives: it tells who called to come again, or what came of it.
            let end = Some(refusal.reason.as_str()) == point.way.refusal();
            let clear = !refusal.reason.is_empty() && refusal.is_transient();
            assert!(end || clear, "{label}: {refusal:?}");
        }
        let way = point.way;
        self.cases.push(Case { label, form, person, way, given_up: false });
        admin
    }

    /// Waits until no recovery task has anything to do that it can do without the form.
    async fn settle(&self, admin: &mut PgConnection) {
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            let mut busy = Vec::new();
            for case in &self.cases {
                let (step, state) = stands(admin, case.request_id()).await;
                let settled = match (step.as_str(), state.as_str()) {
                    ("" | "DONE" | "REFUSED" | "REVIEW", _) => true,
                    // Only the client has the form.
                    ("STARTED", "" | "ACCEPTED") => true,
                    _ => false,
                };
                if !settled {
                    busy.push((&case.label, step, state));
                }
            }
            if busy.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "no end within {SETTLED_WITHIN:?}: {busy:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Of the forms that never reached identity, every other one is sent again; the others
    /// are left alone for a quarter of an hour.
    async fn send_some_again(&mut self, admin: &mut PgConnection) {
        let mut turn = 0;
        for case in &mut self.cases {
            let (step, _) = stands(admin, case.request_id()).await;
            if step == "STARTED" {
                turn += 1;
                case.given_up = turn % 2 == 0;
                if case.given_up {
                    sqlx::query(
                        "UPDATE registration.registration
                         SET last_call_at = last_call_at - interval '16 minutes'
                         WHERE request_id = $1",
                    )
                    .bind(case.request_id())
                    .execute(&mut *admin)
                    .await
                    .unwrap();
                }
            }
        }
        assert!(turn > 2, "{turn}");
        for case in self.cases.iter().filter(|case| !case.given_up) {
            // A refusal is looked at below.
            let _ = patiently(|| self.client.register(&self.client.grpc, &case.form)).await;
        }
    }

    async fn outcome(&self, case: &Case) -> Result<Option<Volunteer>, Refusal> {
        let answer = self.client.outcome(&self.client.json, &case.form.request_id).await?;
        let review = answer.state() == RegistrationState::Review;
        assert_eq!(review, case.way == Way::Rare, "{}", case.label);
        Ok(answer.volunteer)
    }

    /// Each came to the end that it had to come to, and the same form answers it again.
    async fn check(&self) {
        for case in &self.cases {
            let label = &case.label;
            let outcome = self.outcome(case).await;
            let expected = match case.way {
                _ if case.given_up => Some("REGISTRATION_EXPIRED"),
                way => way.refusal(),
            };
            let told = outcome.as_ref().err().map(|refusal| refusal.reason.as_str());
            assert_eq!(told, expected, "{label}: {outcome:?}");
            if case.way != Way::Rare && expected.is_none() {
                assert!(outcome.as_ref().unwrap().is_some(), "{label}");
            }
            let again = patiently(|| self.client.register(&self.client.grpc, &case.form)).await;
            let again = again.map(|answer| answer.volunteer);
            match (&outcome, &again) {
                (Ok(volunteer), Ok(again)) => assert_eq!(volunteer, again, "{label}"),
                (Err(refusal), Err(again)) => assert_eq!(refusal.reason, again.reason, "{label}"),
                differ => panic!("{label}: {differ:?}"),
            }
        }
    }

    /// Who was refused for the sake of the organization holds nothing, not even the code.
    async fn register_elsewhere(&self) {
        let closed = self.cases.iter().filter(|case| case.way == Way::Closing && !case.given_up);
        let mut registered = 0;
        for case in closed {
            let form = RegisterRequest {
                request_id: Uuid::new_v4().to_string(),
                organization_code: self.organizations[1_000].clone(),
                ..case.form.clone()
            };
            let volunteer = self.client.register_to_the_end(&self.client.grpc, &form).await;
            let volunteer =
                volunteer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", case.label));
            assert!(volunteer.name.starts_with(case.person.name.chars().next().unwrap()));
            registered += 1;
        }
        assert!(registered > 3, "{registered}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_comes_to_its_end_whoever_is_killed_before_or_after_any_step() {
    let mut crashes = Crashes::start().await;
    let mut admin = crashes.suite.site.main_database().await;
    for point in points(&mut admin).await {
        admin = crashes.crash(admin, &point).await;
    }
    crashes.settle(&mut admin).await;
    crashes.send_some_again(&mut admin).await;
    crashes.settle(&mut admin).await;
    crashes.check().await;
    crashes.register_elsewhere().await;
    let half = checker::half_done(&crashes.suite.site).await;
    assert_eq!(half, [] as [String; 0]);
    assert_recounted(&crashes.suite.site).await;
    crashes.suite.stop().await;
}
