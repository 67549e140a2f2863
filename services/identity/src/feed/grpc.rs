use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::identity::v1::feed_service_server::FeedService;
use zhiyuan_contracts::identity::v1::{AccountChanged, AccountState, ConsentsChanged};
use zhiyuan_feed::{Follower, Publisher, PullStream, SnapshotRow, name_of};

use super::{account, consents as told_consents, db};
use crate::consents;
use crate::error::Error;

/// `zhiyuan.identity.v1.FeedService`.
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
    ) -> Result<SnapshotResponse, Error> {
        let types = [name_of::<AccountChanged>(), name_of::<ConsentsChanged>()];
        let snapshot = self.publisher.snapshot(follower, request, &types).await?;
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
    ) -> Result<Vec<SnapshotRow>, Error> {
        let after = Uuid::try_parse(after).unwrap_or_default();
        let mut conn = self.publisher.pool().acquire().await?;
        if kind == name_of::<ConsentsChanged>() {
            let rows = consents::db::snapshot(&mut conn, partition, after, limit).await?;
            let rows = rows.into_iter().map(|row| {
                let id = row.account_id;
                SnapshotRow::new(id.to_string(), row.revision, &told_consents(id, &row.given))
            });
            return Ok(rows.collect());
        }
        let rows = db::accounts(&mut conn, partition, after, limit).await?;
        let rows = rows.into_iter().map(|row| {
            let id = row.account_id;
            let state = if row.closed { AccountState::Closed } else { AccountState::Active };
            SnapshotRow::new(id.to_string(), row.revision, &account(id, row.level, state))
        });
        Ok(rows.collect())
    }
}

#[async_trait]
impl FeedService for Feed {
    type PullStream = PullStream;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<PullStream>, Status> {
        let follower = Follower::of(&request);
        Ok(Response::new(self.publisher.pull(&follower, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        Ok(Response::new(self.page(&Follower::of(&request), request.get_ref()).await?))
    }
}
