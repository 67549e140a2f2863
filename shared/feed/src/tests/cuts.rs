//! A cut divides what was applied by its stamps, whatever goes on.

use std::time::Duration;

use super::toy::{Copier, FEED, Item, Process, SCHEMA, Toy, right};
use crate::cuts::{Cuts, Took, find};

const FOLLOWS: &str = "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL";
/// As after a first reading that is long over.
const LONG_AGO: &str = "UPDATE feed_test.feed_cursor SET stamped_to = NULL";

fn cuts(toy: &Toy) -> Cuts {
    Cuts::new(SCHEMA, &[FEED], toy.pool.clone())
}

/// A follower that has read its snapshots a while ago.
async fn following(toy: &Toy, process: &Process) {
    toy.follower(&process.address, Copier::default());
    toy.until("it follows", FOLLOWS).await;
    sqlx::query(LONG_AGO).execute(&toy.pool).await.unwrap();
}

async fn until_taken(cuts: &mut Cuts) -> bool {
    loop {
        if let Took::Cut { exact } = cuts.take().await.unwrap() {
            return exact;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_exact_while_two_processes_follow_and_events_go_on() {
    let toy = Toy::new().await;
    let processes = [toy.process(right()).await, toy.process(right()).await];
    following(&toy, &processes[0]).await;
    toy.follower(&processes[1].address, Copier::default());
    let mut cuts = cuts(&toy);
    let taking = async {
        for _ in 0..3 {
            let at = zhiyuan_domain::Clock::now(&zhiyuan_domain::SystemClock);
            assert!(cuts.plan(at + Duration::from_millis(300)).await.unwrap());
            assert!(until_taken(&mut cuts).await);
        }
    };
    tokio::select! {
        () = taking => {}
        () = processes[0].write_on() => {}
        () = processes[1].write_on() => {}
    }
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    for number in 1..=3_i64 {
        let (before, after, wrong): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE f.after_cut < c.cut_id),
                    count(*) FILTER (WHERE f.after_cut >= c.cut_id),
                    count(*) FILTER (WHERE (e.sequenced_at > c.at) <> (f.after_cut >= c.cut_id))
             FROM feed_test.feed_cut c CROSS JOIN feed_test.event e
             JOIN feed_test.effect f USING (partition, position)
             WHERE c.cut_id = $1",
        )
        .bind(number)
        .fetch_one(&toy.pool)
        .await
        .unwrap();
        assert!(before > 0 && after > 0, "cut {number}: {before} before, {after} after");
        assert_eq!(wrong, 0, "effects on the wrong side of cut {number}");
    }
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_comes_before_what_is_applied_already_or_not_at_all() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    following(&toy, &process).await;
    process.commit(Item::new(1, 1)).await;
    toy.until_copied().await;
    let now = zhiyuan_domain::Clock::now(&zhiyuan_domain::SystemClock);
    let mut cuts = cuts(&toy);
    assert!(!cuts.plan(now - Duration::from_secs(3600)).await.unwrap());
    let at = now + Duration::from_millis(200);
    assert!(cuts.plan(at).await.unwrap());
    // Twice, or before one that is there: no.
    assert!(!cuts.plan(at).await.unwrap());
    assert!(!cuts.plan(at - Duration::from_millis(1)).await.unwrap());
    assert_eq!(find(&toy.pool, SCHEMA, at).await.unwrap(), None);
    assert!(until_taken(&mut cuts).await);
    assert!(find(&toy.pool, SCHEMA, at).await.unwrap().unwrap().exact);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_that_falls_into_a_rebuild_says_that_it_is_not_exact() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    following(&toy, &process).await;
    let mut cuts = cuts(&toy);
    let now = zhiyuan_domain::Clock::now(&zhiyuan_domain::SystemClock);
    assert!(cuts.plan(now + Duration::from_millis(100)).await.unwrap());
    sqlx::query("UPDATE feed_test.feed_cursor SET rebuild_type = '' WHERE partition = 7")
        .execute(&toy.pool)
        .await
        .unwrap();
    assert_eq!(cuts.take().await.unwrap(), Took::Nothing);
    sqlx::query("UPDATE feed_test.feed_slot SET holder = NULL").execute(&toy.pool).await.unwrap();
    assert!(!until_taken(&mut cuts).await);
    // What is written afterwards is not held back.
    process.commit(Item::new(7, 1)).await;
    toy.until_copied().await;
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_that_nobody_can_pass_is_given_up_and_everything_goes_on() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    following(&toy, &process).await;
    let now = zhiyuan_domain::Clock::now(&zhiyuan_domain::SystemClock);
    // A feed that is not there: its slots never pass.
    let both = || Cuts::new(SCHEMA, &[FEED, "silent"], toy.pool.clone());
    assert!(both().plan(now).await.unwrap());
    // Of a clock that is wrong: nobody would ever plan an earlier one.
    assert!(!both().plan(now + Duration::from_secs(3 * 24 * 3600)).await.unwrap());
    process.commit(Item::new(1, 1)).await;
    toy.until("sequenced", "SELECT NOT EXISTS (TABLE feed_test.outbox)").await;
    toy.until(
        "held back",
        "SELECT min(watermark) >= (SELECT at FROM feed_test.feed_cut) FROM feed_test.feed_slot",
    )
    .await;
    assert_eq!(both().take().await.unwrap(), Took::Nothing);
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.copy").await, 0);
    assert_eq!(both().impatient().take().await.unwrap(), Took::Cut { exact: false });
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    toy.stop().await;
}
