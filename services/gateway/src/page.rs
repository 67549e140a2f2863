//! What is answered without a call: the pages for browsers, what this is, whether it works.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhiyuan_contracts::policy::Policies;

use crate::h5::Site;
use crate::keys::Keys;
use crate::upstream::{Upstream, Upstreams};

/// How long an answer about the services is repeated: whoever asks, they are asked no
/// more often.
const FRESH: Duration = Duration::from_secs(1);

const PLAIN: &str = "text/plain; charset=utf-8";
const KEY_SET: &str = "application/jwk-set+json";

/// A page.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    /// How long others may keep it; not at all, unless it says so.
    cache: Option<&'static str>,
    /// By which headers the answer differs.
    vary: Option<&'static str>,
    body: Bytes,
}

/// The pages.
#[derive(Debug)]
pub(crate) struct Pages {
    welcome: String,
    upstreams: Arc<Upstreams>,
    wait: Duration,
    stop: CancellationToken,
    /// None where no contract names them.
    keys: Option<Keys>,
    /// None where none are built.
    site: Option<Site>,
    /// What was found out last, and when.
    found: Mutex<Option<(Instant, (StatusCode, String))>>,
}

impl Pages {
    /// Makes the pages of a gateway at a port.
    pub(crate) fn new(
        policies: &Policies,
        upstreams: Arc<Upstreams>,
        wait: Duration,
        stop: CancellationToken,
        site: Option<Site>,
        port: u16,
    ) -> Self {
        let keys = Keys::new(policies, &upstreams);
        let (welcome, found) = (welcome(policies, site.is_some(), port), Mutex::new(None));
        Self { welcome, upstreams, wait, stop, keys, site, found }
    }

    /// Answers a request for a page; to HEAD as to GET, the body is taken off later.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        let page = match path {
            // Alive even when a service is not, else one fault restarts everything.
            "/healthz" => Page::text(StatusCode::OK, "alive\n"),
            "/readyz" => {
                let (status, text) = self.readiness().await;
                Page::text(status, text)
            }
            "/.well-known/jwks.json" => Page::of_keys(self.keys.as_ref()?.json().await),
            _ => {
                let site = self.site.as_ref();
                let answer = site.and_then(|site| site.answer(path, headers));
                if answer.is_some() || path != "/" {
                    return answer;
                }
                // Who asks for anything at all, as curl does.
                let vary = site.map(|_| "accept");
                Page { vary, ..Page::text(StatusCode::OK, self.welcome.clone()) }
            }
        };
        Some(page.response())
    }

    async fn readiness(&self) -> (StatusCode, String) {
        if self.stop.is_cancelled() {
            return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        }
        // Held while the services are asked, so that all who wait share one answer.
        let mut found = self.found.lock().await;
        if let Some((at, answer)) = &*found
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = self.ask().await;
        *found = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn ask(&self) -> (StatusCode, String) {
        let asked = self.upstreams.iter().map(|upstream| async move {
            (!serves(upstream, self.wait).await).then_some(upstream.name.as_str())
        });
        let failing: Vec<&str> = join_all(asked).await.into_iter().flatten().collect();
        if failing.is_empty() {
            (StatusCode::OK, "ready\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not serving: {}\n", failing.join(", ")))
        }
    }
}

impl Page {
    fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self { status, content_type: PLAIN, cache: None, vary: None, body: text.into() }
    }

    fn of_keys(keys: Option<Bytes>) -> Self {
        let Some(body) = keys else {
            return Self::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the keys are not known just now\n",
            );
        };
        let cache = Some("public, max-age=60");
        Self { status: StatusCode::OK, content_type: KEY_SET, cache, vary: None, body }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::new(http_body_util::Full::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(cache) = self.cache {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        }
        if let Some(vary) = self.vary {
            headers.insert(VARY, HeaderValue::from_static(vary));
        }
        response
    }
}

async fn serves(upstream: &Upstream, wait: Duration) -> bool {
    let mut health = HealthClient::new(upstream.calls.clone());
    let check = health.check(HealthCheckRequest { service: String::new() });
    match tokio::time::timeout(wait, check).await {
        Ok(Ok(answer)) => answer.get_ref().status() == ServingStatus::Serving,
        Ok(Err(_)) | Err(_) => false,
    }
}

/// What somebody sees who opens the address, in a browser too if there are no pages.
fn welcome(policies: &Policies, has_pages: bool, port: u16) -> String {
    let mut paths: Vec<&str> = policies
        .iter()
        .filter(|policy| policy.caller.at_gateway())
        .map(|policy| policy.path.as_str())
        .collect();
    paths.sort_unstable();
    let mut text = String::from(
        "志愿 (Zhiyuan)\n\n\
         青年志愿者注册服务的统一入口：同一端口提供 gRPC 和 Connect 协议（JSON 或 protobuf）。\n\
         The door to the registration of young volunteers: gRPC, and the Connect protocol\n\
         (JSON or protobuf), on one port.\n\n",
    );
    // Writing to a string can't fail.
    let _never = if has_pages {
        write!(
            text,
            "注册页面，请用浏览器打开 / Pages, for a browser: http://127.0.0.1:{port}/\n\n"
        )
    } else {
        write!(
            text,
            "这里还没有网页。在 services/gateway/h5 目录执行 npm ci && npm run build，再以 [pages] folder 指明\n\
             h5/dist，或重新编译 release 版本；cargo run 会自行完成。\n\
             There are no pages here yet. Type `npm ci && npm run build` in services/gateway/h5, then\n\
             name h5/dist as [pages] folder, or build the release anew; `cargo run` does it by itself.\n\n"
        )
    };
    text += "公开接口 / Public methods:\n";
    for path in &paths {
        let _never = writeln!(text, "  POST {path}");
    }
    if let Some(path) = paths.first() {
        let _never = write!(
            text,
            "\n示例 / Try it:\n  \
             curl -H 'content-type: application/json' -d '{{}}' http://127.0.0.1:{port}{path}\n  \
             grpcurl -plaintext 127.0.0.1:{port} list\n"
        );
    }
    text
}
