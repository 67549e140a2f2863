//! `zhiyuan.registration.v1.FeedService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::registration::v1::feed_service_server::FeedService;
use zhiyuan_contracts::registration::v1::{RosterMemberChanged, VolunteerChanged};
use zhiyuan_feed::{Follower, Publisher, PullStream, SnapshotRow, name_of};

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

    async fn page(
        &self,
        follower: &Follower,
        request: &SnapshotRequest,
    ) -> Result<SnapshotResponse> {
        let kinds = [name_of::<VolunteerChanged>(), name_of::<RosterMemberChanged>()];
        let snapshot = self.publisher.snapshot(follower, request, &kinds).await?;
        snapshot.after_key(|key| Uuid::try_parse(key).ok())?;
        let (partition, kind) = (snapshot.partition, &request.r#type);
        let read = async |after: String, limit| self.rows(partition, kind, &after, limit).await;
        snapshot.answer(read).await
    }

    async fn rows(
        &self,
        partition: i16,
        kind: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<SnapshotRow>> {
        let (pool, after) = (self.publisher.pool(), Uuid::try_parse(after).unwrap_or_default());
        if kind == name_of::<RosterMemberChanged>() {
            let rows = rosters::db::told_after(pool, partition, after, limit).await?;
            return Ok(rows.iter().map(rosters::feed::row).collect());
        }
        let rows = db::told_after(pool, partition, after, limit).await?;
        Ok(rows.iter().map(feed::row).collect())
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
