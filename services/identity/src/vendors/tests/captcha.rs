//! Verifying captchas.

use super::stub::{Answer, Stub};
use super::*;
use crate::vendors::{CaptchaConfig, CaptchaOutcome, CaptchaVendor};

fn config(address: &str) -> CaptchaConfig {
    read(&example("challenge.captcha", address))
}

#[tokio::test]
async fn asks_about_the_ticket_and_reads_what_the_vendor_says() {
    let stub = Stub::saying("").await;
    let mut config = config(&stub.address);
    config.breaker.failures = 100;
    let vendor = CaptchaVendor::new(&config, clock()).unwrap();
    for (body, expected) in [
        (r#"{"code":1}"#, CaptchaOutcome::Passed),
        (r#"{"code":"8"}"#, CaptchaOutcome::Failed),
        (r#"{"code":77}"#, CaptchaOutcome::Unavailable),
        ("", CaptchaOutcome::Unavailable),
    ] {
        stub.now(Answer::json(200, body));
        assert_eq!(vendor.verify("t03_ticket").await, expected, "{body}");
        let seen = stub.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/captcha/verify"));
        assert_eq!(seen.json()["ticket"], "t03_ticket");
    }
    stub.now(Answer::json(503, r#"{"code":1}"#));
    assert_eq!(vendor.verify("t03_ticket").await, CaptchaOutcome::Unavailable);
}

#[test]
fn a_request_without_the_ticket_is_a_mistake() {
    let mut config = config("http://127.0.0.1:1");
    config.request.body = crate::vendors::Body::Template("{}".into());
    assert_eq!(CaptchaVendor::new(&config, clock()).unwrap_err().key(), "request.body");
}
