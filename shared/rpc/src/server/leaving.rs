//! The end of a connection, as a call sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Extensions;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Connection;

/// Is there when the connection of a request is asked to leave: the process stops, or
/// the connection has come of age. A long-lived stream ends then.
#[derive(Debug)]
pub struct Leaving(Option<Pin<Box<WaitForCancellationFutureOwned>>>);

impl Leaving {
    /// Of a request that [`serve`](super::serve) handed in; never, of another.
    pub fn of(extensions: &Extensions) -> Self {
        let connection = extensions.get::<Arc<Connection>>();
        Self::when(connection.map(|connection| connection.leaving.clone()))
    }

    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// When this is cancelled; never without.
    pub(crate) fn when(token: Option<tokio_util::sync::CancellationToken>) -> Self {
        Self(token.map(|token| Box::pin(token.cancelled_owned())))
    }
}

impl Future for Leaving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |left| left.as_mut().poll(cx))
    }
}
