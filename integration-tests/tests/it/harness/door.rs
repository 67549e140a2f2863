//! The two ways in: gRPC, and the Connect protocol with JSON.

use std::net::SocketAddr;
use std::sync::LazyLock;

use http::Method;
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::Value;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::Refusal;
use super::http::{Answer, Http};

static CONTRACTS: LazyLock<DescriptorPool> = LazyLock::new(zhiyuan_contracts::descriptor_pool);

/// A protocol at an address.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Grpc(Channel),
    Json { http: Http, base: String },
}

impl Door {
    /// gRPC. Connects when it is first used.
    pub(crate) fn grpc(address: SocketAddr) -> Self {
        Self::Grpc(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }

    /// JSON.
    pub(crate) fn json(address: SocketAddr) -> Self {
        Self::Json { http: Http::new(), base: format!("http://{address}") }
    }

    /// Calls a method by its path (`/package.Service/Method`).
    pub(crate) async fn call<Q, R>(&self, path: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.call_with(path, request, &[]).await
    }

    /// Calls a method with metadata.
    pub(crate) async fn call_with<Q, R>(
        &self,
        path: &str,
        request: &Q,
        metadata: &[(&str, &str)],
    ) -> Result<R, Refusal>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        match self {
            Self::Grpc(channel) => {
                let codec = ProstCodec::<Q, R>::default();
                let path = PathAndQuery::try_from(path).unwrap();
                let mut grpc = tonic::client::Grpc::new(channel.clone());
                grpc.ready().await.map_err(|error| {
                    Refusal::from(tonic::Status::unavailable(error.to_string()))
                })?;
                let mut request = tonic::Request::new(request.clone());
                *request.metadata_mut() = MetadataMap::from_headers(headers(metadata));
                Ok(grpc.unary(request, path, codec).await?.into_inner())
            }
            Self::Json { .. } => {
                let method = method(path);
                let mut message = DynamicMessage::new(method.input());
                message.transcode_from(request).unwrap();
                let body = serde_json::to_value(&message).unwrap();
                let answer = self.post_with(path, &body, metadata).await?;
                let read = DynamicMessage::deserialize(method.output(), answer.json()).unwrap();
                Ok(read.transcode_to().unwrap())
            }
        }
    }

    /// Calls a method with any message, even none that fits, and any metadata.
    pub(crate) async fn call_raw(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        match self {
            Self::Grpc(channel) => {
                let mut request = tonic::Request::new(());
                *request.metadata_mut() = MetadataMap::from_headers(headers(metadata));
                let path = PathAndQuery::try_from(path).unwrap();
                let mut grpc = tonic::client::Grpc::new(channel.clone());
                grpc.ready().await.unwrap();
                grpc.unary(request, path, ProstCodec::<(), ()>::default()).await?;
                Ok(())
            }
            Self::Json { .. } => self
                .post_with(path, &Value::Object(serde_json::Map::new()), metadata)
                .await
                .map(drop),
        }
    }

    /// Sends JSON as it is.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Refusal> {
        self.post_with(path, body, &[]).await
    }

    /// Sends JSON as it is, with more headers.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        more: &[(&str, &str)],
    ) -> Result<Answer, Refusal> {
        let Self::Json { http, base } = self else { panic!("JSON through the door of gRPC") };
        let mut headers = vec![("content-type", "application/json")];
        headers.extend_from_slice(more);
        let body = body.to_string().into_bytes();
        let answer = http
            .send(Method::POST, &format!("{base}{path}"), &headers, body)
            .await
            .map_err(|error| Refusal::from(tonic::Status::unavailable(error.to_string())))?;
        if answer.body.is_empty() {
            // An answer always is JSON: whoever gave it died over it.
            return Err(Refusal::from(tonic::Status::unavailable("the answer was cut off")));
        }
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(Refusal::of_connect(&answer.json()))
        }
    }
}

/// Finds a method by its path.
fn method(path: &str) -> MethodDescriptor {
    let (service, name) = path.trim_start_matches('/').split_once('/').unwrap();
    let service = CONTRACTS.get_service_by_name(service).unwrap();
    service.methods().find(|method| method.name() == name).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in pairs {
        headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}
