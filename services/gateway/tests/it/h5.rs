//! The pages for browsers: what is answered, and with which headers.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::Request;
use tempfile::TempDir;
use zhiyuan_gateway::{PagesError, Program, RunError};
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_process::Program as _;

use crate::suite::{Answer, Suite, config, deps};

pub(crate) const SCRIPT: &str = "assets/index-BXq3d8fZ.js";
/// What browsers say that they want when somebody opens an address.
pub(crate) const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A gateway with pages.
pub(crate) struct Site {
    pub(crate) suite: Suite,
    pub(crate) folder: TempDir,
}

/// Writes a folder as a build leaves it. The gateway unpacks nothing, so what is packed
/// may be anything.
fn build() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join("dist").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("index.html", "<p>volunteers</p>");
    write("console/index.html", "<p>console</p>");
    write("icon.svg", "<svg/>");
    write("manifest.webmanifest", "{}");
    write("font.woff2", "font");
    write(SCRIPT, &"let volunteers;".repeat(10_000));
    write(&format!("{SCRIPT}.br"), "brotli");
    write(&format!("{SCRIPT}.gz"), "gzipped");
    write("assets/index-CccCcccC.css", "p{}");
    write("assets/index-CccCcccC.css.gz", "larger than it was");
    write(".built-from", "of ours");
    fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    folder
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_secure(false).await
    }

    async fn start_secure(secure: bool) -> Self {
        let folder = build();
        let dist = folder.path().join("dist");
        let suite = Suite::start_with(|config| {
            config.pages.folder = dist;
            config.cookies.secure = secure;
        })
        .await;
        Self { suite, folder }
    }

    /// Asks over HTTP/1.1 and HTTP/2, which answer alike.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = || {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(Bytes::new()).unwrap()
        };
        let first = self.suite.http1(request()).await;
        let second = self.suite.http2(request()).await;
        assert_eq!((first.status, &first.body), (second.status, &second.body), "{path}");
        for (name, value) in &first.headers {
            let ours = !["date", "transfer-encoding", "x-trace-id"].contains(&name.as_str());
            assert!(!ours || second.headers.get(name) == Some(value), "{path}: {name}");
        }
        first
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }

    /// Opens a page as a browser does.
    pub(crate) async fn open(&self, path: &str) -> Answer {
        self.get(path, &[("accept", BROWSER)]).await
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[tokio::test]
async fn a_page_brings_all_headers_that_protect_it() {
    let site = Site::start().await;
    for path in ["/", "/register", "/icon.svg", &format!("/{SCRIPT}"), "/assets/gone-AAAAAAAA.js"] {
        let answer = site.open(path).await;
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            // Plain http can't promise https.
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let permissions = answer.header("permissions-policy");
        for none in ["camera=()", "microphone=()", "geolocation=()", "payment=()"] {
            assert!(permissions.contains(none), "{path}: {permissions}");
        }
    }
}

#[tokio::test]
async fn https_is_promised_where_it_is() {
    let site = Site::start_secure(true).await;
    let answer = site.open("/").await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn what_has_a_fingerprint_is_kept_for_ever_and_nothing_else() {
    let site = Site::start().await;
    let ask = "no-cache";
    for (path, content_type, cache) in [
        ("/", "text/html; charset=utf-8", ask),
        ("/register", "text/html; charset=utf-8", ask),
        ("/index.html", "text/html; charset=utf-8", ask),
        ("/icon.svg", "image/svg+xml", ask),
        ("/manifest.webmanifest", "application/manifest+json", ask),
        ("/font.woff2", "font/woff2", ask),
        (
            "/assets/index-BXq3d8fZ.js",
            "text/javascript; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        (
            "/assets/index-CccCcccC.css",
            "text/css; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        ("/assets/gone-AAAAAAAA.js", "text/plain; charset=utf-8", "no-store"),
    ] {
        let answer = site.open(path).await;
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("cache-control"), cache, "{path}");
    }
}

#[tokio::test]
async fn a_file_comes_in_the_encoding_that_is_wanted_most() {
    let site = Site::start().await;
    let path = format!("/{SCRIPT}");
    let plain = "let volunteers;".repeat(10_000);
    let mut tags = std::collections::BTreeSet::new();
    for (accept, encoding, body) in [
        ("gzip, deflate, br, zstd", "br", "brotli"),
        ("gzip, deflate", "gzip", "gzipped"),
        ("br;q=0.5, gzip;q=0.8", "gzip", "gzipped"),
        ("br;q=0, gzip", "gzip", "gzipped"),
        ("*", "br", "brotli"),
        ("deflate", "", plain.as_str()),
        ("identity, br;q=0.1", "", plain.as_str()),
        ("*;q=0", "", plain.as_str()),
    ] {
        let answer = site.get(&path, &[("accept-encoding", accept)]).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accept}");
        assert_eq!((answer.status, answer.text()), (200, body), "{accept}");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{accept}");
        assert_eq!(answer.header("vary"), "accept-encoding", "{accept}");
        tags.insert((encoding.to_owned(), answer.header("etag").to_owned()));
    }
    assert_eq!(tags.len(), 3);
    let distinct: std::collections::BTreeSet<&String> = tags.iter().map(|(_, tag)| tag).collect();
    assert_eq!(distinct.len(), 3, "an encoding has a tag of its own: {tags:?}");
    let without = site.get(&path, &[]).await;
    assert_eq!((without.header("content-encoding"), without.text()), ("", plain.as_str()));
    // What packing made larger is not used.
    let css = site.get("/assets/index-CccCcccC.css", &[("accept-encoding", "gzip")]).await;
    assert_eq!((css.header("content-encoding"), css.text()), ("", "p{}"));
}

#[tokio::test]
async fn who_has_it_is_not_sent_it_again() {
    let site = Site::start().await;
    for (path, encoding) in [("/register", ""), (&format!("/{SCRIPT}"), "br"), ("/icon.svg", "")] {
        let headers = [("accept", BROWSER), ("accept-encoding", encoding)];
        let first = site.get(path, &headers).await;
        let tag = first.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 24, "{tag}");
        for known in [tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let headers = [headers[0], headers[1], ("if-none-match", known)];
            let again = site.get(path, &headers).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{path} {known}");
            for name in ["etag", "cache-control", "vary", "content-security-policy"] {
                assert_eq!(again.header(name), first.header(name), "{path}: {name}");
            }
            assert_eq!(again.header("content-encoding"), "");
        }
        let headers = [headers[0], headers[1], ("if-none-match", "\"other\"")];
        assert_eq!(site.get(path, &headers).await.status, 200, "{path}");
        // The tag is of these bytes, not of the file in another encoding.
        let headers = [("accept", BROWSER), ("accept-encoding", "gzip"), ("if-none-match", tag)];
        let expected = if encoding == "br" { 200 } else { 304 };
        assert_eq!(site.get(path, &headers).await.status, expected, "{path}");
    }
}

