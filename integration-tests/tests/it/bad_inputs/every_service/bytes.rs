//! Bytes that are no message (rows 1 to 5).

use bytes::Bytes;
use prost_reflect::Value;
use tonic::Code;

use super::{assert_refused, fields, ways};
use crate::bad_inputs::ways_by;
use crate::harness::wire::{Protocol, frame};
use crate::harness::{Site, shared};

/// Stands where bytes are put that no client would write.
const MARK: &str = "@@@";

pub(super) async fn garbage(site: &Site) {
    for way in ways_by(site, Protocol::Grpc) {
        // A number of a field that is 0; a length without an end; a group that ends nothing.
        for bytes in [b"\xff\xff\xff".as_slice(), b"\0\0\0", b"\x0c", &[0xff; 300]] {
            let told = way.send(&[], frame(bytes)).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
    }
    for way in ways_by(site, Protocol::Json) {
        for text in ["", "{", "[]", "null", "7", "\u{feff}{}", "{}{}", "phone=1", "\0"] {
            let told = way.send(&[], text.to_owned()).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
        let proto = [("content-type", "application/proto")];
        let told = way.send(&proto, Bytes::from_static(b"\xff\xff\xff")).await;
        assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
    }
}

#[tokio::test]
async fn every_service_01_garbage_protobuf() {
    garbage(&shared()).await;
}

fn replaced(whole: &[u8], by: &[u8]) -> Bytes {
    let at = whole.windows(MARK.len()).position(|bytes| bytes == MARK.as_bytes()).unwrap();
    [&whole[..at], by, &whole[at + MARK.len()..]].concat().into()
}

pub(super) async fn bad_utf8(site: &Site) {
    for way in ways(site) {
        for place in fields(&way).into_iter().filter(|place| place.is_text()) {
            let mut message = way.sample();
            place.set(&mut message, Value::String(MARK.to_owned()));
            let written = way.write(&message);
            // A byte that starts nothing, a character that is cut, a slash in two bytes.
            for bytes in [b"\xff\xfe\xfd".as_slice(), b"a\xe5\xbc", b"a\xc0\xaf"] {
                let told = way.send(&[], replaced(&written, bytes)).await;
                assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
            }
        }
    }
}

#[tokio::test]
async fn every_service_02_bad_utf8() {
    bad_utf8(&shared()).await;
}

/// Half of a pair of UTF-16 (row 28): three bytes of UTF-8 that are none, and JSON's `\u`.
pub(super) async fn unpaired_surrogates(site: &Site) {
    for way in ways(site) {
        for place in fields(&way).into_iter().filter(|place| place.is_text()) {
            let mut message = way.sample();
            place.set(&mut message, Value::String(MARK.to_owned()));
            let half: &[u8] = match way.protocol {
                Protocol::Grpc => b"\xed\xa0\x80",
                Protocol::Json => br"\ud800",
            };
            let told = way.send(&[], replaced(&way.write(&message), half)).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
    }
}

#[tokio::test]
async fn every_service_28_unpaired_surrogate() {
    unpaired_surrogates(&shared()).await;
}

pub(super) async fn truncated(site: &Site) {
    for way in ways(site) {
        let written = way.write(&way.sample());
        let cut = match way.protocol {
            // In the prefix, right after it, in the message; and none at all.
            Protocol::Grpc => vec![0, 3, 5, written.len() - 1],
            Protocol::Json => vec![0, 1, written.len() - 1],
        };
        // Of an empty message the prefix is all there is.
        for length in cut.into_iter().filter(|length| *length < written.len()) {
            let told = way.send(&[], written.slice(..length)).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
    }
    for way in ways_by(site, Protocol::Grpc) {
        // A field that is longer than the message.
        let told = way.send(&[], frame(b"\x0a\x7fabc")).await;
        assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
    }
}

#[tokio::test]
async fn every_service_03_truncated_message() {
    truncated(&shared()).await;
}

/// The message of a call, with another flag.
fn flagged(flag: u8, framed: &Bytes) -> Bytes {
    [&[flag], &framed[1..]].concat().into()
}

pub(super) async fn flags(site: &Site) {
    for way in ways_by(site, Protocol::Grpc) {
        let written = way.write(&way.sample());
        // 1 says that the message is compressed; no header says how.
        for flag in [1, 2, 0x80, 0xff] {
            let told = way.send(&[], flagged(flag, &written)).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
    }
}

#[tokio::test]
async fn every_service_04_compression_flag_without_encoding() {
    flags(&shared()).await;
}

pub(super) async fn encodings(site: &Site) {
    for way in ways(site) {
        let header = match way.protocol {
            Protocol::Grpc => "grpc-encoding",
            Protocol::Json => "content-encoding",
        };
        let written = way.write(&way.sample());
        for encoding in ["snappy", "gzip", "zstd", "deflate", "no such thing"] {
            let told = way.send(&[(header, encoding)], written.clone()).await;
            assert_refused(&told, Code::Unimplemented, "MALFORMED_REQUEST", &way);
        }
    }
}

#[tokio::test]
async fn every_service_05_unknown_encoding() {
    encodings(&shared()).await;
}

/// 32 MiB of zeros in 200 KiB, as gzip writes them (RFC 1951): one block with fixed codes, a
/// zero, and copies of 258 bytes from one byte before.
fn bomb() -> Vec<u8> {
    let (mut bits, mut out) = (Vec::new(), b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec());
    let mut put = |value: u32, count: u32| (0..count).for_each(|n| bits.push(value >> n & 1 == 1));
    // Codes come from their highest bit down, all else from the lowest up.
    let reversed = |code: u32, count: u32| (0..count).fold(0, |sum, n| sum << 1 | (code >> n & 1));
    put(0b011, 3);
    put(reversed(0x30, 8), 8);
    for _ in 0..125_000 {
        put(reversed(0b1100_0101, 8), 8);
        put(0, 5);
    }
    put(0, 7);
    for byte in bits.chunks(8) {
        out.push(byte.iter().rev().fold(0, |sum, bit| sum << 1 | u8::from(*bit)));
    }
    out
}

/// Nothing is ever inflated, so it is refused as an encoding that is not spoken.
pub(super) async fn gzip_bomb(site: &Site) {
    let bomb = bomb();
    for way in ways(site) {
        let (header, body) = match way.protocol {
            Protocol::Grpc => ("grpc-encoding", flagged(1, &frame(&bomb))),
            Protocol::Json => ("content-encoding", bomb.clone().into()),
        };
        let told = way.send(&[(header, "gzip")], body).await;
        assert_refused(&told, Code::Unimplemented, "MALFORMED_REQUEST", &way);
    }
}

#[tokio::test]
async fn every_service_06_gzip_bomb() {
    gzip_bomb(&shared()).await;
}
