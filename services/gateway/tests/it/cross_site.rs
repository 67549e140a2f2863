//! What pages of other sites try with the session of a browser.

use bytes::Bytes;
use http::Request;

use crate::signed_in::{MINE, REFRESH, SIGN_IN, SIGN_OUT};
use crate::suite::{Suite, post};

const MODE: (&str, &str) = ("zhiyuan-session", "cookie");
const COOKIES: (&str, &str) = ("cookie", "zhiyuan-access=a; zhiyuan-refresh=r");

#[tokio::test]
async fn a_form_of_another_site_gets_nowhere() {
    let suite = Suite::start().await;
    // All that a form can say.
    for kind in ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"] {
        let request = post(SIGN_OUT, kind)
            .header(COOKIES.0, COOKIES.1)
            .header("origin", "https://evil.example")
            .body(Bytes::from("{}"));
        let answer = suite.http1(request.unwrap()).await;
        assert_eq!((answer.status, answer.cookies().len()), (415, 0), "{kind}");
    }
    // And a script that needs no leave for its content type, if there were one.
    for http2 in [false, true] {
        for path in [MINE, SIGN_OUT, REFRESH] {
            let headers = [COOKIES, ("origin", "https://evil.example")];
            let answer = suite.call(http2, path, &headers, "{}").await;
            assert_eq!(answer.cookies().len(), 0);
            assert!(path != MINE || answer.refusal().1 == "UNAUTHENTICATED");
            assert!(suite.reached() == 0 || !suite.last_seen().contains_key("authorization"));
        }
    }
    assert!(suite.seen.lock().unwrap().iter().all(|seen| {
        !seen.contains_key("authorization") && !seen.contains_key("zhiyuan-refresh-token")
    }));
}

#[tokio::test]
async fn the_cookies_of_a_page_of_another_site_do_not_count() {
    let suite = Suite::start().await;
    let ours = format!("http://{}", suite.address);
    let (above, port) = (ours.replace("127.0.0.1", "127.0.0.2"), suite.address.port());
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", above.as_str())],
        &[("origin", &format!("http://127.0.0.1:{}", port ^ 1))],
        &[("origin", "http://127.0.0.1")],
        &[("origin", &format!("{ours}.evil.example"))],
        &[("origin", &format!("http://evil@127.0.0.1:{port}"))],
        &[("origin", &ours), ("origin", &ours)],
        &[("origin", &ours), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        &[("origin", &ours), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")],
    ] {
        let all = [headers, &[MODE, COOKIES]].concat();
        for http2 in [false, true] {
            // Nobody is signed in as somebody else either, nor signed out.
            for path in [SIGN_IN, REFRESH, SIGN_OUT, MINE] {
                let answer = suite.call(http2, path, &all, "{}").await;
                let told = ("permission_denied".to_owned(), "CROSS_SITE".to_owned());
                assert_eq!((answer.status, answer.refusal()), (403, told), "{path} {headers:?}");
                assert!(answer.cookies().is_empty(), "{path} {headers:?}");
            }
        }
    }
    assert_eq!(suite.reached(), 0);
}

#[tokio::test]
async fn the_pages_of_this_site_are_served() {
    let suite = Suite::start().await;
    let ours = format!("http://{}", suite.address);
    for headers in [
        &[][..],
        &[("origin", ours.as_str())],
        &[("origin", &ours), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ] {
        let all = [headers, &[MODE, COOKIES]].concat();
        for http2 in [false, true] {
            let answer = suite.call(http2, SIGN_OUT, &all, "{}").await;
            assert_eq!(answer.status, 200, "{headers:?}");
        }
    }
    let named = [MODE, COOKIES, ("host", "vol.example"), ("origin", "http://vol.example")];
    assert_eq!(suite.call(false, SIGN_OUT, &named, "{}").await.status, 200);
    let other = [MODE, COOKIES, ("host", "vol.example"), ("origin", &ours)];
    assert_eq!(suite.call(false, SIGN_OUT, &other, "{}").await.status, 403);
}

#[tokio::test]
async fn where_origins_are_listed_they_alone_are_ours() {
    let listed = "https://vol.example";
    let suite = Suite::start_with(|config| {
        config.cookies.secure = true;
        config.cookies.origins = vec![listed.to_owned()];
    })
    .await;
    let cookies = ("cookie", "__Host-zhiyuan-refresh=r");
    let ours = format!("https://{}", suite.address);
    for (origin, status) in [(listed, 200), (&ours, 403), ("http://vol.example", 403)] {
        let answer = suite.call(true, SIGN_OUT, &[MODE, cookies, ("origin", origin)], "{}").await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn who_brings_a_token_of_its_own_may_be_any_page() {
    let suite = Suite::start().await;
    // It has no session of the browser: nothing that a browser adds by itself is used.
    let headers = [COOKIES, ("origin", "https://other.example"), ("authorization", "Bearer mine")];
    assert_eq!(suite.call(false, MINE, &headers, "{}").await.status, 200);
    assert_eq!(suite.last_seen()["authorization"], "Bearer mine");
}

#[tokio::test]
async fn no_other_site_ever_gets_leave() {
    let suite = Suite::start().await;
    let ours = format!("http://{}", suite.address);
    for http2 in [false, true] {
        for origin in ["https://evil.example", "null", &ours] {
            for path in [SIGN_IN, REFRESH, SIGN_OUT, "/", "/.well-known/jwks.json"] {
                for method in ["OPTIONS", "POST", "GET"] {
                    let request = Request::builder()
                        .method(method)
                        .uri(path)
                        .header("content-type", "application/json")
                        .header("origin", origin)
                        .header("access-control-request-method", "POST")
                        .header("access-control-request-headers", "zhiyuan-session")
                        .header("access-control-request-private-network", "true")
                        .body(Bytes::from("{}"))
                        .unwrap();
                    let answer =
                        if http2 { suite.http2(request).await } else { suite.http1(request).await };
                    let granted = answer.headers.keys().find(|name| {
                        name.as_str().starts_with("access-control-")
                            || name.as_str() == "timing-allow-origin"
                    });
                    assert_eq!(granted, None, "{method} {path} from {origin}");
                    let call = path.starts_with("/zhiyuan.");
                    if method == "OPTIONS" && call {
                        assert_eq!(answer.status, 405, "{path} from {origin}");
                    }
                }
            }
        }
    }
}
