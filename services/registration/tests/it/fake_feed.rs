//! The feed of identity by script: what it tells, one event after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost_types::Any;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{
    Event, Head, Heartbeat, PullRequest, PullResponse, SnapshotRequest, SnapshotResponse,
};
use zhiyuan_contracts::identity::v1::feed_service_server::FeedService;
use zhiyuan_contracts::identity::v1::{AccountChanged, AccountState, RosterPersonEnded};
use zhiyuan_domain::{Clock as _, Partition, SystemClock};
use zhiyuan_rpc::wire::timestamp;

#[derive(Debug, Clone, Default)]
pub(crate) struct FakeFeed(Arc<Mutex<Vec<Event>>>);

impl FakeFeed {
    /// Tells that the account of somebody is there, or closed.
    pub(crate) fn account(&self, id: Uuid, state: AccountState, revision: i64) {
        let account_id = id.to_string();
        let changed = AccountChanged { account_id, state: state.into(), level: 1 };
        self.tell(id, revision, Any::from_msg(&changed).unwrap());
    }

    /// Tells that somebody on a roster turned out to be somebody else.
    pub(crate) fn ended(&self, id: Uuid) {
        let ended = RosterPersonEnded { person_id: id.to_string() };
        self.tell(id, 1, Any::from_msg(&ended).unwrap());
    }

    fn tell(&self, id: Uuid, revision: i64, payload: Any) {
        let mut events = self.0.lock().unwrap();
        let partition = i32::from(Partition::of(id).get());
        let before = events.iter().rev().find(|event| event.partition == partition);
        let event = Event {
            partition,
            position: before.map_or(0, |event| event.position) + 1,
            event_id: Uuid::new_v4().to_string(),
            previous_event_id: before.map_or_else(String::new, |event| event.event_id.clone()),
            sequence_time: Some(timestamp(SystemClock.now())),
            key: id.to_string(),
            revision,
            payload: Some(payload),
        };
        events.push(event);
    }

    fn heads(&self) -> Vec<Head> {
        let events = self.0.lock().unwrap();
        let last = |partition| events.iter().rev().find(|event| event.partition == partition);
        let head = |event: &Event| Head {
            partition: event.partition,
            position: event.position,
            event_id: event.event_id.clone(),
            previous_event_id: event.previous_event_id.clone(),
        };
        (0..64).filter_map(last).map(head).collect()
    }
}

#[async_trait]
impl FeedService for FakeFeed {
    type PullStream = ReceiverStream<Result<PullResponse, Status>>;

    async fn pull(
        &self,
        request: Request<PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let cursors = request.into_inner().cursors;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let feed = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the stream")]
        tokio::spawn(async move {
            let mut told = 0;
            loop {
                let all = feed.0.lock().unwrap().clone();
                let events: Vec<Event> = all
                    .iter()
                    .skip(told)
                    .filter(|event| {
                        cursors.iter().any(|cursor| {
                            cursor.partition == event.partition && cursor.position < event.position
                        })
                    })
                    .cloned()
                    .collect();
                told = all.len();
                let watermark = Some(timestamp(SystemClock.now()));
                let heads = feed.heads();
                let heads = heads
                    .into_iter()
                    .filter(|head| cursors.iter().any(|it| it.partition == head.partition));
                let heartbeat = Some(Heartbeat { watermark, heads: heads.collect() });
                let answer = PullResponse { events, heartbeat, ..PullResponse::default() };
                if sender.send(Ok(answer)).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    /// Who follows from the beginning finds nobody there.
    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let head = Head { partition: request.into_inner().partition, ..Head::default() };
        Ok(Response::new(SnapshotResponse { head: Some(head), ..SnapshotResponse::default() }))
    }
}
