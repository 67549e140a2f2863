//! Who is restricted to organizations sees what is there, and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use prost::Message as _;
use tokio::time::timeout;
use zhiyuan_contracts::feed::v1 as wire;
use zhiyuan_contracts::registration::v1::VolunteerChanged;
use zhiyuan_rpc::page::Page;

use super::toy::{Copier, Item, Process, Toy, right};
use crate::reader::decode;
use crate::{Follower, NewEvent, Publisher, PullStream};

const KIND: &str = "zhiyuan.registration.v1.VolunteerChanged";
const FOLLOWS: &str = "SELECT count(*) = 64 FROM feed_test.feed_cursor WHERE rebuild_type IS NULL";
const PATIENCE: Duration = Duration::from_secs(30);

fn city() -> Follower {
    Follower::named("city", Some(&["CITY"]))
}

/// A page of the items of a partition.
async fn page(
    process: &Process,
    follower: &Follower,
    request: wire::SnapshotRequest,
) -> Result<wire::SnapshotResponse, zhiyuan_rpc::Error> {
    let kinds = [KIND.to_owned()];
    let request = wire::SnapshotRequest { r#type: KIND.to_owned(), ..request };
    let snapshot = process.publisher.snapshot(follower, &request, &kinds).await?;
    let partition = snapshot.partition;
    snapshot
        .answer(async |after: String, limit: i64| {
            let rows: Vec<(String, Option<String>)> = sqlx::query_as(
                "SELECT key, (SELECT place FROM feed_test.place p
                              WHERE p.partition = i.partition AND p.key = i.key)
                 FROM feed_test.item i WHERE partition = $1 AND key > $2 ORDER BY key LIMIT $3",
            )
            .bind(partition)
            .bind(after)
            .bind(limit)
            .fetch_all(process.publisher.pool())
            .await
            .unwrap();
            let rows = rows.into_iter().map(|(key, place)| {
                let state = VolunteerChanged { volunteer_id: key.clone(), ..Default::default() };
                crate::SnapshotRow::new(key, 1, &state).at(place.as_deref())
            });
            Ok(rows.collect())
        })
        .await
}

/// The version of the scope as the first page of a snapshot tells it.
async fn version(process: &Process, follower: &Follower) -> String {
    page(process, follower, wire::SnapshotRequest::default()).await.unwrap().scope_version
}

fn from_the_beginning(version: &str) -> wire::PullRequest {
    let scope_version = version.to_owned();
    wire::PullRequest { cursors: vec![wire::Cursor { scope_version, ..Default::default() }] }
}

