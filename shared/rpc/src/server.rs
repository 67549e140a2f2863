//! Serving: limits of the transport, health, reflection, and an end in time.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::deadline::Bounds;
use crate::limits::ClassSizes;

/// How a process serves; each service compiles its defaults in
/// (`config.default.toml`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen, such as `0.0.0.0:9000`.
    pub listen: String,
    /// Calls at once on one connection.
    pub max_concurrent_streams: u32,
    /// The deadline of a call that names none, in milliseconds.
    pub default_deadline_ms: u64,
    /// The longest deadline, in milliseconds.
    pub max_deadline_ms: u64,
    /// How long calls may take to end after a stop was asked for, in milliseconds.
    pub drain_ms: u64,
    /// Calls at once, by class.
    pub limits: ClassSizes,
}

impl ServerConfig {
    /// The bounds of deadlines.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            default: Duration::from_millis(self.default_deadline_ms),
            max: Duration::from_millis(self.max_deadline_ms),
        }
    }

    /// How long calls may take to end.
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

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

/// Serves until `stop`, then lets calls end for the drain time, and no longer.
///
/// # Errors
/// When the transport fails.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    config: &ServerConfig,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let incoming = futures_util::StreamExt::map(TcpListenerStream::new(listener), |connection| {
        connection.inspect(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "connection without TCP_NODELAY");
            }
        })
    });
    let serving = tonic::transport::Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(config.max_concurrent_streams)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .max_connection_age(Duration::from_secs(600))
        .max_connection_age_grace(Duration::from_secs(30))
        .serve_with_incoming_shutdown(service, incoming, stop.clone().cancelled_owned());
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(config.drain()).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = too_late => {
            tracing::warn!("calls still open after the drain time were cut");
            Ok(())
        }
    }
}
