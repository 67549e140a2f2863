//! A service that keeps items, and a follower that copies them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::feed::v1 as wire;
use zhiyuan_contracts::registration::v1::VolunteerChanged;
use zhiyuan_contracts::registration::v1::feed_service_server::{FeedService, FeedServiceServer};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{ManualClock, Partition, SharedClock, SystemClock};
use zhiyuan_lifecycle::{Stop, Tasks};
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_testkit::TestDatabase;

use super::tree::{Restricted, Tree};
use crate::reader::{EffectError, decode};
use crate::{
    Event, FeedConfig, NewEvent, Page, Projection, Publisher, PullStream, Reader, SnapshotRow,
    Source,
};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("tests/migrations");
    migrator.dangerous_set_table_name("feed_test._sqlx_migrations");
    migrator
});
pub(super) const SCHEMA: &str = "feed_test";
pub(super) const FEED: &str = "toy";
const KIND: &str = "zhiyuan.registration.v1.VolunteerChanged";
/// Of no item.
const GONE: i32 = -1;
const PATIENCE: Duration = Duration::from_secs(60);

/// Heartbeats ten times a second.
pub(super) fn config() -> FeedConfig {
    FeedConfig { poll_ms: 100, ..FeedConfig::default() }
}

/// The database of one test.
pub(super) struct Toy {
    pub(super) pool: PgPool,
    pub(super) tasks: Tasks,
    database: TestDatabase,
}

impl Toy {
    pub(super) async fn new() -> Self {
        let database = TestDatabase::create(SCHEMA, &MIGRATOR).await;
        let pool = database.pool().await;
        Self { pool, tasks: Tasks::new(Stop::new()), database }
    }

    /// As the administrator, who may do what a restored backup does.
    pub(super) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.database.admin_url()).await.unwrap()
    }

    /// A process of the service that writes: sequences and serves.
    pub(super) async fn process(&self, clock: SharedClock) -> Process {
        let tree = Tree::default();
        let publisher = Publisher::new(SCHEMA, self.pool.clone(), clock, config());
        let publisher = publisher.scoped_by(tree.clone());
        publisher.start(&self.tasks);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let snapshots = Arc::new(AtomicUsize::new(0));
        let restricted = Restricted::default();
        let service = Served {
            publisher: publisher.clone(),
            snapshots: Arc::clone(&snapshots),
            restricted: restricted.clone(),
        };
        let serving = tonic::transport::Server::builder()
            .add_service(FeedServiceServer::new(service))
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                self.tasks.stop().soft().cancelled_owned(),
            );
        self.tasks.start("toy", serving);
        Process { publisher, address, snapshots, tree, restricted }
    }

    /// A process of a service that follows.
    pub(super) fn follower(&self, address: &str, effect: Copier) -> Reader {
        let reader = self.idle_follower(address, effect);
        reader.start(&self.tasks);
        reader
    }

    /// One that has not started to.
    pub(super) fn idle_follower(&self, address: &str, effect: Copier) -> Reader {
        let clock: SharedClock = Arc::new(SystemClock);
        let signer = AssertionSigner::new("toy", SigningKey::generate(), Arc::clone(&clock));
        let channel =
            SuiteChannel::new(connect_lazy(address).unwrap(), "registration", Arc::new(signer));
        let source = Source::new(channel, "zhiyuan.registration.v1.FeedService");
        Reader::new(SCHEMA, FEED, self.pool.clone(), source, &clock, effect)
    }

    /// Waits until a query tells `true`.
    pub(super) async fn until(&self, what: &str, sql: &'static str) {
        let waiting = async {
            loop {
                // Null, while there is nothing yet to compare.
                let reached: Option<bool> =
                    sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
                if reached == Some(true) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Waits until the copy is what the service keeps.
    pub(super) async fn until_copied(&self) {
        self.until(
            "the copy equals the items",
            "SELECT NOT EXISTS (TABLE feed_test.outbox)
                 AND NOT EXISTS ((TABLE feed_test.item) EXCEPT (TABLE feed_test.copy))
                 AND NOT EXISTS ((TABLE feed_test.copy) EXCEPT (TABLE feed_test.item))",
        )
        .await;
    }

    /// Every event had its effect once, in the order of its partition, and positions are
    /// dense; the revisions of a key go up by one.
    pub(super) async fn assert_exactly_once(&self) {
        let mut conn = self.pool.acquire().await.unwrap();
        let mut wrong = async |what: &str, sql: &'static str| {
            let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap();
            assert_eq!(rows, 0, "{what}");
        };
        wrong(
            "positions with a gap or without a predecessor",
            "SELECT count(*) FROM (
                 SELECT position - row_number() OVER w AS gap,
                        previous_event_id IS DISTINCT FROM lag(event_id) OVER w AS torn
                 FROM feed_test.event WINDOW w AS (PARTITION BY partition ORDER BY position)
             ) e WHERE gap <> 0 OR torn",
        )
        .await;
        wrong(
            "revisions of a key out of order",
            "SELECT count(*) FROM (
                 SELECT revision - row_number() OVER (PARTITION BY key ORDER BY position) AS gap
                 FROM feed_test.event
             ) e WHERE gap <> 0",
        )
        .await;
        wrong(
            "events that had no effect, or two",
            "SELECT count(*) FROM (
                 SELECT e.partition, e.position, count(f.n) AS effects FROM feed_test.event e
                 LEFT JOIN feed_test.effect f USING (partition, position)
                 GROUP BY e.partition, e.position
             ) x WHERE effects <> 1",
        )
        .await;
        wrong(
            "effects out of order",
            "SELECT count(*) FROM (
                 SELECT position - row_number() OVER (PARTITION BY partition ORDER BY n) AS gap
                 FROM feed_test.effect
             ) e WHERE gap <> 0",
        )
        .await;
        wrong(
            "stamps that go back",
            "SELECT count(*) FROM (
                 SELECT sequenced_at < lag(sequenced_at) OVER
                            (PARTITION BY partition ORDER BY position) AS back
                 FROM feed_test.event
             ) e WHERE back",
        )
        .await;
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub(super) async fn stop(self) {
        self.tasks.stop().request();
        self.tasks.finish(Duration::from_secs(20)).await.unwrap();
        self.pool.close().await;
    }
}

