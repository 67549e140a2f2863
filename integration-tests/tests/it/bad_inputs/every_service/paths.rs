//! Paths of no method (rows 18, 19 and 44).

use http::{Method, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use zhiyuan_testkit::raw;

use super::{assert_refused, ways};
use crate::bad_inputs::ways_by;
use crate::harness::http::Http;
use crate::harness::processes::SERVICES;
use crate::harness::wire::{Protocol, Wire, frame};
use crate::harness::{Site, shared};

pub(super) async fn unknown(site: &Site) {
    let wire = Wire::new();
    for way in ways(site) {
        let path = way.policy.path.trim_start_matches('/');
        let (service, method) = path.split_once('/').unwrap();
        for path in [
            format!("/{service}/NoSuchMethod"),
            format!("/{service}/{}", method.to_lowercase()),
            format!("/{}/{method}", service.to_uppercase()),
            format!("//{path}"),
            format!("/{service}//{method}"),
            format!("/{service}%2F{method}"),
            format!("/{service}/%{:02X}{}", method.as_bytes()[0], &method[1..]),
            format!("/{path}/"),
            format!("/{service}"),
            format!("/x/../{path}"),
            "/".to_owned(),
        ] {
            let body = match way.protocol {
                Protocol::Grpc => frame(b""),
                Protocol::Json => "{}".into(),
            };
            let told = wire.send(way.protocol, way.address, &path, &[], body).await.unwrap();
            let what = format!("{path} at {} by {:?}", way.at, way.protocol);
            assert_refused(&told, Code::Unimplemented, "METHOD_NOT_FOUND", &what);
        }
    }
}

#[tokio::test]
async fn every_service_19_unknown_method() {
    unknown(&shared()).await;
}

/// Reads until a stream is answered or reset.
async fn reset_code(stream: &mut TcpStream) -> u32 {
    loop {
        match raw::next(stream).await.unwrap() {
            (raw::RST_STREAM, 1, code) => return u32::from_be_bytes(code.try_into().unwrap()),
            (raw::HEADERS, 1, _) => panic!("it was answered"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_service_18_path_without_a_slash() {
    let site = shared();
    for way in ways_by(&site, Protocol::Grpc) {
        let mut stream = TcpStream::connect(way.address).await.unwrap();
        raw::hello(&mut stream).await.unwrap();
        let bare = raw::call(way.policy.path.trim_start_matches('/'));
        let call = raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &bare);
        stream.write_all(&call).await.unwrap();
        assert_eq!(reset_code(&mut stream).await, 1, "PROTOCOL_ERROR: {way}");
    }
}

/// A method of another service is none, whoever asks.
#[tokio::test]
async fn every_service_19_method_of_another_service() {
    let site = shared();
    for way in ways(&site).into_iter().filter(|way| way.at != "gateway") {
        for service in SERVICES.into_iter().filter(|name| *name != "gateway" && *name != way.at) {
            let mut elsewhere = way.clone();
            elsewhere.address = site.address_of(service);
            let told = elsewhere.ask(&way.sample()).await;
            let what = format!("{} at {service}", way.policy.path);
            let refusal = told.refusal.as_ref().unwrap();
            // The assertion is for another audience.
            let (code, reason) = match refusal.code {
                Code::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
                _ => (Code::Unimplemented, "METHOD_NOT_FOUND"),
            };
            assert_refused(&told, code, reason, &what);
        }
    }
}

/// There are no ports for administration; nothing of the kind is on the public ones.
#[tokio::test]
async fn every_service_44_no_administration_on_the_port() {
    let site = shared();
    let http = Http::new();
    for service in SERVICES {
        for path in ["/metrics", "/debug/pprof/", "/debug/vars", "/actuator/env", "/server-status"]
        {
            let url = format!("http://{}{path}", site.address_of(service));
            for method in [Method::GET, Method::POST] {
                let answer = http.send(method, &url, &[], Vec::new()).await.unwrap();
                let refused = match service {
                    "gateway" => !answer.status.is_success(),
                    // In the words of gRPC, also to who speaks HTTP/1.1.
                    _ => answer.header("grpc-status") == "12",
                };
                assert!(refused && answer.status != StatusCode::UNAUTHORIZED, "{service}{path}");
                assert!(answer.body.len() < 1000, "{service}{path}");
            }
        }
    }
}
