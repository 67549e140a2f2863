//! Deadlines and times (rows 20, 21 and 33).

use prost_reflect::{Kind, Value};
use tonic::Code;

use super::{assert_field_refused, assert_refused, fields, ways};
use crate::bad_inputs::samples::timestamp;
use crate::harness::wire::Protocol;
use crate::harness::{Site, shared};

pub(super) async fn malformed_deadlines(site: &Site) {
    for way in ways(site) {
        let (header, bad): (_, &[&str]) = match way.protocol {
            Protocol::Grpc => {
                ("grpc-timeout", &["", "bogus", "-5S", "5", "5s", "1.5S", "123456789S", "S", "5 S"])
            }
            Protocol::Json => ("connect-timeout-ms", &["", "bogus", "-5", "1.5", "10000000000"]),
        };
        let written = way.write(&way.sample());
        for value in bad {
            let told = way.send(&[(header, value)], written.clone()).await;
            let what = format!("{value:?}, {way}");
            assert_refused(&told, Code::InvalidArgument, "DEADLINE_MALFORMED", &what);
        }
    }
}

#[tokio::test]
async fn every_service_20_malformed_deadline() {
    malformed_deadlines(&shared()).await;
}

pub(super) async fn deadlines_of_nothing(site: &Site) {
    for way in ways(site) {
        let (header, values) = match way.protocol {
            Protocol::Grpc => ("grpc-timeout", ["1n", "0S"]),
            Protocol::Json => ("connect-timeout-ms", ["0", "0000"]),
        };
        for value in values {
            let told = way.send_once(&[(header, value)], way.write(&way.sample())).await;
            let what = format!("{value}, {way}");
            assert_refused(&told, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &what);
        }
    }
}

/// That it has no effect is seen by `a_rejected_call_leaves_nothing`.
#[tokio::test]
async fn every_service_21_deadline_of_one_nanosecond() {
    deadlines_of_nothing(&shared()).await;
}

pub(super) async fn times_out_of_range(site: &Site) {
    let mut seen = 0;
    for way in ways(site) {
        for place in fields(&way) {
            let Kind::Message(desc) = place.field().kind() else { continue };
            if desc.full_name() != "google.protobuf.Timestamp" {
                continue;
            }
            if way.protocol == Protocol::Json {
                let name = place.field().json_name();
                for text in
                    ["0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2026-01-01 00:00:00", "昨天"]
                {
                    let mut json = serde_json::to_value(way.sample()).unwrap();
                    json[name] = text.into();
                    let told = way.send(&[], json.to_string()).await;
                    // What is a time in JSON, the gateway says; what is one here, the service.
                    let of_service =
                        told.refusal.as_ref().is_some_and(|told| told.reason == "INVALID_FIELDS");
                    let reason = if of_service { "INVALID_FIELDS" } else { "MALFORMED_REQUEST" };
                    let what = format!("{text}, {way}");
                    assert_refused(&told, Code::InvalidArgument, reason, &what);
                    seen += 1;
                }
                continue;
            }
            for (seconds, nanos) in [
                // The last second of the year 0, the first of the year 10,000.
                (-62_135_596_801, 0),
                (253_402_300_800, 0),
                (i64::MIN, 0),
                (i64::MAX, 0),
                (1_767_225_600, 1_000_000_000),
                (1_767_225_600, i32::MAX),
                (1_767_225_600, -1),
            ] {
                let mut message = way.sample();
                place.set(&mut message, Value::Message(timestamp(&desc, seconds, nanos)));
                let told = way.ask(&message).await;
                assert_field_refused(&told, &place.name(), &format!("{seconds}/{nanos}, {way}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn every_service_33_time_out_of_range() {
    times_out_of_range(&shared()).await;
}
