//! The disk of PostgreSQL is full.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use sqlx::{AssertSqlSafe, PgConnection};
use tonic::Code;

use super::{
    assert_come_again, consent_texts, forms, is_ready, regions, register_all, send, until,
};
use crate::crashloop::checker;
use crate::harness::{Client, Postgres, Processes, Settings, Tmpfs, scratch};

/// As PostgreSQL says it.
const NO_SPACE: &str = "No space left on device";

/// A folder of PostgreSQL's user.
fn give(folder: &Path, postgres: &Postgres) {
    let owner = fs::metadata(postgres.cluster()).unwrap();
    chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

/// The services work meanwhile, and lock tables in another order: what a deadlock undid is
/// done again.
async fn run(database: &mut PgConnection, sql: &str) {
    loop {
        let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *database).await else {
            return;
        };
        let told = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(told.code().as_deref(), Some("40P01"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_reading_goes_on_and_writing_does_once_there_is_space_again() {
    let settings = Settings { durable: true, ..Settings::default() };
    let suite = Processes::start("disk-full", settings).await;
    let folder = scratch::folder("disk-full-small");
    let Some(disk) = Tmpfs::mount(&folder, 96) else { return suite.stop().await };
    let space = folder.join("space");
    fs::create_dir(&space).unwrap();
    give(&folder, &suite.postgres);
    give(&space, &suite.postgres);
    let mut main = suite.site.main_database().await;
    let made = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    run(&mut main, &made).await;
    for mut database in [main, suite.site.key_database().await] {
        for kind in ["TABLE", "INDEX"] {
            let sql = format!("ALTER {kind} ALL IN TABLESPACE pg_default SET TABLESPACE small");
            run(&mut database, &sql).await;
        }
    }

    let client = Client::of(&suite.site);
    let forms = forms(&client, 400_000, 80).await;
    let (before, meanwhile) = forms.split_at(8);
    let registered = register_all(&client, before).await;
    disk.fill();
    let answers = send(&client, meanwhile).await;
    let refusals: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(!refusals.is_empty(), "the disk is not full");
    for refusal in &refusals {
        assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "UNAVAILABLE"));
        assert_come_again(refusal);
    }
    assert!(suite.postgres.log().contains(NO_SPACE), "{}", suite.postgres.log());
    // Whoever only reads notices nothing.
    regions(&client.grpc).await.unwrap();
    consent_texts(&client.json).await.unwrap();
    for (form, volunteer) in before.iter().zip(&registered) {
        let told = client.registration(&client.json, &form.request_id).await.unwrap();
        assert_eq!(told.volunteer.as_ref(), Some(volunteer));
    }
    assert!(is_ready(&client).await);

    disk.free();
    let all = register_all(&client, &forms).await;
    assert_eq!(all[..registered.len()], registered);
    assert_eq!(checker::half_done(&suite.site).await, [] as [String; 0]);
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_of_the_write_ahead_log_nothing_acknowledged_is_lost() {
    let settings = Settings { durable: true, ..Settings::default() };
    let mut suite = Processes::start("log-full", settings).await;
    let folder = scratch::folder("log-full-small");
    let Some(disk) = Tmpfs::mount(&folder, 128) else { return suite.stop().await };
    give(&folder, &suite.postgres);
    suite.postgres.stop_immediately().await;
    let (log, moved) = (suite.postgres.cluster().join("pg_wal"), folder.join("pg_wal"));
    let copied = Command::new("cp").arg("--archive").args([&log, &moved]).status().unwrap();
    assert!(copied.success());
    fs::remove_dir_all(&log).unwrap();
    symlink(&moved, &log).unwrap();
    // No segment is kept to be used again.
    let settings = [("wal_recycle", "off"), ("min_wal_size", "32MB"), ("max_wal_size", "64MB")];
    suite.postgres.start(&settings).await;

    let client = Client::of(&suite.site);
    let forms = forms(&client, 410_000, 24).await;
    let (before, meanwhile) = forms.split_at(8);
    let registered = register_all(&client, before).await;
    let mut admin = suite.site.main_database().await;
    disk.fill();
    // The next segment finds no space: the server gives up, comes back, and may give up again.
    for _ in 0..20 {
        let switched = "SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'full', 'full')";
        if sqlx::query(switched).execute(&mut admin).await.is_err() {
            break;
        }
    }
    let refusals: Vec<_> =
        send(&client, meanwhile).await.into_iter().filter_map(Result::err).collect();
    assert!(!refusals.is_empty(), "the disk is not full");
    refusals.iter().for_each(assert_come_again);
    consent_texts(&client.json).await.unwrap();
    let told = suite.postgres.log();
    assert!(told.contains("PANIC") && told.contains(NO_SPACE), "{told}");

    disk.free();
    // Who watches over the server starts it again, if it has ended altogether.
    if suite.postgres.has_ended() {
        suite.postgres.start(&settings).await;
    }
    until("the services are ready", || is_ready(&client)).await;
    let all = register_all(&client, &forms).await;
    assert_eq!(all[..registered.len()], registered);
    assert_eq!(checker::half_done(&suite.site).await, [] as [String; 0]);
    suite.stop().await;
}
