//! Enumerations (row 27), and that the samples are right.

use prost_reflect::{Kind, Value};
use tonic::Code;

use super::{assert_field_refused, assert_refused, fields, ways};
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
                let name = place.field().json_name().to_owned();
                let at = match way.policy.method.name() {
                    "RegisterOnBehalf" => &mut json["registration"]["consents"][0],
                    _ if json.get(&name).is_some() => &mut json,
                    _ => &mut json["consents"][0],
                };
                at[&name] = "CANARY".into();
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
