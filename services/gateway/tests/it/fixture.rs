//! A service of a contract that the gateway was not built with.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use zhiyuan_contracts::policy::Policies;
use zhiyuan_gateway::{Config, Deps};

use crate::suite::{Suite, deps, frame};

pub(crate) type Part = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) const ECHO: &str = "/zhiyuan.fixture.v1.FixtureService/Echo";
pub(crate) const TALK: &str = "/zhiyuan.fixture.v1.FixtureService/Talk";
pub(crate) const SNAPSHOT: &str = "/zhiyuan.fixture.v1.FixtureService/Snapshot";
pub(crate) const WATCH: &str = "/zhiyuan.fixture.v1.FixtureService/Watch";

pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Suite {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
    let mut compiler = protox::Compiler::new([folder, proto]).unwrap();
    compiler.include_imports(true).open_files(["fixture.proto"]).unwrap();
    let set = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let deps = Deps { policies: Policies::from_pool(&pool).unwrap(), ..deps() };
    Suite::assemble(tower::service_fn(play), &["fixture"], deps, change).await
}

async fn play(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let method = path.rsplit('/').next().unwrap_or_default();
    let first = || stream::iter([Ok(Frame::data(frame(b"")))]);
    let body = match method {
        "Echo" | "Talk" => {
            let parts = BodyStream::new(request.into_body())
                .map(|part| part.map_err(Into::into))
                .chain(stream::iter([Ok(Frame::trailers(good()))]));
            stream_body(parts)
        }
        "Snapshot" => std::future::pending().await,
        "Watch" => stream_body(first().chain(stream::pending())),
        "Break" => stream_body(first().chain(stream::iter([Err("broken".into())]))),
        _ => {
            let babble = Ok(Frame::data(frame(b"\xff\xff\xff")));
            stream_body(stream::iter([babble, Ok(Frame::trailers(good()))]))
        }
    };
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", content_type);
    Ok(response)
}

pub(crate) fn stream_body(parts: impl Stream<Item = Part> + Send + 'static) -> Body {
    Body::new(StreamBody::new(parts))
}

pub(crate) fn good() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-fixture", HeaderValue::from_static("kept"));
    trailers
}
