//! Plain HTTP/1.1, as `curl` speaks it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Http(Arc<Client<HttpConnector, Full<Bytes>>>);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in an answer with {}", self.status))
    }

    /// A header as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Client::builder(TokioExecutor::new()).build_http()))
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[], Vec::new()).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.0.request(request.body(Full::from(body)).unwrap()).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
