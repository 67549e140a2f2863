//! How one service calls another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::policy::Policies;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::deadline;
use crate::error::{Code, Error};
use crate::retry::Retries;

/// The header that carries a service's assertion. `authorization` stays free for
/// the token of the person on whose behalf a call is made.
pub const ASSERTION: &str = "zhiyuan-assertion";

/// The assertion of a call. Of two, two readers could believe different ones.
///
/// # Errors
/// `UNAUTHENTICATED` when there is none, or more than one.
pub fn assertion(headers: &HeaderMap) -> Result<&str, Error> {
    let mut tokens = headers.get_all(ASSERTION).iter();
    let token = tokens.next().and_then(|value| value.to_str().ok());
    token.filter(|_| tokens.next().is_none()).ok_or_else(unauthenticated)
}

/// The access token of a call, from `authorization: Bearer …` (RFC 6750).
///
/// # Errors
/// `UNAUTHENTICATED` when there is none, or more than one.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let value = value.filter(|_| values.next().is_none()).ok_or_else(signed_out)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(signed_out)?;
    Some(token).filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(signed_out)
}

fn signed_out() -> Error {
    Error::new(Code::Unauthenticated, Common::Unauthenticated, "请先登录")
}

pub(crate) fn unauthenticated() -> Error {
    Error::new(Code::Unauthenticated, Common::Unauthenticated, "调用方身份未能确认")
}

const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// In the extensions of a request: the stream that it asks for has no deadline, and
/// goes on until one of both ends has enough.
#[derive(Debug, Clone, Copy)]
pub struct OpenEnded;

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
/// of the deadline, continues the trace, and sends a call again where its policy allows
/// ([`Retries`]).
#[derive(Clone)]
pub struct SuiteChannel {
    channel: Channel,
    audience: Arc<str>,
    signer: Arc<AssertionSigner>,
    policies: Option<Policies>,
    retries: Arc<Retries>,
}

impl std::fmt::Debug for SuiteChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuiteChannel").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl SuiteChannel {
    /// Calls `audience` (such as `identity`) over a channel.
    pub fn new(channel: Channel, audience: &str, signer: Arc<AssertionSigner>) -> Self {
        // Without policies, which the build does not let pass, nothing is sent again.
        let policies = Policies::load().ok();
        Self { channel, audience: audience.into(), signer, policies, retries: Arc::default() }
    }
}

impl Service<Request<Body>> for SuiteChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Each attempt waits for the channel by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Ok(mut value) = HeaderValue::try_from(self.signer.sign(&self.audience)) {
            value.set_sensitive(true);
            headers.insert(ASSERTION, value);
        }
        zhiyuan_telemetry::propagation::inject(headers);
        if request.extensions_mut().remove::<OpenEnded>().is_none() {
            let left = deadline::left().unwrap_or(DEFAULT_DEADLINE).saturating_sub(deadline::HOP);
            if let Ok(value) = HeaderValue::try_from(deadline::render(left)) {
                request.headers_mut().insert(deadline::GRPC_TIMEOUT, value);
            }
        }
        let (channel, retries) = (self.channel.clone(), Arc::clone(&self.retries));
        let policies = self.policies.as_ref();
        let policy = policies.and_then(|policies| policies.find(request.uri().path())).cloned();
        Box::pin(async move { retries.call(&channel, policy.as_deref(), request).await })
    }
}
