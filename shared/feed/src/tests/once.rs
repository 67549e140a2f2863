//! Each event has its effect once, in order, whoever writes, sequences and follows.

use std::time::Duration;

use super::toy::{Copier, Item, Toy, off_by, right};

/// Writers that change the same few items at once, in transactions that take their time.
async fn write(processes: &[super::toy::Process], rounds: u32) {
    let writers = (0..8_u32).map(|writer| {
        let process = processes[writer as usize % processes.len()].clone();
        async move {
            for round in 0..rounds {
                let mut transaction = process.publisher.pool.begin().await.unwrap();
                let number = u128::from((writer * 7 + round * 3) % 40);
                process.change(&mut transaction, Item::new(number, round as i32)).await;
                // Commits come in another order than the numbers of the outbox.
                tokio::time::sleep(Duration::from_millis(u64::from((writer * 5 + round) % 9)))
                    .await;
                transaction.commit().await.unwrap();
                process.publisher.outbox().wake();
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sequencers_with_skewed_clocks_and_two_followers() {
    let toy = Toy::new().await;
    let processes = [toy.process(off_by(-30)).await, toy.process(off_by(30)).await];
    toy.follower(&processes[0].address, Copier::default());
    toy.follower(&processes[1].address, Copier::default());
    // From the first event on: a snapshot has effects of its own.
    toy.until(
        "both follow",
        "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL",
    )
    .await;
    write(&processes, 40).await;
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.event").await, 320);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_lose_their_slots_all_the_time() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    for _ in 0..2 {
        let effect = Copier { pause: Duration::from_millis(2), ..Copier::default() };
        toy.follower(&process.address, effect);
    }
    toy.until(
        "both follow",
        "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL",
    )
    .await;
    let (pool, processes) = (toy.pool.clone(), [process]);
    let disturb = async {
        // The other one takes over while this one still has events in its hands.
        loop {
            sqlx::query("UPDATE feed_test.feed_slot SET holder = NULL")
                .execute(&pool)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::select! {
        () = write(&processes, 60) => {}
        () = disturb => {}
    }
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_followers_of_one_partition() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    let effect = || Copier { pause: Duration::from_millis(5), ..Copier::default() };
    toy.follower(&process.address, effect());
    toy.until(
        "it follows",
        "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL",
    )
    .await;
    let others: Vec<_> = (0..4).map(|_| toy.idle_follower(&process.address, effect())).collect();
    let trespass =
        futures_util::future::join_all(others.iter().zip(0..).map(async |(other, slot)| {
            loop {
                let ended = other.trespass(slot).await;
                assert!(matches!(ended, Err(crate::Error::Outrun)), "{ended:?}");
            }
        }));
    let processes = [process.clone()];
    tokio::select! {
        () = write(&processes, 60) => {}
        _never = trespass => {}
    }
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_is_not_passed_over() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    toy.follower(&process.address, Copier::default());
    process.commit(Item::new(1, 1)).await;
    toy.until_copied().await;
    let mut late = toy.pool.begin().await.unwrap();
    // The same partition, and an earlier number of the outbox.
    process.change(&mut late, Item::new(1 + 64, 7)).await;
    process.commit(Item::new(1 + 128, 8)).await;
    toy.until("the one after it", "SELECT count(*) = 2 FROM feed_test.copy").await;
    late.commit().await.unwrap();
    toy.until_copied().await;
    assert_eq!(toy.count("SELECT count(*) FROM feed_test.copy").await, 3);
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_can_not_be_applied_holds_up_its_own_partitions_only_until_it_can() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    let effect = Copier::default();
    *effect.poison.lock().unwrap() = Some(666);
    toy.follower(&process.address, effect.clone());
    toy.until(
        "it follows",
        "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL",
    )
    .await;
    let mut together = toy.pool.begin().await.unwrap();
    for (number, value) in [(4, 1), (4 + 64, 666), (4 + 128, 3)] {
        process.change(&mut together, Item::new(number, value)).await;
    }
    together.commit().await.unwrap();
    process.commit(Item::new(5, 5)).await;
    toy.until(
        "what is before it, and what is beside it",
        "SELECT coalesce(array_agg(value ORDER BY value), '{}') = '{1,5}' FROM feed_test.copy",
    )
    .await;
    *effect.poison.lock().unwrap() = None;
    toy.until_copied().await;
    toy.assert_exactly_once().await;
    toy.stop().await;
}
