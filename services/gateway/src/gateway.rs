//! The one service behind the port.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::header::{ALLOW, CACHE_CONTROL, SET_COOKIE, X_CONTENT_TYPE_OPTIONS};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, request,
};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;
use tracing::{Instrument as _, Span};
use zhiyuan_contracts::policy::{MethodPolicy, Policies};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::deadline::Bounds;
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Code, Error, arrival};

use crate::browser::{Browser, Browsers};
use crate::call::{Call, Deadline};
use crate::config::MessageSizes;
use crate::connect::{self, Refusals};
use crate::page::Pages;
use crate::protocol::{Codec, Protocol};
use crate::upstream::Upstreams;
use crate::{grpc, metadata};

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// Tells who calls what how, and lets the call through.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) parts: Arc<Parts>,
    /// Health and reflection.
    pub(crate) standard: Routes,
}

/// What all calls share.
pub(crate) struct Parts {
    pub(crate) policies: Policies,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) limits: ClassLimits,
    pub(crate) bounds: Bounds,
    pub(crate) sizes: MessageSizes,
    pub(crate) refusals: Refusals,
    pub(crate) browsers: Browsers,
    pub(crate) pages: Pages,
    /// The deadlines of streams.
    pub(crate) tasks: Tasks,
}

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let parts = Arc::clone(&self.parts);
        let is_grpc = Protocol::of(&request) == Ok(Protocol::Grpc);
        if is_grpc && is_standard(request.uri().path()) {
            return Box::pin(self.standard.call(request));
        }
        Box::pin(async move {
            let (method, path) = (request.method().clone(), request.uri().path());
            let page = parts.pages.answer(&method, path, request.headers()).await;
            let mut response = match page {
                Some(page) => page,
                None => parts.answer(request).await,
            };
            if !is_grpc {
                let headers = response.headers_mut();
                headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            }
            // HTTP/2 leaves it to us, and a body would be an error there.
            if method == Method::HEAD {
                *response.body_mut() = Body::empty();
            }
            Ok(response)
        })
    }
}

/// A call that goes no further, and what its browser is told of its cookies.
struct Refused {
    status: Status,
    cookies: Vec<HeaderValue>,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self { status, cookies: Vec::new() }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Status::from(error).into()
    }
}

/// Health and reflection, which are the gateway's own.
fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")
}

