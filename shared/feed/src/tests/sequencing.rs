//! Positions, stamps and watermarks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use zhiyuan_domain::SharedClock;

use super::toy::{Copier, Item, SCHEMA, Toy, as_of, config, off_by, right};
use crate::error::Error;
use crate::publisher::Publisher;
use crate::sequencer::{Pass, Sequencer};

fn sequencer(toy: &Toy, clock: SharedClock) -> Sequencer {
    Sequencer {
        pool: toy.pool.clone(),
        schema: SCHEMA,
        config: config(),
        clock,
        woken: Arc::new(Notify::new()),
        moved: Arc::new(Notify::new()),
    }
}

/// A process that writes and does not sequence.
fn writer(toy: &Toy) -> super::toy::Process {
    let publisher = Publisher::new(SCHEMA, toy.pool.clone(), right(), config());
    super::toy::Process {
        publisher,
        address: String::new(),
        snapshots: Arc::default(),
        tree: super::tree::Tree::default(),
        restricted: super::tree::Restricted::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_sequencers_one_makes_the_pass() {
    let toy = Toy::new().await;
    let writer = writer(&toy);
    let sequencers: Vec<Sequencer> = (0..4).map(|_| sequencer(&toy, right())).collect();
    let writing = async {
        for round in 0..10 {
            // All in one partition: whoever reads a head that is about to move gives a
            // position twice.
            for number in 0..30 {
                writer.commit(Item::new(number * 64, round)).await;
            }
        }
    };
    let written = std::sync::atomic::AtomicBool::new(false);
    let sequencing = join_all(sequencers.iter().map(async |sequencer| {
        let mut moved = 0;
        loop {
            let last = written.load(std::sync::atomic::Ordering::SeqCst);
            // None ever runs into what another one did.
            match sequencer.pass().await.unwrap() {
                Pass::Moved(more) => moved += more,
                Pass::Idle if last => break moved,
                Pass::Elsewhere | Pass::Idle => tokio::task::yield_now().await,
            }
        }
    }));
    let writing = async {
        writing.await;
        written.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let (moved, ()) = tokio::join!(sequencing, writing);
    assert_eq!(moved.iter().sum::<i64>(), 300);
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.event").await, 300);
    let heads = "SELECT count(*) FROM feed_test.feed_head h WHERE position <>
                     (SELECT max(position) FROM feed_test.event e WHERE e.partition = h.partition)";
    assert_eq!(toy.count(heads).await, 0);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequencer_killed_in_the_middle_of_a_pass_leaves_nothing() {
    let toy = Toy::new().await;
    let writer = writer(&toy);
    for number in 0..100 {
        writer.commit(Item::new(number, 1)).await;
    }
    let sequencer = sequencer(&toy, right());
    let mut admin = toy.admin().await;
    // The pass has moved everything and waits for its last statement.
    let mut block = toy.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM feed_test.feed_watermark FOR UPDATE")
        .execute(&mut *block)
        .await
        .unwrap();
    let killed = async {
        loop {
            let killed: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                   AND query LIKE 'UPDATE feed_test.feed_watermark%'",
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
    let (pass, ()) = tokio::join!(sequencer.pass(), killed);
    assert!(matches!(pass, Err(Error::Database(_))), "{pass:?}");
    block.rollback().await.unwrap();
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.event").await, 0);
    // The lock goes with the connection that was killed, a moment later.
    let pass = loop {
        match sequencer.pass().await.unwrap() {
            Pass::Elsewhere => tokio::time::sleep(Duration::from_millis(10)).await,
            pass => break pass,
        }
    };
    assert_eq!(pass, Pass::Moved(100));
    let dense = "SELECT count(*) FROM feed_test.event WHERE position > 2";
    assert_eq!(toy.count(dense).await, 0);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stamped_by_a_clock_that_is_wrong() {
    let toy = Toy::new().await;
    let writer = writer(&toy);
    writer.commit(Item::new(1, 1)).await;
    for seconds in [-3600, -61, 61, 400 * 24 * 3600] {
        let pass = sequencer(&toy, off_by(seconds)).pass().await;
        assert!(matches!(pass, Err(Error::Skew { .. })), "{seconds}: {pass:?}");
    }
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.event").await, 0);
    assert_eq!(sequencer(&toy, right()).pass().await.unwrap(), Pass::Moved(1));
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamp_is_never_earlier_than_that_of_the_pass_before() {
    let toy = Toy::new().await;
    let writer = writer(&toy);
    for (number, seconds) in [(1, 40), (2, -40), (3, 0), (4, -59)] {
        writer.commit(Item::new(number, 1)).await;
        let pass = sequencer(&toy, off_by(seconds)).pass().await.unwrap();
        assert_eq!(pass, Pass::Moved(1));
    }
    let back = "SELECT count(*) FROM (
                    SELECT sequenced_at <= lag(sequenced_at) OVER (ORDER BY key) AS back
                    FROM feed_test.event) e
                WHERE back";
    assert_eq!(toy.count(back).await, 0);
    toy.stop().await;
}

/// The watermark that belongs to a pass of 5,000 events comes after all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watermark_is_adopted_after_the_events_that_it_covers() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    let effect = Copier { pause: Duration::from_millis(500), ..Copier::default() };
    toy.follower(&process.address, effect);
    toy.until("it follows", "SELECT count(watermark) = 4 FROM feed_test.feed_slot").await;
    let before = as_of(&toy).await.unwrap();
    let mut bulk = toy.pool.begin().await.unwrap();
    for number in 0..5000 {
        process.change(&mut bulk, Item::new(number, 1)).await;
    }
    bulk.commit().await.unwrap();
    process.publisher.outbox().wake();
    let mut looked = 0;
    loop {
        // One statement, one snapshot.
        let (early, applied): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM feed_test.event e
                     JOIN feed_test.feed_slot s ON s.slot = e.partition % 4
                     WHERE e.sequenced_at <= s.watermark AND NOT EXISTS (
                         SELECT FROM feed_test.copy c
                         WHERE c.partition = e.partition AND c.key = e.key)),
                    (SELECT count(*) FROM feed_test.copy)",
        )
        .fetch_one(&toy.pool)
        .await
        .unwrap();
        assert_eq!(early, 0, "events that a watermark covers are not applied");
        looked += i64::from(applied > 0 && applied < 5000);
        if applied == 5000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(looked > 3, "the test never looked while events were applied");
    toy.until_copied().await;
    let passed = async {
        while as_of(&toy).await.unwrap() <= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), passed).await.unwrap();
    toy.stop().await;
}

/// Who is never done hears how far it is nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watermark_is_adopted_while_events_never_end() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    toy.follower(&process.address, Copier { pause: Duration::from_millis(5), ..Copier::default() });
    toy.until("it follows", "SELECT count(watermark) = 4 FROM feed_test.feed_slot").await;
    let adopted = async {
        let mut last = as_of(&toy).await.unwrap();
        for _ in 0..3 {
            while as_of(&toy).await.unwrap() <= last {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            last = as_of(&toy).await.unwrap();
        }
    };
    tokio::select! {
        adopted = tokio::time::timeout(Duration::from_secs(30), adopted) => adopted.unwrap(),
        () = process.write_on() => {}
    }
    toy.stop().await;
}
