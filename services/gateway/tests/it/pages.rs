//! The pages that are no calls, the configuration, and the end.

use bytes::Bytes;
use http::Request;
use zhiyuan_gateway::{Program, RunError};
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_process::Program as _;

use crate::suite::{Answer, Suite, config, deps};

async fn get(suite: &Suite, path: &str) -> Answer {
    suite.http1(Request::get(path).body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn tells_what_it_is() {
    let suite = Suite::start().await;
    let answer = get(&suite, "/").await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/plain; charset=utf-8".parse().unwrap())
    );
    let text = answer.text();
    assert!(text.contains("RegistrationService/Register") && !text.contains("EnrolmentService"));
    assert!(text.contains(&format!("http://{}/zhiyuan.", suite.address)), "{text}");
    // A release build may hold pages.
    assert_eq!(text.contains("npm ci && npm run build"), !zhiyuan_gateway::has_pages(), "{text}");
    let head = suite.http1(Request::head("/").body(Bytes::new()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn is_ready_when_every_service_serves() {
    let suite = Suite::start().await;
    let answer = get(&suite, "/readyz").await;
    assert_eq!((answer.status, answer.text()), (200, "ready\n"));
}

#[tokio::test]
async fn asks_the_services_once_for_many_who_ask() {
    let suite = Suite::start().await;
    for _ in 0..5 {
        assert_eq!(get(&suite, "/readyz").await.status, 200);
    }
    // Each of the three, unless the machine was so slow that a second passed.
    let asked = suite.seen.lock().unwrap().len();
    assert!(asked < 15 && asked.is_multiple_of(3), "{asked}");
}

#[tokio::test]
async fn lives_without_services_and_names_those_that_are_missing() {
    let suite = Suite::start_with(|config| {
        config.upstreams.insert("identity".into(), "http://127.0.0.1:1".into());
        config.upstreams.insert("orgtree".into(), "http://127.0.0.1:1".into());
    })
    .await;
    assert_eq!(get(&suite, "/healthz").await.status, 200);
    let answer = get(&suite, "/readyz").await;
    assert_eq!((answer.status, answer.text()), (503, "not serving: identity, orgtree\n"));
}

#[tokio::test]
async fn a_page_that_is_not_there_is_not_found() {
    let suite = Suite::start().await;
    let answer = get(&suite, "/nothing").await;
    assert_eq!((answer.status, answer.refusal().1.as_str()), (404, "METHOD_NOT_FOUND"));
}

#[tokio::test]
async fn stops_when_it_is_asked_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, (signal, ready)) = (Stop::new(), Ready::channel());
    let running = zhiyuan_gateway::run(config(), deps(), listener, stop.clone(), signal);
    let (ended, ()) = tokio::join!(running, async {
        ready.wait().await.unwrap();
        stop.request();
    });
    ended.unwrap();
}

#[tokio::test]
async fn does_not_start_without_the_address_of_a_service() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config();
    config.upstreams.remove("registration");
    assert!(Program::check(&config).unwrap_err().to_string().contains("upstreams"));
    let (signal, ready) = Ready::channel();
    let ended = zhiyuan_gateway::run(config, deps(), listener, Stop::new(), signal).await;
    assert!(matches!(ended, Err(RunError::Config(_))), "{ended:?}");
    ready.wait().await.unwrap_err();
}

#[tokio::test]
async fn does_not_start_with_an_origin_that_is_none() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config();
    config.cookies.origins = vec!["https://volunteers.example/".to_owned()];
    assert!(Program::check(&config).unwrap_err().to_string().contains("cookies"));
    let (signal, _ready) = Ready::channel();
    let ended = zhiyuan_gateway::run(config, deps(), listener, Stop::new(), signal).await;
    assert!(matches!(ended, Err(RunError::Origin(_))), "{ended:?}");
}

#[test]
fn the_defaults_are_good_and_unknown_keys_are_not() {
    let defaults: zhiyuan_gateway::Config =
        zhiyuan_settings::load_from("gateway", Program::DEFAULTS, None, []).unwrap();
    Program::check(&defaults).unwrap();
    assert!(defaults.cookies.secure && defaults.cookies.origins.is_empty());
    let env = [("ZHIYUAN_GATEWAY__SERVER__LISTENN".to_owned(), "x".to_owned())];
    zhiyuan_settings::load_from::<zhiyuan_gateway::Config>("gateway", Program::DEFAULTS, None, env)
        .unwrap_err();
    let env = [("ZHIYUAN_GATEWAY__UPSTREAMS__CREDIT_EXPORT".to_owned(), "http://x:1".to_owned())];
    let config: zhiyuan_gateway::Config =
        zhiyuan_settings::load_from("gateway", Program::DEFAULTS, None, env).unwrap();
    assert_eq!(config.upstreams["credit_export"], "http://x:1");
}
