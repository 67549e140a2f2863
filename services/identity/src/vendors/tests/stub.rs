//! A vendor that answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the vendor does with a call.
#[derive(Clone)]
pub(super) enum Answer {
    Say(u16, Vec<u8>),
    Redirect(String),
    /// Takes the request and says nothing.
    Never,
    /// A status, then a body that never ends.
    Endless(u16),
}

impl Answer {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::Say(status, body.as_bytes().to_vec())
    }
}

/// A request as it arrived.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) peer: SocketAddr,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

struct Shared {
    answer: Mutex<Answer>,
    seen: Mutex<Vec<Seen>>,
}

/// The vendor; it stops when dropped.
pub(super) struct Stub {
    pub(super) address: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl Stub {
    pub(super) async fn start(answer: Answer) -> Self {
        let shared = Arc::new(Shared { answer: Mutex::new(answer), seen: Mutex::new(Vec::new()) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<SocketAddr>();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, shared, _server: server }
    }

    pub(super) async fn saying(body: &str) -> Self {
        Self::start(Answer::json(200, body)).await
    }

    pub(super) fn now(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Returns the only request so far.
    pub(super) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1);
        seen[0].clone()
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.to_string();
    let body = String::from_utf8(body.to_vec()).unwrap();
    shared.seen.lock().unwrap().push(Seen { peer, method, path, headers, body });
    let answer = shared.answer.lock().unwrap().clone();
    let response = |status: u16, body| {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    match answer {
        Answer::Say(status, body) => response(status, Body::from(body)),
        Answer::Redirect(to) => {
            let mut response = response(307, Body::empty());
            response.headers_mut().insert("location", to.parse().unwrap());
            response
        }
        Answer::Never => std::future::pending().await,
        Answer::Endless(status) => response(status, Body::new(Endless)),
    }
}

struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let frame = hyper::body::Frame::data(Bytes::from_static(&[b' '; 4096]));
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}
