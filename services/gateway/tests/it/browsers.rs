//! Sessions in cookies.

use bytes::Bytes;
use prost::Message as _;
use tonic::Code;
use zhiyuan_contracts::identity::v1::{RefreshSessionRequest, SignInRequest, SignInResponse};

use crate::signed_in::{CLOSE, MINE, REFRESH, SIGN_IN, SIGN_OUT};
use crate::suite::{Answer, Suite, post};

const MODE: (&str, &str) = ("zhiyuan-session", "cookie");
const ACCESS: (&str, &str) = ("cookie", "zhiyuan-access=access.1");
const REFRESHING: (&str, &str) = ("cookie", "zhiyuan-refresh=refresh.1");
const CLEARED: [&str; 2] = [
    "zhiyuan-access=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
    "zhiyuan-refresh=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
];

/// Asserts that both cookies are set, and tells for how many seconds.
#[track_caller]
fn set(answer: &Answer, prefixes: [&str; 2], secure: &str) -> [i64; 2] {
    let cookies = answer.cookies();
    let mut seconds = [0; 2];
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (n, cookie) in cookies.iter().enumerate() {
        let rest = cookie.strip_prefix(prefixes[n]).unwrap_or_else(|| panic!("{cookie}"));
        let rest = rest.strip_prefix("; Path=/; Max-Age=");
        let (age, rest) = rest.unwrap_or_else(|| panic!("{cookie}")).split_once(';').unwrap();
        assert_eq!(rest, format!(" HttpOnly; SameSite=Strict{secure}"));
        seconds[n] = age.parse().unwrap();
    }
    seconds
}

