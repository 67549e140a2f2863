//! Importing a roster, the whole way, against COPY of the same rows; and registering while some
//! of those who do are on one.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::Date;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::roster_service_client::RosterServiceClient;
use zhiyuan_contracts::registration::v1::{
    CreateRosterImportRequest, GetRosterImportRequest, RosterImport, RosterImportState,
    StartRosterImportRequest, UploadRosterPieceRequest,
};
use zhiyuan_domain::{AgeRule, Clock as _, IdNumber, SystemClock, age_on};
use zhiyuan_testkit::{Person, member};

use crate::administrator::Administrator;
use crate::cpu::Used;
use crate::door::Door;
use crate::form::{self, ORGANIZATION};
use crate::load::rate;
use crate::part::Hashing;
use crate::registration::{CALLERS, Registered, mean, register_these};
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;
use crate::waiting;

const PIECE: usize = 128 * 1024;
const POLL: Duration = Duration::from_millis(50);
/// A hundred thousand rows on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);
/// Registrations of each caller.
const EACH: usize = 8;

const PLAIN: &str = "CREATE TABLE IF NOT EXISTS benchmark_roster
    (name text NOT NULL, id_number text PRIMARY KEY, phone text NOT NULL)";

/// How long each step took.
struct Imported {
    checked: Duration,
    stored: Duration,
    counted: Duration,
    used: Used,
}

impl Imported {
    fn took(&self) -> Duration {
        self.checked + self.stored + self.counted
    }
}

pub(crate) async fn measure(stage: &mut Stage, rows: u32) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::None).await?;
    let today = SystemClock.now().date();
    let people: Vec<Person> = (0..rows).map(|n| member(n, today)).collect();
    let file = file(&people);
    let mut admin = stage.database("zhiyuan").await?;
    sqlx::raw_sql(PLAIN).execute(&mut admin).await?;
    let count = people.len();
    // Before and after, so that neither has the better moment.
    let first = copy(&mut admin, &file).await?;
    let imported = import(stage, &mut admin, &file, count).await?;
    let second = copy(&mut admin, &file).await?;
    let copied = mean([first, second].into_iter().map(|took| rate(count, took)));
    let ours = rate(count, imported.took());
    say(&format!("  {count} rows: import {}, COPY {}", per_second(ours), per_second(copied)));
    let mixed = mixed(stage, &people, today).await?;
    let part = |took: Duration| format!("{:.1} s", took.as_secs_f64());
    let cost = |name: &str| 1000.0 * imported.used.seconds(name) / f64::from(rows.max(1));
    Ok(Findings {
        rows: vec![
            Row {
                what: "importing a roster, rows",
                measured: per_second(ours),
                against: format!("COPY into a plain table: {}", per_second(copied)),
                ratio: Some(ours / copied),
                goal: Goal::None,
            },
            waiting::row("waiting for locks while 32 register, half of a roster", mixed.waiting),
        ],
        limits: vec![
            format!(
                "{count} rows: {} until all are looked at, {} until all are stored, {} more until \
                 the figures have them; a row costs identity {:.2} ms of a core, registration \
                 {:.2}, orgtree {:.2}, PostgreSQL {:.2}; {}",
                part(imported.checked),
                part(imported.stored),
                part(imported.counted),
                cost("identity"),
                cost("registration"),
                cost("orgtree"),
                cost("PostgreSQL"),
                imported.used.told(),
            ),
            format!(
                "{} registrations, every other one of somebody on the roster: {}; {}",
                mixed.count,
                per_second(mixed.rate()),
                mixed.used.told()
            ),
        ],
    })
}

fn file(people: &[Person]) -> String {
    let mut text = String::from("姓名,身份证号,联系电话\n");
    for person in people {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{},{},{}", person.name, person.id_number, person.mobile);
    }
    text
}

/// The same rows into a plain table.
async fn copy(admin: &mut PgConnection, file: &str) -> anyhow::Result<Duration> {
    sqlx::raw_sql("TRUNCATE benchmark_roster").execute(&mut *admin).await?;
    let began = Instant::now();
    let mut copying =
        admin.copy_in_raw("COPY benchmark_roster FROM STDIN (FORMAT csv, HEADER)").await?;
    copying.send(file.as_bytes()).await?;
    copying.finish().await?;
    Ok(began.elapsed())
}

