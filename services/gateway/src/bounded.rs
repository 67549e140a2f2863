//! Bodies with an end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::arrival::PREFIX;
use zhiyuan_rpc::{Code, Error};

/// Passes a body through up to a limit. Past it the body fails, and the token tells
/// why: the transport would report no more than a broken stream.
#[derive(Debug)]
pub(crate) struct Bounded {
    inner: Limited<Body>,
    too_large: CancellationToken,
}

impl Bounded {
    /// Limits a body; the token is cancelled when it is longer.
    pub(crate) fn new(body: Body, limit: usize, too_large: CancellationToken) -> Self {
        Self { inner: Limited::new(body, limit), too_large }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Err(error)) = &frame
            && error.is::<LengthLimitError>()
        {
            this.too_large.cancel();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of a body that claims more than the limit, nothing is promised on.
        SizeHint::default()
    }
}

/// Reads the answer of a unary method to its end; the limit is that of the message,
/// in bytes.
///
/// # Errors
/// `INTERNAL` when it is longer, `UNAVAILABLE` when it breaks off.
pub(crate) async fn answer(body: Body, limit: usize) -> Result<Collected<Bytes>, Error> {
    Limited::new(body, limit.saturating_add(PREFIX)).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::internal("the answer is larger than the limit")
        } else {
            Error::unavailable(error)
        }
    })
}

/// What the caller of a message over the limit is told.
pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(
        Code::Exhausted,
        Common::MessageTooLarge,
        format!("请求内容超过 {limit} 字节的上限，请减少内容后重试"),
    )
    .with_metadata("limit_bytes", limit.to_string())
}

/// The same error, with the limit if it is one of size.
pub(crate) fn told(error: Error, limit: usize) -> Error {
    if error.reason() == Error::message_too_large().reason() { too_large(limit) } else { error }
}
