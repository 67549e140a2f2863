//! Answers on their way out, counted until they are read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::connections::{Connection, Held, OpenCall};

/// An answer leaves in pieces of this size, so that a slow reader is told from one who
/// doesn't read at all.
const PIECE: usize = 32 * 1024;

/// An answer whose bytes are counted until the transport has sent them.
pub(super) struct Unread {
    inner: Body,
    connection: Arc<Connection>,
    /// What is left of the last part, and its place in the count.
    rest: Bytes,
    counted: Option<Arc<Held>>,
    _call: OpenCall,
}

/// A piece of an answer. The transport drops it when it was sent.
struct Piece {
    bytes: Bytes,
    _waits: Held,
    /// All of a part stays in memory as long as a piece of it does.
    _counted: Option<Arc<Held>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    pub(super) fn new(inner: Body, connection: Arc<Connection>, call: OpenCall) -> Self {
        Self { inner, connection, rest: Bytes::new(), counted: None, _call: call }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE));
        let waits = self.connection.unread();
        Frame::data(Bytes::from_owner(Piece {
            bytes,
            _waits: waits,
            _counted: self.counted.clone(),
        }))
    }
}

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            this.counted = None;
        } else {
            return Poll::Ready(Some(Ok(this.piece())));
        }
        let polled = http_body::Body::poll_frame(Pin::new(&mut this.inner), cx);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        match frame.into_data() {
            Ok(data) if data.is_empty() => Poll::Ready(Some(Ok(Frame::data(data)))),
            Ok(data) => {
                this.counted = Some(Arc::new(this.connection.keep(data.len())));
                this.rest = data;
                Poll::Ready(Some(Ok(this.piece())))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && http_body::Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = http_body::Body::size_hint(&self.inner);
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}
