//! What the service answers to cursors.

use futures_util::StreamExt as _;
use zhiyuan_contracts::feed::v1::{Cursor, PullRequest, SnapshotRequest};

use super::toy::{Item, Toy, right};
use crate::Follower;

fn cursor(partition: i32, position: i64, event_id: &str) -> Cursor {
    Cursor { partition, position, event_id: event_id.to_owned(), ..Cursor::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_that_are_none_are_refused() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    let id = "01938a6e-7c00-7abc-8def-0123456789ab";
    for (cursors, reason) in [
        (vec![], "INVALID_FIELDS"),
        (vec![cursor(64, 0, "")], "INVALID_FIELDS"),
        (vec![cursor(-1, 0, "")], "INVALID_FIELDS"),
        (vec![cursor(0, 0, ""), cursor(0, 0, "")], "INVALID_FIELDS"),
        (vec![cursor(0, 0, id)], "INVALID_FIELDS"),
        (vec![cursor(0, 1, "")], "INVALID_FIELDS"),
        (vec![cursor(0, 1, "x")], "INVALID_FIELDS"),
        (vec![cursor(0, -1, "")], "INVALID_FIELDS"),
        ((0..65).map(|partition| cursor(partition, 0, "")).collect(), "INVALID_FIELDS"),
        (vec![cursor(0, 1, id)], "FEED_DIVERGED"),
        (vec![cursor(0, i64::MAX, id)], "INVALID_FIELDS"),
        (vec![cursor(0, i64::MAX - 1, id)], "FEED_DIVERGED"),
    ] {
        let request = PullRequest { cursors };
        let toy = Follower::named("toy", None);
        let Err(refused) = process.publisher.pull(&toy, request.clone()).await else {
            panic!("{request:?}")
        };
        assert_eq!(refused.reason(), reason, "{request:?}");
    }
    for (partition, kind, reason) in [
        (64, "zhiyuan.registration.v1.VolunteerChanged", "INVALID_FIELDS"),
        (0, "zhiyuan.identity.v1.AccountChanged", "FEED_TYPE_UNKNOWN"),
    ] {
        let request = SnapshotRequest { partition, r#type: kind.to_owned(), ..Default::default() };
        let kinds = ["zhiyuan.registration.v1.VolunteerChanged".to_owned()];
        let toy = Follower::named("toy", None);
        let refused = process.publisher.snapshot(&toy, &request, &kinds).await.unwrap_err();
        assert_eq!(refused.reason(), reason);
    }
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_partitions_asked_for_are_sent_and_the_heartbeat_tells_where_they_end() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    for number in 0..128 {
        process.commit(Item::new(number, 1)).await;
    }
    let request = PullRequest { cursors: vec![cursor(3, 0, ""), cursor(9, 0, "")] };
    let follower = Follower::named("toy", None);
    let mut stream = process.publisher.pull(&follower, request).await.unwrap();
    let mut positions = Vec::new();
    let heads = loop {
        let message = stream.next().await.unwrap().unwrap();
        positions.extend(message.events.iter().map(|event| (event.partition, event.position)));
        if let Some(heartbeat) = message.heartbeat
            && positions.len() == 4
        {
            break heartbeat.heads;
        }
    };
    positions.sort_unstable();
    assert_eq!(positions, [(3, 1), (3, 2), (9, 1), (9, 2)]);
    let heads: Vec<_> = heads.iter().map(|head| (head.partition, head.position)).collect();
    assert_eq!(heads, [(3, 2), (9, 2)]);
    toy.tasks.stop().request();
    let last = loop {
        match stream.next().await.unwrap() {
            Ok(_more) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(last.code(), tonic::Code::Unavailable);
    toy.stop().await;
}