/// Events of partition 0, as many, and everything else that came until then.
async fn events(stream: &mut PullStream, many: usize) -> Vec<wire::Event> {
    let mut events = Vec::new();
    let reading = async {
        while events.len() < many {
            events.extend(stream.next().await.unwrap().unwrap().events);
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    events
}

/// How a stream ends, from which nothing more comes.
async fn end(stream: &mut PullStream) -> (tonic::Code, String, Option<String>) {
    use tonic_types::StatusExt as _;
    let reading = async {
        loop {
            match stream.next().await.unwrap() {
                Ok(message) => assert!(message.events.is_empty(), "{message:?}"),
                Err(status) => return status,
            }
        }
    };
    let status = timeout(PATIENCE, reading).await.unwrap();
    let info = status.get_error_details().error_info().cloned().unwrap();
    (status.code(), info.reason, info.metadata.get("scope_version").cloned())
}

/// Items of one partition go about; each event is told by where its key was and is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_told_by_where_its_key_was_and_where_it_is() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY", "TOWN"]);
    let (one, other) = (|value| Item::new(0, value), |value| Item::new(64, value));
    assert_eq!(one(0).partition, other(0).partition);
    for item in [
        // Outside; comes in; is inside; goes about inside; leaves; is outside.
        one(1).at("FAR"),
        one(2).at("TOWN"),
        one(3).at("TOWN"),
        one(4).at("CITY"),
        one(5).at("FAR"),
        one(6).at("FAR"),
        // Begins inside; is at none; stays there.
        other(7).at("CITY"),
        other(8).at(""),
        other(9).at(""),
    ] {
        process.commit(item).await;
    }
    let everybody = Follower::named("everybody", None);
    let mut all = process.publisher.pull(&everybody, from_the_beginning("")).await.unwrap();
    let all = events(&mut all, 9).await;
    let version = version(&process, &city()).await;
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&version)).await.unwrap();
    let told = events(&mut stream, 9).await;

    let (one, other) = (one(0).key, other(0).key);
    let mut seen = Vec::new();
    for (whole, event) in all.iter().zip(&told) {
        // Dense, and in the same chain, for everybody.
        let chain = |event: &wire::Event| {
            (event.position, event.event_id.clone(), event.previous_event_id.clone())
        };
        assert_eq!(chain(whole), chain(event));
        assert_eq!(whole.sequence_time, event.sequence_time);
        let state = event.payload.as_ref().and_then(|payload| decode(payload).unwrap());
        let left = event.payload.as_ref().and_then(|payload| decode(payload).unwrap());
        seen.push(match (&event.payload, state, left) {
            (None, ..) => {
                assert_eq!((event.key.as_str(), event.revision), ("", 0));
                "nothing".to_owned()
            }
            (_, Some(VolunteerChanged { level, .. }), _) => {
                assert_eq!(whole, event);
                format!("{level}")
            }
            (_, _, Some(wire::Left { r#type })) => {
                assert_eq!((&whole.key, whole.revision), (&event.key, event.revision));
                assert_eq!(r#type, KIND);
                "left".to_owned()
            }
            _ => panic!("{event:?}"),
        });
    }
    let expected = ["nothing", "2", "3", "4", "left", "nothing", "7", "left", "nothing"];
    assert_eq!(seen, expected);
    assert!(told.iter().any(|event| event.key == one));
    assert!(told.iter().any(|event| event.key == other));
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_is_elsewhere_no_byte_is_told() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    for number in 0..40 {
        let place = if number % 2 == 0 { "CITY" } else { "FAR" };
        process.commit(Item::new(number * 64, 1).at(place)).await;
    }
    let version = version(&process, &city()).await;
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&version)).await.unwrap();
    let mut bytes = Vec::new();
    for event in events(&mut stream, 40).await {
        bytes.extend(event.encode_to_vec());
    }
    let mut request = wire::SnapshotRequest { page_size: 3, ..Default::default() };
    let mut inside = 0;
    loop {
        let page = page(&process, &city(), request.clone()).await.unwrap();
        bytes.extend(page.encode_to_vec());
        inside += page.records.len();
        (request.page_token, request.scope_version) = (page.next_page_token, page.scope_version);
        if request.page_token.is_empty() {
            break;
        }
        let token = Page::parse(3, &request.page_token, &[KIND, "0"]).unwrap();
        bytes.extend(token.after.unwrap().into_bytes());
    }
    assert_eq!(inside, 20);
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    for number in 0..40 {
        assert_eq!(holds(&Item::new(number * 64, 1).key), number % 2 == 0, "{number}");
    }
    assert!(!holds("FAR"));
    toy.stop().await;
}

/// A page is told by the scope that the stream began with, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_something_moves_and_tells_nothing_by_another_scope() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    let before = version(&process, &city()).await;
    // While nothing happens: with the next heartbeat.
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&before)).await.unwrap();
    process.tree.inside(&["CITY", "FAR"]);
    let (code, reason, now) = end(&mut stream).await;
    assert_eq!((code, reason.as_str()), (tonic::Code::FailedPrecondition, "FEED_SCOPE_CHANGED"));
    // While a page is on its way: the question on connecting, then that about the page.
    let now = now.unwrap();
    assert_ne!(now, before);
    process.commit(Item::new(0, 1).at("FAR")).await;
    process.tree.inside_after(1, &["CITY"]);
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&now)).await.unwrap();
    let (_, reason, last) = end(&mut stream).await;
    assert_eq!(reason, "FEED_SCOPE_CHANGED");
    // Two moves that cancel each other are two moves.
    assert!(last.is_some_and(|last| last != now && last != before));
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_by_another_scope_is_refused_on_connecting() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    let before = version(&process, &city()).await;
    process.tree.inside(&["CITY", "FAR"]);
    let everybody = Follower::named("everybody", None);
    let county = Follower::named("county", Some(&["COUNTY"]));
    for (follower, version) in [
        (city(), before.as_str()),
        (city(), ""),
        (county.clone(), before.as_str()),
        // Restricted once, and not any more.
        (everybody, before.as_str()),
    ] {
        let refused = process.publisher.pull(&follower, from_the_beginning(version)).await;
        let Err(refused) = refused else { panic!("{follower:?} {version}") };
        assert_eq!(refused.reason(), "FEED_SCOPE_CHANGED", "{follower:?} {version}");
        for (page_token, second) in [("", !version.is_empty()), ("x", false)] {
            let request = wire::SnapshotRequest {
                page_token: page_token.to_owned(),
                scope_version: version.to_owned(),
                ..Default::default()
            };
            let told = page(&process, &follower, request).await.map(|page| page.records.len());
            let reason = told.as_ref().err().map(zhiyuan_rpc::Error::reason);
            let expected = match (page_token, second) {
                ("", true) => Some("FEED_SCOPE_CHANGED"),
                ("", false) => None,
                _ => Some("PAGE_TOKEN_INVALID"),
            };
            assert_eq!(reason, expected, "{follower:?} {version} {page_token}");
        }
    }
    toy.stop().await;
}

