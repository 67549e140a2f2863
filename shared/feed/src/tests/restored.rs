//! A service that was restored to an older state, or has forgotten, is read again.

use std::sync::atomic::Ordering;

use super::toy::{Copier, Item, Toy, right};
use crate::config::FeedConfig;
use crate::trim;

const FOLLOWS: &str = "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL";

/// Takes the service back to how it was after the first events of each partition, as a
/// backup does: items, events, heads.
async fn restore(toy: &Toy, positions: i64) {
    let mut admin = toy.admin().await;
    let mut transaction = sqlx::Connection::begin(&mut admin).await.unwrap();
    for sql in [
        "DELETE FROM feed_test.event WHERE position > $1",
        "UPDATE feed_test.feed_head h SET position = e.position, event_id = e.event_id,
             previous_event_id = e.previous_event_id
         FROM feed_test.event e WHERE e.partition = h.partition AND e.position = $1",
        "DELETE FROM feed_test.item i WHERE NOT EXISTS (
             SELECT FROM feed_test.event e WHERE e.key = i.key AND e.position <= $1)",
        "UPDATE feed_test.item i SET revision = e.revision, value = 1
         FROM feed_test.event e WHERE e.key = i.key AND e.position <= $1 AND e.revision = (
             SELECT max(revision) FROM feed_test.event f WHERE f.key = i.key AND f.position <= $1)",
    ] {
        sqlx::query(sql).bind(positions).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn copied_of_three(toy: &Toy) -> super::toy::Process {
    let process = toy.process(right()).await;
    toy.follower(&process.address, Copier::default());
    toy.until("it follows", FOLLOWS).await;
    // All in one partition, one event each.
    for number in 0..3 {
        process.commit(Item::new(number * 64, 1)).await;
    }
    toy.until_copied().await;
    process
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_service_is_seen_while_the_stream_is_open_and_nothing_comes() {
    let toy = Toy::new().await;
    let _process = copied_of_three(&toy).await;
    restore(&toy, 1).await;
    toy.until_copied().await;
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.copy").await, 1);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_given_again_is_not_taken_for_the_same() {
    let toy = Toy::new().await;
    let process = copied_of_three(&toy).await;
    restore(&toy, 1).await;
    // As many as were lost, and others: only the ids tell.
    for number in 10..12 {
        process.commit(Item::new(number * 64, 9)).await;
    }
    toy.until_copied().await;
    let of_others = "SELECT count(*) FROM feed_test.copy WHERE value = 9";
    assert_eq!(toy.count(of_others).await, 2);
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.copy").await, 3);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_went_on_further_than_before_is_read_again() {
    let toy = Toy::new().await;
    let process = copied_of_three(&toy).await;
    let mut late = toy.pool.begin().await.unwrap();
    for number in 20..30 {
        process.change(&mut late, Item::new(number * 64, 5)).await;
    }
    restore(&toy, 2).await;
    late.commit().await.unwrap();
    process.publisher.outbox().wake();
    toy.until_copied().await;
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.copy").await, 12);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_too_late_reads_snapshots() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    for round in 0..4 {
        for number in 0..40 {
            process.commit(Item::new(number, round)).await;
        }
    }
    toy.until("sequenced", "SELECT NOT EXISTS (TABLE feed_test.outbox)").await;
    // Where a follower was that came once.
    sqlx::query(
        "INSERT INTO feed_test.feed_cursor (feed, partition, position, event_id)
         SELECT 'toy', partition, position, event_id FROM feed_test.event WHERE position = 1",
    )
    .execute(&toy.pool)
    .await
    .unwrap();
    let config = FeedConfig { keep_hours: 0, retention_days: 0, ..FeedConfig::default() };
    let trimmed =
        trim::once(&toy.pool, "feed_test", &config, &super::toy::off_by(5)).await.unwrap();
    assert_eq!(trimmed, 3 * 40);
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.event").await, 40);
    toy.follower(&process.address, Copier::default());
    toy.until_copied().await;
    process.commit(Item::new(3, 77)).await;
    toy.until_copied().await;
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_follower_has_not_passed_is_kept() {
    let toy = Toy::new().await;
    let process = copied_of_three(&toy).await;
    toy.tasks.stop().request();
    let at =
        |passed: i64| sqlx::query("UPDATE feed_test.feed_follower SET position = $1").bind(passed);
    let config = FeedConfig { keep_hours: 0, retention_days: 1, ..FeedConfig::default() };
    let clock = super::toy::off_by(60);
    at(0).execute(&toy.pool).await.unwrap();
    assert_eq!(trim::once(&toy.pool, "feed_test", &config, &clock).await.unwrap(), 0);
    at(1).execute(&toy.pool).await.unwrap();
    assert_eq!(trim::once(&toy.pool, "feed_test", &config, &clock).await.unwrap(), 1);
    // The last event of a partition stays: it tells who has diverged.
    at(3).execute(&toy.pool).await.unwrap();
    assert_eq!(trim::once(&toy.pool, "feed_test", &config, &clock).await.unwrap(), 1);
    assert_eq!(trim::once(&toy.pool, "feed_test", &config, &clock).await.unwrap(), 0);
    drop(process);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_reading_that_is_cut_off_goes_on_where_it_was() {
    let toy = Toy::new().await;
    // There before the feed was, and more than a page of one partition.
    sqlx::query(
        "INSERT INTO feed_test.item (partition, key, revision, value)
         SELECT 5, lpad(n::text, 6, '0'), 3, n FROM generate_series(1, 1700) n",
    )
    .execute(&toy.pool)
    .await
    .unwrap();
    let stale = "INSERT INTO feed_test.copy (partition, key, revision, value)
                 VALUES (5, '000000', 9, 9), (5, '000600', 99, 9), (5, '000600a', 1, 9),
                        (5, '999999', 1, 9), (6, 'a', 1, 9)";
    sqlx::query(stale).execute(&toy.pool).await.unwrap();
    let process = toy.process(right()).await;
    let effect = Copier::default();
    effect.torn.store(2, Ordering::SeqCst);
    toy.follower(&process.address, effect);
    toy.until_copied().await;
    toy.until("it follows", FOLLOWS).await;
    // One page for each of the 63 others, four for this one, and two that failed.
    assert_eq!(process.snapshots.load(Ordering::SeqCst), 63 + 4 + 2);
    process.commit(Item::new(5, 1)).await;
    toy.until_copied().await;
    toy.stop().await;
}
