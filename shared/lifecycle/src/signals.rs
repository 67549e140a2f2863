//! What the operating system and the person at the terminal ask for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Stop, Tasks};

/// SIGTERM and SIGINT, as they arrive.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits for SIGTERM or SIGINT, and returns its name.
///
/// # Errors
/// The handler can't be installed.
pub async fn until_signal() -> io::Result<&'static str> {
    Ok(Signals::listen()?.next().await)
}

/// Watches the signals of the process from now on: the first requests the soft stop, the second
/// the hard one. Only a `main` calls this.
///
/// # Errors
/// The handlers can't be installed.
pub fn watch(stop: &Stop) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let stop = stop.clone();
    // Its own set, which nobody finishes: it must still hear the second signal while the tasks of
    // the process are being finished.
    Tasks::new(stop.clone()).start("signals", async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping; the same again stops at once");
        stop.request();
        let name = signals.next().await;
        tracing::warn!(signal = name, "stopping at once");
        stop.force();
        Ok::<(), io::Error>(())
    });
    Ok(())
}
