use prost_types::Any;
use time::macros::datetime;
use zhiyuan_rpc::wire::timestamp;

use super::*;

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn at(position: i64, event_id: Option<u128>) -> Chain {
    Chain::new(&[CursorRow {
        partition: 7,
        position,
        event_id: event_id.map(uuid),
        rebuild_type: None,
        rebuild_token: None,
        rebuild_after: None,
        rebuild_position: None,
        rebuild_event_id: None,
    }])
}

fn event(position: i64, id: u128, previous: Option<u128>) -> wire::Event {
    wire::Event {
        partition: 7,
        position,
        event_id: uuid(id).to_string(),
        previous_event_id: previous.map(|id| uuid(id).to_string()).unwrap_or_default(),
        sequence_time: Some(timestamp(datetime!(2026-11-24 0:00 UTC))),
        key: "k".into(),
        revision: position,
        payload: Some(Any::default()),
    }
}

fn head(position: i64, id: Option<u128>, previous: Option<u128>) -> wire::Head {
    let text = |id: Option<u128>| id.map(|id| uuid(id).to_string()).unwrap_or_default();
    wire::Head { partition: 7, position, event_id: text(id), previous_event_id: text(previous) }
}

#[test]
fn takes_what_follows() {
    let chain = at(0, None);
    let (events, next) = chain.extend(vec![event(1, 10, None), event(2, 11, Some(10))]).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(next.applied(7), Some(Applied { position: 2, event_id: Some(uuid(11)) }));
    assert_eq!(chain.applied(7), Some(Applied { position: 0, event_id: None }));
}

#[test]
fn refuses_a_gap_a_repetition_and_another_past() {
    let chain = at(5, Some(10));
    for wrong in [
        event(7, 12, Some(11)),
        event(5, 10, Some(9)),
        event(6, 11, Some(99)),
        event(6, 11, None),
        event(1, 11, None),
    ] {
        assert!(matches!(chain.extend(vec![wrong]), Err(Error::Diverged { partition: 7 })));
    }
    // Within one message as well.
    let torn = vec![event(6, 11, Some(10)), event(7, 13, Some(12))];
    assert!(matches!(chain.extend(torn), Err(Error::Diverged { .. })));
    let other = wire::Event { partition: 8, ..event(1, 11, None) };
    assert!(matches!(chain.extend(vec![other]), Err(Error::Contract(_))));
}

#[test]
fn a_watermark_holds_once_the_heads_are_applied() {
    let mut chain = at(5, Some(10));
    assert!(!chain.meet(&[head(7, Some(12), Some(11))]).unwrap());
    // The heartbeat after it need not repeat the head.
    assert!(!chain.meet(&[]).unwrap());
    let (_, mut chain) =
        chain.extend(vec![event(6, 11, Some(10)), event(7, 12, Some(11))]).unwrap();
    assert!(chain.meet(&[]).unwrap());
}

#[test]
fn a_head_of_another_past_is_seen_without_an_event() {
    for wrong in [
        head(5, Some(99), Some(9)),
        head(4, Some(9), Some(8)),
        head(6, Some(11), Some(99)),
        head(0, None, None),
    ] {
        let mut chain = at(5, Some(10));
        assert!(matches!(chain.meet(&[wrong]), Err(Error::Diverged { partition: 7 })));
    }
    assert!(at(5, Some(10)).meet(&[head(5, Some(10), Some(9))]).unwrap());
    assert!(at(0, None).meet(&[head(0, None, None)]).unwrap());
}
