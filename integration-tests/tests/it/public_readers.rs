//! A platform of one city follows what is there: through the gateway, with everything real. It
//! is written by the contract alone, and compared with what a query over both schemas finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sqlx::PgConnection;
use tokio::time::{Instant, timeout};
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::feed::v1::{Cursor, Event, Left, PullRequest, SnapshotRequest};
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationRequest, GetOrganizationResponse, MoveOrganizationRequest,
    MoveOrganizationResponse, OrganizationChanged,
};
use zhiyuan_contracts::registration::v1::{
    ChangeMyOrganizationRequest, ChangeMyOrganizationResponse, VolunteerChanged,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;
use zhiyuan_feed::reader::decode;
use zhiyuan_feed::{Error, PARTITIONS, Source};
use zhiyuan_identity::{Add, AddKey, Change, Kind, Operation, ServiceAccountCommand as Command};
use zhiyuan_rpc::{Remote, SuiteChannel, connect_lazy};
use zhiyuan_testkit::person;

use crate::harness::caller::{AUTHORIZATION, Member};
use crate::harness::client::ORGANIZATION;
use crate::harness::{Client, Own, Site};

const NAME: &str = "hefei";
/// 合肥, above the organization that people choose, and what lies beside it.
const CITY: &str = "AH-340100";
const BESIDE: &str = "AH-340200";
const PATIENCE: Duration = Duration::from_secs(90);
const VOLUNTEERS: &str = "zhiyuan.registration.v1.VolunteerChanged";
const ORGANIZATIONS: &str = "zhiyuan.orgtree.v1.OrganizationChanged";
const GET: &str = "/zhiyuan.orgtree.v1.OrganizationService/GetOrganization";
const MOVE: &str = "/zhiyuan.orgtree.v1.OrganizationAdminService/MoveOrganization";
const CHANGE: &str = "/zhiyuan.registration.v1.ProfileService/ChangeMyOrganization";

/// By the operator's command.
async fn operate(site: &Site, command: Command) {
    let (file, none) = (site.files.of("identity"), <[(String, String); 0]>::default());
    let defaults = zhiyuan_identity::DEFAULTS;
    let config = zhiyuan_settings::load_from("identity", defaults, Some(&file), none).unwrap();
    let operation = Operation::ServiceAccount(command);
    zhiyuan_identity::operate(&config, Arc::new(SystemClock), operation).await.unwrap();
}

async fn restrict(site: &Site, within: &str) {
    let change = Change {
        name: NAME.to_owned(),
        title: None,
        scopes: Vec::new(),
        calls_per_minute: None,
        calls_per_day: None,
        look_ups_per_day: None,
        within: vec![within.to_owned()],
        everywhere: false,
    };
    operate(site, Command::Change(change)).await;
}

/// Who follows: of each key the revision and the organization, and where it is in each partition.
struct Platform {
    source: Source,
    kind: &'static str,
    state: BTreeMap<String, (i64, String)>,
    cursors: BTreeMap<i32, Cursor>,
    /// All that it was ever told.
    bytes: Vec<u8>,
    /// Events of which nothing was told.
    empty: usize,
}

impl Platform {
    fn new(site: &Site, key: &SigningKey, service: &str, kind: &'static str) -> Self {
        let key = SigningKey::from_base64(&key.to_base64()).unwrap();
        let signer = AssertionSigner::new(NAME, key, Arc::new(SystemClock));
        let gateway = connect_lazy(&format!("http://{}", site.addresses.gateway)).unwrap();
        let channel = SuiteChannel::new(gateway, service, Arc::new(signer));
        let source = Source::new(channel, &format!("zhiyuan.{service}.v1.FeedService"));
        let (state, cursors) = (BTreeMap::new(), BTreeMap::new());
        Self { source, kind, state, cursors, bytes: Vec::new(), empty: 0 }
    }

    /// Account and key, known to all processes.
    async fn both(site: &Site) -> (Self, Self) {
        let key = SigningKey::generate();
        let scopes = ["registration.feed", "orgtree.feed"].map(str::to_owned).to_vec();
        let account = Add {
            name: NAME.to_owned(),
            title: "合肥志愿平台".to_owned(),
            kind: Kind::Platform,
            scopes,
            calls_per_minute: 10_000,
            calls_per_day: 100_000,
            look_ups_per_day: 0,
            within: vec![CITY.to_owned()],
        };
        operate(site, Command::Add(account)).await;
        let key_of = AddKey {
            name: NAME.to_owned(),
            public_key: key.verifying_key(),
            use_from: None,
            expires: None,
        };
        operate(site, Command::AddKey(key_of)).await;
        let volunteers = Self::new(site, &key, "registration", VOLUNTEERS);
        let organizations = Self::new(site, &key, "orgtree", ORGANIZATIONS);
        for platform in [&volunteers, &organizations] {
            let until = Instant::now() + PATIENCE;
            while let Err(reason) = platform.page(SnapshotRequest::default()).await {
                assert!(["UNAUTHENTICATED", "REVOCATIONS_STALE"].contains(&&*reason), "{reason}");
                assert!(Instant::now() < until, "{reason}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        (volunteers, organizations)
    }

    async fn page(
        &self,
        request: SnapshotRequest,
    ) -> Result<zhiyuan_contracts::feed::v1::SnapshotResponse, String> {
        let request = SnapshotRequest { r#type: self.kind.to_owned(), ..request };
        self.source.snapshot(request).await.map_err(|error| match error {
            Error::Source(remote) => remote.reason,
            other => panic!("{other}"),
        })
    }

    fn place(&self, payload: &prost_types::Any) -> String {
        if self.kind == VOLUNTEERS {
            let told: VolunteerChanged = decode(payload).unwrap().unwrap();
            told.organization_code
        } else {
            let told: OrganizationChanged = decode(payload).unwrap().unwrap();
            told.code
        }
    }

    /// Everything from snapshots; again, should the scope change meanwhile.
    async fn rebuild(&mut self) {
        while let Err(reason) = self.try_rebuild().await {
            assert_eq!(reason, "FEED_SCOPE_CHANGED");
        }
    }

    async fn try_rebuild(&mut self) -> Result<(), String> {
        (self.state, self.cursors) = (BTreeMap::new(), BTreeMap::new());
        for partition in 0..i32::from(PARTITIONS) {
            let mut request = SnapshotRequest { partition, page_size: 3, ..Default::default() };
            loop {
                let page = self.page(request.clone()).await?;
                self.bytes.extend(page.encode_to_vec());
                let head = page.head.unwrap();
                self.cursors.entry(partition).or_insert(Cursor {
                    partition,
                    position: head.position,
                    event_id: head.event_id,
                    scope_version: page.scope_version.clone(),
                });
                for record in page.records {
                    let place = self.place(&record.payload.unwrap());
                    self.state.insert(record.key, (record.revision, place));
                }
                request.scope_version = page.scope_version;
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        self.bytes.extend(event.encode_to_vec());
        let cursor = self.cursors.get_mut(&event.partition).unwrap();
        assert_eq!(event.position, cursor.position + 1);
        assert_eq!(event.previous_event_id, cursor.event_id);
        (cursor.position, cursor.event_id) = (event.position, event.event_id);
        let Some(payload) = event.payload else {
            assert_eq!((event.key.as_str(), event.revision), ("", 0));
            self.empty += 1;
            return;
        };
        let known = self.state.get(&event.key).map_or(0, |(revision, _)| *revision);
        if event.revision <= known {
            return;
        }
        if let Some(left) = decode::<Left>(&payload).unwrap() {
            assert_eq!(left.r#type, self.kind);
            self.state.remove(&event.key);
        } else {
            let place = self.place(&payload);
            self.state.insert(event.key, (event.revision, place));
        }
    }

    /// Follows until something holds after a heartbeat, or until the reason is told for which it
    /// can't go on.
    async fn follow(&mut self, until: impl Fn(&Self) -> bool) -> Option<String> {
        let following = async {
            let cursors = self.cursors.values().cloned().collect();
            let mut stream = match self.source.pull(PullRequest { cursors }).await {
                Ok(stream) => stream,
                Err(Error::Source(remote)) => return Some(remote.reason),
                Err(other) => panic!("{other}"),
            };
            loop {
                let message = match stream.message().await {
                    Ok(message) => message.unwrap(),
                    Err(status) => return Some(Remote::from(status).reason),
                };
                let version = &self.cursors[&0].scope_version;
                assert_eq!((&message.scope_version, version.is_empty()), (version, false));
                for event in message.events {
                    self.apply(event);
                }
                if message.heartbeat.is_some() && until(self) {
                    return None;
                }
            }
        };
        timeout(PATIENCE, following).await.unwrap()
    }

    /// Follows until it has this.
    async fn until(&mut self, expected: &BTreeMap<String, (i64, String)>) {
        assert_eq!(self.follow(|it| it.state == *expected).await, None);
    }
}

/// What is at an organization and below it, by a query over both schemas.
async fn inside(database: &mut PgConnection, above: &str) -> BTreeMap<String, (i64, String)> {
    let rows: Vec<(Uuid, i64, String)> = sqlx::query_as(
        "SELECT v.volunteer_id, v.revision, v.organization_code
         FROM registration.volunteer v JOIN orgtree.organization o ON o.code = v.organization_code
         WHERE v.state = 'ACTIVE' AND (o.code = $1 OR $1 = ANY(o.ancestors))",
    )
    .bind(above)
    .fetch_all(database)
    .await
    .unwrap();
    rows.into_iter().map(|(id, revision, code)| (id.to_string(), (revision, code))).collect()
}

/// The organizations there.
async fn tree(database: &mut PgConnection, above: &str) -> BTreeMap<String, (i64, String)> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT code, revision FROM orgtree.organization WHERE code = $1 OR $1 = ANY(ancestors)",
    )
    .bind(above)
    .fetch_all(database)
    .await
    .unwrap();
    rows.into_iter().map(|(code, revision)| (code.clone(), (revision, code))).collect()
}

/// Somebody who administers the province.
struct Province<'a> {
    client: &'a Client,
    bearer: String,
}

impl Province<'_> {
    async fn relocate(&self, code: &str, parent: &str) {
        let request = GetOrganizationRequest { code: code.to_owned(), as_of_time: None };
        let answer: GetOrganizationResponse = self.client.grpc.call(GET, &request).await.unwrap();
        let request = MoveOrganizationRequest {
            request_id: Uuid::new_v4().to_string(),
            code: code.to_owned(),
            etag: answer.organization.unwrap().etag,
            parent_code: parent.to_owned(),
        };
        let bearer = [(AUTHORIZATION, self.bearer.as_str())];
        let until = Instant::now() + PATIENCE;
        loop {
            let moved: Result<MoveOrganizationResponse, _> =
                self.client.grpc.call_with(MOVE, &request, &bearer).await;
            match moved {
                Ok(_) => return,
                // The answer waits until nobody is allowed anything from above any more.
                Err(refusal) if Instant::now() < until => {
                    assert_eq!(refusal.reason, "REVOCATION_IN_PROGRESS");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(refusal) => panic!("{refusal:?}"),
            }
        }
    }
}

async fn change(site: &Site, client: &Client, member: &mut Member, organization: &str) {
    let bearer = member.sign_in_with_both(site).await;
    let request = ChangeMyOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: organization.to_owned(),
        etag: String::new(),
    };
    let headers = [(AUTHORIZATION, bearer.as_str())];
    let _changed: ChangeMyOrganizationResponse =
        client.json.call_with(CHANGE, &request, &headers).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_of_a_city_sees_its_city_whatever_moves() {
    let suite = Own::start("public-readers").await;
    let (site, client) = (&suite.site, Client::of(&suite.site));
    let mut main = site.main_database().await;
    let beside: (String, String) = sqlx::query_as(
        "SELECT code, parent_code FROM orgtree.organization
         WHERE $1 = ANY(ancestors) AND kind = (SELECT kind FROM orgtree.organization WHERE code = $2)
         ORDER BY code LIMIT 1",
    )
    .bind(BESIDE)
    .bind(ORGANIZATION)
    .fetch_one(&mut main)
    .await
    .unwrap();
    let (elsewhere, county) = (beside.0.as_str(), beside.1.as_str());
    let home: String =
        sqlx::query_scalar("SELECT parent_code FROM orgtree.organization WHERE code = $1")
            .bind(ORGANIZATION)
            .fetch_one(&mut main)
            .await
            .unwrap();
    // Who leaves, and the administrator of the province, are at home in the city.
    let (mut goes, mut admin) = (Member::registered(site).await, Member::registered(site).await);
    admin.make_administrator(site).await;
    let mut foreign = BTreeSet::new();
    for number in 0..4 {
        let mut form = client.apply(client.door(number), &person(64_000 + number as u32)).await;
        form.organization_code = if number < 2 { ORGANIZATION } else { elsewhere }.to_owned();
        let volunteer = client.register_to_the_end(client.door(number), &form).await.unwrap();
        if number >= 2 {
            foreign.extend([volunteer.id, volunteer.volunteer_number]);
        }
    }
    let (mut platform, mut organizations) = Platform::both(site).await;
    // The snapshot is of the city alone; and so is what happens then.
    platform.rebuild().await;
    let expected = inside(&mut main, CITY).await;
    assert_eq!((platform.state.len(), &platform.state), (4, &expected));
    for number in 4..8 {
        let mut form = client.apply(client.door(number), &person(64_000 + number as u32)).await;
        form.organization_code = if number < 6 { ORGANIZATION } else { elsewhere }.to_owned();
        let volunteer = client.register_to_the_end(client.door(number), &form).await.unwrap();
        if number >= 6 {
            foreign.extend([volunteer.id, volunteer.volunteer_number]);
        }
    }
    change(site, &client, &mut goes, elsewhere).await;
    let expected = inside(&mut main, CITY).await;
    assert_eq!(expected.len(), 5);
    platform.until(&expected).await;
    assert!(platform.empty >= 2, "{}", platform.empty);
    let holds =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    for text in foreign.iter().map(String::as_str).chain([elsewhere]) {
        assert!(!holds(&platform.bytes, text), "{text}");
    }
    // The organizations of the city, and no other one.
    organizations.rebuild().await;
    assert_eq!(organizations.state, tree(&mut main, CITY).await);

    // A subtree goes while streams are open: they end, and what is read then is without it.
    let province = Province { client: &client, bearer: admin.sign_in_with_both(site).await };
    let (told, also, ()) = tokio::join!(
        platform.follow(|_| false),
        organizations.follow(|_| false),
        province.relocate(ORGANIZATION, county),
    );
    assert_eq!(told.as_deref(), Some("FEED_SCOPE_CHANGED"));
    assert_eq!(also.as_deref(), Some("FEED_SCOPE_CHANGED"));
    platform.rebuild().await;
    organizations.rebuild().await;
    assert_eq!((platform.state.len(), &platform.state), (0, &inside(&mut main, CITY).await));
    assert_eq!(organizations.state, tree(&mut main, CITY).await);
    assert!(!organizations.state.contains_key(ORGANIZATION));
    // It comes back while nobody follows: who comes by the old scope is refused.
    province.relocate(ORGANIZATION, &home).await;
    assert_eq!(platform.follow(|_| true).await.as_deref(), Some("FEED_SCOPE_CHANGED"));
    platform.rebuild().await;
    let expected = inside(&mut main, CITY).await;
    assert_eq!(expected.len(), 5);
    platform.until(&expected).await;
    // The operator gives it the other city.
    let (told, ()) = tokio::join!(platform.follow(|_| false), restrict(site, BESIDE));
    assert_eq!(told.as_deref(), Some("FEED_SCOPE_CHANGED"));
    platform.rebuild().await;
    let expected = inside(&mut main, BESIDE).await;
    assert_eq!(expected.len(), 5);
    platform.until(&expected).await;
    suite.stop().await;
}
