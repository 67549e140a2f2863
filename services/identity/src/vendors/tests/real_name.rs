//! Asking the register.

use std::time::Duration;

use super::stub::{Answer, Stub};
use super::*;
use crate::vendors::Verdict;

#[tokio::test]
async fn asks_what_the_simulator_expects() {
    let stub = Stub::saying(r#"{"result":"01"}"#).await;
    let register = register(&stub.address);
    for (name, sent) in [("张三", "张三"), ("买买提•艾力", "买买提·艾力"), ("𠮷䶮", "𠮷䶮")]
    {
        assert_eq!(register.check(&super::name(name), &id_number()).await, Verdict::Match);
        let seen = stub.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/real-name/check"));
        assert_eq!(seen.json(), serde_json::json!({ "name": sent, "id_number": ID_NUMBER }));
    }
}

#[tokio::test]
async fn every_code_has_its_verdict() {
    let stub = Stub::saying("").await;
    let mut config = real_name_config(&stub.address);
    config.response.codes.insert("99".into(), Verdict::Unavailable);
    config.breaker.failures = 100;
    let register = RealNameRegister::new(&config, clock()).unwrap();
    for (body, expected) in [
        (r#"{"result":"01"}"#, Verdict::Match),
        (r#"{"result":"02"}"#, Verdict::Mismatch),
        (r#"{"result":"03"}"#, Verdict::NotFound),
        (r#"{"result":"04"}"#, Verdict::CannotTell),
        (r#"{"result":"99"}"#, Verdict::Unavailable),
        (r#"{"result":"1"}"#, Verdict::Unavailable),
        (r#"{"result":"05"}"#, Verdict::Unavailable),
        (r#"{"result":null}"#, Verdict::Unavailable),
        (r#"{"result":["01"]}"#, Verdict::Unavailable),
        (r#"{"result":"01"#, Verdict::Unavailable),
        (r#""01""#, Verdict::Unavailable),
        ("01", Verdict::Unavailable),
        ("", Verdict::Unavailable),
        ("\u{0}\u{1}\u{2}", Verdict::Unavailable),
    ] {
        stub.now(Answer::json(200, body));
        assert_eq!(register.check(&name("张三"), &id_number()).await, expected, "{body}");
    }
    for status in [201, 302, 400, 401, 404, 429, 500, 502, 503, 504] {
        stub.now(Answer::json(status, r#"{"result":"02"}"#));
        let verdict = register.check(&name("张三"), &id_number()).await;
        assert_eq!(verdict, Verdict::Unavailable, "{status}");
    }
}

#[tokio::test]
async fn a_mismatch_proves_nothing_where_the_register_cannot_spell_the_name() {
    let stub = Stub::saying(r#"{"result":"02"}"#).await;
    let mut config = real_name_config(&stub.address);
    let verdict = async |config: &RealNameConfig, text: &str| {
        let register = RealNameRegister::new(config, clock()).unwrap();
        register.check(&name(text), &id_number()).await
    };
    assert_eq!(verdict(&config, "王𠮷").await, Verdict::CannotTell);
    assert_eq!(verdict(&config, "王吉").await, Verdict::Mismatch);
    config.knows_rare_characters = true;
    assert_eq!(verdict(&config, "王𠮷").await, Verdict::Mismatch);
    config.knows_rare_characters = false;
    stub.now(Answer::json(200, r#"{"result":"03"}"#));
    assert_eq!(verdict(&config, "王𠮷").await, Verdict::NotFound);
}

#[tokio::test]
async fn an_unavailable_register_is_left_alone_and_asked_again_later() {
    let stub = Stub::saying("garbage").await;
    let clock = manual_clock();
    let config = real_name_config(&stub.address);
    let register = RealNameRegister::new(&config, clock.clone()).unwrap();
    for _ in 0..7 {
        let verdict = register.check(&name("张三"), &id_number()).await;
        assert_eq!(verdict, Verdict::Unavailable);
    }
    assert_eq!(stub.seen().len(), 5);
    stub.now(Answer::json(200, r#"{"result":"03"}"#));
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(register.check(&name("张三"), &id_number()).await, Verdict::Unavailable);
    clock.advance(Duration::from_millis(1));
    assert_eq!(register.check(&name("张三"), &id_number()).await, Verdict::NotFound);
    assert_eq!(stub.seen().len(), 6);
}

#[tokio::test]
async fn a_code_that_means_out_of_order_opens_the_breaker() {
    let stub = Stub::saying(r#"{"result":"99"}"#).await;
    let mut config = real_name_config(&stub.address);
    config.response.codes.insert("99".into(), Verdict::Unavailable);
    config.breaker.failures = 2;
    let register = RealNameRegister::new(&config, clock()).unwrap();
    for _ in 0..4 {
        register.check(&name("张三"), &id_number()).await;
    }
    assert_eq!(stub.seen().len(), 2);
}

#[tokio::test]
async fn time_outs_are_unavailable_and_count_as_failures() {
    let stub = Stub::start(Answer::Never).await;
    let mut config = real_name_config(&stub.address);
    config.http.timeout_ms = 50;
    config.breaker.failures = 2;
    let register = RealNameRegister::new(&config, clock()).unwrap();
    for _ in 0..4 {
        let verdict = register.check(&name("张三"), &id_number()).await;
        assert_eq!(verdict, Verdict::Unavailable);
    }
    assert_eq!(stub.seen().len(), 2);
}

#[tokio::test]
async fn a_hundred_people_at_once_each_get_their_answer() {
    let stub = Stub::saying(r#"{"result":"01"}"#).await;
    let register = Arc::new(register(&stub.address));
    let mut people = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let register = Arc::clone(&register);
        people.spawn(async move { register.check(&name("张三"), &id_number()).await });
    }
    assert!(people.join_all().await.iter().all(|verdict| *verdict == Verdict::Match));
}
