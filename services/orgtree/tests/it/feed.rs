use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;
use tonic::{Code, Streaming};
use zhiyuan_auth::{AssertionSigner, CallerConfig};
use zhiyuan_contracts::feed::v1::{
    Cursor, Event, PullRequest, PullResponse, Record, SnapshotRequest,
};
use zhiyuan_contracts::orgtree::v1::{GetOrganizationRequest, OrganizationChanged};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Partition, SharedClock, SystemClock};
use zhiyuan_feed::reader::decode;
use zhiyuan_feed::{Error, PARTITIONS, Source, name_of};
use zhiyuan_orgtree::Seed;
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_testkit::TestDatabase;

use crate::harness::{Service, config, empty, load};

pub(crate) const HEADER: &str = "code,name,kind,parent_code,region_code,contact_phone";
pub(crate) const KIND: &str = "zhiyuan.orgtree.v1.OrganizationChanged";
pub(crate) const ANHUI: usize = 1699;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The service, with a platform that may follow it.
pub(crate) struct Followed {
    service: Service,
    pub(crate) source: Source,
}

impl Followed {
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::granting(database, "orgtree.feed").await
    }

    async fn granting(database: &TestDatabase, scope: &str) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let key = SigningKey::generate();
        let caller = CallerConfig {
            public_keys: vec![key.verifying_key().to_base64()],
            scopes: vec![scope.to_owned()],
        };
        let mut config = config(database, Seed::None);
        config.callers.insert("platform".to_owned(), caller);
        config.feed.poll_ms = 50;
        let service = Service::start_with(config, Arc::clone(&clock)).await;
        let signer = AssertionSigner::new("platform", key, clock);
        let channel = SuiteChannel::new(service.channel.clone(), "orgtree", Arc::new(signer));
        Self { service, source: Source::new(channel, "zhiyuan.orgtree.v1.FeedService") }
    }

    /// All events from the beginning.
    async fn pull(&self) -> Stream {
        let cursor = |partition| Cursor { partition: i32::from(partition), ..Default::default() };
        let request = PullRequest { cursors: (0..PARTITIONS).map(cursor).collect() };
        Stream(self.source.pull(request).await.unwrap())
    }

    /// All records, in small pages.
    async fn snapshot(&self) -> Vec<(i16, Record)> {
        let mut records = Vec::new();
        for partition in 0..PARTITIONS {
            let mut request = SnapshotRequest { page_size: 7, ..page(partition) };
            loop {
                let page = self.source.snapshot(request.clone()).await.unwrap();
                records.extend(page.records.into_iter().map(|record| (partition, record)));
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
        }
        records
    }

    pub(crate) async fn stop(self) {
        let Self { service, source } = self;
        drop(source);
        service.stop().await;
    }
}

