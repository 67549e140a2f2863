use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zhiyuan_domain::ManualClock;

use super::real_name::{Rule, rule};
use super::sms::{Inbox, Message, code};
use super::{BODY, Simulators};

const AT: OffsetDateTime = datetime!(2026-11-23 01:02:03 UTC);

fn router() -> Router {
    Simulators::new(Arc::new(ManualClock::new(AT)), CancellationToken::new()).router()
}

async fn call(
    router: &Router,
    method: &str,
    path: &str,
    body: impl Into<Body>,
) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-app-key", "standalone")
        .body(body.into())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn json(router: &Router, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let (status, text) = call(router, method, path, body.to_string()).await;
    (status, serde_json::from_str(&text).unwrap())
}

async fn sms(router: &Router, mobile: &str, content: &str) -> (StatusCode, Value) {
    let body = json!({ "mobile": mobile, "content": content, "sign": "志愿安徽" });
    json(router, "POST", "/sms/send", body).await
}

async fn check(router: &Router, name: &str) -> (StatusCode, Value) {
    let body = json!({ "name": name, "id_number": "11010519491231002X" });
    json(router, "POST", "/real-name/check", body).await
}

#[tokio::test]
async fn what_is_sent_is_in_the_inbox_newest_first() {
    let router = router();
    let (status, answer) = sms(&router, "13800000001", "验证码 042137，5 分钟内有效").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["code"], &answer["msg"]), (&json!("0"), &json!("ok")));
    assert_eq!(answer["smsid"].as_str().unwrap().len(), 32);
    sms(&router, "+86 138-0000-0001", "注册成功").await;
    sms(&router, "13800000002", "别人的").await;
    for phone in ["13800000001", "+8613800000001", "%2B8613800000001", "8613800000001"] {
        let (status, inbox) =
            json(&router, "GET", &format!("/sms?phone={phone}"), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{phone}");
        assert_eq!(
            inbox,
            json!([
                { "phone": "13800000001", "text": "【志愿安徽】注册成功", "code": null,
                  "sent_at": "2026-11-23T09:02:03+08:00" },
                { "phone": "13800000001", "text": "【志愿安徽】验证码 042137，5 分钟内有效",
                  "code": "042137", "sent_at": "2026-11-23T09:02:03+08:00" },
            ])
        );
    }
    let (_, inbox) = json(&router, "GET", "/sms?phone=13800000003", Value::Null).await;
    assert_eq!(inbox, json!([]));
    for path in ["/sms", "/sms?phone=", "/sms?phone=12"] {
        assert_eq!(call(&router, "GET", path, "").await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_message_that_comes_again_under_its_id_is_delivered_once() {
    let router = router();
    for (id, content) in [("a", "一"), ("a", "一"), ("b", "二"), ("", "三"), ("", "三")] {
        let body = json!({ "mobile": "13800000001", "content": content, "id": id });
        let (status, answer) = json(&router, "POST", "/sms/send", body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::OK, &json!("0")));
    }
    let (_, inbox) = json(&router, "GET", "/sms?phone=13800000001", Value::Null).await;
    let texts: Vec<_> = inbox.as_array().unwrap().iter().map(|one| &one["text"]).collect();
    assert_eq!(texts, ["三", "三", "二", "一"]);
}

#[test]
fn a_code_is_six_digits_that_stand_alone() {
    assert_eq!(code("您的验证码是123456。").as_deref(), Some("123456"));
    assert_eq!(code("13800000001 的验证码 000001").as_deref(), Some("000001"));
    assert_eq!(code("编号 1234567，20 分钟"), None);
    assert_eq!(code(""), None);
}

#[tokio::test]
async fn a_message_needs_a_key_and_a_mobile_number() {
    let router = router();
    let request = Request::post("/sms/send").body(Body::from("{}")).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(sms(&router, "12345", "x").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn rejects_bodies_that_are_too_large_or_not_as_described() {
    let router = router();
    for (method, path) in [("POST", "/sms/send"), ("POST", "/real-name/check"), ("PUT", "/faults")]
    {
        for body in ["", "{", "[]", "{\"name\": 1}", "{\"sms\": \"broken\"}"] {
            let (status, text) = call(&router, method, path, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(serde_json::from_str::<Value>(&text).unwrap()["error"].is_string());
        }
        let (status, text) = call(&router, method, path, " ".repeat(BODY + 1)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(serde_json::from_str::<Value>(&text).unwrap()["error"].is_string());
    }
    let blank = json!({ "name": " ", "id_number": "11010519491231002X" });
    assert_eq!(json(&router, "POST", "/real-name/check", blank).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(json(&router, "GET", "/nowhere", Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[test]
fn keeps_a_hundred_messages_of_a_phone_and_forgets_the_first_phone() {
    let message = |phone: u64, text: u64| Message {
        phone: phone.to_string(),
        text: text.to_string(),
        code: None,
        sent_at: AT,
    };
    let mut inbox = Inbox::default();
    for text in 0..101 {
        inbox.insert(message(0, text));
    }
    let kept = inbox.of("0");
    assert_eq!((kept.len(), kept[0].text.as_str(), kept[99].text.as_str()), (100, "100", "1"));
    assert_eq!(inbox.latest().len(), 50);
    for phone in 1..200_000 {
        inbox.insert(message(phone, 0));
    }
    assert_eq!(inbox.of("0").len(), 100);
    inbox.insert(message(200_000, 0));
    assert!(inbox.of("0").is_empty());
    assert_eq!((inbox.of("1").len(), inbox.of("200000").len()), (1, 1));
}

#[test]
fn the_name_decides_what_the_register_answers() {
    for (name, expected) in [
        ("张三", Rule::Answer("01", "一致")),
        ("不符张", Rule::Answer("01", "一致")),
        ("张不符", Rule::Answer("02", "不一致")),
        ("𠮷不符", Rule::Answer("02", "不一致")),
        ("张无号", Rule::Answer("03", "库中无此号")),
        ("张𠮷", Rule::Answer("04", "无法判定")),
        ("张超时", Rule::Never),
        ("张稍后 ", Rule::Later),
    ] {
        assert_eq!(rule(name), expected, "{name}");
    }
}

#[tokio::test]
async fn the_register_answers_and_counts() {
    let router = router();
    let (status, answer) = check(&router, "张三").await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "result": "01", "message": "一致" })));
    assert_eq!(check(&router, "张不符").await.1["result"], "02");
    for expected in [503, 503, 200, 200] {
        assert_eq!(check(&router, "张稍后").await.0.as_u16(), expected);
    }
    sms(&router, "13800000001", "x").await;
    let (_, counters) = json(&router, "GET", "/counters", Value::Null).await;
    assert_eq!(counters, json!({ "sms_sent": 1, "real_name_checks": 6 }));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_never_answered_holds_the_connection() {
    let started = Instant::now();
    assert_eq!(check(&router(), "张超时").await.0, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(started.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn switches_put_a_vendor_out_of_order() {
    let router = router();
    let set = async |body: Value| json(&router, "PUT", "/faults", body).await;
    let (_, faults) = json(&router, "GET", "/faults", Value::Null).await;
    assert_eq!(faults, json!({ "sms": "ok", "real_name": "ok" }));

    let (status, faults) = set(json!({ "sms": "down" })).await;
    assert_eq!((status, faults), (StatusCode::OK, json!({ "sms": "down", "real_name": "ok" })));
    assert_eq!(sms(&router, "13800000001", "x").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(check(&router, "张三").await.0, StatusCode::OK);

    set(json!({ "sms": "reject", "real_name": "down" })).await;
    assert_eq!(sms(&router, "13800000001", "x").await.1["code"], "160");
    assert_eq!(check(&router, "张三").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (_, inbox) = json(&router, "GET", "/sms?phone=13800000001", Value::Null).await;
    assert_eq!(inbox, json!([]));

    set(json!({ "sms": "slow", "real_name": "slow" })).await;
    let started = Instant::now();
    assert_eq!(sms(&router, "13800000001", "x").await.1["code"], "0");
    assert_eq!(check(&router, "张三").await.1["result"], "01");
    assert_eq!(started.elapsed(), Duration::from_secs(20));
    assert_eq!(set(json!({ "sms": "ok", "fax": "ok" })).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_page_shows_messages_as_text_and_the_switches() {
    let router = router();
    let (_, empty) = call(&router, "GET", "/", "").await;
    assert!(empty.contains("还没有短信") && !empty.contains("{{"));
    sms(&router, "13800000001", "<script>alert('1')</script> 验证码 123456 {{sms}}").await;
    json(&router, "PUT", "/faults", json!({ "sms": "slow" })).await;
    let (status, page) = call(&router, "GET", "/", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    assert!(page.contains(r#"<td>09:02:03</td><td>13800000001</td><td class="code">123456</td>"#));
    assert!(page.contains(r#"data-state="slow" aria-pressed="true">缓慢"#));
    assert!(page.contains("验证码 123456 {{sms}}"));
    assert!(!page.contains("://"), "no external assets");
}

#[tokio::test]
async fn serves_until_it_is_stopped_even_with_a_check_in_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let simulators = Simulators::new(Arc::new(ManualClock::new(AT)), stop.clone());
    let server = simulators.serve(listener);
    let client = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let body = json!({ "name": "张超时", "id_number": "1" }).to_string();
        let head = format!(
            "POST /real-name/check HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        // The counter tells that the check has arrived.
        loop {
            let mut other = tokio::net::TcpStream::connect(address).await.unwrap();
            other
                .write_all(b"GET /counters HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            other.read_to_string(&mut answer).await.unwrap();
            if answer.contains(r#""real_name_checks":1"#) {
                break;
            }
        }
        stop.cancel();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (served, answer) = tokio::join!(server, client);
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}
