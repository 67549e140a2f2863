//! Sending: the shape of the request, the meaning of the answer, and what is known afterwards.

use std::time::Duration;

use super::stub::{Answer, Stub};
use super::*;
use crate::vendors::{SmsError, SmsOutcome};

const HOSTILE: &str = "引\"号\\反斜\n换行\r\t\u{0}&a=b+c%41 空格;{phone}生僻字𠮷䶮😀</script>";

#[tokio::test]
async fn sends_what_the_simulator_expects() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    sms(&stub.address).send(MESSAGE, &phone(), "验证码 123456").await.unwrap();
    let seen = stub.only();
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.path, "/sms/send");
    assert_eq!(seen.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(seen.header("x-app-key"), "simulator");
    let expected = serde_json::json!({
        "mobile": PHONE, "content": "验证码 123456", "sign": "志愿汇",
        "id": MESSAGE.simple().to_string()
    });
    assert_eq!(seen.json(), expected);
}

#[tokio::test]
async fn every_outcome_can_be_mapped() {
    let stub = Stub::saying("").await;
    let mut config = sms_config(&stub.address);
    config.response.codes.insert("busy".into(), SmsOutcome::NotReached);
    config.response.codes.insert("202".into(), SmsOutcome::Unknown);
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    for (body, expected) in [
        (r#"{"code":"0"}"#, Ok(())),
        (r#"{"code":0}"#, Ok(())),
        (r#"{"code":"160"}"#, Err(SmsError::Refused)),
        (r#"{"code":160,"msg":"号码错误"}"#, Err(SmsError::Refused)),
        (r#"{"code":"busy"}"#, Err(SmsError::NotReached)),
        (r#"{"code":202}"#, Err(SmsError::Unknown)),
        (r#"{"code":"777"}"#, Err(SmsError::Unknown)),
        (r#"{"msg":"ok"}"#, Err(SmsError::Unknown)),
        ("<html>ok</html>", Err(SmsError::Unknown)),
        ("", Err(SmsError::Unknown)),
    ] {
        stub.now(Answer::json(200, body));
        assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, expected, "{body}");
    }
}

#[tokio::test]
async fn the_status_decides_where_no_code_comes_with_it() {
    let stub = Stub::saying("").await;
    let mut config = sms_config(&stub.address);
    config.breaker.failures = 100;
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    let ok = r#"{"code":"0"}"#;
    for (status, expected) in [
        (500, SmsError::NotReached),
        (502, SmsError::NotReached),
        (503, SmsError::NotReached),
        (401, SmsError::NotReached),
        (404, SmsError::NotReached),
        (429, SmsError::NotReached),
        (504, SmsError::Unknown),
        (202, SmsError::Unknown),
    ] {
        stub.now(Answer::json(status, ok));
        assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(expected), "{status}");
    }
    config.response.statuses = vec![200, 202, 400];
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    stub.now(Answer::json(202, ok));
    assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Ok(()));
    stub.now(Answer::json(400, r#"{"code":"160"}"#));
    assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(SmsError::Refused));
}

#[tokio::test]
async fn hostile_text_stays_text_in_json() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    let mut config = sms_config(&stub.address);
    for body in [
        r#"body = { to = ["{phone}"], data = { text = "〔{text}〕", count = 1, sure = true } }"#,
        r#"body = '{"to":["{phone}"],"data":{"text":"〔{text}〕","count":1,"sure":true}}'"#,
    ] {
        config.request = read(&format!(
            "[vendor]\nurl = '{}/send'\ncontent_type = 'json'\n{body}",
            stub.address
        ));
        SmsVendor::new(&config, clock()).unwrap().send(MESSAGE, &phone(), HOSTILE).await.unwrap();
        let expected = serde_json::json!({
            "to": ["+8613812345678"],
            "data": { "text": format!("〔{HOSTILE}〕"), "count": 1, "sure": true }
        });
        assert_eq!(stub.seen().last().unwrap().json(), expected);
    }
}

#[tokio::test]
async fn hostile_text_stays_text_in_a_form() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    let mut config = sms_config(&stub.address);
    config.sign = "志&愿=汇".into();
    for body in [
        r#"body = { mobile = "{national_phone}", content = "【{sign}】{text}", ext = 7, key = "{secret.k}" }"#,
        r#"body = "content=%E3%80%90{sign}%E3%80%91{text}&ext=7&key={secret.k}&mobile={national_phone}""#,
    ] {
        config.request = read(&format!(
            "[vendor]\nmethod = 'PUT'\nurl = '{}/send?v=1'\ncontent_type = 'form'\n\
             secrets = {{ k = 'a&b=\"c' }}\n{body}",
            stub.address
        ));
        SmsVendor::new(&config, clock()).unwrap().send(MESSAGE, &phone(), HOSTILE).await.unwrap();
        let seen = stub.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PUT", "/send?v=1"));
        assert!(seen.header("content-type").starts_with("application/x-www-form-urlencoded"));
        // As a server that is not ours reads it.
        let uri = format!("http://x/?{}", seen.body).parse().unwrap();
        let axum::extract::Query(fields) =
            axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
        let expected = [
            ("content", format!("【志&愿=汇】{HOSTILE}")),
            ("ext", "7".into()),
            ("key", "a&b=\"c".into()),
            ("mobile", PHONE.into()),
        ];
        assert_eq!(fields, expected.map(|(key, value)| (key.to_owned(), value)));
    }
}

#[tokio::test]
async fn a_message_that_is_handed_over_again_has_its_id_again() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    let mut config = sms_config(&stub.address);
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    assert!(vendor.knows_ids());
    for message in [MESSAGE, MESSAGE, Uuid::nil()] {
        vendor.send(message, &phone(), "通知").await.unwrap();
    }
    let ids: Vec<_> = stub.seen().iter().map(|seen| seen.json()["id"].clone()).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");

    config.request = read(&format!(
        "[vendor]\nurl = '{}/sms/send'\ncontent_type = 'json'\n\
         body = {{ mobile = '{{phone}}', content = '{{text}}' }}",
        stub.address
    ));
    assert!(!SmsVendor::new(&config, clock()).unwrap().knows_ids());
}

#[tokio::test]
async fn a_code_goes_into_the_vendors_own_template_where_there_is_one() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    let mut config = sms_config(&stub.address);
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    vendor.send_code(&phone(), "验证码 123456", "123456").await.unwrap();
    assert_eq!(stub.only().json()["content"], "验证码 123456");

    config.code_request = Some(read(&format!(
        "[vendor]\nurl = '{}/template'\ncontent_type = 'json'\n\
         body = {{ to = '{{phone}}', id = '{{request_id}}', values = ['{{code}}', '5'] }}",
        stub.address
    )));
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    vendor.send_code(&phone(), "验证码 123456", "123456").await.unwrap();
    vendor.send_code(&phone(), "验证码 654321", "654321").await.unwrap();
    vendor.send(MESSAGE, &phone(), "通知").await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[1].json()["values"], serde_json::json!(["123456", "5"]));
    let ids = [1, 2].map(|call| seen[call].json()["id"].as_str().unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() == 32));
    assert_eq!((seen[3].path.as_str(), &seen[3].json()["content"]), ("/sms/send", &"通知".into()));
}

#[tokio::test]
async fn the_breaker_opens_and_one_call_tries_again() {
    let stub = Stub::start(Answer::json(500, "")).await;
    let clock = manual_clock();
    let vendor = SmsVendor::new(&sms_config(&stub.address), clock.clone()).unwrap();
    for _ in 0..8 {
        assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    }
    assert_eq!(stub.seen().len(), 5, "the last three were not even asked");

    clock.advance(Duration::from_secs(5));
    assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    stub.now(Answer::json(200, r#"{"code":"0"}"#));
    assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    assert_eq!(stub.seen().len(), 6, "one call tried, in vain");

    clock.advance(Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Ok(()));
    }
}

#[tokio::test]
async fn refusals_and_unknown_codes_do_not_open_the_breaker() {
    let stub = Stub::saying("").await;
    let vendor = sms(&stub.address);
    for body in [r#"{"code":"160"}"#, r#"{"code":"777"}"#] {
        stub.now(Answer::json(200, body));
        for _ in 0..10 {
            assert!(vendor.send(MESSAGE, &phone(), "文").await.is_err());
        }
    }
    assert_eq!(stub.seen().len(), 20);
}
