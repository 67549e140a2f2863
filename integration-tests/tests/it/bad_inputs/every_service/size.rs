//! Too much of it (rows 7, 8, 9, 35 and 36).

use bytes::Bytes;
use prost_reflect::Kind;
use tonic::Code;

use super::{assert_refused, ways};
use crate::bad_inputs::ways_by;
use crate::harness::wire::{Protocol, frame};
use crate::harness::{Site, shared};

/// More than the largest request.
const LARGE: usize = 300 * 1024;

pub(super) async fn four_gibibytes(site: &Site) {
    for way in ways_by(site, Protocol::Grpc) {
        for rest in [b"".as_slice(), b"\x0a\x01a", &[7; 1000]] {
            let body = [b"\0\xff\xff\xff\xff", rest].concat();
            let told = way.send(&[], body).await;
            assert_refused(&told, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &way);
        }
    }
}

#[tokio::test]
async fn every_service_07_length_of_four_gibibytes() {
    four_gibibytes(&shared()).await;
}

pub(super) async fn large(site: &Site) {
    for way in ways(site) {
        let body = match way.protocol {
            // A field that nobody knows, which would be passed over.
            Protocol::Grpc => {
                let mut message = vec![0xfa, 0x7f];
                prost::encoding::encode_varint(LARGE as u64, &mut message);
                message.resize(message.len() + LARGE, 7);
                frame(&message)
            }
            Protocol::Json => format!("{{}}{}", " ".repeat(LARGE)).into(),
        };
        let told = way.send(&[], body).await;
        assert_refused(&told, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &way);
    }
}

#[tokio::test]
async fn every_service_08_message_over_the_limit() {
    large(&shared()).await;
}

pub(super) async fn metadata(site: &Site) {
    let (one, many) = ("7".repeat(17 * 1024), "7".repeat(200));
    for way in ways(site) {
        let written = way.write(&way.sample());
        let told = way.send(&[("x-one", &one)], written.clone()).await;
        assert_refused(&told, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &way);
        assert!(!told.repeats(b"7777"), "{way}");
        let names: Vec<String> = (0..90).map(|n| format!("x-many-{n}")).collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*many)).collect();
        let told = way.send(&headers, written).await;
        assert_refused(&told, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &way);
    }
}

#[tokio::test]
async fn every_service_09_metadata_over_16_kib() {
    metadata(&shared()).await;
}

/// A group of a field that nobody knows, in itself, so often.
fn nested_groups(depth: usize) -> Vec<u8> {
    [vec![0x7b; depth], vec![0x7c; depth]].concat()
}

pub(super) async fn nesting(site: &Site) {
    for way in ways(site) {
        let body: Bytes = match way.protocol {
            Protocol::Grpc => frame(&nested_groups(200)),
            Protocol::Json => {
                let name = way.policy.method.input().fields().next();
                let name = name.map_or("x".to_owned(), |field| field.json_name().to_owned());
                format!("{{\"{name}\":{}{}}}", "[".repeat(200), "]".repeat(200)).into()
            }
        };
        let told = way.send(&[], body).await;
        assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
    }
}

#[tokio::test]
async fn every_service_35_deep_nesting() {
    nesting(&shared()).await;
}

pub(super) async fn a_million(site: &Site) {
    for way in ways(site) {
        let input = way.policy.method.input();
        let repeated = input.fields().find(|field| field.is_list());
        // What is no list, but comes again and again: the last one counts.
        let Some(field) = repeated.clone().or_else(|| input.fields().next()) else { continue };
        let empty = |count: usize| match way.protocol {
            Protocol::Grpc => {
                let wire_type =
                    if matches!(field.kind(), Kind::String | Kind::Message(_)) { 2 } else { 0 };
                let tag = u8::try_from(field.number() << 3 | wire_type).unwrap();
                frame(&[tag, 0].repeat(count))
            }
            Protocol::Json => {
                let entry = match field.kind() {
                    Kind::String => "\"\"",
                    Kind::Enum(_) => "0",
                    _ => "{}",
                };
                let list = vec![entry; count].join(",");
                Bytes::from(format!("{{\"{}\":[{list}]}}", field.json_name()))
            }
        };
        let told = way.send(&[], empty(1_000_000)).await;
        assert_refused(&told, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &way);
        // As many as a message holds.
        if repeated.is_some() {
            let told = way.send(&[], empty(80_000)).await;
            assert_refused(&told, Code::InvalidArgument, "INVALID_FIELDS", &way);
            // Not one fault for each.
            let faults = told.refusal.unwrap().violations.len();
            assert!(faults < 100, "{way}: {faults}");
        }
    }
}

#[tokio::test]
async fn every_service_36_a_million_entries() {
    a_million(&shared()).await;
}
