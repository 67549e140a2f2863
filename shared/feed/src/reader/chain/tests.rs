use prost_types::Any;
use std::collections::BTreeSet;

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
        stamped_to: None,
        rebuild_type: None,
        rebuild_token: None,
        rebuild_after: None,
        rebuild_position: None,
        rebuild_event_id: None,
        scope_version: String::new(),
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
    let mut chain = at(0, None);
    let events = chain.read(vec![event(1, 10, None), event(2, 11, Some(10))]).unwrap();
    assert_eq!(chain.applied(7), Some(Applied { position: 0, event_id: None }));
    events.iter().for_each(|event| chain.advance(event));
    assert_eq!(chain.applied(7), Some(Applied { position: 2, event_id: Some(uuid(11)) }));
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
        assert!(matches!(chain.read(vec![wrong]), Err(Error::Diverged { partition: 7 })));
    }
    // Within one message as well.
    let torn = vec![event(6, 11, Some(10)), event(7, 13, Some(12))];
    assert!(matches!(chain.read(torn), Err(Error::Diverged { .. })));
    let other = wire::Event { partition: 8, ..event(1, 11, None) };
    assert!(matches!(chain.read(vec![other]), Err(Error::Contract(_))));
}

#[test]
fn a_watermark_holds_once_the_heads_are_applied() {
    let none = BTreeSet::new();
    let mut chain = at(5, Some(10));
    assert!(!chain.meet(&[head(7, Some(12), Some(11))], &none).unwrap());
    // The heartbeat after it need not repeat the head.
    assert!(!chain.meet(&[], &none).unwrap());
    let events = chain.read(vec![event(6, 11, Some(10)), event(7, 12, Some(11))]).unwrap();
    events.iter().for_each(|event| chain.advance(event));
    assert!(chain.meet(&[], &none).unwrap());
}

#[test]
fn a_head_of_another_past_is_seen_without_an_event() {
    let none = BTreeSet::new();
    for wrong in [
        head(5, Some(99), Some(9)),
        head(4, Some(9), Some(8)),
        head(6, Some(11), Some(99)),
        head(0, None, None),
    ] {
        let mut chain = at(5, Some(10));
        assert!(matches!(chain.meet(&[wrong], &none), Err(Error::Diverged { partition: 7 })));
    }
    assert!(at(5, Some(10)).meet(&[head(5, Some(10), Some(9))], &none).unwrap());
    assert!(at(0, None).meet(&[head(0, None, None)], &none).unwrap());
}

#[test]
fn what_is_held_back_is_not_waited_for() {
    let mut chain = at(5, Some(10));
    let ahead = [head(7, Some(12), Some(11))];
    assert!(!chain.meet(&ahead, &BTreeSet::new()).unwrap());
    assert!(chain.meet(&ahead, &BTreeSet::from([7])).unwrap());
    // And is looked at nevertheless.
    assert!(chain.meet(&[head(6, Some(12), Some(99))], &BTreeSet::from([7])).is_err());
}

#[test]
fn what_was_skipped_is_missed() {
    let chain = at(0, None);
    let events = chain
        .read(vec![event(1, 10, None), event(2, 11, Some(10)), event(3, 12, Some(11))])
        .unwrap();
    assert!(chain.is_followed_by(&events) && chain.is_followed_by(&events[..1]));
    assert!(chain.is_followed_by(&[]));
    assert!(!chain.is_followed_by(&events[1..]));
    assert!(!chain.is_followed_by(&[events[0].clone(), events[2].clone()]));
}
