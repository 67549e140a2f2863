//! The place of a stream in its limit class.

use std::convert::Infallible;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::limits::Permit;

/// Holds a place until it is dropped, or its deadline. The deadline is kept by a task:
/// a body that its caller doesn't read isn't polled, and can't keep one.
#[derive(Debug)]
pub(crate) enum Place {
    /// Without deadline: until the stream ends, or its connection, which is cut when
    /// nobody reads.
    Open { _permit: Permit },
    /// The permit is the task's, which ends early when this is dropped.
    Timed { _ended: DropGuard },
}

impl Place {
    /// Holds a permit, at most until a deadline.
    pub(crate) fn hold(permit: Permit, deadline: Option<Instant>, tasks: &Tasks) -> Self {
        let Some(deadline) = deadline else { return Self::Open { _permit: permit } };
        let ended = CancellationToken::new();
        let (over, stop) = (ended.clone(), tasks.stop().soft());
        tasks.start("place of a stream", async move {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = over.cancelled() => {}
                // No new call comes that could want the place.
                () = stop.cancelled() => {}
            }
            drop(permit);
            Ok::<(), Infallible>(())
        });
        Self::Timed { _ended: ended.drop_guard() }
    }
}
