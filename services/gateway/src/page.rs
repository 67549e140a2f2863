//! The few pages that are no calls: what this is, and whether it works.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhiyuan_contracts::policy::Policies;

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
        port: u16,
    ) -> Self {
        let keys = Keys::new(policies, &upstreams);
        let (welcome, found) = (welcome(policies, port), Mutex::new(None));
        Self { welcome, upstreams, wait, stop, keys, found }
    }

    /// Answers a request for a page.
    pub(crate) async fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        let head_only = method == Method::HEAD;
        if method != Method::GET && !head_only {
            return None;
        }
        let page = match path {
            "/" => Page::text(StatusCode::OK, self.welcome.clone()),
            // Alive even when a service is not, else one fault restarts everything.
            "/healthz" => Page::text(StatusCode::OK, "alive\n"),
            "/readyz" => {
                let (status, text) = self.readiness().await;
                Page::text(status, text)
            }
            "/.well-known/jwks.json" => Page::of_keys(self.keys.as_ref()?.json().await),
            _ => return None,
        };
        Some(page.response(head_only))
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
        Self { status, content_type: PLAIN, cache: None, body: text.into() }
    }

    fn of_keys(keys: Option<Bytes>) -> Self {
        let Some(body) = keys else {
            return Self::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the keys are not known just now\n",
            );
        };
        let cache = Some("public, max-age=60");
        Self { status: StatusCode::OK, content_type: KEY_SET, cache, body }
    }

    fn response(self, head_only: bool) -> Response<Body> {
        let body = if head_only {
            Body::empty()
        } else {
            Body::new(http_body_util::Full::from(self.body))
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(cache) = self.cache {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
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

/// What somebody sees who opens the address in a browser.
fn welcome(policies: &Policies, port: u16) -> String {
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
         (JSON or protobuf), on one port.\n\n\
         公开接口 / Public methods:\n",
    );
    for path in &paths {
        // Writing to a string can't fail.
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