/// Pages of one snapshot are of one scope.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_which_a_page_was_read_before_a_move_is_not_gone_on_with() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    for number in 0..6 {
        process.commit(Item::new(number * 64, 1).at("CITY")).await;
    }
    let first = wire::SnapshotRequest { page_size: 2, ..Default::default() };
    let told = page(&process, &city(), first.clone()).await.unwrap();
    assert_eq!(told.records.len(), 2);
    let next = wire::SnapshotRequest {
        page_token: told.next_page_token,
        scope_version: told.scope_version,
        ..first.clone()
    };
    assert_eq!(page(&process, &city(), next.clone()).await.unwrap().records.len(), 2);
    // Nobody goes on without saying by which scope.
    let silent = wire::SnapshotRequest { scope_version: String::new(), ..next.clone() };
    let refused = page(&process, &city(), silent).await.unwrap_err();
    assert_eq!(refused.reason(), "FEED_SCOPE_CHANGED");
    // While the page is read.
    process.tree.inside_after(1, &["CITY", "FAR"]);
    let refused = page(&process, &city(), next.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), "FEED_SCOPE_CHANGED");
    let refused = page(&process, &city(), next).await.unwrap_err();
    assert_eq!(refused.reason(), "FEED_SCOPE_CHANGED");
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_when_nobody_knows_the_tree() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    let version = version(&process, &city()).await;
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&version)).await.unwrap();
    process.tree.set_down(true);
    process.commit(Item::new(0, 1).at("CITY")).await;
    assert_eq!(end(&mut stream).await.1, "UNAVAILABLE");
    let refused = process.publisher.pull(&city(), from_the_beginning(&version)).await;
    assert_eq!(refused.err().unwrap().reason(), "UNAVAILABLE");
    let refused = page(&process, &city(), wire::SnapshotRequest::default()).await.unwrap_err();
    assert_eq!(refused.reason(), "UNAVAILABLE");
    // Who is not restricted never has it asked.
    let questions = process.tree.questions();
    let everybody = Follower::named("everybody", None);
    let mut all = process.publisher.pull(&everybody, from_the_beginning("")).await.unwrap();
    assert_eq!(events(&mut all, 1).await.len(), 1);
    assert_eq!(process.tree.questions(), questions);
    toy.stop().await;
}

/// Where it was not kept where a key was, neither can be told: the reader starts again after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_before_places_were_kept_is_as_if_it_were_trimmed() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    process.commit(Item::new(0, 1).at("CITY")).await;
    process.commit(Item::new(64, 1)).await;
    process.commit(Item::new(0, 2).at("CITY")).await;
    let version = version(&process, &city()).await;
    let mut stream = process.publisher.pull(&city(), from_the_beginning(&version)).await.unwrap();
    let (code, reason, _) = end(&mut stream).await;
    assert_eq!((code, reason.as_str()), (tonic::Code::OutOfRange, "FEED_TRIMMED"));
    toy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_knows_no_organizations_is_not_for_who_is_restricted() {
    let toy = Toy::new().await;
    let config = super::toy::config();
    let publisher = Publisher::new(super::toy::SCHEMA, toy.pool.clone(), right(), config);
    let refused = publisher.pull(&city(), from_the_beginning("")).await;
    assert_eq!(refused.err().unwrap().reason(), "FEED_NOT_SCOPED");
    let request = wire::SnapshotRequest { r#type: KIND.to_owned(), ..Default::default() };
    let refused = publisher.snapshot(&city(), &request, &[KIND.to_owned()]).await;
    assert_eq!(refused.err().unwrap().reason(), "FEED_NOT_SCOPED");
    toy.stop().await;
}

/// What a follower has made of the feed is what is inside, whatever moved: at an open stream,
/// while nobody followed, by hand of the operator, and in the middle of a snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_follower_has_is_what_is_inside_whatever_moves() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.restricted.to(Some("CITY"));
    process.tree.inside(&["CITY"]);
    toy.follower(&process.address, Copier::default());
    toy.until("it follows", FOLLOWS).await;
    for number in 0..60 {
        let place = ["CITY", "TOWN", "FAR", ""][number % 4];
        process.commit(Item::new(number as u128, 1).at(place)).await;
    }
    let inside = |places: &'static str| {
        sqlx::AssertSqlSafe(format!(
            "SELECT NOT EXISTS (TABLE feed_test.outbox) AND (
                 SELECT coalesce(array_agg((key, revision, value)::text ORDER BY key), '{{}}')
                 FROM feed_test.copy
             ) = (
                 SELECT coalesce(array_agg((key, revision, value)::text ORDER BY key), '{{}}')
                 FROM feed_test.item LEFT JOIN feed_test.place USING (partition, key)
                 WHERE place = ANY(string_to_array('{places}', ' '))
             )"
        ))
    };
    let until = async |places: &'static str| {
        let waiting = async {
            while !sqlx::query_scalar::<_, bool>(inside(places)).fetch_one(&toy.pool).await.unwrap()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(2 * PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {places}"));
    };
    until("CITY").await;
    // By events alone: in, about, and out again.
    let pages = process.snapshots.load(Ordering::SeqCst);
    process.commit(Item::new(2, 2).at("CITY")).await;
    process.commit(Item::new(0, 2).at("FAR")).await;
    process.commit(Item::new(4, 2).at("CITY")).await;
    until("CITY").await;
    assert_eq!(process.snapshots.load(Ordering::SeqCst), pages);
    // A subtree comes into the scope, another one goes.
    process.tree.inside(&["CITY", "TOWN"]);
    until("CITY TOWN").await;
    process.tree.inside(&["TOWN"]);
    until("TOWN").await;
    // The operator restricts it to another organization, and then not any more.
    process.restricted.to(Some("COUNTY"));
    process.tree.inside(&["FAR"]);
    until("FAR").await;
    // While partitions are read again, something moves once more.
    process.tree.inside(&["CITY", "FAR"]);
    process.tree.inside_after(30, &["TOWN", "FAR"]);
    until("TOWN FAR").await;
    process.tree.inside(&["CITY", "TOWN", "FAR", ""]);
    until("CITY TOWN FAR").await;
    toy.stop().await;
}