#[tokio::test]
async fn tokens_go_into_cookies_and_not_into_the_body() {
    let suite = Suite::start().await;
    for http2 in [false, true] {
        let answer = suite.call(http2, SIGN_IN, &[MODE], r#"{"identifier": "me"}"#).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let names = ["zhiyuan-access=access.1", "zhiyuan-refresh=refresh.1"];
        let [access, refresh] = set(&answer, names, "");
        assert!((590..=600).contains(&access) && (2_591_990..=2_592_000).contains(&refresh));
        assert_eq!(answer.headers["cache-control"], "no-store");
        let json = answer.json();
        assert_eq!(json["sessionId"], "s");
        let tokens = json["tokens"].as_object().unwrap();
        let kept: Vec<&str> = tokens.keys().map(String::as_str).collect();
        assert_eq!(kept, ["accessExpireTime", "refreshExpireTime"]);
    }
}

#[tokio::test]
async fn protobuf_is_treated_alike() {
    let suite = Suite::start().await;
    let message = SignInRequest { identifier: "me".into(), ..Default::default() }.encode_to_vec();
    let request = post(SIGN_IN, "application/proto").header(MODE.0, MODE.1);
    let answer = suite.http1(request.body(message.into()).unwrap()).await;
    set(&answer, ["zhiyuan-access=access.1", "zhiyuan-refresh=refresh.1"], "");
    let tokens = SignInResponse::decode(answer.body).unwrap().tokens.unwrap();
    assert_eq!((tokens.access_token.as_str(), tokens.refresh_token.as_str()), ("", ""));
    assert!(tokens.access_expire_time.is_some() && tokens.refresh_expire_time.is_some());

    let request = post(REFRESH, "application/proto")
        .header(MODE.0, MODE.1)
        .header("cookie", "zhiyuan-refresh=refuse:16");
    let answer = suite.http1(request.body(Bytes::new()).unwrap()).await;
    assert_eq!((answer.status, answer.cookies()), (401, CLEARED.into()));
}

#[tokio::test]
async fn over_https_cookies_are_for_https_and_this_host_alone() {
    let suite = Suite::start_with(|config| config.cookies.secure = true).await;
    let answer = suite.call(true, SIGN_IN, &[MODE], "{}").await;
    let names = ["__Host-zhiyuan-access=access.1", "__Host-zhiyuan-refresh=refresh.1"];
    set(&answer, names, "; Secure");
    // A plain one is another cookie: anybody on the way could have planted it.
    for (path, plain) in [(MINE, ACCESS), (SIGN_OUT, REFRESHING), (REFRESH, REFRESHING)] {
        let planted = suite.call(true, path, &[MODE, plain], "{}").await;
        assert_eq!(planted.refusal().1, "UNAUTHENTICATED", "{path}");
    }
    let good = ("cookie", "__Host-zhiyuan-access=access.1");
    assert_eq!(suite.call(true, MINE, &[MODE, good], "{}").await.status, 200);
    let good = ("cookie", "__Host-zhiyuan-refresh=refresh.1");
    let answer = suite.call(true, SIGN_OUT, &[MODE, good], "{}").await;
    assert_eq!(answer.status, 200);
    for cookie in answer.cookies() {
        assert!(cookie.starts_with("__") && cookie.ends_with("; Secure"), "{cookie}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_cookies_gets_none_and_grpc_never() {
    let suite = Suite::start().await;
    let answer = suite.json(SIGN_IN, "{}").await;
    assert!(answer.cookies().is_empty());
    assert_eq!(answer.json()["tokens"]["accessToken"], "access.1");
    let renewed = suite.json(REFRESH, r#"{"refreshToken": "refresh.1"}"#).await;
    assert_eq!(renewed.json()["tokens"]["refreshToken"], "refresh.2");
    assert!(renewed.cookies().is_empty());

    let answer = suite.grpc(SIGN_IN, &[MODE], b"").await;
    assert!(answer.cookies().is_empty());
    let response = SignInResponse::decode(answer.body.slice(5..)).unwrap();
    assert_eq!(response.tokens.unwrap().access_token, "access.1");
    let refused = suite.grpc(MINE, &[MODE, ACCESS], b"").await.grpc();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let message = RefreshSessionRequest { refresh_token: "r".into() }.encode_to_vec();
    let cookie = ("cookie", "zhiyuan-refresh=refresh.1");
    let spoofed = ("zhiyuan-refresh-token", "stolen");
    suite.grpc(REFRESH, &[MODE, cookie, spoofed], &message).await;
    assert!(!suite.last_seen().contains_key("zhiyuan-refresh-token"));
}

#[tokio::test]
async fn the_access_cookie_becomes_a_bearer_token() {
    let suite = Suite::start().await;
    for http2 in [false, true] {
        for cookies in [
            &["zhiyuan-access=access.1"][..],
            &["theme=dark; zhiyuan-access=access.1; lang=zh"],
            &["theme=dark;zhiyuan-access=access.1"],
            // Split, as HTTP/2 may.
            &["theme=dark", "zhiyuan-access=access.1", "lang=zh"],
            &["zhiyuan-refresh=r; zhiyuan-refresh=r; zhiyuan-access=access.1"],
        ] {
            let before = suite.reached();
            let headers: Vec<_> = [MODE]
                .into_iter()
                .chain(cookies.iter().map(|cookie| ("cookie", *cookie)))
                .collect();
            let answer = suite.call(http2, MINE, &headers, "{}").await;
            assert_eq!((answer.status, suite.reached()), (200, before + 1), "{cookies:?}");
            let seen = suite.last_seen();
            assert_eq!(seen["authorization"], "Bearer access.1");
            for name in ["cookie", "zhiyuan-session", "zhiyuan-refresh-token"] {
                assert!(!seen.contains_key(name), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_cookie_goes_nowhere_but_where_it_is_needed() {
    let suite = Suite::start().await;
    let both = ("cookie", "zhiyuan-access=a; zhiyuan-refresh=r");
    for (path, authorization, refresh) in [
        (SIGN_IN, None, None),
        ("/zhiyuan.registration.v1.RegistrationService/GetRegistration", None, None),
        (REFRESH, None, Some("r")),
        (SIGN_OUT, None, Some("r")),
        (MINE, Some("Bearer a"), None),
    ] {
        assert_eq!(suite.call(false, path, &[MODE, both], "{}").await.status, 200);
        let seen = suite.last_seen();
        let text = |name| seen.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(text("authorization"), authorization, "{path}");
        assert_eq!(text("zhiyuan-refresh-token"), refresh, "{path}");
        assert_eq!(text("cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn a_session_is_renewed_by_its_cookie() {
    let suite = Suite::start().await;
    for http2 in [false, true] {
        let cookie = ("cookie", "zhiyuan-refresh=refresh.1");
        let answer = suite.call(http2, REFRESH, &[MODE, cookie], "{}").await;
        assert_eq!(answer.status, 200);
        set(&answer, ["zhiyuan-access=access.2", "zhiyuan-refresh=refresh.2"], "");
        let tokens = answer.json()["tokens"].as_object().unwrap().clone();
        assert!(!tokens.contains_key("accessToken") && !tokens.contains_key("refreshToken"));
        assert_eq!(suite.last_seen()["zhiyuan-refresh-token"], "refresh.1");
    }
}

#[tokio::test]
async fn nobody_brings_the_header_of_the_refresh_token_from_outside() {
    let suite = Suite::start().await;
    let spoofed = ("zhiyuan-refresh-token", "stolen");
    let cookie = ("cookie", "zhiyuan-refresh=mine");
    for http2 in [false, true] {
        suite.call(http2, REFRESH, &[spoofed], r#"{"refreshToken": "r"}"#).await;
        assert!(!suite.last_seen().contains_key("zhiyuan-refresh-token"));
        suite.call(http2, REFRESH, &[MODE, spoofed, cookie, spoofed], "{}").await;
        let seen = suite.last_seen();
        let passed: Vec<_> = seen.get_all("zhiyuan-refresh-token").iter().collect();
        assert_eq!(passed, ["mine"]);
        let before = suite.reached();
        let refused = suite.call(http2, REFRESH, &[MODE, spoofed], "{}").await;
        assert_eq!((refused.status, suite.reached()), (401, before));
    }
}

#[tokio::test]
async fn a_session_that_is_over_leaves_no_cookie() {
    let suite = Suite::start().await;
    for (code, kept) in [(16, false), (14, true), (13, true), (8, true), (4, true), (3, true)] {
        let cookie = format!("zhiyuan-refresh=refuse:{code}");
        let answer = suite.call(false, REFRESH, &[MODE, ("cookie", &cookie)], "{}").await;
        assert_eq!(answer.cookies(), if kept { Vec::new() } else { CLEARED.into() }, "{code}");
    }
    // Not there at all: what is left of the session goes too.
    let answer = suite.call(false, REFRESH, &[MODE, ACCESS], "{}").await;
    assert_eq!((answer.status, answer.cookies()), (401, CLEARED.into()));
    // Nothing is done to who has no cookies.
    let answer = suite.json(REFRESH, r#"{"refreshToken": "refuse:16"}"#).await;
    assert_eq!((answer.status, answer.cookies().len()), (401, 0));
}

#[tokio::test]
async fn who_signs_out_leaves_no_cookie_unless_the_session_may_go_on() {
    let suite = Suite::start().await;
    // The access token may have ended before.
    let answer = suite.call(true, SIGN_OUT, &[MODE, REFRESHING], "{}").await;
    assert_eq!((answer.status, answer.cookies()), (200, CLEARED.into()));
    assert_eq!(suite.last_seen()["zhiyuan-refresh-token"], "refresh.1");
    for code in 1..=16 {
        let cookie = format!("zhiyuan-refresh=refuse:{code}");
        let answer = suite.call(false, SIGN_OUT, &[MODE, ("cookie", &cookie)], "{}").await;
        let over = matches!(code, 5 | 6 | 7 | 9 | 16);
        assert_eq!(answer.cookies(), if over { CLEARED.into() } else { Vec::new() }, "{code}");
    }
    // There was no session any more: what is left of it goes.
    let answer = suite.call(false, SIGN_OUT, &[MODE, ACCESS], "{}").await;
    assert_eq!((answer.status, answer.cookies()), (401, CLEARED.into()));
}

#[tokio::test]
async fn who_closes_the_account_leaves_no_cookie_and_who_is_refused_keeps_both() {
    let suite = Suite::start().await;
    for code in 1..=16 {
        let body = format!(r#"{{"password": "refuse:{code}"}}"#);
        let answer = suite.call(false, CLOSE, &[MODE, ACCESS], &body).await;
        assert_eq!(answer.cookies(), Vec::<String>::new(), "{code}");
    }
    // With or without a refresh token, which it does not need.
    for cookie in ["zhiyuan-access=a", "zhiyuan-access=a; zhiyuan-refresh=\"bad\""] {
        let answer = suite.call(true, CLOSE, &[MODE, ("cookie", cookie)], "{}").await;
        assert_eq!((answer.status, answer.cookies()), (200, CLEARED.into()), "{cookie}");
    }
    // By a token of one's own, the cookies are of another session.
    let headers = [MODE, ("authorization", "Bearer mine"), ACCESS];
    let answer = suite.call(false, CLOSE, &headers, "{}").await;
    assert_eq!((answer.status, answer.cookies().len()), (200, 0));
}

#[tokio::test]
async fn a_service_that_is_down_ends_nothing() {
    let suite = Suite::start_with(|config| {
        config.upstreams.insert("identity".into(), "http://127.0.0.1:1".into());
    })
    .await;
    let cookie = ("cookie", "zhiyuan-access=a; zhiyuan-refresh=r");
    for path in [SIGN_OUT, REFRESH] {
        let answer = suite.call(false, path, &[MODE, cookie], "{}").await;
        assert_eq!((answer.status, answer.cookies().len()), (503, 0), "{path}");
    }
}

#[tokio::test]
async fn of_authorization_and_a_cookie_the_cookie_does_not_count() {
    let suite = Suite::start().await;
    for cookie in [ACCESS.1, "zhiyuan-access=x; zhiyuan-access=y", "zhiyuan-access=\"bad\""] {
        let headers = [MODE, ("authorization", "Bearer mine"), ("cookie", cookie)];
        let answer = suite.call(false, MINE, &headers, "{}").await;
        assert_eq!(answer.status, 200, "{cookie}");
        assert_eq!(suite.last_seen()["authorization"], "Bearer mine");
        // Not the session of the cookie has ended.
        assert!(answer.cookies().is_empty());
    }
    let before = suite.reached();
    for bad in ["Basic eDp5", "", "Bearer"] {
        let headers = [MODE, ("authorization", bad), ACCESS];
        assert_eq!(suite.call(false, MINE, &headers, "{}").await.status, 401, "{bad}");
    }
    assert_eq!(suite.reached(), before);
}

#[tokio::test]
async fn two_cookies_of_one_name_and_one_that_is_none_are_refused() {
    let suite = Suite::start().await;
    let long = format!("zhiyuan-access={}", "x".repeat(4083));
    for (path, cookies) in [
        (MINE, &["zhiyuan-access=x; zhiyuan-access=y"][..]),
        (MINE, &["zhiyuan-access=x", "zhiyuan-access=x"]),
        (MINE, &["zhiyuan-access=x; a=\"; zhiyuan-access=y; \""]),
        (MINE, &["zhiyuan-access=x y"]),
        (MINE, &["zhiyuan-access=\"x\""]),
        (MINE, &["zhiyuan-access="]),
        (MINE, &["a=zhiyuan-access=x"]),
        (MINE, &["zhiyuan-access =x"]),
        (MINE, &["ZHIYUAN-ACCESS=x"]),
        (MINE, &["a=b, zhiyuan-access=x"]),
        (MINE, &["zhiyuan-refresh=x"]),
        (MINE, &[&long]),
        (REFRESH, &["zhiyuan-refresh=x; zhiyuan-refresh=y"]),
        (REFRESH, &["zhiyuan-refresh=x", "zhiyuan-refresh=y"]),
        (REFRESH, &["zhiyuan-access=x"]),
        (SIGN_OUT, &["zhiyuan-refresh=x; zhiyuan-refresh=y"]),
        (SIGN_OUT, &["zhiyuan-access=x"]),
    ] {
        for http2 in [false, true] {
            let headers: Vec<_> = [MODE]
                .into_iter()
                .chain(cookies.iter().map(|cookie| ("cookie", *cookie)))
                .collect();
            let answer = suite.call(http2, path, &headers, "{}").await;
            assert_eq!(answer.status, 401, "{cookies:?}");
            assert_eq!(answer.refusal().1, "UNAUTHENTICATED", "{cookies:?}");
        }
    }
    assert_eq!(suite.reached(), 0);
    let fits = &long[..long.len() - 1];
    let answer = suite.call(false, MINE, &[MODE, ("cookie", fits)], "{}").await;
    assert_eq!(answer.status, 200);
    let huge = format!("a={}; zhiyuan-access=x", "x".repeat(17_000));
    let answer = suite.call(false, MINE, &[MODE, ("cookie", &huge)], "{}").await;
    assert_eq!(answer.refusal().1, "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn tokens_that_fit_in_no_cookie_are_our_fault_and_none_is_set() {
    let suite = Suite::start().await;
    let long = "x".repeat(4096);
    for identifier in [
        "none",
        "endless",
        "access=",
        "refresh=",
        "access=a; Domain=example.com",
        "refresh=r\\r\\nset-cookie: a=b",
        "access=a b",
        "access=\\u0000",
        "access=值",
        &format!("access={long}"),
    ] {
        let body = format!(r#"{{"identifier": "{identifier}"}}"#);
        let answer = suite.call(false, SIGN_IN, &[MODE], &body).await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (500, "INTERNAL"), "{identifier}");
        assert!(answer.cookies().is_empty(), "{identifier}");
        assert!(!answer.text().contains("Domain"), "{identifier}");
    }
    let ended = suite.call(false, SIGN_IN, &[MODE], r#"{"identifier": "ended"}"#).await;
    assert_eq!(set(&ended, ["zhiyuan-access=a", "zhiyuan-refresh=r"], "")[0], 0);
}

#[tokio::test]
async fn a_refused_sign_in_leaves_the_cookies_alone() {
    let suite = Suite::start().await;
    for code in [3, 7, 8, 14, 16] {
        let body = format!(r#"{{"identifier": "refuse:{code}"}}"#);
        let answer = suite.call(false, SIGN_IN, &[MODE, ACCESS], &body).await;
        assert!(answer.status >= 400 && answer.cookies().is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_session_is_in_cookies_or_it_is_not() {
    let suite = Suite::start().await;
    for modes in [
        &[("zhiyuan-session", "Cookie")][..],
        &[("zhiyuan-session", "")],
        &[("zhiyuan-session", "token")],
        &[MODE, MODE],
    ] {
        let headers = [modes, &[ACCESS]].concat();
        let answer = suite.call(false, SIGN_OUT, &headers, "{}").await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (400, "MALFORMED_REQUEST"));
    }
    assert_eq!(suite.reached(), 0);
}
