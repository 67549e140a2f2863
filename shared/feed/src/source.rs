use std::sync::Arc;

use http::uri::PathAndQuery;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use zhiyuan_contracts::feed::v1::{PullRequest, PullResponse, SnapshotRequest, SnapshotResponse};
use zhiyuan_rpc::{OpenEnded, Remote, SuiteChannel};

use crate::error::Error;

/// The feed of another service, as it is reached. All feed services have the same
/// messages, so one client serves for all.
#[derive(Debug, Clone)]
pub struct Source {
    client: Grpc<SuiteChannel>,
    service: Arc<str>,
}

impl Source {
    /// The feed service of this name, such as `zhiyuan.registration.v1.FeedService`.
    pub fn new(channel: SuiteChannel, service: &str) -> Self {
        Self { client: Grpc::new(channel), service: service.into() }
    }

    /// Asks for all events after the cursors.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn pull(&self, request: PullRequest) -> Result<Streaming<PullResponse>, Error> {
        let (mut client, path) = self.method("Pull")?;
        client.ready().await.map_err(unreachable)?;
        let codec = ProstCodec::default();
        let mut request = tonic::Request::new(request);
        request.extensions_mut().insert(OpenEnded);
        let answer = client.server_streaming(request, path, codec).await;
        Ok(answer.map_err(Remote::from)?.into_inner())
    }

    /// Reads a page of the present state.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotResponse, Error> {
        let (mut client, path) = self.method("Snapshot")?;
        client.ready().await.map_err(unreachable)?;
        let codec = ProstCodec::default();
        let answer = client.unary(tonic::Request::new(request), path, codec).await;
        Ok(answer.map_err(Remote::from)?.into_inner())
    }

    fn method(&self, name: &str) -> Result<(Grpc<SuiteChannel>, PathAndQuery), Error> {
        let path = PathAndQuery::try_from(format!("/{}/{name}", self.service))
            .map_err(|_invalid| Error::Contract("service name"))?;
        Ok((self.client.clone(), path))
    }
}

fn unreachable(error: tonic::transport::Error) -> Error {
    tracing::debug!(error = zhiyuan_rpc::chain(&error), "the service can't be reached");
    Error::Unreachable
}
