//! Taking connections in, never more than the process can carry.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::connections::{Connections, Open};

/// The shortest and the longest pause after a connection could not be accepted: without
/// one, a process that is out of files would do nothing but fail to accept.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The cap of connections: the configured one, and at most half of the files that the
/// process may open; the other half is for the database, services and logs.
pub(super) fn cap(configured: usize) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
    if half < configured {
        tracing::warn!(configured, cap = half, "the limit of open files lowers the connections");
    }
    configured.min(half).max(1)
}

/// Waits for the next connection that can be carried.
pub(super) async fn next(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> (TcpStream, Open) {
    let mut pause = PAUSES.0;
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection without TCP_NODELAY");
                }
                // Only now: nobody makes room for who doesn't come.
                connections.room().await;
                return (stream, connections.open());
            }
            // The caller gave up before it was accepted.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, pause_ms = pause.as_millis(), "no connection accepted");
                connections.evict();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