#[tokio::test]
async fn head_tells_what_get_would_without_it() {
    let site = Site::start().await;
    for path in ["/", "/register", "/icon.svg", &format!("/{SCRIPT}"), "/gone.png"] {
        let headers = [("accept", BROWSER), ("accept-encoding", "br")];
        let (get, head) = (site.get(path, &headers).await, site.ask("HEAD", path, &headers).await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["content-type", "content-encoding", "etag", "cache-control", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        if get.status == 200 {
            assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_served_is_what_was_there_at_the_start() {
    let site = Site::start().await;
    let dist = site.folder.path().join("dist");
    fs::write(dist.join("index.html"), "changed").unwrap();
    fs::write(dist.join("new.txt"), "new").unwrap();
    assert_eq!(site.open("/").await.text(), "<p>volunteers</p>");
    assert_eq!(site.open("/new.txt").await.status, 404);
    fs::remove_dir_all(&dist).unwrap();
    assert_eq!(site.open("/icon.svg").await.text(), "<svg/>");
}

#[tokio::test]
async fn does_not_start_with_a_folder_that_holds_no_pages() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |pages: &Path| {
        let mut config = config();
        config.pages.folder = pages.to_owned();
        assert!(Program::check(&config).unwrap_err().to_string().contains("pages"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (signal, _ready) = Ready::channel();
        match zhiyuan_gateway::run(config, deps(), listener, Stop::new(), signal).await {
            Err(RunError::Pages(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let none = start(folder.path()).await;
    assert!(matches!(none, PagesError::NoIndex(_)), "{none}");
    assert!(none.to_string().contains("npm run build"), "{none}");
    let nowhere = start(&folder.path().join("nowhere")).await;
    assert!(matches!(nowhere, PagesError::Unreadable { .. }), "{nowhere}");
    fs::write(folder.path().join("index.html"), "").unwrap();
    let large = fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(65 * 1024 * 1024).unwrap();
    let much = start(folder.path()).await;
    assert!(matches!(much, PagesError::TooMuch(_)), "{much}");
}
