//! What stands in front of every method of a service.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument as _;
use zhiyuan_auth::AssertionVerifier;
use zhiyuan_contracts::policy::{Caller, MethodPolicy, Policies};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::client::ASSERTION;
use crate::deadline::{self, Bounds};
use crate::error::{Code, Error};
use crate::limits::ClassLimits;

/// The timer of the transport starts a little before ours and answers with another
/// code; ours must end first.
const BEFORE_TRANSPORT: Duration = Duration::from_millis(5);

/// The service that called, once its assertion was verified. In the extensions of
/// a request to a method that only services may call.
#[derive(Debug, Clone)]
pub struct CallerIdentity(pub zhiyuan_auth::Caller);

/// Enforces access policy, limits and deadlines in front of the routes of one
/// service, opens the span of the call, and turns a panic into `INTERNAL`.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    rules: Arc<Rules>,
}

struct Rules {
    service: &'static str,
    policies: Policies,
    verifier: AssertionVerifier,
    limits: ClassLimits,
    bounds: Bounds,
}

impl<S> std::fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("service", &self.rules.service).finish_non_exhaustive()
    }
}

impl<S> Guard<S> {
    /// Guards the routes of a service.
    pub fn new(
        inner: S,
        service: &'static str,
        policies: Policies,
        verifier: AssertionVerifier,
        limits: ClassLimits,
        bounds: Bounds,
    ) -> Self {
        Self { inner, rules: Arc::new(Rules { service, policies, verifier, limits, bounds }) }
    }
}

impl Rules {
    /// Decides on the routed path, never on a prefix of it.
    fn admit(&self, request: &mut Request<Body>) -> Result<Arc<MethodPolicy>, Error> {
        let policy = self
            .policies
            .find(request.uri().path())
            .cloned()
            .ok_or_else(Error::method_not_found)?;
        if let Caller::Service { scope } = &policy.caller {
            let mut tokens = request.headers().get_all(ASSERTION).iter();
            let token = tokens.next().and_then(|value| value.to_str().ok());
            let (Some(token), None) = (token, tokens.next()) else { return Err(unauthenticated()) };
            let caller = self.verifier.verify(token).map_err(|error| {
                tracing::warn!(error = %error, "assertion refused");
                unauthenticated()
            })?;
            if !caller.has_scope(scope) {
                return Err(Error::new(
                    Code::Forbidden,
                    Common::ScopeMissing,
                    "没有调用此接口的权限",
                )
                .with_metadata("scope", scope.clone()));
            }
            request.extensions_mut().insert(CallerIdentity(caller));
        }
        Ok(policy)
    }
}

fn unauthenticated() -> Error {
    Error::new(Code::Unauthenticated, Common::Unauthenticated, "调用方身份未能确认")
}

/// Health and reflection, which have no policy of ours.
fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if is_standard(request.uri().path()) {
            return Box::pin(inner.call(request));
        }
        let rules = Arc::clone(&self.rules);
        // Only what the contracts know: a path is a caller's text.
        let known = rules.policies.find(request.uri().path());
        let method = known.map_or("unknown", |policy| policy.path.as_str());
        let span = tracing::info_span!(
            "rpc",
            otel.name = method,
            otel.kind = "server",
            service = rules.service,
            rpc.method = method,
            rpc.code = tracing::field::Empty,
        );
        zhiyuan_telemetry::propagation::set_parent(&span, request.headers());
        let work = async move {
            let answer = match rules.admit(&mut request) {
                Ok(policy) => serve(&rules, &policy, &mut inner, request).await,
                Err(error) => Err(error),
            };
            let response = answer.unwrap_or_else(|error| Status::from(error).into_http());
            let code = Status::from_header_map(response.headers()).map_or(0, |s| s.code() as i32);
            tracing::Span::current().record("rpc.code", code);
            Ok(response)
        };
        Box::pin(work.instrument(span))
    }
}

async fn serve<S>(
    rules: &Rules,
    policy: &MethodPolicy,
    inner: &mut S,
    request: Request<Body>,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let limit = rules.bounds.read(request.headers())?.saturating_sub(BEFORE_TRANSPORT);
    let _permit = rules.limits.enter(policy.limit_class)?;
    let call = AssertUnwindSafe(inner.call(request)).catch_unwind();
    match deadline::run(limit, call).await? {
        Ok(Ok(response)) => own_words(response),
        Ok(Err(never)) => match never {},
        Err(_panic) => Err(Error::internal("a handler panicked")),
    }
}

/// Errors of ours always carry details. One without them is the codec's, which calls
/// a message that it can't read `INTERNAL` and one that is too large `OUT_OF_RANGE`;
/// neither is our fault.
fn own_words(response: Response<Body>) -> Result<Response<Body>, Error> {
    let Some(status) = Status::from_header_map(response.headers()) else { return Ok(response) };
    match status.code() {
        _ if !status.details().is_empty() => Ok(response),
        tonic::Code::Internal => Err(Error::malformed_request()),
        tonic::Code::OutOfRange => Err(Error::message_too_large()),
        _ => Ok(response),
    }
}