fn page(partition: i16) -> SnapshotRequest {
    SnapshotRequest { partition: partition.into(), r#type: KIND.to_owned(), ..Default::default() }
}

struct Stream(Streaming<PullResponse>);

impl Stream {
    /// The next events: so many, and those that come with the last of them.
    async fn next(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let following = async {
            while events.len() < count {
                events.extend(self.0.message().await.unwrap().unwrap().events);
            }
        };
        timeout(PATIENCE, following).await.unwrap();
        events
    }

    /// The keys and revisions of the next events, by key.
    async fn told(&mut self, count: usize) -> Vec<(String, i64)> {
        revisions(&self.next(count).await)
    }
}

fn revisions(events: &[Event]) -> Vec<(String, i64)> {
    let mut told: Vec<_> = events.iter().map(|event| (event.key.clone(), event.revision)).collect();
    told.sort();
    told
}

pub(crate) fn state(payload: Option<&prost_types::Any>) -> OrganizationChanged {
    decode(payload.unwrap()).unwrap().unwrap()
}

pub(crate) async fn anhui() -> TestDatabase {
    let database = empty().await;
    zhiyuan_orgtree::migrate(&config(&database, Seed::Anhui)).await.unwrap();
    database
}

/// The code, the partition and the revision of all rows.
pub(crate) async fn rows(pool: &PgPool) -> Vec<(String, i16, i64)> {
    sqlx::query_as("SELECT code, partition, revision FROM orgtree.organization ORDER BY 2, 1")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_load_tells_of_what_is_new_or_different_and_of_nothing_else() {
    let database = anhui().await;
    let followed = Followed::start(&database).await;
    let mut stream = followed.pull().await;
    let events = stream.next(ANHUI).await;
    let codes: BTreeMap<&str, i64> =
        events.iter().map(|event| (event.key.as_str(), event.revision)).collect();
    assert_eq!((events.len(), codes.len()), (ANHUI, ANHUI));
    for event in &events {
        assert_eq!(event.revision, 1);
        assert_eq!(event.partition, i32::from(Partition::of_key(&event.key).get()));
        assert_eq!(state(event.payload.as_ref()).code, event.key);
    }

    // Twice each; and everybody's own file, which tells nothing the second time.
    let closed = "code,name,kind,parent_code,region_code,state,successor_code,contact_phone\n\
                  AH-340122100,共青团店埠镇委员会,TOWNSHIP,AH-340122,340122,CLOSED,AH-340122,12355\n";
    let new = format!("{HEADER}\nAH-Z,一企业团委,ENTERPRISE,AH,340000,\n");
    for text in [closed, closed, &new, &new] {
        load(&database, text).await.unwrap();
    }
    let told = stream.next(2).await;
    assert_eq!(revisions(&told), [("AH-340122100".to_owned(), 2), ("AH-Z".to_owned(), 1)]);
    let changed = told.iter().find(|event| event.key == "AH-340122100").unwrap();
    let changed = state(changed.payload.as_ref());
    assert_eq!((changed.state, changed.successor_code.as_str()), (2, "AH-340122"));
    assert_eq!(changed.contacts.unwrap().phone, "12355");

    // The province's file brings back the one, and has never heard of the other.
    let seed = config(&database, Seed::Anhui);
    for _again in 0..2 {
        zhiyuan_orgtree::migrate(&seed).await.unwrap();
    }
    load(&database, &new.replace('一', "二")).await.unwrap();
    let expected = [("AH-340122100".to_owned(), 3), ("AH-Z".to_owned(), 2)];
    assert_eq!(stream.told(2).await, expected);
    let all: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM orgtree.event) + (SELECT count(*) FROM orgtree.outbox)",
    )
    .fetch_one(&database.pool().await)
    .await
    .unwrap();
    assert_eq!(all, ANHUI as i64 + 4);
    drop(stream);
    followed.stop().await;
}

#[tokio::test]
async fn what_hangs_below_is_not_told_of_when_it_moves_along() {
    let database = empty().await;
    let text = format!(
        "{HEADER}\nA,团省委,PROVINCIAL,,,\nA-1,甲市,MUNICIPAL,A,,\nA-2,乙市,MUNICIPAL,A,,\n\
         A-1-1,丙县,COUNTY,A-1,,\nA-1-1-1,丁街道,TOWNSHIP,A-1-1,,\n"
    );
    load(&database, &text).await.unwrap();
    let followed = Followed::start(&database).await;
    let mut stream = followed.pull().await;
    stream.next(5).await;
    // The moved one has new ancestors too, two others are leaves now, or not any more.
    load(&database, &format!("{HEADER}\nA-1-1,丙县,COUNTY,A-2,,\n")).await.unwrap();
    load(&database, &format!("{HEADER}\nA-1-1-1,丁街道,TOWNSHIP,A-1-1,,1\n")).await.unwrap();
    assert_eq!(stream.told(2).await, [("A-1-1".to_owned(), 2), ("A-1-1-1".to_owned(), 2)]);
    // The same in the file of all: nothing that the loader makes is told.
    let pool = database.pool().await;
    sqlx::query("UPDATE orgtree.organization SET leaf = NOT leaf, grams = '{}'")
        .execute(&pool)
        .await
        .unwrap();
    load(&database, &text.replace("丙县,COUNTY,A-1", "丙县,COUNTY,A-2")).await.unwrap();
    load(&database, &text).await.unwrap();
    assert_eq!(stream.told(2).await, [("A-1-1".to_owned(), 3), ("A-1-1-1".to_owned(), 3)]);
    let revisions: Vec<i64> =
        rows(&pool).await.into_iter().map(|(.., revision)| revision).collect();
    assert_eq!(revisions.iter().sum::<i64>(), 5 + 2 + 2);
    drop(stream);
    followed.stop().await;
}

