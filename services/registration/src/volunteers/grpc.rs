//! `zhiyuan.registration.v1.FeedService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::registration::v1::feed_service_server::FeedService;
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged};
use zhiyuan_feed::{Publisher, PullStream, name_of};
use zhiyuan_rpc::CallerIdentity;

use super::{db, feed};
use crate::error::Result;
use crate::rosters;

/// `FeedService`.
#[derive(Debug)]
pub(crate) struct Feed {
    publisher: Publisher,
}

impl Feed {
    pub(crate) fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    async fn page(&self, request: &SnapshotRequest) -> Result<SnapshotResponse> {
        let kinds = [name_of::<VolunteerChanged>(), name_of::<RosterMemberChanged>()];
        let snapshot = self.publisher.snapshot(request, &kinds).await?;
        let after = snapshot.after_key(|key| Uuid::try_parse(key).ok())?;
        let (partition, limit) = (snapshot.partition, snapshot.fetch());
        let after = after.unwrap_or_default();
        if request.r#type == name_of::<RosterMemberChanged>() {
            let pool = self.publisher.pool();
            let rows = rosters::db::told_after(pool, partition, after, limit).await?;
            return Ok(snapshot.answer(rows.iter().map(rosters::feed::row).collect()));
        }
        let rows = db::told_after(self.publisher.pool(), partition, after, limit).await?;
        Ok(snapshot.answer(rows.iter().map(feed::row).collect()))
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
