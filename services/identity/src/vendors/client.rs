//! An HTTP/1.1 client that never waits long, never reads much, and knows whether a request that
//! failed may have been read.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig as TlsConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use super::error::ConfigError;

/// No result code is longer; more is a mistake or an attack.
const MAX_BODY: usize = 64 * 1024;
/// Shorter than the patience of most servers, so that a connection is rarely closed by the other
/// side just when it is used again.
const IDLE: Duration = Duration::from_secs(15);
const MAX_IDLE: usize = 16;

/// The `http` section of a vendor's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// How long a whole call may take, in milliseconds: connecting, sending, the whole answer.
    /// Keep it below the deadline of whoever waits.
    pub timeout_ms: u32,
    /// How long of that connecting by TCP may take, in milliseconds.
    pub connect_timeout_ms: u32,
    /// Authorities, in PEM, that are trusted besides the public ones of the web.
    pub ca_file: Option<PathBuf>,
    /// Accepts `http://` addresses other than this machine's own. For simulators.
    pub allow_plain_http: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            timeout_ms: 3_000,
            connect_timeout_ms: 1_000,
            ca_file: None,
            allow_plain_http: false,
        }
    }
}

/// Why there is no answer that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The request did not leave in full.
    #[error("not connected")]
    NotSent,
    /// The request did not leave in full before the time was up.
    #[error("timed out before the request was sent")]
    TimedOutBeforeSending,
    /// The request may have been read; the time is up.
    #[error("timed out waiting for the answer")]
    TimedOut,
    /// The request may have been read; the connection broke, or what came was not HTTP.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// The answer goes on and on.
    #[error("the answer is longer than 64 KiB")]
    TooLong,
    /// A status with which no result comes.
    #[error("answered with http status {0}")]
    Status(StatusCode),
}

/// The client. Connections are kept for the next call; redirects are not followed, because they
/// would carry names and numbers to a place that nobody configured.
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Tracked>,
    timeout: Duration,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Reads the authorities. `key` is the section's name, for errors.
    pub(crate) fn new(config: &ClientConfig, key: &str) -> Result<Self, ConfigError> {
        for (name, value) in
            [("timeout_ms", config.timeout_ms), ("connect_timeout_ms", config.connect_timeout_ms)]
        {
            if value == 0 {
                return Err(ConfigError::new(format!("{key}.{name}"), "must be at least 1"));
            }
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector
            .set_connect_timeout(Some(Duration::from_millis(config.connect_timeout_ms.into())));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(config.ca_file.as_deref(), key)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Ok(Self { client, timeout: Duration::from_millis(config.timeout_ms.into()) })
    }

    /// Makes one call, and returns the body of the answer if its status is `expected`.
    pub(crate) async fn call(
        &self,
        request: Request<Bytes>,
        expected: impl Fn(StatusCode) -> bool,
    ) -> Result<Bytes, CallError> {
        let taken = Arc::new(AtomicBool::new(false));
        let request = request.map(|data| Tracked { data: Some(data), taken: Arc::clone(&taken) });
        let answer = tokio::time::timeout(self.timeout, self.exchange(request, expected)).await;
        match answer {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(CallError::Broken)) if !taken.load(Ordering::Acquire) => Err(CallError::NotSent),
            Ok(Err(error)) => Err(error),
            Err(_) if taken.load(Ordering::Acquire) => Err(CallError::TimedOut),
            Err(_) => Err(CallError::TimedOutBeforeSending),
        }
    }

    async fn exchange(
        &self,
        request: Request<Tracked>,
        expected: impl Fn(StatusCode) -> bool,
    ) -> Result<Bytes, CallError> {
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() { CallError::NotSent } else { CallError::Broken }
        })?;
        if !expected(response.status()) {
            return Err(CallError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        Ok(body
            .map_err(|error| {
                if error.is::<LengthLimitError>() { CallError::TooLong } else { CallError::Broken }
            })?
            .to_bytes())
    }
}

fn tls(ca_file: Option<&Path>, key: &str) -> Result<TlsConfig, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let problem = |text: &str| ConfigError::new(format!("{key}.ca_file"), text);
        let pem = std::fs::read(path).map_err(|_| problem("cannot be read"))?;
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| problem("not pem"))?;
            roots.add(certificate).map_err(|_| problem("has a certificate of no use"))?;
            added += 1;
        }
        if added == 0 {
            return Err(problem("has no certificate"));
        }
    }
    // Named, so that it does not depend on which provider some other crate made the default.
    TlsConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|_| ConfigError::new(key, "tls is not available"))
}

/// A body that knows whether the connection has asked for it. Before that, the other side cannot
/// have the request; after that, it may.
struct Tracked {
    data: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.store(true, Ordering::Release);
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
