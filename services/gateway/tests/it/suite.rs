//! A gateway on a free port, and how it is called.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt as _};
use zhiyuan_domain::SystemClock;
use zhiyuan_gateway::{Config, Deps, Program};
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_process::Program as _;

pub(crate) const SEND: &str = "/zhiyuan.identity.v1.SmsCodeService/SendSmsCode";

/// The headers that a played service saw.
pub(crate) type Seen = Arc<Mutex<Vec<HeaderMap>>>;

pub(crate) struct Suite {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    pub(crate) stop: Stop,
    tasks: JoinSet<()>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) fn config() -> Config {
    let mut config: Config =
        zhiyuan_settings::load_from("gateway", Program::DEFAULTS, None, []).unwrap();
    config.server.lame_duck_ms = 0;
    // What is tested here is plain http.
    config.cookies.secure = false;
    config
}

/// What all tests of this process log, in a file; everything of the gateway.
pub(crate) fn log() -> &'static Path {
    static LOG: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gateway.log");
        // Of an earlier run, if there was one.
        let _none = std::fs::remove_file(&path);
        let mut config = config().telemetry;
        config.log = "info,zhiyuan_gateway=trace,zhiyuan_rpc=trace".to_owned();
        // Lives as long as the process.
        std::mem::forget(zhiyuan_telemetry::init_to_file("gateway", &config, &path).unwrap());
        path
    });
    &LOG
}

/// The contracts of the suite.
pub(crate) fn deps() -> Deps {
    Deps::new(Arc::new(SystemClock)).unwrap()
}

impl Suite {
    /// The contracts of the suite in front of the played services.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let names = ["identity", "orgtree", "registration"];
        Self::assemble(crate::calls::routes().await, &names, deps(), change).await
    }

    pub(crate) async fn assemble<S>(
        service: S,
        names: &[&str],
        deps: Deps,
        change: impl FnOnce(&mut Config),
    ) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        log();
        let (stop, seen) = (Stop::new(), Seen::default());
        let mut tasks = JoinSet::new();
        let mut config = config();
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", upstream.local_addr().unwrap());
        config.upstreams = BTreeMap::new();
        for name in names {
            config.upstreams.insert((*name).to_owned(), address.clone());
        }
        change(&mut config);
        let (recorded, server, until) = (Arc::clone(&seen), config.server.clone(), stop.clone());
        tasks.spawn(async move {
            let recording = tower::service_fn(move |request: Request<Body>| {
                recorded.lock().unwrap().push(request.headers().clone());
                service.clone().oneshot(request)
            });
            zhiyuan_rpc::server::serve(upstream, recording, &server, &until).await;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (signal, ready) = Ready::channel();
        let until = stop.clone();
        tasks.spawn(async move {
            zhiyuan_gateway::run(config, deps, listener, until, signal).await.unwrap();
        });
        ready.wait().await.unwrap();
        Self { address, seen, stop, tasks }
    }

    /// Waits until the gateway has ended, which it was asked to.
    pub(crate) async fn ended(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// A channel to the gateway, over HTTP/2.
    pub(crate) fn channel(&self) -> Channel {
        zhiyuan_rpc::connect_lazy(&format!("http://{}", self.address)).unwrap()
    }

    /// Headers of the last call that reached a service.
    pub(crate) fn last_seen(&self) -> HeaderMap {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }

    /// Sends a request over HTTP/1.1.
    pub(crate) async fn http1(&self, mut request: Request<Bytes>) -> Answer {
        let uri = format!("http://{}{}", self.address, request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        Answer::of(client.request(request.map(Full::new)).await.unwrap()).await
    }

    /// Sends a request over HTTP/2.
    pub(crate) async fn http2(&self, mut request: Request<Bytes>) -> Answer {
        let uri = format!("http://{}{}", self.address, request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        // No client of gRPC: it would have deadlines of its own.
        let mut client = Client::builder(TokioExecutor::new());
        let client = client.http2_only(true).build_http::<Full<Bytes>>();
        Answer::of(client.request(request.map(Full::new)).await.unwrap()).await
    }

    /// Posts JSON over HTTP/1.1.
    pub(crate) async fn json(&self, path: &str, body: &str) -> Answer {
        self.http1(post(path, "application/json").body(body.to_owned().into()).unwrap()).await
    }

    /// Posts JSON with headers, over HTTP/1.1 or HTTP/2.
    pub(crate) async fn call(
        &self,
        http2: bool,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = post(path, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned().into()).unwrap();
        if http2 { self.http2(request).await } else { self.http1(request).await }
    }

    /// How many calls have reached a service.
    pub(crate) fn reached(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Sends a gRPC call with one message.
    pub(crate) async fn grpc(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> Answer {
        let mut request = post(path, "application/grpc").header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http2(request.body(frame(message)).unwrap()).await
    }
}

impl Answer {
    async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let (status, headers) = (head.status.as_u16(), head.headers);
        Self { status, headers, trailers, body: body.to_bytes() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The cookies that it sets.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        let set = self.headers.get_all("set-cookie").iter();
        set.map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The status of a gRPC answer.
    pub(crate) fn grpc(&self) -> tonic::Status {
        tonic::Status::from_header_map(&self.trailers)
            .or_else(|| tonic::Status::from_header_map(&self.headers))
            .unwrap()
    }

    /// Code and reason, in either protocol.
    pub(crate) fn refusal(&self) -> (String, String) {
        let json = self.json();
        let details = json["details"].as_array().unwrap();
        let info = details.iter().find(|detail| detail["type"] == "google.rpc.ErrorInfo").unwrap();
        let reason = info["debug"]["reason"].as_str().unwrap().to_owned();
        (json["code"].as_str().unwrap().to_owned(), reason)
    }
}

pub(crate) fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).header("content-type", content_type)
}

pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed.into()
}
