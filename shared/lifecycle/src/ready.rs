//! Readiness, told once.

use tokio::sync::oneshot;

/// Makes a pair of [`ReadySignal`] and [`ReadyWait`].
#[derive(Debug)]
pub struct Ready;

/// The side that becomes ready.
#[derive(Debug)]
pub struct ReadySignal(oneshot::Sender<()>);

/// The side that waits for it.
#[derive(Debug)]
pub struct ReadyWait(oneshot::Receiver<()>);

/// The other side ended before it was ready.
#[derive(Debug, thiserror::Error)]
#[error("ended before it was ready")]
pub struct NeverReady;

impl Ready {
    /// Makes the two sides.
    #[must_use]
    pub fn channel() -> (ReadySignal, ReadyWait) {
        let (sender, receiver) = oneshot::channel();
        (ReadySignal(sender), ReadyWait(receiver))
    }
}

impl ReadySignal {
    /// Makes a signal that nobody waits for.
    #[must_use]
    pub fn unobserved() -> Self {
        Ready::channel().0
    }

    /// Tells that this side is ready. Nobody need be waiting.
    pub fn ready(self) {
        let _nobody_waits = self.0.send(());
    }
}

impl ReadyWait {
    /// Waits until the other side is ready.
    ///
    /// # Errors
    /// [`NeverReady`] when the other side was dropped before.
    pub async fn wait(self) -> Result<(), NeverReady> {
        self.0.await.map_err(|_| NeverReady)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ready, ReadySignal};

    #[tokio::test]
    async fn tells_once_that_it_is_ready() {
        let (signal, wait) = Ready::channel();
        signal.ready();
        wait.wait().await.unwrap();
    }

    #[tokio::test]
    async fn tells_that_it_will_never_be_ready() {
        let (signal, wait) = Ready::channel();
        drop(signal);
        assert_eq!(wait.wait().await.unwrap_err().to_string(), "ended before it was ready");
    }

    #[test]
    fn nobody_need_wait() {
        let (signal, wait) = Ready::channel();
        drop(wait);
        signal.ready();
        ReadySignal::unobserved().ready();
    }
}
