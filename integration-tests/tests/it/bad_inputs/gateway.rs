//! What the gateway alone is asked: HTTP/1.1, JSON, browsers.

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use zhiyuan_testkit::raw;

use super::{assert_refused, ways_by, ways_to};
use crate::harness::client::{LIST_REGIONS, REGISTER};
use crate::harness::http::Http;
use crate::harness::shared;
use crate::harness::wire::Protocol;

/// Sends bytes, and reads until the gateway closes the connection.
async fn exchange(bytes: &str) -> String {
    let mut stream = TcpStream::connect(shared().addresses.gateway).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Of a length and a transfer encoding the encoding counts, and the connection ends
/// (RFC 9112, 6.3): whatever was believed in front of us, the request that hides behind is
/// answered to nobody.
#[tokio::test]
async fn gateway_01_smuggling_by_two_lengths() {
    for (lengths, status) in [
        ("content-length: 3\r\ntransfer-encoding: chunked", 200),
        ("transfer-encoding: chunked\r\ncontent-length: 3", 200),
        ("content-length: 3\r\ntransfer-encoding: \tchunked", 200),
        ("content-length: 3\r\ntransfer-encoding: identity", 400),
        ("content-length: 2\r\ncontent-length: 60", 400),
        ("content-length: 2, 60", 400),
        ("content-length: +2", 400),
        ("content-length : 2", 400),
        ("transfer-encoding: chunked, identity", 400),
        ("transfer-encoding: xchunked", 400),
    ] {
        let answer = exchange(&format!(
            "POST {LIST_REGIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             {lengths}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        ))
        .await;
        let begin = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begin), "{lengths}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answer}");
    }
}

#[tokio::test]
async fn gateway_02_transfer_encoding_in_http2() {
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("Transfer-Encoding", "chunked"),
    ] {
        let mut stream = TcpStream::connect(shared().addresses.gateway).await.unwrap();
        raw::hello(&mut stream).await.unwrap();
        let headers = [raw::call(LIST_REGIONS), raw::header(name, value)].concat();
        let call = raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &headers);
        stream.write_all(&call).await.unwrap();
        let reset = loop {
            match raw::next(&mut stream).await {
                Some((raw::RST_STREAM, 1, code)) => break code,
                // For a name that can't even be read it is all of the connection.
                Some((raw::GOAWAY, 0, told)) => break told[4..8].to_vec(),
                Some((raw::HEADERS, 1, _)) => panic!("{name} was answered"),
                Some(_) => {}
                None => panic!("{name}: closed without a word"),
            }
        };
        assert_eq!(reset, [0, 0, 0, 1], "PROTOCOL_ERROR: {name}");
    }
}

/// Sends JSON to a method through the gateway, which must refuse it and repeat nothing.
async fn assert_malformed(path: &str, json: &str) {
    let ways = ways_to(&shared(), path);
    let way = ways.iter().find(|way| way.protocol == Protocol::Json).unwrap();
    let told = way.send(&[], json.to_owned()).await;
    assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &json);
    assert!(!told.repeats(b"CANARY"), "{json}");
}

#[tokio::test]
async fn gateway_03_json_duplicate_keys() {
    for json in [
        r#"{"phone": "CANARY", "phone": "13800000001"}"#,
        r#"{"idNumber": "CANARY", "id_number": "CANARY"}"#,
        r#"{"phone": "CANARY", "phon\u0065": "13800000001"}"#,
        r#"{"consents": [{"version": "CANARY", "version": "1"}]}"#,
    ] {
        assert_malformed(REGISTER, json).await;
    }
}

#[tokio::test]
async fn gateway_05_json_numbers_that_are_none() {
    for number in
        ["NaN", "Infinity", "-Infinity", "\"NaN\"", "\"Infinity\"", "1e400", "1.5", "2147483648"]
    {
        assert_malformed(LIST_REGIONS, &format!(r#"{{"pageSize": {number}}}"#)).await;
    }
}

#[tokio::test]
async fn gateway_06_json_unknown_field() {
    for way in ways_by(&shared(), Protocol::Json) {
        for json in [r#"{"x": "CANARY"}"#, r#"{"__proto__": {"x": "CANARY"}}"#, r#"{"": "CANARY"}"#]
        {
            let told = way.send(&[], json.to_owned()).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
            assert!(!told.repeats(b"CANARY"), "{way}");
        }
    }
    assert_malformed(REGISTER, r#"{"consents": [{"purpos": "CANARY"}]}"#).await;
}

#[tokio::test]
async fn gateway_07_wrong_content_type() {
    for way in ways_by(&shared(), Protocol::Json) {
        for kind in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=gb18030",
            "application/connect+json",
            "application/jsonp",
            "",
        ] {
            let told = way.send(&[("content-type", kind)], way.write(&way.sample())).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
            assert_eq!(told.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}, {way}");
        }
    }
}

/// No origin is listed yet: a browser gets no leave for any, and can't read an answer.
#[tokio::test]
async fn gateway_08_origin_not_listed() {
    let (site, http) = (shared(), Http::new());
    let url = format!("http://{}{LIST_REGIONS}", site.addresses.gateway);
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let asked = http.send(Method::OPTIONS, &url, &preflight, Vec::new()).await.unwrap();
        assert_eq!(asked.status, StatusCode::METHOD_NOT_ALLOWED, "{origin}");
        let headers = [("origin", origin), ("content-type", "application/json")];
        let posted = http.send(Method::POST, &url, &headers, b"{}".to_vec()).await.unwrap();
        for answer in [asked, posted] {
            let allowed = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
            assert!(!answer.headers.keys().any(allowed), "{origin}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn gateway_15_grpc_web() {
    let site = shared();
    for way in ways_by(&site, Protocol::Json) {
        for kind in
            ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"]
        {
            let told = way.send(&[("content-type", kind)], way.write(&way.sample())).await;
            assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
        }
    }
    // Its trailers, which come as a frame of the body, in a call of gRPC.
    let trailers = b"\x80\0\0\0\x10grpc-status: 0\r\n";
    for way in ways_by(&site, Protocol::Grpc) {
        let written = way.write(&way.sample());
        let told = way.send(&[], [written.as_ref(), trailers].concat()).await;
        assert_refused(&told, Code::InvalidArgument, "MALFORMED_REQUEST", &way);
    }
}
