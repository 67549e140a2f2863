//! Calls byte by byte, for what no generated client would send.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::{Code, Status};

use super::Refusal;

/// How a call is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Json,
}

/// Headers of a call.
pub(crate) type Headers<'a> = [(&'a str, &'a str)];

/// A client that sends whatever it is given.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    http1: Arc<Client<HttpConnector, Full<Bytes>>>,
    http2: Arc<Client<HttpConnector, Full<Bytes>>>,
}

/// Why there is no answer.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What came back.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What was refused; nothing when the call went well.
    pub(crate) refusal: Option<Refusal>,
}

impl Told {
    /// Whether any part of the answer holds a text.
    pub(crate) fn repeats(&self, text: &[u8]) -> bool {
        let holds = |whole: &[u8]| whole.windows(text.len()).any(|window| window == text);
        holds(&self.body)
            || self.refusal.as_ref().is_some_and(|refusal| holds(&refusal.whole))
            || self.headers.values().any(|value| holds(value.as_bytes()))
    }
}

impl Wire {
    pub(crate) fn new() -> Self {
        let builder = || Client::builder(TokioExecutor::new());
        let mut connector = HttpConnector::new();
        // Else half of a call waits 40 ms for the other half to be acknowledged.
        connector.set_nodelay(true);
        Self {
            http1: Arc::new(builder().build(connector.clone())),
            http2: Arc::new(builder().http2_only(true).build(connector)),
        }
    }

    /// Sends a call once.
    pub(crate) async fn send(
        &self,
        protocol: Protocol,
        to: SocketAddr,
        path: &str,
        headers: &Headers<'_>,
        body: Bytes,
    ) -> Result<Told, Broken> {
        let uri = format!("http://{to}{path}");
        let mut request = Request::builder().method(Method::POST).uri(uri);
        let (client, content_type) = match protocol {
            Protocol::Grpc => (&self.http2, "application/grpc"),
            Protocol::Json => (&self.http1, "application/json"),
        };
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", content_type);
        }
        if protocol == Protocol::Grpc {
            request = request.header("te", "trailers");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let (head, body) = client.request(request).await.map_err(Broken::from)?.into_parts();
        let body = body.collect().await.map_err(Broken::from)?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        let refusal = match protocol {
            Protocol::Grpc => Status::from_header_map(&trailers)
                .or_else(|| Status::from_header_map(&head.headers))
                .or_else(|| Some(Status::unknown("no status")))
                .filter(|status| status.code() != Code::Ok)
                .map(Refusal::from),
            Protocol::Json if head.status.is_success() => None,
            Protocol::Json => serde_json::from_slice(&body)
                .map(|body| Refusal::of_connect(&body))
                .or_else(|_| Ok::<_, ()>(Refusal::from(Status::unknown("no JSON"))))
                .ok(),
        };
        Ok(Told { status: head.status, headers: head.headers, body, refusal })
    }
}

/// A message in its frame.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}