/// Most of a partition is elsewhere: a page may be short or empty, and its token tells no key of
/// others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_page_is_not_the_last_and_its_token_tells_of_nobody_else() {
    let toy = Toy::new().await;
    let process = toy.process(right()).await;
    process.tree.inside(&["CITY"]);
    process.restricted.to(Some("CITY"));
    sqlx::raw_sql(
        "INSERT INTO feed_test.item (partition, key, revision, value)
         SELECT 0, '00000000-0000-7000-8000-' || lpad(to_hex(n * 9), 12, '0'), n, 1
         FROM generate_series(1, 8500) AS n;
         INSERT INTO feed_test.place (partition, key, place)
         SELECT 0, key, CASE WHEN revision = 5 OR revision > 8490 THEN 'CITY' ELSE 'FAR' END
         FROM feed_test.item;
         ANALYZE feed_test.item;
         ANALYZE feed_test.place;",
    )
    .execute(&toy.pool)
    .await
    .unwrap();
    let (mut request, mut found) = (wire::SnapshotRequest::default(), Vec::new());
    loop {
        let page = page(&process, &city(), request.clone()).await.unwrap();
        found.push(page.records.len());
        (request.page_token, request.scope_version) = (page.next_page_token, page.scope_version);
        if request.page_token.is_empty() {
            break;
        }
        let token = Page::parse(0, &request.page_token, &[KIND, "0"]).unwrap().after.unwrap();
        let of = "SELECT count(*) FROM feed_test.place WHERE key = $1";
        let of: i64 = sqlx::query_scalar(of).bind(&token).fetch_one(&toy.pool).await.unwrap();
        assert_eq!(of, 0, "{token}");
    }
    assert_eq!(found, [1, 0, 10]);
    toy.follower(&process.address, Copier::default());
    toy.until("it is read", "SELECT count(*) = 11 FROM feed_test.copy").await;
    let kept = "SELECT count(*) = 11 FROM feed_test.copy JOIN feed_test.place USING (key)
                WHERE place = 'CITY'";
    toy.until("it is right", kept).await;
    toy.stop().await;
}

#[test]
fn a_version_of_a_scope_has_a_form() {
    use crate::server::is_scope_version;
    let long = "a".repeat(65);
    for bad in ["A", " ", "1\n", "团", "'", &long] {
        assert!(!is_scope_version(bad), "{bad:?}");
    }
    assert!(is_scope_version("") && is_scope_version(&long[1..]) && is_scope_version("0f-9z"));
}

#[test]
fn an_event_says_where_its_key_was_and_is_if_anybody_said_it() {
    let partition = zhiyuan_domain::Partition::of(uuid::Uuid::nil());
    let event = NewEvent::new(partition, "k", 1, &VolunteerChanged::default());
    assert_eq!(event.places, None);
    assert_eq!(event.moved(None, Some("A")).places, Some((String::new(), "A".to_owned())));
}
