//! Sending a call again, within a budget.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tonic_types::StatusExt as _;
use tower::Service as _;
use tower::retry::budget::{Budget as _, TpsBudget};
use zhiyuan_contracts::policy::MethodPolicy;

use crate::deadline;

/// How often a call is sent, at most.
const ATTEMPTS: u32 = 3;

/// The wait before the second attempt; twice as long before the third.
const WAIT: Duration = Duration::from_millis(100);

/// Who is told to wait longer than this tells its own caller, instead of keeping the
/// places of both.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The largest request that is kept to be sent again, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// The time over which calls are counted, how many of them may be sent again, and how
/// many besides in each second, for channels with few calls.
const BUDGET: (Duration, f32, u32) = (Duration::from_secs(10), 0.1, 1);

/// The retries of one channel. Only calls whose policy says `idempotent` are sent
/// again, and only when the answer says that it may help: `UNAVAILABLE`, or `ABORTED`
/// with a time to come again. Past a tenth of the calls nothing is: a service that is
/// down would get three times its load.
#[derive(Debug)]
pub struct Retries {
    budget: TpsBudget,
    /// Where in their spread the waits are.
    seed: AtomicU64,
}

impl Default for Retries {
    fn default() -> Self {
        let (time, share, least) = BUDGET;
        Self {
            budget: TpsBudget::new(time, least, share),
            // Another one in every process: all would come again at the same time.
            seed: AtomicU64::new(RandomState::new().hash_one(0)),
        }
    }
}

impl Retries {
    /// Sends a call over a channel, again if that may help and the deadline (of
    /// [`deadline::left`]) leaves the time.
    ///
    /// # Errors
    /// When the last attempt got no answer.
    pub async fn call(
        &self,
        channel: &Channel,
        policy: Option<&MethodPolicy>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        self.budget.deposit();
        let again = policy.is_some_and(|policy| {
            let streams =
                policy.method.is_client_streaming() || policy.method.is_server_streaming();
            policy.idempotent && !streams
        });
        if !again {
            return send(channel, request).await;
        }
        let (head, body) = request.into_parts();
        let message = match keep(body).await {
            Ok(message) => message,
            Err(body) => return send(channel, Request::from_parts(head, body)).await,
        };
        let mut attempt = 1;
        loop {
            let mut request = Request::new(Body::new(Full::new(message.clone())));
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = head.uri.clone();
            *request.headers_mut() = head.headers.clone();
            if attempt > 1 {
                renew_deadline(&mut request);
            }
            let answer = send(channel, request).await;
            let Some(wait) = self.wait(attempt, &answer) else { return answer };
            tracing::debug!(attempt, wait_ms = wait.as_millis(), "the call is sent again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// How long to wait before the call is sent again, if it is.
    fn wait(&self, attempt: u32, answer: &Result<Response<Body>, Error>) -> Option<Duration> {
        let asked = match answer {
            Err(_broken) => None,
            Ok(response) => {
                let status = Status::from_header_map(response.headers())?;
                let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
                match (status.code(), asked) {
                    (tonic::Code::Unavailable, asked) => asked,
                    (tonic::Code::Aborted, Some(asked)) => Some(asked),
                    _ => return None,
                }
            }
        };
        let wait = (WAIT * attempt).mul_f64(0.5 + self.share()).max(asked.unwrap_or_default());
        let left = deadline::left().unwrap_or(LONGEST_WAIT).saturating_sub(deadline::HOP);
        let helps = attempt < ATTEMPTS && wait <= LONGEST_WAIT && wait < left;
        (helps && self.budget.withdraw()).then_some(wait)
    }

    /// A number from 0 to 1, another one each time.
    fn share(&self) -> f64 {
        // The fractions of the golden ratio, in 32 bits.
        const STEP: u64 = 0x9e37_79b9;
        let at = self.seed.fetch_add(STEP, Ordering::Relaxed);
        f64::from(u32::try_from(at & 0xffff_ffff).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

async fn send(channel: &Channel, request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut channel = channel.clone();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
    channel.call(request).await
}

fn renew_deadline(request: &mut Request<Body>) {
    let Some(left) = deadline::left() else { return };
    let left = deadline::render(left.saturating_sub(deadline::HOP));
    if let Ok(left) = HeaderValue::try_from(left) {
        request.headers_mut().insert(deadline::GRPC_TIMEOUT, left);
    }
}

/// Reads a request that is small; one that is not comes back as it was.
async fn keep(mut body: Body) -> Result<Bytes, Body> {
    let mut parts: Vec<Bytes> = Vec::new();
    let mut size = 0;
    loop {
        match body.frame().await {
            None => {
                return Ok(if parts.len() == 1 { parts.remove(0) } else { parts.concat().into() });
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                size += data.len();
                parts.push(data);
                if size <= KEPT_BYTES {
                    continue;
                }
                let read = parts.into_iter().map(|part| Ok::<_, Status>(Frame::data(part)));
                let rest = http_body_util::BodyStream::new(body);
                let all = futures_util::StreamExt::chain(futures_util::stream::iter(read), rest);
                return Err(Body::new(StreamBody::new(all)));
            }
            // The caller's own failure: it is told as one.
            Some(Err(broken)) => {
                let failed = futures_util::stream::iter([Err::<Frame<Bytes>, _>(broken)]);
                return Err(Body::new(StreamBody::new(failed)));
            }
        }
    }
}