impl Parts {
    /// Answers a call, in a trace of its own: that of a caller is not believed.
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let policy = self
            .policies
            .find(request.uri().path())
            .filter(|policy| policy.caller.at_gateway())
            .cloned();
        // A path of no method may hold anything, so it is not repeated.
        let name = policy.as_ref().map_or("unknown", |policy| policy.path.as_str());
        let span = tracing::info_span!(
            parent: None,
            "rpc",
            otel.name = name,
            otel.kind = "server",
            service = "gateway",
            rpc.method = name,
            rpc.code = tracing::field::Empty,
        );
        let work = async {
            let mut response = match Protocol::of(&request) {
                Ok(protocol) => self.call(policy, protocol, request).await,
                Err(_) if policy.is_none() => {
                    self.refuse(Error::method_not_found(), StatusCode::NOT_FOUND)
                }
                Err(status) => self.no_protocol(status),
            };
            let trace = zhiyuan_telemetry::propagation::current_trace_id();
            let trace = trace.and_then(|id| HeaderValue::try_from(id.to_string()).ok());
            if let Some(trace) = trace {
                response.headers_mut().insert(TRACE_ID, trace);
            }
            response
        };
        work.instrument(span).await
    }

    /// Serves a call; whatever goes wrong is told in the caller's protocol.
    async fn call(
        &self,
        policy: Option<Arc<MethodPolicy>>,
        protocol: Protocol,
        request: Request<Body>,
    ) -> Response<Body> {
        let served = AssertUnwindSafe(self.serve(policy, protocol, request)).catch_unwind().await;
        let answer =
            served.unwrap_or_else(|_panic| Err(Error::internal("the gateway panicked").into()));
        let Refused { status, cookies } = match answer {
            // gRPC tells its code at the end of the answer.
            Ok(response) => {
                if protocol != Protocol::Grpc {
                    Span::current().record("rpc.code", tonic::Code::Ok as i32);
                }
                return response;
            }
            Err(refused) => refused,
        };
        Span::current().record("rpc.code", status.code() as i32);
        match protocol {
            Protocol::Grpc => status.into_http(),
            Protocol::Connect(_) => {
                let mut response = self.refusals.answer(&status);
                for cookie in cookies {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
                response
            }
        }
    }

    async fn serve(
        &self,
        policy: Option<Arc<MethodPolicy>>,
        protocol: Protocol,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refused> {
        let policy = policy.ok_or_else(Error::method_not_found)?;
        let (head, body) = request.into_parts();
        arrival::check_headers(&head.headers)?;
        match protocol {
            Protocol::Grpc => {
                let headers = metadata::of_grpc(&head.headers, &policy.caller)?;
                let deadline = Deadline::of_grpc(&policy, &head.headers, &self.bounds)?;
                let call = self.admit(policy, headers, deadline, head.extensions)?;
                Ok(grpc::pass(call, body, self.sizes, &self.tasks).await?)
            }
            Protocol::Connect(codec) => {
                connect::check(&head.headers)?;
                let browser = self.browsers.of(&policy, &head)?;
                let answer = self.connect(policy, codec, head, body, browser.as_ref()).await;
                answer.map_err(|status| {
                    let cookies = browser.map(|browser| browser.refused(status.code()));
                    Refused { status, cookies: cookies.unwrap_or_default() }
                })
            }
        }
    }

    async fn connect(
        &self,
        policy: Arc<MethodPolicy>,
        codec: Codec,
        head: request::Parts,
        body: Body,
        browser: Option<&Browser<'_>>,
    ) -> Result<Response<Body>, Status> {
        let headers = metadata::of_connect(&head.headers, &policy.caller, browser)?;
        let deadline = connect::deadline(&head.headers, &self.bounds)?;
        let call = self.admit(policy, headers, deadline, head.extensions)?;
        connect::serve(call, codec, body, self.sizes, browser).await
    }

    /// Lets a call in if there is a place, which it takes once its request is whole: it is
    /// told before that, if it can be.
    fn admit(
        &self,
        policy: Arc<MethodPolicy>,
        headers: HeaderMap,
        deadline: Deadline,
        extensions: Extensions,
    ) -> Result<Call, Error> {
        let upstream = self.upstreams.of(&policy).cloned().ok_or_else(Error::method_not_found)?;
        let (limits, bounds) = (self.limits.clone(), self.bounds);
        let call = Call { policy, upstream, headers, deadline, bounds, limits, extensions };
        drop(call.enter()?);
        Ok(call)
    }

    /// Answers a request for a method that is there, in no protocol that is spoken.
    fn no_protocol(&self, status: StatusCode) -> Response<Body> {
        let message = match status {
            StatusCode::METHOD_NOT_ALLOWED => "请用 POST 调用接口",
            StatusCode::HTTP_VERSION_NOT_SUPPORTED => "gRPC 需要 HTTP/2",
            _ => "content-type 应为 application/json、application/proto 或 application/grpc",
        };
        let error = Error::new(Code::InvalidInput, Common::MalformedRequest, message);
        let mut response = self.refuse(error, status);
        let headers = response.headers_mut();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let spoken = "application/json, application/proto, application/grpc";
            headers.insert(ACCEPT_POST, HeaderValue::from_static(spoken));
        }
        response
    }

    fn refuse(&self, error: Error, http: StatusCode) -> Response<Body> {
        let status = Status::from(error);
        Span::current().record("rpc.code", status.code() as i32);
        self.refusals.answer_with(&status, http)
    }
}