/// A process of the service that writes.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) publisher: Publisher,
    pub(super) address: String,
    /// Pages of snapshots that were asked for.
    pub(super) snapshots: Arc<AtomicUsize>,
    /// What of the organizations is in the scope.
    pub(super) tree: Tree,
    /// Whether who follows it is restricted.
    pub(super) restricted: Restricted,
}

impl Process {
    /// Changes an item in a transaction that is not committed yet.
    pub(super) async fn change(&self, transaction: &mut PgConnection, item: Item) {
        let partition = item.partition.get();
        let revision: i64 = sqlx::query_scalar(
            "INSERT INTO feed_test.item AS i (partition, key, revision, value) VALUES ($1, $2, 1, $3)
             ON CONFLICT (partition, key) DO UPDATE
             SET revision = i.revision + 1, value = excluded.value
             RETURNING revision",
        )
        .bind(partition)
        .bind(&item.key)
        .bind(item.value)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        let mut event = NewEvent::new(item.partition, &item.key, revision, &item.state());
        if let Some(place) = &item.place {
            let before: Option<String> = sqlx::query_scalar(
                "SELECT place FROM feed_test.place WHERE partition = $1 AND key = $2",
            )
            .bind(partition)
            .bind(&item.key)
            .fetch_optional(&mut *transaction)
            .await
            .unwrap();
            sqlx::query(
                "INSERT INTO feed_test.place (partition, key, place) VALUES ($1, $2, $3)
                 ON CONFLICT (partition, key) DO UPDATE SET place = excluded.place",
            )
            .bind(partition)
            .bind(&item.key)
            .bind(place)
            .execute(&mut *transaction)
            .await
            .unwrap();
            event = event.moved(before.as_deref(), Some(place));
        }
        self.publisher.outbox().append(transaction, &[event]).await.unwrap();
    }

    /// Changes an item.
    pub(super) async fn commit(&self, item: Item) {
        let mut transaction = self.publisher.pool.begin().await.unwrap();
        self.change(&mut transaction, item).await;
        transaction.commit().await.unwrap();
        self.publisher.outbox().wake();
    }
}

