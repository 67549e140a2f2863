//! The body of a streamed answer: it holds the place of its call, and ends in time.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tracing::Span;

use crate::deadline;
use crate::error::Error;
use crate::limits::Permit;
use crate::server::Leaving;

type Part = Option<Result<Frame<Bytes>, Status>>;

/// Is there when the caller of a stream may not go on, with what it is told.
pub(crate) type Over = Pin<Box<dyn Future<Output = Error> + Send>>;

/// Passes a streamed answer on. It ends with `DEADLINE_EXCEEDED` at the deadline of its
/// call, with `DRAINING` when its connection is asked to leave, as its caller is told when that
/// may not go on, and gives the place of the call back when the last of it was
/// taken.
pub(crate) struct Streamed {
    inner: Body,
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    leaving: Leaving,
    over: Option<Over>,
    span: Span,
    ended: bool,
    _place: Permit,
}

impl Streamed {
    pub(crate) fn new(
        inner: Body,
        at: Option<Instant>,
        place: Permit,
        leaving: Leaving,
        over: Option<Over>,
    ) -> Self {
        Self {
            inner,
            at,
            timer: at.map(|at| Box::pin(tokio::time::sleep_until(at))),
            leaving,
            over,
            span: Span::current(),
            ended: false,
            _place: place,
        }
    }

    fn end(&mut self, error: Error) -> Poll<Part> {
        let status = self.span.in_scope(|| Status::from(error));
        let mut trailers = HeaderMap::new();
        if let Err(error) = status.add_header(&mut trailers) {
            // Without trailers the caller sees a broken stream.
            return Poll::Ready(Some(Err(error)));
        }
        self.told(&trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn told(&mut self, trailers: &HeaderMap) {
        self.ended = true;
        let code = Status::from_header_map(trailers).map_or(tonic::Code::Unknown, |s| s.code());
        self.span.record("rpc.code", code as i32);
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        let Self { inner, at, span, .. } = self;
        let step = AssertUnwindSafe(|| {
            span.in_scope(|| deadline::step(*at, || Pin::new(inner).poll_frame(cx)))
        });
        match std::panic::catch_unwind(step) {
            Ok(polled) => polled,
            Err(_panic) => self.end(Error::internal("a handler panicked")),
        }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Part> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // By the clock: a stream that always has something to say keeps its task from
        // hearing the timer.
        if this.at.is_some_and(|at| at <= Instant::now()) {
            return this.end(Error::deadline_exceeded());
        }
        // Also of a stream that always has something to say.
        let over = this.over.as_mut().map_or(Poll::Pending, |over| over.as_mut().poll(cx));
        if let Poll::Ready(error) = over {
            return this.end(error);
        }
        let polled = this.poll_inner(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let trailers = trailers.clone();
                    this.told(&trailers);
                }
            }
            Poll::Ready(Some(Err(_)) | None) => this.ended = true,
            Poll::Pending => {
                if this.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                    return this.end(Error::deadline_exceeded());
                }
                if Pin::new(&mut this.leaving).poll(cx).is_ready() {
                    return this.end(Error::draining());
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
