//! Every act that was committed is sealed once, and none that was not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use zhiyuan_lifecycle::{Stop, Tasks};

use super::toy::{Toy, record};
use crate::Record;
use crate::record::Actor;
use crate::sealer::Pass;

/// Every act has its entry, once, and entries are dense.
async fn assert_complete(toy: &Toy, acts: i64) {
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.audit_pending").await, 0);
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.act").await, acts);
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.audit_entry").await, acts);
    let dense = "SELECT coalesce(max(index), 0) FROM audit_test.audit_entry";
    assert_eq!(toy.count(dense).await, acts);
    let same = "SELECT count(*) FROM audit_test.act a
                JOIN audit_test.audit_entry e ON e.detail_values[1] = a.n::text";
    assert_eq!(toy.count(same).await, acts);
    assert_eq!(toy.findings(None).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sealers_lose_and_double_nothing_while_eight_write() {
    let toy = Toy::new().await;
    let written = AtomicBool::new(false);
    let writing = async {
        join_all((0..8).map(async |writer: i64| {
            for round in 0..50 {
                let mut transaction = toy.pool.begin().await.unwrap();
                toy.act_in(&mut transaction, writer * 50 + round).await;
                // Commits come in another order than the numbers of what is pending.
                let pause = u64::try_from((writer * 5 + round) % 7).unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if (writer + round) % 5 == 0 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            }
        }))
        .await;
        written.store(true, Ordering::SeqCst);
    };
    let sealing = join_all((0..2).map(async |_| {
        let config = crate::AuditConfig { batch: 7, head_ms: 0, ..toy.config.clone() };
        let (mut sealer, mut all) = (toy.sealer_with(&config), 0);
        loop {
            let last = written.load(Ordering::SeqCst);
            // None ever runs into what the other one did.
            match sealer.pass().await.unwrap() {
                Pass::Made { sealed: 0, .. } if last => break all,
                Pass::Made { sealed, .. } => all += sealed,
                Pass::Elsewhere => tokio::task::yield_now().await,
            }
        }
    }));
    let (sealed, ()) = tokio::join!(sealing, writing);
    assert_eq!(sealed.iter().sum::<usize>(), 320);
    assert_complete(&toy, 320).await;
}

#[tokio::test]
async fn an_act_that_commits_late_is_not_passed_over_and_waits_for_nobody() {
    let toy = Toy::new().await;
    let mut late = toy.pool.begin().await.unwrap();
    toy.act_in(&mut late, 1).await;
    // Neither another act nor the sealer waits for it.
    toy.act([2]).await;
    assert_eq!(toy.sealed().await.unwrap().size, 1);
    toy.act_in(&mut late, 3).await;
    late.commit().await.unwrap();
    toy.sealed().await;
    assert_complete(&toy, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealer_killed_in_the_middle_of_a_pass_leaves_nothing() {
    let toy = Toy::new().await;
    toy.act(1..=100).await;
    let mut admin = PgConnection::connect(&toy.database.admin_url()).await.unwrap();
    // The pass has sealed everything and waits to sign.
    let mut block = toy.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_test.audit_head IN SHARE MODE")
        .execute(&mut *block)
        .await
        .unwrap();
    let killed = async {
        loop {
            let killed: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                   AND query LIKE 'INSERT INTO audit_test.audit_head%'",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if killed > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut sealer = toy.sealer();
    let (pass, ()) = tokio::join!(sealer.pass(), killed);
    pass.unwrap_err();
    block.rollback().await.unwrap();
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.audit_entry").await, 0);
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.audit_pending").await, 100);
    // The lock goes with the connection that was killed, a moment later.
    let pass = loop {
        match sealer.pass().await.unwrap() {
            Pass::Elsewhere => tokio::time::sleep(Duration::from_millis(10)).await,
            pass @ Pass::Made { .. } => break pass,
        }
    };
    assert!(matches!(pass, Pass::Made { sealed: 100, signed: Some(_) }), "{pass:?}");
    assert_complete(&toy, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_seals_in_batches_what_is_there_and_what_comes() {
    let toy = Toy::new().await;
    let mut transaction = toy.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO audit_test.act SELECT generate_series(1, 10000)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    for n in 1..=10_000 {
        toy.trail.append(&mut transaction, &record(n)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let tasks = Tasks::new(Stop::new());
    for _ in 0..2 {
        toy.sealer().start(&tasks);
    }
    let until = async |sql: &'static str| {
        let waiting = async {
            while toy.count(sql).await > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    };
    until("SELECT count(*) FROM audit_test.audit_pending").await;
    // Not in one transaction.
    let passes = "SELECT count(DISTINCT xmin::text) FROM audit_test.audit_entry";
    assert_eq!(toy.count(passes).await, 10);
    toy.act([10_001]).await;
    until("SELECT count(*) FROM audit_test.audit_pending").await;
    assert_complete(&toy, 10_001).await;
    tasks.stop().request();
    tasks.finish(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_record_beyond_its_limits_is_a_defect_and_is_not_written() {
    let toy = Toy::new().await;
    let mut connection = toy.pool.acquire().await.unwrap();
    let wordy = record(1).because("核".repeat(Record::PURPOSE_MAX + 1));
    let nobody = Record::refused(Actor::Service(String::new()), "toy.thing.done");
    for record in [wordy, nobody] {
        let refused = toy.trail.append(&mut connection, &record).await.unwrap_err();
        assert!(matches!(refused, sqlx::Error::Protocol(_)), "{refused:?}");
    }
    assert_eq!(toy.count("SELECT count(*) FROM audit_test.audit_pending").await, 0);
}

#[tokio::test]
async fn what_is_sealed_is_not_changed_by_the_service_nor_by_the_owner() {
    let (toy, _) = Toy::chained().await;
    for (url, statements) in [
        (
            toy.database.runtime_url(),
            ["UPDATE {} SET hash = hash", "DELETE FROM {}", "TRUNCATE {}"],
        ),
        (toy.database.owner_url(), ["UPDATE {} SET hash = hash", "DELETE FROM {}", "TRUNCATE {}"]),
    ] {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for table in ["audit_test.audit_entry", "audit_test.audit_head"] {
            for statement in statements {
                let sql = AssertSqlSafe(statement.replace("{}", table));
                let refused = sqlx::query(sql).execute(&mut connection).await.unwrap_err();
                let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
                assert_eq!(code, "42501", "{statement} {table}");
            }
        }
    }
    assert_eq!(toy.findings(None).await, [""; 0]);
}
