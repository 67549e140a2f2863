//! Messages that are none, too large, or cut.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::Full;
use prost::Message as _;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;
use zhiyuan_auth::{Sessions, TrustedCallers};
use zhiyuan_contracts::orgtree::v1::region_service_server::{RegionService, RegionServiceServer};
use zhiyuan_contracts::orgtree::v1::{
    GetRegionRequest, GetRegionResponse, ListRegionsRequest, ListRegionsResponse, Region,
};
use zhiyuan_contracts::policy::Policies;
use zhiyuan_domain::SystemClock;
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Guard, Verifiers};

use crate::fixture::{bounds, call, frame, refusal, sizes};

const GET: &str = "/zhiyuan.orgtree.v1.RegionService/GetRegion";

struct Played;

#[tonic::async_trait]
impl RegionService for Played {
    async fn list_regions(
        &self,
        _request: tonic::Request<ListRegionsRequest>,
    ) -> Result<tonic::Response<ListRegionsResponse>, Status> {
        std::future::pending().await
    }

    async fn get_region(
        &self,
        request: tonic::Request<GetRegionRequest>,
    ) -> Result<tonic::Response<GetRegionResponse>, Status> {
        let size = request.get_ref().code.parse().unwrap_or_default();
        let region = Region { code: "7".repeat(size), ..Region::default() };
        Ok(tonic::Response::new(GetRegionResponse { region: Some(region) }))
    }
}

/// The real codec behind the guard.
fn service() -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    let callers = TrustedCallers::new(&BTreeMap::new()).unwrap();
    let verifier = Verifiers::new("orgtree", callers, Sessions::new(), Arc::new(SystemClock));
    let routes = Routes::new(RegionServiceServer::new(Played)).prepare();
    let limits = ClassLimits::new(&sizes());
    Guard::new(routes, "orgtree", Policies::load().unwrap(), verifier, limits, bounds())
}

async fn answered(body: impl Into<bytes::Bytes>) -> Option<(Code, String)> {
    let request = Request::post(GET)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(body.into())))
        .unwrap();
    refusal(call(&mut service(), request).await.headers())
}

fn refused(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let malformed = refused(Code::InvalidArgument, "MALFORMED_REQUEST");
    assert_eq!(answered(frame(b"")).await, None);
    assert_eq!(answered(frame(b"\xff\xff\xff")).await, malformed, "garbage");
    assert_eq!(answered(frame(b"\x0a\x02\xc3\x28")).await, malformed, "no UTF-8");
    assert_eq!(answered(frame(b"\x0a\x7f7")).await, malformed, "a field that is cut");
    assert_eq!(answered(&b"\0\0\0\0\x05\x0a"[..]).await, malformed, "a frame that is cut");
    assert_eq!(answered(&b"\x02\0\0\0\0"[..]).await, malformed, "an unknown flag");
    assert_eq!(answered(&b""[..]).await, malformed, "no message");
}

#[tokio::test]
async fn what_the_routes_do_not_do_is_told_in_words_of_ours() {
    let ask = async |path: &str, encoding: &'static str| {
        let request = crate::fixture::request(path, &[("grpc-encoding", encoding)]);
        refusal(call(&mut service(), request).await.headers())
    };
    assert_eq!(ask(GET, "identity").await, None);
    assert_eq!(ask(GET, "gzip").await, refused(Code::Unimplemented, "MALFORMED_REQUEST"));
    // A method of the contracts that this service does not have.
    let elsewhere = "/zhiyuan.identity.v1.SmsCodeService/SendSmsCode";
    let none = refused(Code::Unimplemented, "METHOD_NOT_FOUND");
    assert_eq!(ask(elsewhere, "identity").await, none);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_whatever_it_claims() {
    let too_large = refused(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let of = |size| {
        let request = GetRegionRequest { code: "7".repeat(size) };
        frame(&request.encode_to_vec())
    };
    assert_eq!(answered(of(200_000)).await, None);
    assert_eq!(answered(of(256 * 1024)).await, too_large);
    assert_eq!(answered(&b"\0\xff\xff\xff\xff\x0a"[..]).await, too_large, "4 GiB announced");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_our_fault() {
    let of = |size: usize| frame(&GetRegionRequest { code: size.to_string() }.encode_to_vec());
    assert_eq!(answered(of(1_000_000)).await, None);
    assert_eq!(answered(of(4 * 1024 * 1024)).await, refused(Code::Internal, "INTERNAL"));
}
