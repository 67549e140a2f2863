use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::orgtree::v1::OrganizationChanged;
use zhiyuan_contracts::orgtree::v1::feed_service_server::FeedService;
use zhiyuan_domain::OrganizationCode;
use zhiyuan_feed::{Follower, Publisher, PullStream, SnapshotRow, name_of};

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

    async fn page(
        &self,
        follower: &Follower,
        request: &SnapshotRequest,
    ) -> Result<SnapshotResponse> {
        let kinds = [name_of::<OrganizationChanged>()];
        let snapshot = self.publisher.snapshot(follower, request, &kinds).await?;
        snapshot.after_key(|key| OrganizationCode::parse(key).ok())?;
        let (pool, partition) = (self.publisher.pool(), snapshot.partition);
        let read = async |after: String, limit| -> Result<Vec<SnapshotRow>> {
            let rows = db::told_after(pool, partition, &after, limit).await?;
            Ok(rows.iter().map(row).collect())
        };
        snapshot.answer(read).await
    }
}

#[async_trait]
impl FeedService for Feed {
    type PullStream = PullStream;

    async fn pull(
        &self,
        request: Request<PullRequest>,
    ) -> std::result::Result<Response<PullStream>, Status> {
        let follower = Follower::of(&request);
        Ok(Response::new(self.publisher.pull(&follower, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> std::result::Result<Response<SnapshotResponse>, Status> {
        Ok(Response::new(self.page(&Follower::of(&request), request.get_ref()).await?))
    }
}