/// The whole way: uploaded, looked at, stored, counted.
async fn import(
    stage: &Stage,
    admin: &mut PgConnection,
    file: &str,
    rows: usize,
) -> anyhow::Result<Imported> {
    let administrator = Administrator::at(stage, ORGANIZATION).await?;
    let mut client = RosterServiceClient::new(stage.channel("registration").await?);
    let members = members(admin).await? + i64::try_from(rows)?;
    let before = stage.usage();
    let start = Instant::now();
    let digest = Sha256::digest(file.as_bytes());
    let request = CreateRosterImportRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: ORGANIZATION.to_owned(),
        file_name: "团员名册.csv".to_owned(),
        size_bytes: i64::try_from(file.len())?,
        sha256: digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    let created = client.create_roster_import(administrator.ask(request)).await?.into_inner();
    let import_id = created.import.context("no import")?.id;
    for (index, piece) in file.as_bytes().chunks(PIECE).enumerate() {
        let request = UploadRosterPieceRequest {
            import_id: import_id.clone(),
            index: i32::try_from(index)?,
            data: piece.to_vec(),
        };
        client.upload_roster_piece(administrator.ask(request)).await?;
    }
    until(&mut client, &administrator, &import_id, RosterImportState::Checked).await?;
    let checked = start.elapsed();
    let request = StartRosterImportRequest {
        request_id: Uuid::new_v4().to_string(),
        import_id: import_id.clone(),
    };
    client.start_roster_import(administrator.ask(request)).await?;
    let done = until(&mut client, &administrator, &import_id, RosterImportState::Done).await?;
    let stored = start.elapsed() - checked;
    let counts = done.counts.context("no counts")?;
    anyhow::ensure!(usize::try_from(counts.new)? == rows, "not all rows are new: {counts:?}");
    while self::members(admin).await? < members {
        anyhow::ensure!(start.elapsed() < PATIENCE, "the figures don't have all members");
        tokio::time::sleep(POLL).await;
    }
    let counted = start.elapsed() - checked - stored;
    Ok(Imported { checked, stored, counted, used: before.until(&stage.usage()) })
}

async fn until(
    client: &mut RosterServiceClient<Channel>,
    administrator: &Administrator,
    import_id: &str,
    state: RosterImportState,
) -> anyhow::Result<RosterImport> {
    let start = Instant::now();
    loop {
        let request = GetRosterImportRequest { import_id: import_id.to_owned() };
        let answer = client.get_roster_import(administrator.ask(request)).await?.into_inner();
        let import = answer.import.context("no import")?;
        if import.state() == state {
            return Ok(import);
        }
        anyhow::ensure!(
            start.elapsed() < PATIENCE && import.state() != RosterImportState::Failed,
            "an import that is {:?}, {} of {} rows",
            import.state(),
            import.rows_done,
            import.rows
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Those on the roster, by the figures.
async fn members(admin: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "SELECT coalesce(sum(own_members), 0)::bigint FROM orgtree.organization_count
               WHERE organization_code = $1";
    Ok(sqlx::query_scalar(sql).bind(ORGANIZATION).fetch_one(admin).await?)
}

/// Registrations at once, every other one of somebody who is on the roster.
async fn mixed(stage: &Stage, people: &[Person], today: Date) -> anyhow::Result<Registered> {
    let door = Door::open(stage, "registration").await?;
    let adult = |person: &&Person| {
        IdNumber::parse(&person.id_number, today)
            .is_ok_and(|id| age_on(id.birth_date(), today, AgeRule::DayAfterBirthday) >= 18)
    };
    let half = CALLERS * EACH / 2;
    let listed: Vec<Person> = people.iter().filter(adult).take(half).cloned().collect();
    anyhow::ensure!(listed.len() == half, "the roster has too few adults");
    let listed = form::prepare_of(stage, listed).await?;
    let others = form::prepare(stage, half).await?;
    let forms = listed.into_iter().zip(others).flat_map(|(one, other)| [one, other]).collect();
    register_these(stage, &door, CALLERS, forms).await
}
