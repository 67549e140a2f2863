use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;
use zhiyuan_contracts::orgtree::v1::OrganizationChanged;
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_feed::reader::EffectError;
use zhiyuan_feed::{Page, Projection, Reader};
use zhiyuan_lifecycle::{Stop, Tasks};

use crate::feed::{ANHUI, Followed, HEADER, KIND, PATIENCE, anhui, rows, state};
use crate::harness::load;

/// What a follower keeps.
#[derive(Default)]
struct Copies(Mutex<BTreeMap<String, (i64, OrganizationChanged)>>);

impl Copies {
    fn all(&self) -> BTreeMap<String, (i64, OrganizationChanged)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn until(&self, there: impl Fn(&BTreeMap<String, (i64, OrganizationChanged)>) -> bool) {
        let waiting = async {
            while !there(&self.all()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }
}

struct Copying(Arc<Copies>);

#[tonic::async_trait]
impl Projection for Copying {
    fn snapshots(&self) -> &'static [&'static str] {
        &[KIND]
    }

    async fn apply(
        &self,
        _transaction: &mut PgConnection,
        events: &[zhiyuan_feed::Event],
    ) -> Result<(), EffectError> {
        let mut copies = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let new = (event.revision, state(Some(&event.payload)));
            copies.insert(event.key.clone(), new);
        }
        Ok(())
    }

    async fn replace(&self, _: &mut PgConnection, page: &Page) -> Result<(), EffectError> {
        let mut copies = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &page.records {
            let new = (record.revision, state(Some(&record.payload)));
            copies.insert(record.key.clone(), new);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_starts_from_nothing_has_them_all_by_snapshot_and_follows_from_there() {
    let database = anhui().await;
    let pool = database.pool().await;
    // As after an update of the product: the rows were there before their feed.
    sqlx::query("DELETE FROM orgtree.outbox").execute(&pool).await.unwrap();
    let followed = Followed::start(&database).await;
    let copies = Arc::new(Copies::default());
    let tasks = Tasks::new(Stop::new());
    let clock: SharedClock = Arc::new(SystemClock);
    // The tables of a reader are in the schema; nobody follows this feed from it.
    let reader = Reader::new(
        "orgtree",
        "orgtree",
        database.pool().await,
        followed.source.clone(),
        &clock,
        Copying(Arc::clone(&copies)),
    );
    reader.start(&tasks);
    copies.until(|copies| copies.len() == ANHUI).await;
    let text = format!("{HEADER}\nAH-340122100,店埠镇团委,TOWNSHIP,AH-340122,340122,\n");
    load(&database, &text).await.unwrap();
    copies.until(|copies| copies["AH-340122100"].0 == 2).await;
    let copied: Vec<_> =
        copies.all().into_iter().map(|(code, (revision, _))| (code, revision)).collect();
    let mut there: Vec<_> =
        rows(&pool).await.into_iter().map(|(code, _, revision)| (code, revision)).collect();
    there.sort();
    assert_eq!(copied, there);
    assert_eq!(copies.all()["AH-340122100"].1.name, "店埠镇团委");
    tasks.stop().request();
    tasks.finish(PATIENCE).await.unwrap();
    followed.stop().await;
}