#[tokio::test]
async fn the_snapshot_is_the_table_and_what_everybody_may_read() {
    let database = anhui().await;
    load(&database, &format!("{HEADER}\nAH-Z,一企业团委,ENTERPRISE,AH,,12355\n")).await.unwrap();
    load(&database, &format!("{HEADER}\nAH-Z,一企业团委,ENTERPRISE,AH,,12356\n")).await.unwrap();
    let followed = Followed::start(&database).await;
    let rows = rows(&database.pool().await).await;
    assert_eq!(rows.len(), ANHUI + 1);
    let snapshot = followed.snapshot().await;
    let keys: Vec<_> = snapshot
        .iter()
        .map(|(partition, record)| (record.key.clone(), *partition, record.revision))
        .collect();
    assert_eq!(keys, rows);
    for (code, partition, _) in &rows {
        assert_eq!(*partition, Partition::of_key(code).get(), "{code}");
    }
    // As in the events.
    let mut latest = BTreeMap::new();
    for event in followed.pull().await.next(ANHUI + 2).await {
        latest.insert(event.key, (event.revision, event.payload));
    }
    for (_, record) in &snapshot {
        assert_eq!(latest[&record.key], (record.revision, record.payload.clone()));
    }
    for (_, record) in snapshot.iter().step_by(50) {
        let request = GetOrganizationRequest { code: record.key.clone(), as_of_time: None };
        let answer = followed.service.organizations().get_organization(request).await.unwrap();
        let public = answer.into_inner().organization.unwrap();
        let expected = OrganizationChanged {
            code: public.code,
            name: public.name,
            kind: public.kind,
            parent_code: public.parent_code,
            region_code: public.region_code,
            state: public.state,
            successor_code: public.successor_code,
            contacts: public.contacts,
            credit_code: public.credit_code,
        };
        assert_eq!(state(record.payload.as_ref()), expected);
    }
    followed.stop().await;
}

#[tokio::test]
async fn refuses_who_may_not_and_what_is_no_request() {
    let database = empty().await;
    let stranger = Followed::granting(&database, "orgtree.statistics").await;
    let refusal = |error: Error| match error {
        Error::Source(refused) => (refused.code, refused.reason.to_string()),
        other => panic!("{other:?}"),
    };
    let told = |code: Code, reason: &str| (code, reason.to_owned());
    let Err(refused) = stranger.source.pull(PullRequest::default()).await else { panic!() };
    assert_eq!(refusal(refused), told(Code::PermissionDenied, "SCOPE_MISSING"));
    let refused = stranger.source.snapshot(page(0)).await.unwrap_err();
    assert_eq!(refusal(refused), told(Code::PermissionDenied, "SCOPE_MISSING"));
    stranger.stop().await;

    let followed = Followed::start(&database).await;
    assert_eq!(name_of::<OrganizationChanged>(), KIND);
    let Err(refused) = followed.source.pull(PullRequest::default()).await else { panic!() };
    assert_eq!(refusal(refused), told(Code::InvalidArgument, "INVALID_FIELDS"));
    // As the service would make it, of a key that no organization has.
    let forged = zhiyuan_rpc::page::Page::parse(1, "", &[KIND, "0"]).unwrap();
    let (_, forged) = forged.cut(vec!["\0", "\0"], |key| (*key).to_owned());
    for (request, reason) in [
        (page(64), "INVALID_FIELDS"),
        (
            SnapshotRequest { r#type: "zhiyuan.orgtree.v1.Region".into(), ..page(0) },
            "FEED_TYPE_UNKNOWN",
        ),
        (SnapshotRequest { page_token: "x".into(), ..page(0) }, "PAGE_TOKEN_INVALID"),
        (SnapshotRequest { page_token: forged, ..page(0) }, "PAGE_TOKEN_INVALID"),
    ] {
        let refused = followed.source.snapshot(request).await.unwrap_err();
        assert_eq!(refusal(refused), told(Code::InvalidArgument, reason));
    }
    followed.stop().await;
}
