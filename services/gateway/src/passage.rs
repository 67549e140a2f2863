//! The body of a streamed gRPC answer on its way to the caller.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;
use zhiyuan_rpc::Error;
use zhiyuan_rpc::server::Leaving;

use crate::bounded;
use crate::call::Deadline;
use crate::place::Place;

/// Passes an answer through, holds the place of its call until the end, and makes
/// sure that it ends with a status, in time if its caller reads it.
pub(crate) struct Passage {
    inner: Body,
    timer: Option<Pin<Box<Sleep>>>,
    end: End,
    /// The head was the whole answer.
    told: bool,
    ended: bool,
    span: Span,
    _place: Place,
}

/// What ends a stream, but for itself.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) deadline: Deadline,
    /// The gateway stops, or the caller's connection has come of age.
    pub(crate) leaving: Leaving,
    /// The caller has sent more than the limit.
    pub(crate) too_large: CancellationToken,
    /// That limit, in bytes.
    pub(crate) request_limit: usize,
}

impl Passage {
    /// Wraps the answer to a call; `told` when its head holds the status.
    pub(crate) fn new(inner: Body, told: bool, end: End, place: Place) -> Self {
        Self {
            inner,
            timer: end.deadline.at().map(|at| Box::pin(tokio::time::sleep_until(at))),
            end,
            told,
            ended: false,
            span: Span::current(),
            _place: place,
        }
    }

    fn finish(
        &mut self,
        mut trailers: HeaderMap,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ended = true;
        let code = self.span.in_scope(|| settle(&mut trailers));
        self.span.record("rpc.code", code as i32);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let trailers = self.span.in_scope(|| trailers(error));
        self.finish(trailers)
    }
}

impl http_body::Body for Passage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // By the clock: a stream that always has something to say keeps its task from
        // hearing the timer.
        if this.end.deadline.at().is_some_and(|at| at <= Instant::now()) {
            return this.fail(Error::deadline_exceeded());
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                return match frame.into_trailers() {
                    Ok(trailers) => this.finish(trailers),
                    Err(data) => Poll::Ready(Some(Ok(data))),
                };
            }
            Poll::Ready(Some(Err(_broken))) if this.end.too_large.is_cancelled() => {
                return this.fail(bounded::too_large(this.end.request_limit));
            }
            Poll::Ready(Some(Err(broken))) => return this.fail(Error::unavailable(broken)),
            Poll::Ready(None) if this.told => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(None) => return this.fail(Error::unavailable("the answer has no status")),
            Poll::Pending => {}
        }
        if this.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            return this.fail(Error::deadline_exceeded());
        }
        if Pin::new(&mut this.end.leaving).poll(cx).is_ready() {
            return this.fail(Error::draining());
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.told && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The trailers that tell an error.
fn trailers(error: Error) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = Status::from(error);
    if status.add_header(&mut trailers).is_err() {
        tracing::error!("a status does not fit into headers");
    }
    trailers
}

/// Reads the status of an answer. One that says "our fault" and was not made by the
/// suite's own errors may tell of our insides, and becomes the fixed text.
pub(crate) fn settle(headers: &mut HeaderMap) -> Code {
    let Some(status) = Status::from_header_map(headers) else { return Code::Ok };
    let bare = status.details().is_empty();
    if bare && matches!(status.code(), Code::Internal | Code::Unknown) {
        let error = Error::internal(format!("the upstream answered {:?} bare", status.code()));
        for (name, value) in &trailers(error) {
            headers.insert(name.clone(), value.clone());
        }
        return Code::Internal;
    }
    status.code()
}
