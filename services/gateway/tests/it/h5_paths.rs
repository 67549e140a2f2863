//! Which paths are pages, and that none of the gateway's own is.

use crate::h5::{BROWSER, SCRIPT, Site};
use crate::suite::{SEND, post};
use crate::wire::send;

const PAGE: &str = "<p>volunteers</p>";

#[tokio::test]
async fn a_path_of_no_file_is_a_page_whose_script_shows_it() {
    let site = Site::start().await;
    for (path, page) in [
        ("/", PAGE),
        ("/?from=wechat", PAGE),
        ("/register", PAGE),
        ("/register/", PAGE),
        ("/me/organization?next=%2F", PAGE),
        ("/invitation/ABCD-EFGH-2345", PAGE),
        ("/help/%E5%BF%97%E6%84%BF", PAGE),
        ("/consoles", PAGE),
        ("/console", "<p>console</p>"),
        ("/console/", "<p>console</p>"),
        ("/console/rosters/17", "<p>console</p>"),
    ] {
        let answer = site.open(path).await;
        assert_eq!((answer.status, answer.text()), (200, page), "{path}");
        assert_eq!(answer.header("vary"), "accept, accept-encoding", "{path}");
    }
}

#[tokio::test]
async fn programs_get_no_page_for_what_is_none() {
    let site = Site::start().await;
    for accept in ["*/*", "application/json", "text/html;q=0", ""] {
        let answer = site.get("/register", &[("accept", accept)]).await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (404, "METHOD_NOT_FOUND"));
        let answer = site.get("/", &[("accept", accept)]).await;
        assert!(answer.text().contains("RegistrationService/Register"), "{accept}");
        assert_eq!(answer.header("vary"), "accept");
        assert!(answer.text().contains(&format!("http://{}/", site.suite.address)));
    }
    assert!(site.get("/", &[]).await.text().contains("Public methods"));
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_found_and_never_a_page() {
    let site = Site::start().await;
    for path in [
        "/assets/index-AAAAAAAA.js",
        "/assets/no-extension",
        "/assets/",
        "/assets",
        "/favicon.ico",
        "/console/gone.css",
        "/index.html.bak",
        // What lies there for the gateway and not for others.
        "/.built-from",
        &format!("/{SCRIPT}.br"),
        &format!("/{SCRIPT}.gz"),
    ] {
        let answer = site.open(path).await;
        assert_eq!((answer.status, answer.text()), (404, "没有这个文件\n"), "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn no_page_shadows_what_the_gateway_answers_itself() {
    let site = Site::start().await;
    for (path, status, text) in [
        ("/healthz", 200, "alive"),
        ("/readyz", 200, "ready"),
        ("/healthz/", 404, "METHOD_NOT_FOUND"),
        ("/readyz/now", 404, "METHOD_NOT_FOUND"),
        // The services here are played, and have none.
        ("/.well-known/jwks.json", 503, "the keys are not known"),
        ("/.well-known/nothing", 404, "METHOD_NOT_FOUND"),
        (SEND, 405, "POST"),
        ("/zhiyuan.identity.v1.SmsCodeService/Nothing", 404, "METHOD_NOT_FOUND"),
        ("/grpc.health.v1.Health/Check", 404, "METHOD_NOT_FOUND"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 404, "METHOD_NOT_FOUND"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(method, path, &[("accept", BROWSER)]).await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert!(method == "HEAD" || answer.text().contains(text), "{path}: {}", answer.text());
            assert_eq!(answer.header("content-security-policy"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn calls_are_what_they_were() {
    let site = Site::start().await;
    let answer = site.suite.call(true, SEND, &[("accept", BROWSER)], "{}").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(site.suite.grpc(SEND, &[], b"").await.grpc().code(), tonic::Code::Ok);
    for path in ["/", "/register", "/icon.svg"] {
        let answer = site.suite.call(false, path, &[("accept", BROWSER)], "{}").await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (501, "METHOD_NOT_FOUND"));
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = site.ask(method, path, &[("accept", BROWSER)]).await;
            assert_eq!((answer.status, answer.header("content-security-policy")), (404, ""));
        }
        let form = post(path, "application/x-www-form-urlencoded").header("accept", BROWSER);
        let answer = site.suite.http1(form.body("a=b".into()).unwrap()).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_pages() {
    let site = Site::start().await;
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/%252e%252e%252fsecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "//secret.txt",
        "///etc/passwd",
        "//etc/passwd",
        "/etc/passwd%00.html",
        "/register%00",
        "/register%0d%0aset-cookie:a=b",
        "/register/%2e%2e/me",
        "/icon.svg%00",
        "/./icon.svg",
        "/icon.svg/",
        "/ICON.SVG",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n"
        );
        let answer = send(&site.suite, &request).await;
        let refused = answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400");
        assert!(
            refused && !answer.contains("secret") && !answer.contains("root:"),
            "{path}: {answer}"
        );
        assert!(!answer.contains(PAGE) && !answer.contains("set-cookie"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_path_without_end_is_no_page() {
    let site = Site::start().await;
    assert_eq!(site.open(&format!("/{}", "a".repeat(512))).await.status, 200);
    for length in [513, 5000, 30_000] {
        let path = format!("/{}", "a".repeat(length));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n"
        );
        let answer = send(&site.suite, &request).await;
        let (status, _) = answer.split_once("\r\n").unwrap();
        let refused = ["404", "414", "431"].iter().any(|code| status.contains(code));
        assert!(refused && !answer.contains(PAGE), "{length}: {status}");
    }
}
