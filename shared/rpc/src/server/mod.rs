//! Serving: limits of the transport, health, reflection, and an end in time.

mod accept;
mod config;
mod connections;
mod front;
mod health;
mod io;
mod leaving;
mod standard;
mod unread;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;
use zhiyuan_lifecycle::Stop;

use crate::arrival;

pub use config::ServerConfig;
pub(crate) use connections::{Connection, Held};
use connections::{Connections, Open};
use front::Front;
pub use leaving::Leaving;
pub(crate) use standard::is_standard;

/// The largest list of headers that the transport takes, in bytes: twice as large as a
/// request may have, so that who has a little too much is told in words.
const HEADER_BYTES: u32 = 2 * arrival::HEADER_BYTES as u32;

/// Streams that a caller reset before they were looked at, and that we reset for its
/// errors: past it the connection is closed (`ENHANCE_YOUR_CALM`).
const RESET_STREAMS: (usize, usize) = (20, 256);

/// Bytes of requests that a connection may send ahead of being read: enough for the
/// largest request of a method.
const WINDOW: u32 = 1 << 20;

/// How long calls have to end on a connection that has come of age.
const AGE_GRACE: Duration = Duration::from_secs(30);

/// How long a connection without calls is given to hear that it is to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long calls that were cut have to run their destructors.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Health and reflection for the services named (`zhiyuan.identity.v1.…`), to be
/// joined with their routes.
///
/// # Errors
/// When the descriptor set can't be read.
pub async fn standard_routes(services: &[&str]) -> Result<Routes, tonic_reflection::server::Error> {
    let (health, health_server) = tonic_health::server::health_reporter();
    for service in services {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let builder = || {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(zhiyuan_contracts::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        for service in services {
            builder = builder.with_service_name(*service);
        }
        builder
    };
    Ok(Routes::new(health_server)
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?))
}

/// Serves until the soft stop, and a little longer: health says `NOT_SERVING` at once,
/// the listener closes after the lame-duck time, long-lived streams end then, and calls
/// have the drain time to end. The hard stop ends everything at once.
pub async fn serve<S>(listener: TcpListener, service: S, config: &ServerConfig, stop: &Stop)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let connections = Connections::new(config, accept::cap(config.max_connections), stop.soft());
    // Whoever drops this drops the connections, too.
    let _cut = connections.cut.clone().drop_guard();
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            let (stream, connection) = accept::next(&listener, &connections).await;
            tasks.spawn(carry(stream, connection, service.clone(), config, tasks.clone()));
        }
    };
    let enough = async {
        stop.requested().await;
        tokio::select! {
            () = tokio::time::sleep(config.lame_duck()) => {}
            () = stop.hard().cancelled_owned() => {}
        }
    };
    tokio::select! {
        () = enough => {}
        () = accepting => {}
        () = connections.watch() => {}
    }
    drop(listener);
    connections.leaving.cancel();
    tasks.close();
    let in_time = tokio::select! {
        () = tasks.wait() => true,
        () = tokio::time::sleep(config.drain()) => false,
        () = stop.hard().cancelled_owned() => false,
        () = connections.watch() => false,
    };
    if !in_time {
        tracing::warn!("calls still open after the drain time were cut");
        connections.cut.cancel();
        let _busy = tokio::time::timeout(LAST_MOMENT, tasks.wait()).await;
    }
}

/// Serves one connection to its end.
fn carry<S>(
    stream: TcpStream,
    connection: Open,
    service: S,
    config: &ServerConfig,
    tasks: TaskTracker,
) -> impl Future<Output = ()> + Send + use<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let builder = builder(config, Calls(tasks));
    let age = spread(config.max_age(), connection.number());
    let reflects = config.reflection;
    async move {
        let io = TokioIo::new(io::Watched::new(stream, Arc::clone(&connection)));
        let front = Front::new(service, Arc::clone(&connection), reflects);
        let mut served = pin!(builder.serve_connection(io, front));
        let mut until = pin!(tokio::time::sleep(age));
        let mut left: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = %crate::chain(error.as_ref()), "connection broke");
                    }
                    break;
                }
                () = connection.cut.cancelled() => break,
                () = connection.leaving.cancelled(), if left.is_none() => {
                    left = Some(Instant::now());
                    served.as_mut().graceful_shutdown();
                    until.as_mut().reset(Instant::now() + FAREWELL);
                }
                () = until.as_mut() => match left {
                    None => connection.leaving.cancel(),
                    Some(since) if since.elapsed() > AGE_GRACE => break,
                    // Nothing is open, and the caller does not say goodbye.
                    Some(_) if connection.is_quiet_for(FAREWELL) => break,
                    Some(_) => until.as_mut().reset(Instant::now() + FAREWELL),
                },
            }
        }
    }
}

fn builder(config: &ServerConfig, calls: Calls) -> auto::Builder<Calls> {
    let mut builder = auto::Builder::new(calls);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.keepalive())
        .max_buf_size(HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_concurrent_streams)
        .max_header_list_size(HEADER_BYTES)
        .max_pending_accept_reset_streams(RESET_STREAMS.0)
        .max_local_error_reset_streams(RESET_STREAMS.1)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(config.keepalive())
        .keep_alive_timeout(config.keepalive() / 3);
    builder
}

/// A time, up to a tenth more or less. Numbers that follow each other lie far apart.
fn spread(time: Duration, number: u64) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    #[expect(clippy::cast_precision_loss, reason = "numbers past 2^52 connections don't come")]
    let share = (number as f64 * GOLDEN).fract();
    time.mul_f64(0.9 + 0.2 * share)
}

/// Where the calls of an HTTP/2 connection run. They end with it; here they are waited
/// for.
#[derive(Clone)]
struct Calls(TaskTracker);

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}
