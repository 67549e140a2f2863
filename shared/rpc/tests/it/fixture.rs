//! A played service of a contract of its own, behind the guard.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyStream, Full, StreamBody};
use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt as _;
use tower::Service;
use tower::util::BoxCloneService;
use zhiyuan_auth::{CallerConfig, Sessions, TrustedCallers};
use zhiyuan_contracts::policy::Policies;
use zhiyuan_domain::SystemClock;
use zhiyuan_rpc::deadline::Bounds;
use zhiyuan_rpc::limits::{ClassLimits, ClassSizes};
use zhiyuan_rpc::{Guard, Verifiers};

pub(crate) const ECHO: &str = "/zhiyuan.fixture.v1.FixtureService/Echo";
pub(crate) const HANG: &str = "/zhiyuan.fixture.v1.FixtureService/Hang";
pub(crate) const LIST: &str = "/zhiyuan.fixture.v1.FixtureService/List";
pub(crate) const PULL: &str = "/zhiyuan.fixture.v1.FixtureService/Pull";
pub(crate) const FOLLOW: &str = "/zhiyuan.fixture.v1.FixtureService/Follow";

pub(crate) type Played = BoxCloneService<Request<Body>, Response<Body>, Infallible>;
type Part = Result<Frame<Bytes>, Status>;

/// Five of each class, and room for all.
pub(crate) fn sizes() -> ClassSizes {
    ClassSizes {
        total: 100,
        read: 5,
        write: 5,
        message: 5,
        suite: 5,
        stream: 5,
        control: 5,
        sign_in: 5,
    }
}

pub(crate) fn bounds() -> Bounds {
    Bounds { default: Duration::from_secs(5), max: Duration::from_secs(30) }
}

pub(crate) fn policies() -> Policies {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
    let mut compiler = protox::Compiler::new([folder, proto]).unwrap();
    compiler.include_imports(true).open_files(["fixture.proto"]).unwrap();
    let set = compiler.encode_file_descriptor_set();
    Policies::from_pool(&DescriptorPool::decode(set.as_slice()).unwrap()).unwrap()
}

pub(crate) fn guarded<S>(inner: S, sizes: &ClassSizes, bounds: Bounds) -> Guard<S> {
    trusting(&BTreeMap::new(), inner, sizes, bounds)
}

/// A service that these callers may call.
pub(crate) fn trusting<S>(
    callers: &BTreeMap<String, CallerConfig>,
    inner: S,
    sizes: &ClassSizes,
    bounds: Bounds,
) -> Guard<S> {
    let callers = TrustedCallers::new(callers).unwrap();
    let verifiers = Verifiers::new("fixture", callers, Sessions::new(), Arc::new(SystemClock));
    Guard::new(inner, "fixture", policies(), verifiers, ClassLimits::new(sizes), bounds)
}

/// A service that knows this of sessions.
pub(crate) fn informed<S>(inner: S, sessions: Sessions) -> Guard<S> {
    let callers = TrustedCallers::new(&BTreeMap::new()).unwrap();
    let verifiers = Verifiers::new("fixture", callers, sessions, Arc::new(SystemClock));
    Guard::new(inner, "fixture", policies(), verifiers, ClassLimits::new(&sizes()), bounds())
}

/// The service: the method decides, and the text that it is sent.
pub(crate) fn played() -> Played {
    BoxCloneService::new(tower::service_fn(play))
}

pub(crate) async fn play(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let first = || stream::iter([Ok(Frame::data(frame(b"")))]);
    Ok(answer(match path.rsplit('/').next().unwrap_or_default() {
        "Follow" | "Pull" | "Watch" => streamed(first().chain(stream::pending())),
        "Hang" => std::future::pending().await,
        // Always has something to say.
        "List" => streamed(stream::repeat_with(|| Ok(Frame::data(frame(&[7; 4000]))))),
        _ => streamed(
            BodyStream::new(request.into_body()).chain(stream::iter([Ok(Frame::trailers(good()))])),
        ),
    }))
}

pub(crate) fn streamed(parts: impl Stream<Item = Part> + Send + 'static) -> Body {
    Body::new(StreamBody::new(parts))
}

pub(crate) fn answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", content_type);
    response
}

pub(crate) fn good() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

/// A message in its frame.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}

pub(crate) fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(frame(b""))))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// Calls a service without a network.
pub(crate) async fn call<S>(service: &mut S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    service.call(request).await.unwrap()
}

/// The code and reason that an answer began with; nothing when it began well.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<(tonic::Code, String)> {
    let status = Status::from_header_map(headers)?;
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    Some((status.code(), reason))
}
