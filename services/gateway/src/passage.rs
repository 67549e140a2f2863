//! The body of a streamed gRPC answer on its way to the caller.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;
use zhiyuan_rpc::Error;

use crate::bounded;
use crate::call::Deadline;
use crate::place::Place;

/// Passes an answer through, holds the place of its call until the end, and makes
/// sure that it ends with a status, in time if its caller reads it.
pub(crate) struct Passage {
    inner: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    too_large: CancellationToken,
    request_limit: usize,
    /// The head was the whole answer.
    told: bool,
    ended: bool,
    span: Span,
    _place: Place,
}

impl Passage {
    /// Wraps the answer to a call; `told` when its head holds the status.
    pub(crate) fn new(
        inner: Body,
        told: bool,
        deadline: Deadline,
        place: Place,
        too_large: CancellationToken,
        request_limit: usize,
    ) -> Self {
        Self {
            inner,
            deadline: deadline.at().map(|at| Box::pin(tokio::time::sleep_until(at))),
            too_large,
            request_limit,
            told,
            ended: false,
            span: Span::current(),
            _place: place,
        }
    }

    fn end(&mut self, mut trailers: HeaderMap) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ended = true;
        let code = self.span.in_scope(|| settle(&mut trailers));
        self.span.record("rpc.code", code as i32);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let trailers = self.span.in_scope(|| trailers(error));
        self.end(trailers)
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
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                return match frame.into_trailers() {
                    Ok(trailers) => this.end(trailers),
                    Err(data) => Poll::Ready(Some(Ok(data))),
                };
            }
            Poll::Ready(Some(Err(_broken))) if this.too_large.is_cancelled() => {
                return this.fail(bounded::too_large(this.request_limit));
            }
            Poll::Ready(Some(Err(broken))) => return this.fail(Error::unavailable(broken)),
            Poll::Ready(None) if this.told => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(None) => return this.fail(Error::unavailable("the answer has no status")),
            Poll::Pending => {}
        }
        match this.deadline.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => this.fail(Error::deadline_exceeded()),
            _ => Poll::Pending,
        }
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
