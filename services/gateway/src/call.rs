//! One call on its way to a service.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Uri};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::body::Body;
use zhiyuan_contracts::policy::MethodPolicy;
use zhiyuan_rpc::Error;
use zhiyuan_rpc::deadline::{self, Bounds, GRPC_TIMEOUT, HOP};

use crate::upstream::Upstream;

/// The timer of the transport reads the same header, and answers with another code;
/// ours must end first.
const BEFORE_TRANSPORT: Duration = Duration::from_millis(5);

/// The longest deadline of a stream.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What was decided about a call before its first byte is sent on.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) policy: Arc<MethodPolicy>,
    pub(crate) upstream: Upstream,
    /// Held until the answer has been read, or its stream has ended.
    pub(crate) permit: OwnedSemaphorePermit,
    /// The headers that go on.
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Deadline,
}

impl Call {
    /// Whether either side sends more than one message.
    pub(crate) fn streams(&self) -> bool {
        streams(&self.policy)
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

fn streams(policy: &MethodPolicy) -> bool {
    policy.method.is_client_streaming() || policy.method.is_server_streaming()
}

/// When a call must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// A unary call always has a deadline, within the bounds.
    pub(crate) fn of_unary(limit: Duration) -> Self {
        Self(Some(Instant::now() + limit))
    }

    /// Reads the deadline of a gRPC call. A stream has one when its caller names
    /// one, and may live as long as that: the bounds are those of single answers.
    ///
    /// # Errors
    /// `DEADLINE_MALFORMED`.
    pub(crate) fn of_grpc(
        policy: &MethodPolicy,
        headers: &HeaderMap,
        bounds: &Bounds,
    ) -> Result<Self, Error> {
        if !streams(policy) {
            return Ok(Self::of_unary(bounds.read(headers)?.saturating_sub(BEFORE_TRANSPORT)));
        }
        let named = Bounds { default: DAY, max: DAY }.read(headers)?;
        let at = Instant::now() + named.saturating_sub(BEFORE_TRANSPORT);
        Ok(Self(headers.contains_key(GRPC_TIMEOUT).then_some(at)))
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
