use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::orgtree::v1::OrganizationChanged;
use zhiyuan_contracts::orgtree::v1::feed_service_server::FeedService;
use zhiyuan_domain::OrganizationCode;
use zhiyuan_feed::{Publisher, PullStream, name_of};
use zhiyuan_rpc::CallerIdentity;

use super::{db, row};
use crate::error::Result;

/// `zhiyuan.orgtree.v1.FeedService`.
#[derive(Debug)]
pub(crate) struct Feed {
    publisher: Publisher,
}

impl Feed {
    pub(crate) fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    async fn page(&self, request: &SnapshotRequest) -> Result<SnapshotResponse> {
        let kinds = [name_of::<OrganizationChanged>()];
        let snapshot = self.publisher.snapshot(request, &kinds).await?;
        let after = snapshot.after_key(|key| OrganizationCode::parse(key).ok())?;
        let after = after.as_ref().map_or("", OrganizationCode::as_str);
        let (partition, limit) = (snapshot.partition, snapshot.fetch());
        let rows = db::told_after(self.publisher.pool(), partition, after, limit).await?;
        Ok(snapshot.answer(rows.iter().map(row).collect()))
    }
}

#[async_trait]
impl FeedService for Feed {
    type PullStream = PullStream;

    async fn pull(
        &self,
        request: Request<PullRequest>,
    ) -> std::result::Result<Response<PullStream>, Status> {
        let follower = CallerIdentity::name_of(&request);
        Ok(Response::new(self.publisher.pull(&follower, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> std::result::Result<Response<SnapshotResponse>, Status> {
        Ok(Response::new(self.page(request.get_ref()).await?))
    }
}
