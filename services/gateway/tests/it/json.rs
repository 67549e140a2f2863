//! How strictly JSON is read.

use bytes::Bytes;

use crate::fixture::{self, ECHO};
use crate::suite::{SEND, Suite, post};

#[tokio::test]
async fn everything_comes_back_as_proto3_json_has_it() {
    let suite = fixture::start(|_| ()).await;
    let body = r#"{"ratio": 1.5, "minutes": "9007199254740993", "counts": {"a": 1},
        "children": [{"full_name": "甲"}, {"fullName": "𠮷"}], "wait": "1.5s", "share": "0.25",
        "idNumber": "x", "kind": "KIND_GOOD", "raw": "AQI=", "small": 7, "sure": true,
        "inner": {"small": -1}, "mask": "idNumber,inner.idNumber"}"#;
    let answer = suite.json(ECHO, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = serde_json::json!({
        "ratio": 1.5, "minutes": "9007199254740993", "counts": {"a": "1"},
        "children": [{"fullName": "甲"}, {"fullName": "𠮷"}], "wait": "1.500s", "share": 0.25,
        "idNumber": "x", "kind": "KIND_GOOD", "raw": "AQI=", "small": 7, "sure": true,
        "inner": {"small": -1}, "mask": "idNumber,inner.idNumber",
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn each_fault_is_named_by_its_field_and_never_by_its_value() {
    let suite = fixture::start(|_| ()).await;
    let canary = "11010519491231002X";
    for (body, field) in [
        (r#"{"idNumbr": "CANARY"}"#, Some("idNumbr")),
        (r#"{"children": [{}, {"name": "CANARY"}]}"#, Some("children[1].name")),
        (r#"{"inner": {"inner": {"x": "CANARY"}}}"#, Some("inner.inner.x")),
        (r#"{"CANARY": 1}"#, None),
        (r#"{"idNumber": "a", "idNumber": "CANARY"}"#, Some("idNumber")),
        (r#"{"idNumber": "a", "id_number": "CANARY"}"#, Some("id_number")),
        (r#"{"counts": {"a": 1, "a": 2}}"#, Some("counts.a")),
        (r#"{"small": "CANARY"}"#, Some("small")),
        (r#"{"small": 1.5}"#, Some("small")),
        (r#"{"small": 2147483648}"#, Some("small")),
        (r#"{"sure": "CANARY"}"#, Some("sure")),
        (r#"{"idNumber": 110105194912310021}"#, Some("idNumber")),
        (r#"{"idNumber": ["CANARY"]}"#, Some("idNumber")),
        (r#"{"children": "CANARY"}"#, Some("children")),
        (r#"{"children": [{"fullName": 1}]}"#, Some("children[0].fullName")),
        (r#"{"kind": "CANARY"}"#, Some("kind")),
        (r#"{"wait": "CANARY"}"#, Some("wait")),
        (r#"{"mask": {"paths": ["CANARY"]}}"#, Some("mask")),
        (r#"{"mask": ["CANARY"]}"#, Some("mask")),
        (r#"{"ratio": "NaN"}"#, Some("ratio")),
        (r#"{"ratio": "Infinity"}"#, Some("ratio")),
        (r#"{"ratio": "-Infinity"}"#, Some("ratio")),
        (r#"{"share": "NaN"}"#, Some("share")),
        (r#"{"minutes": 9007199254740993}"#, Some("minutes")),
        (r#"{"minutes": 1e300}"#, Some("minutes")),
        (r#"{"counts": {"a": -9007199254740993}}"#, Some("counts.a")),
        (r#"{"minutes": "9223372036854775808"}"#, Some("minutes")),
        (r#"{"ratio": NaN}"#, None),
        (r#"{"idNumber": "CANARY""#, None),
        (r#"{"idNumber": "CANARY"} {}"#, None),
        (r#"{"idNumber": "\ud800CANARY"}"#, None),
        (r#"["CANARY"]"#, None),
        (r#""CANARY""#, None),
        ("null", None),
        ("", None),
    ] {
        let answer = suite.json(ECHO, &body.replace("CANARY", canary)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let told = ("invalid_argument".to_owned(), "MALFORMED_REQUEST".to_owned());
        assert_eq!(answer.refusal(), told, "{body}");
        let text = answer.text();
        assert!(!text.contains(canary) && !text.contains("110105194912310021"), "{body}: {text}");
        if let Some(field) = field {
            assert!(text.contains(&format!("字段 {field} ")), "{body}: {text}");
            assert!(text.contains(&format!("\"field\":\"{field}\"")), "{body}: {text}");
        }
    }
    assert!(suite.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn deep_nesting_and_bad_utf8_are_refused() {
    let suite = fixture::start(|_| ()).await;
    let deep = format!("{}{}", r#"{"inner":"#.repeat(100_000 / 9), "}".repeat(10));
    let mut closed = "{}".to_owned();
    for _ in 0..200 {
        closed = format!(r#"{{"inner":{closed}}}"#);
    }
    let utf8 = b"{\"idNumber\": \"\xff\xfe\"}".to_vec();
    for body in [deep.into_bytes(), closed.into_bytes(), utf8] {
        let answer = suite.http1(post(ECHO, "application/json").body(body.into()).unwrap()).await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (400, "MALFORMED_REQUEST"));
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let suite = Suite::start().await;
    for bytes in [b"\xff\xff\xff".as_slice(), b"\x0a\x7f", b"\x0a\x02\xff\xfe"] {
        let body = Bytes::copy_from_slice(bytes);
        let answer = suite.http1(post(SEND, "application/proto").body(body).unwrap()).await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (400, "MALFORMED_REQUEST"));
    }
}
