//! How one service calls another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;
use zhiyuan_auth::AssertionSigner;

use crate::deadline;

/// The header that carries a service's assertion. `authorization` stays free for
/// the token of the person on whose behalf a call is made.
pub const ASSERTION: &str = "zhiyuan-assertion";

const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// A channel that connects when it is first used, and again when it must.
///
/// # Errors
/// When the address is none.
pub fn connect_lazy(address: &str) -> Result<Channel, tonic::transport::Error> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// A channel to a service of the suite: proves who calls, passes on what is left
/// of the deadline, and continues the trace.
#[derive(Clone)]
pub struct SuiteChannel {
    channel: Channel,
    audience: Arc<str>,
    signer: Arc<AssertionSigner>,
}

impl std::fmt::Debug for SuiteChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuiteChannel").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl SuiteChannel {
    /// Calls `audience` (such as `identity`) over a channel.
    pub fn new(channel: Channel, audience: &str, signer: Arc<AssertionSigner>) -> Self {
        Self { channel, audience: audience.into(), signer }
    }
}

impl Service<Request<Body>> for SuiteChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Ok(mut value) = HeaderValue::try_from(self.signer.sign(&self.audience)) {
            value.set_sensitive(true);
            headers.insert(ASSERTION, value);
        }
        let left = deadline::left().unwrap_or(DEFAULT_DEADLINE).saturating_sub(deadline::HOP);
        if let Ok(value) = HeaderValue::try_from(deadline::render(left)) {
            headers.insert(deadline::GRPC_TIMEOUT, value);
        }
        zhiyuan_telemetry::propagation::inject(headers);
        Box::pin(self.channel.call(request))
    }
}
