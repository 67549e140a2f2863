//! Enumerations (row 27), masks of fields (row 45), and that the samples are right.

use prost_reflect::{Kind, Value};
use tonic::Code;

use super::{assert_field_refused, assert_refused, fields, ways};
use crate::bad_inputs::samples::{FIELD_MASK, mask};
use crate::harness::wire::Protocol;
use crate::harness::{Site, shared};

/// Else each of them could be refused for another field than the one that is tried.
#[tokio::test]
async fn the_samples_are_refused_for_none_of_their_fields() {
    for way in ways(&shared()) {
        // Long-lived streams have to end.
        let (name, time) = match way.protocol {
            Protocol::Grpc => ("grpc-timeout", "10S"),
            Protocol::Json => ("connect-timeout-ms", "10000"),
        };
        let timeout = if way.policy.method.is_server_streaming() { "300m" } else { time };
        let told = way.send_once(&[(name, timeout)], way.write(&way.sample())).await;
        if let Some(refusal) = told.refusal {
            let of_fields = matches!(
                refusal.code,
                Code::InvalidArgument | Code::Unimplemented | Code::Internal | Code::Unknown
            );
            assert!(!of_fields && refusal.reason != "UNAUTHENTICATED", "{way}: {refusal:?}");
        }
    }
}

pub(super) async fn enumerations(site: &Site) {
    let mut seen = 0;
    for way in ways(site) {
        for place in fields(&way) {
            let Kind::Enum(_) = place.field().kind() else { continue };
            for number in [0, 99, -1, i32::MAX] {
                let mut message = way.sample();
                place.set(&mut message, Value::EnumNumber(number));
                let told = way.ask(&message).await;
                assert_field_refused(&told, &place.name(), &format!("{number}, {way}"));
                seen += 1;
            }
            if way.protocol == Protocol::Json {
                let mut json = serde_json::to_value(way.sample()).unwrap();
                *place.in_json(&mut json) = "CANARY".into();
                let told = way.send(&[], json.to_string()).await;
                assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
                assert!(!told.repeats(b"CANARY"), "{way}");
            }
        }
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn every_service_27_enumeration_unknown_or_zero() {
    enumerations(&shared()).await;
}

pub(super) async fn masks(site: &Site) {
    let mut seen = 0;
    for way in ways(site) {
        for place in fields(&way) {
            let Kind::Message(desc) = place.field().kind() else { continue };
            if desc.full_name() != FIELD_MASK {
                continue;
            }
            for paths in [
                // Of the record, and not of what may be changed; one that there is not.
                &["volunteer_number"][..],
                &["skills", "state"],
                &["canary7"],
                &["details.skills"],
                &["skills.canary7"],
                &[],
            ] {
                let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
                let mut message = way.sample();
                place.set(&mut message, Value::Message(mask(&desc, &paths)));
                let told = way.ask(&message).await;
                assert_field_refused(&told, &place.name(), &format!("{paths:?}, {way}"));
                assert!(!told.repeats(b"canary7"), "{way}");
                seen += 1;
            }
            let mut message = way.sample();
            message.clear_field(place.field());
            assert_field_refused(&way.ask(&message).await, &place.name(), &way);
        }
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn every_service_45_update_of_an_unknown_or_forbidden_field() {
    masks(&shared()).await;
}
