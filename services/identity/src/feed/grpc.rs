use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{PullRequest, SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::identity::v1::feed_service_server::FeedService;
use zhiyuan_contracts::identity::v1::{AccountChanged, ConsentsChanged};
use zhiyuan_feed::{Publisher, PullStream, SnapshotRow, name_of};
use zhiyuan_rpc::CallerIdentity;

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

    async fn page(&self, request: &SnapshotRequest) -> Result<SnapshotResponse, Error> {
        let types = [name_of::<AccountChanged>(), name_of::<ConsentsChanged>()];
        let snapshot = self.publisher.snapshot(request, &types).await?;
        let after = snapshot.after_key(|key| Uuid::try_parse(key).ok())?;
        let mut conn = self.publisher.pool().acquire().await?;
        let after = after.unwrap_or_default();
        if request.r#type == name_of::<ConsentsChanged>() {
            let (partition, fetch) = (snapshot.partition, snapshot.fetch());
            let rows = consents::db::snapshot(&mut conn, partition, after, fetch).await?;
            let rows = rows.into_iter().map(|row| {
                let id = row.account_id;
                SnapshotRow::new(id.to_string(), row.revision, &told_consents(id, &row.given))
            });
            return Ok(snapshot.answer(rows.collect()));
        }
        let rows = db::accounts(&mut conn, snapshot.partition, after, snapshot.fetch()).await?;
        let rows = rows.into_iter().map(|row| {
            let id = row.account_id;
            SnapshotRow::new(id.to_string(), row.revision, &account(id, row.level))
        });
        Ok(snapshot.answer(rows.collect()))
    }
}

#[async_trait]
impl FeedService for Feed {
    type PullStream = PullStream;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<PullStream>, Status> {
        let follower = CallerIdentity::name_of(&request);
        Ok(Response::new(self.publisher.pull(&follower, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        Ok(Response::new(self.page(request.get_ref()).await?))
    }
}
