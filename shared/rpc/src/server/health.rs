//! Health of a server that stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use prost::Message as _;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::error::Error;

/// `Check`.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";
/// `Watch`.
pub(super) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The answer to `Check` once a stop was asked for, whatever the service.
pub(super) fn not_serving() -> Response<Body> {
    let mut response = Response::new(Body::new(Stopping::said(Status::ok(""))));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}

/// The answer to `Watch`: when a stop is asked for, it says so and ends.
pub(super) struct Stopping {
    inner: Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    last_words: Vec<Frame<Bytes>>,
    stopped: bool,
}

impl Stopping {
    pub(super) fn new(inner: Body, stop: CancellationToken) -> Self {
        Self {
            inner,
            stop: Box::pin(stop.cancelled_owned()),
            last_words: last_words(&Error::draining().into()),
            stopped: false,
        }
    }

    fn said(end: Status) -> Self {
        let stop = CancellationToken::new();
        stop.cancel();
        Self {
            inner: Body::empty(),
            stop: Box::pin(stop.cancelled_owned()),
            last_words: last_words(&end),
            stopped: true,
        }
    }
}

/// The message `NOT_SERVING`, and a status; the last first.
fn last_words(end: &Status) -> Vec<Frame<Bytes>> {
    let message = HealthCheckResponse { status: ServingStatus::NotServing.into() };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap_or_default());
    framed.put_slice(&message.encode_to_vec());
    let mut trailers = HeaderMap::new();
    if end.add_header(&mut trailers).is_err() {
        tracing::error!("a status does not fit into headers");
    }
    vec![Frame::trailers(trailers), Frame::data(framed.freeze())]
}

impl http_body::Body for Stopping {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if !this.stopped {
            if this.stop.as_mut().poll(cx).is_pending() {
                return http_body::Body::poll_frame(Pin::new(&mut this.inner), cx);
            }
            this.stopped = true;
        }
        Poll::Ready(this.last_words.pop().map(Ok))
    }
}
