//! The played service on a port of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;
use zhiyuan_lifecycle::Stop;
use zhiyuan_rpc::server::{self, ServerConfig};

use crate::fixture::{bounds, frame, guarded, play, sizes};

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    /// Ends when the server has.
    pub(crate) running: JoinSet<()>,
}

/// What an operator would set, but for the lame-duck time.
pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".to_owned(),
        max_connections: 2000,
        max_concurrent_streams: 100,
        handshake_ms: 5000,
        keepalive_ms: 30_000,
        max_age_ms: 600_000,
        stall_ms: 30_000,
        default_deadline_ms: 5000,
        max_deadline_ms: 30_000,
        lame_duck_ms: 0,
        drain_ms: 15_000,
        reflection: true,
        limits: sizes(),
    }
}

impl Served {
    /// The played service behind the guard.
    pub(crate) async fn start(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        let standard = server::standard_routes(&[]).await.unwrap().prepare();
        // Health is the routes', all else is played.
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut standard = standard.clone();
            async move {
                if request.uri().path().starts_with("/grpc.") {
                    standard.call(request).await
                } else {
                    play(request).await
                }
            }
        });
        Self::serve(guarded(service, &config.limits, bounds()), config).await
    }

    pub(crate) async fn serve<S>(service: S, config: ServerConfig) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        let mut running = JoinSet::new();
        let until = stop.clone();
        running.spawn(async move { server::serve(listener, service, &config, &until).await });
        Self { address, stop, running }
    }
}

impl Served {
    pub(crate) fn channel(&self) -> Channel {
        zhiyuan_rpc::connect_lazy(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection of the `h2` crate, which does what it is told.
    pub(crate) async fn h2(&self) -> (SendRequest<Bytes>, JoinSet<Option<h2::Error>>) {
        self.h2_with(&mut h2::client::Builder::new()).await
    }

    pub(crate) async fn h2_with(
        &self,
        builder: &mut h2::client::Builder,
    ) -> (SendRequest<Bytes>, JoinSet<Option<h2::Error>>) {
        let (sender, connection) = builder.handshake::<_, Bytes>(self.tcp().await).await.unwrap();
        let mut ended = JoinSet::new();
        ended.spawn(async move { connection.await.err() });
        (sender, ended)
    }

    /// Whether somebody else is served: a call on a connection of its own.
    pub(crate) async fn serves(&self) -> bool {
        let mut channel = self.channel();
        let call = async {
            std::future::poll_fn(|cx| channel.poll_ready(cx)).await.ok()?;
            let request = crate::fixture::request(crate::fixture::ECHO, &[]);
            let answer = channel.call(request).await.ok()?;
            let read = http_body_util::BodyExt::collect(answer.into_body()).await.ok()?;
            (read.trailers()?.get("grpc-status")? == "0").then_some(())
        };
        tokio::time::timeout(Duration::from_secs(10), call).await.ok().flatten().is_some()
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(&mut self) {
        self.running.join_next().await.unwrap().unwrap();
    }
}

/// The request of a call, for `h2`.
pub(crate) fn head(path: &str) -> Request<()> {
    Request::post(format!("http://fixture{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// Sends a whole call by `h2`; its answer is to come.
pub(crate) async fn send(
    sender: &mut SendRequest<Bytes>,
    path: &str,
) -> Result<h2::client::ResponseFuture, h2::Error> {
    *sender = sender.clone().ready().await?;
    let (answer, mut body) = sender.send_request(head(path), false)?;
    body.send_data(frame(b""), true)?;
    Ok(answer)
}

/// Waits for a condition, at most ten seconds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..200 {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