impl Process {
    /// Changes items without end.
    pub(super) async fn write_on(&self) {
        for round in 0.. {
            for number in 0..8 {
                self.commit(Item::new(number * 3 + round % 5, 1)).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What the service keeps.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) partition: Partition,
    pub(super) key: String,
    pub(super) value: i32,
    /// At which organization it is, if that is said.
    pub(super) place: Option<String>,
}

impl Item {
    /// The item of a number, with a value.
    pub(super) fn new(number: u128, value: i32) -> Self {
        let id = Uuid::from_u128(number);
        Self { partition: Partition::of(id), key: id.to_string(), value, place: None }
    }

    pub(super) fn at(self, place: &str) -> Self {
        Self { place: Some(place.to_owned()), ..self }
    }

    fn state(&self) -> VolunteerChanged {
        VolunteerChanged { volunteer_id: self.key.clone(), level: self.value, ..Default::default() }
    }
}

struct Served {
    publisher: Publisher,
    snapshots: Arc<AtomicUsize>,
    restricted: Restricted,
}

#[tonic::async_trait]
impl FeedService for Served {
    type PullStream = PullStream;

    async fn pull(
        &self,
        request: Request<wire::PullRequest>,
    ) -> Result<Response<PullStream>, Status> {
        let follower = self.restricted.follower();
        Ok(Response::new(self.publisher.pull(&follower, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        request: Request<wire::SnapshotRequest>,
    ) -> Result<Response<wire::SnapshotResponse>, Status> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        let follower = self.restricted.follower();
        let kinds = [KIND.to_owned()];
        let snapshot = self.publisher.snapshot(&follower, request.get_ref(), &kinds).await?;
        let partition = snapshot.partition;
        let read = async |after: String, limit: i64| {
            let rows: Vec<(String, i64, i32, Option<String>)> = sqlx::query_as(
                "SELECT key, revision, value, (SELECT place FROM feed_test.place p
                                               WHERE p.partition = i.partition AND p.key = i.key)
                 FROM feed_test.item i WHERE partition = $1 AND key > $2 ORDER BY key LIMIT $3",
            )
            .bind(partition)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.publisher.pool)
            .await
            .unwrap();
            let rows = rows.into_iter().map(|(key, revision, value, place)| {
                let partition = Partition::of(Uuid::nil());
                let item = Item { partition, key: key.clone(), value, place: None };
                SnapshotRow::new(key, revision, &item.state()).at(place.as_deref())
            });
            Ok::<_, zhiyuan_rpc::Error>(rows.collect())
        };
        Ok(Response::new(snapshot.answer(read).await?))
    }
}

/// What the follower does.
#[derive(Debug, Clone, Default)]
pub(super) struct Copier {
    /// How long a transaction takes.
    pub(super) pause: Duration,
    /// The value that can't be applied, as long as it is set.
    pub(super) poison: Arc<std::sync::Mutex<Option<i32>>>,
    /// How many pages of snapshots fail, after the first of them.
    pub(super) torn: Arc<AtomicUsize>,
}

fn parsed(payload: &prost_types::Any) -> VolunteerChanged {
    decode(payload).unwrap().unwrap()
}

#[async_trait::async_trait]
impl Projection for Copier {
    fn snapshots(&self) -> &'static [&'static str] {
        &[KIND]
    }

    async fn apply(
        &self,
        transaction: &mut PgConnection,
        events: &[Event],
    ) -> Result<(), EffectError> {
        let after_cut = crate::cuts::current(transaction, SCHEMA).await?;
        for event in events {
            let left = decode::<wire::Left>(&event.payload).unwrap();
            let value = if left.is_some() { GONE } else { parsed(&event.payload).level };
            if *self.poison.lock().unwrap() == Some(value) {
                return Err("poison".into());
            }
            sqlx::query(
                "INSERT INTO feed_test.effect (partition, position, key, revision, after_cut)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(event.partition)
            .bind(event.position)
            .bind(&event.key)
            .bind(event.revision)
            .bind(after_cut)
            .execute(&mut *transaction)
            .await?;
            if let Some(left) = left {
                assert_eq!(left.r#type, KIND);
                let gone = "DELETE FROM feed_test.copy
                            WHERE partition = $1 AND key = $2 AND revision < $3";
                let gone = sqlx::query(gone).bind(event.partition).bind(&event.key);
                gone.bind(event.revision).execute(&mut *transaction).await?;
                continue;
            }
            sqlx::query(
                "INSERT INTO feed_test.copy AS c (partition, key, revision, value)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (partition, key) DO UPDATE
                 SET revision = excluded.revision, value = excluded.value
                 WHERE c.revision < excluded.revision",
            )
            .bind(event.partition)
            .bind(&event.key)
            .bind(event.revision)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        }
        tokio::time::sleep(self.pause).await;
        Ok(())
    }

    async fn replace(
        &self,
        transaction: &mut PgConnection,
        page: &Page,
    ) -> Result<(), EffectError> {
        let keys: Vec<&str> = page.records.iter().map(|record| record.key.as_str()).collect();
        if page.after.is_some() && self.torn.load(Ordering::SeqCst) > 0 {
            self.torn.fetch_sub(1, Ordering::SeqCst);
            return Err("torn".into());
        }
        sqlx::query(
            "DELETE FROM feed_test.copy
             WHERE partition = $1 AND key > $2 AND ($3::text IS NULL OR key <= $3)
               AND key <> ALL($4)",
        )
        .bind(page.partition)
        .bind(page.after.clone().unwrap_or_default())
        .bind(&page.until)
        .bind(&keys)
        .execute(&mut *transaction)
        .await?;
        for record in &page.records {
            sqlx::query(
                "INSERT INTO feed_test.copy (partition, key, revision, value)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (partition, key) DO UPDATE
                 SET revision = excluded.revision, value = excluded.value",
            )
            .bind(page.partition)
            .bind(&record.key)
            .bind(record.revision)
            .bind(parsed(&record.payload).level)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(())
    }
}

/// A clock that is wrong by so much, and stands still.
pub(super) fn off_by(seconds: i64) -> SharedClock {
    let now = zhiyuan_domain::Clock::now(&SystemClock);
    Arc::new(ManualClock::new(now + time::Duration::seconds(seconds)))
}

pub(super) fn right() -> SharedClock {
    Arc::new(SystemClock)
}

/// Until when the follower has applied everything.
pub(super) async fn as_of(toy: &Toy) -> Option<OffsetDateTime> {
    crate::reader::as_of(&toy.pool, SCHEMA, &[FEED]).await.unwrap()
}
