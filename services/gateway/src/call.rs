//! One call on its way to a service.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderValue, Request, Uri};
use tokio::time::Instant;
use tonic::body::Body;
use zhiyuan_contracts::policy::MethodPolicy;
use zhiyuan_rpc::Error;
use zhiyuan_rpc::deadline::{self, Bounds, GRPC_TIMEOUT, HOP};
use zhiyuan_rpc::limits::{ClassLimits, Permit};

use crate::upstream::Upstream;

/// What was decided about a call before its first byte is sent on.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) policy: Arc<MethodPolicy>,
    pub(crate) upstream: Upstream,
    /// The headers that go on.
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Deadline,
    pub(crate) bounds: Bounds,
    pub(crate) limits: ClassLimits,
    /// What the transport knows of the request.
    pub(crate) extensions: Extensions,
}

impl Call {
    /// Takes a place in the limit class of the method.
    ///
    /// # Errors
    /// `OVERLOADED`.
    pub(crate) fn enter(&self) -> Result<Permit, Error> {
        self.limits.enter(self.policy.limit_class)
    }

    /// Whether either side sends more than one message.
    pub(crate) fn streams(&self) -> bool {
        self.policy.method.is_client_streaming() || self.policy.method.is_server_streaming()
    }

    /// The request to the service: our path, our headers, what is left of the
    /// deadline, our trace.
    pub(crate) fn request(&self, body: Body) -> Result<Request<Body>, Error> {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::try_from(&self.policy.path).map_err(Error::internal)?;
        *request.headers_mut() = self.headers.clone();
        if let Some(left) = self.deadline.left() {
            let left = left.saturating_sub(HOP);
            if left.is_zero() {
                return Err(Error::deadline_exceeded());
            }
            let value = HeaderValue::try_from(deadline::render(left)).map_err(Error::internal)?;
            request.headers_mut().insert(GRPC_TIMEOUT, value);
        }
        zhiyuan_telemetry::propagation::inject(request.headers_mut());
        Ok(request)
    }
}

/// When a call must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// A unary call always has a deadline, within the bounds.
    pub(crate) fn of_unary(limit: Duration) -> Self {
        Self(Some(Instant::now() + limit))
    }

    /// Reads the deadline of a gRPC call; a long-lived stream may have none.
    ///
    /// # Errors
    /// `DEADLINE_MALFORMED`.
    pub(crate) fn of_grpc(
        policy: &MethodPolicy,
        headers: &HeaderMap,
        bounds: &Bounds,
    ) -> Result<Self, Error> {
        let named = bounds.of(policy.limit_class, headers)?;
        Ok(Self(named.map(|limit| Instant::now() + limit)))
    }

    /// This one, or that of a call which names none, whichever is sooner.
    pub(crate) fn of_request(self, bounds: &Bounds) -> Self {
        let soon = Instant::now() + bounds.default;
        Self(Some(self.0.map_or(soon, |at| at.min(soon))))
    }

    /// When it is.
    pub(crate) fn at(self) -> Option<Instant> {
        self.0
    }

    fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Runs work until the deadline.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED`, or what the work ends with.
    pub(crate) async fn run<T>(
        self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.left() {
            None => work.await,
            Some(left) if left.is_zero() => Err(Error::deadline_exceeded()),
            Some(left) => deadline::run(left, work).await?,
        }
    }
}
