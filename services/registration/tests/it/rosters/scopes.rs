//! A platform that is restricted to organizations sees who is there, registered or on the roster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::feed::v1::{
    Cursor, Event, Left, PullRequest, PullResponse, SnapshotRequest, SnapshotResponse,
};
use zhiyuan_contracts::registration::v1::feed_service_client::FeedServiceClient;
use zhiyuan_contracts::registration::v1::{
    ChangeMyOrganizationRequest, RosterMemberChanged, VolunteerChanged,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_feed::reader::decode;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};

use super::{Secretary, file};
use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, form, metadata, reason};
use crate::profiles::Volunteer;

const VOLUNTEERS: &str = "zhiyuan.registration.v1.VolunteerChanged";
const MEMBERS: &str = "zhiyuan.registration.v1.RosterMemberChanged";
const PATIENCE: Duration = Duration::from_secs(60);

/// A platform of a township.
struct Platform<'a> {
    service: &'a Service,
    key: SigningKey,
    client: FeedServiceClient<SuiteChannel>,
}

impl<'a> Platform<'a> {
    async fn new(service: &'a Service, within: &[&str]) -> Self {
        // Nothing is sequenced by a clock that is wrong.
        let late = SystemClock.now() - service.clock.now();
        service.clock.advance(late.try_into().unwrap());
        let key = SigningKey::generate();
        service.accounts.restrict("township", &key, within);
        let signs = SigningKey::from_base64(&key.to_base64()).unwrap();
        let signer = Arc::new(AssertionSigner::new("township", signs, service.clock.clone()));
        let channel = connect_lazy(service.address()).unwrap();
        let channel = SuiteChannel::new(channel, "registration", signer);
        let platform = Self { service, key, client: FeedServiceClient::new(channel) };
        let known = async |_: &Service| {
            let answer = platform.page(SnapshotRequest::default()).await;
            !matches!(answer, Err(status) if status.code() == Code::Unauthenticated)
        };
        service.until("the platform is known", known).await;
        platform
    }

    async fn page(&self, request: SnapshotRequest) -> Result<SnapshotResponse, Status> {
        Ok(self.client.clone().snapshot(request).await?.into_inner())
    }

    /// All that is told of a kind, with the version of the scope.
    async fn snapshot(&self, kind: &str) -> (BTreeMap<String, i64>, String, Vec<u8>) {
        let (mut all, mut version, mut bytes) = (BTreeMap::new(), String::new(), Vec::new());
        for partition in 0..64 {
            let mut request = SnapshotRequest {
                partition,
                r#type: kind.to_owned(),
                page_size: 1,
                ..SnapshotRequest::default()
            };
            loop {
                let page = self.page(request.clone()).await.unwrap();
                bytes.extend(page.encode_to_vec());
                all.extend(page.records.into_iter().map(|record| (record.key, record.revision)));
                version.clone_from(&page.scope_version);
                request.scope_version = page.scope_version;
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
        }
        (all, version, bytes)
    }

    async fn pull(&self, version: &str) -> Result<Streaming<PullResponse>, Status> {
        let cursor = |partition| Cursor {
            partition,
            scope_version: version.to_owned(),
            ..Cursor::default()
        };
        let request = PullRequest { cursors: (0..64).map(cursor).collect() };
        Ok(self.client.clone().pull(request).await?.into_inner())
    }

    /// All events until now.
    async fn events(&self, version: &str) -> Vec<Event> {
        let waiting = "SELECT count(*) FROM registration.outbox";
        self.service.until("it is sequenced", async |it| it.sql(waiting).await == "0").await;
        let all: usize =
            self.service.sql("SELECT count(*) FROM registration.event").await.parse().unwrap();
        let mut stream = self.pull(version).await.unwrap();
        let mut events = Vec::new();
        let reading = async {
            while events.len() < all {
                events.extend(stream.message().await.unwrap().unwrap().events);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
        events
    }
}

/// How a stream ends by which nothing more is told.
async fn end(stream: &mut Streaming<PullResponse>) -> Status {
    let reading = async {
        loop {
            match stream.message().await {
                Ok(message) => assert!(message.unwrap().events.is_empty()),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap()
}

async fn change(volunteer: &Volunteer<'_>, organization: &str) {
    let request = ChangeMyOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: organization.to_owned(),
        ..Default::default()
    };
    volunteer.client().change_my_organization(volunteer.sign(request)).await.unwrap();
}

/// What is told of a key, one event after the other.
fn of<'a>(events: &'a [Event], key: &str) -> Vec<(i64, String)> {
    let told = events.iter().filter(|event| event.key == key).map(|event: &'a Event| {
        let payload = event.payload.as_ref().unwrap();
        let what = if let Some(told) = decode::<VolunteerChanged>(payload).unwrap() {
            told.organization_code
        } else if let Some(told) = decode::<RosterMemberChanged>(payload).unwrap() {
            format!("roster {}", told.organization_code)
        } else {
            let Left { r#type } = decode(payload).unwrap().unwrap();
            format!("left {type}")
        };
        (event.revision, what)
    });
    told.collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn volunteers_are_told_by_the_organization_before_and_after() {
    let service = Service::start(Recovery::Off).await;
    let platform = Platform::new(&service, &[TOWNSHIP]).await;
    let goes = Volunteer::register(&service, 1).await;
    let comes = service.register(&crate::harness::form(2)).await.unwrap().volunteer.unwrap();
    let mut elsewhere = form(3);
    elsewhere.organization_code = OTHER_TOWNSHIP.to_owned();
    let elsewhere = service.register(&elsewhere).await.unwrap().volunteer.unwrap();
    change(&goes, OTHER_TOWNSHIP).await;
    let comes = Volunteer::with_id(&service, &comes.id).await;
    for organization in [OTHER_TOWNSHIP, TOWNSHIP] {
        change(&comes, organization).await;
    }
    let (state, version, mut bytes) = platform.snapshot(VOLUNTEERS).await;
    assert_eq!(state, BTreeMap::from([(comes.id.clone(), 3)]));
    let events = platform.events(&version).await;
    let left = format!("left {VOLUNTEERS}");
    let expected = [(1, TOWNSHIP.to_owned()), (2, left.clone())];
    assert_eq!(of(&events, &goes.id), expected);
    let expected = [(1, TOWNSHIP.to_owned()), (2, left), (3, TOWNSHIP.to_owned())];
    assert_eq!(of(&events, &comes.id), expected);
    // One more, of which nothing is told; positions are dense all the same.
    assert_eq!(events.len(), 6);
    let mut positions: BTreeMap<i32, i64> = BTreeMap::new();
    for event in &events {
        let last = positions.entry(event.partition).or_default();
        assert_eq!(event.position, *last + 1);
        *last = event.position;
        bytes.extend(event.encode_to_vec());
    }
    for text in [elsewhere.id.as_str(), &elsewhere.volunteer_number, OTHER_TOWNSHIP] {
        assert!(!holds(&bytes, text), "{text}");
    }
    assert!(holds(&bytes, &goes.id) && holds(&bytes, TOWNSHIP));
}

#[tokio::test]
async fn members_are_told_by_the_roster_before_and_after() {
    let service = Service::start(Recovery::On).await;
    let platform = Platform::new(&service, &[TOWNSHIP]).await;
    let here = Secretary::new(&service).await;
    let there = Secretary::at(&service, OTHER_TOWNSHIP, &super::BOTH).await;
    here.import(file([1, 2]).as_bytes()).await;
    there.import(file([3, 4]).as_bytes()).await;
    let ids = async |secretary: &Secretary<'_>| -> BTreeSet<String> {
        secretary.members().await.into_iter().map(|member| member.person_id).collect()
    };
    let (ours, theirs) = (ids(&here).await, ids(&there).await);
    let off = ours.first().unwrap().clone();
    here.remove(&here.removal(std::slice::from_ref(&off))).await.unwrap();
    there.remove(&there.removal(&[theirs.first().unwrap().clone()])).await.unwrap();
    let (state, version, mut bytes) = platform.snapshot(MEMBERS).await;
    let stays: BTreeMap<String, i64> = ours.iter().skip(1).map(|id| (id.clone(), 1)).collect();
    // Who is on no roster is nobody's.
    assert_eq!(state, stays);
    let events = platform.events(&version).await;
    let on = (1, format!("roster {TOWNSHIP}"));
    assert_eq!(of(&events, &off), [on.clone(), (2, format!("left {MEMBERS}"))]);
    assert_eq!(of(&events, ours.last().unwrap()), [on]);
    assert_eq!(events.len(), 6);
    for event in &events {
        bytes.extend(event.encode_to_vec());
    }
    for text in theirs.iter().map(String::as_str).chain([OTHER_TOWNSHIP]) {
        assert!(!holds(&bytes, text), "{text}");
    }
}

/// Who closes the account leaves the roster; the volunteer stays where he was, closed.
#[tokio::test]
async fn a_closed_account_leaves_the_roster_that_it_was_on() {
    let service = Service::start(Recovery::On).await;
    let platform = Platform::new(&service, &[TOWNSHIP]).await;
    let here = Secretary::new(&service).await;
    let there = Secretary::at(&service, OTHER_TOWNSHIP, &super::BOTH).await;
    here.import(file([1]).as_bytes()).await;
    there.import(file([2]).as_bytes()).await;
    let ours: Uuid = here.members().await[0].person_id.parse().unwrap();
    let theirs: Uuid = there.members().await[0].person_id.parse().unwrap();
    for id in [ours, theirs] {
        let closed = zhiyuan_contracts::identity::v1::AccountState::Closed;
        service.feed.account(id, closed, 1);
    }
    let on = super::MEMBERS;
    service.until("they are off", async |it| it.sql(on).await == "0").await;
    let (_, version, _) = platform.snapshot(MEMBERS).await;
    let events = platform.events(&version).await;
    let left = (2, format!("left {MEMBERS}"));
    let told = of(&events, &ours.to_string());
    assert_eq!(told, [(1, format!("roster {TOWNSHIP}")), left]);
    assert!(of(&events, &theirs.to_string()).is_empty());
}

#[tokio::test]
async fn a_stream_ends_when_the_scope_changes_and_is_not_opened_again_by_the_old_one() {
    let service = Service::start(Recovery::Off).await;
    let platform = Platform::new(&service, &[TOWNSHIP]).await;
    let (_, before, _) = platform.snapshot(VOLUNTEERS).await;
    // A subtree moves below it.
    let mut stream = platform.pull(&before).await.unwrap();
    service.authority.hang(OTHER_TOWNSHIP, TOWNSHIP);
    let ended = end(&mut stream).await;
    assert_eq!((ended.code(), &*reason(&ended)), (Code::FailedPrecondition, "FEED_SCOPE_CHANGED"));
    let refused = platform.pull(&before).await.unwrap_err();
    assert_eq!(reason(&refused), "FEED_SCOPE_CHANGED");
    let (_, after, _) = platform.snapshot(VOLUNTEERS).await;
    assert_eq!(metadata(&refused, "scope_version").as_deref(), Some(after.as_str()));
    let mut other = form(1);
    other.organization_code = OTHER_TOWNSHIP.to_owned();
    service.register(&other).await.unwrap();
    let (state, ..) = platform.snapshot(VOLUNTEERS).await;
    assert_eq!(state.len(), 1);
    // The operator gives it another organization.
    let mut stream = platform.pull(&after).await.unwrap();
    let reading = async { while stream.message().await.unwrap().unwrap().events.is_empty() {} };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    service.accounts.restrict("township", &platform.key, &[COUNTY]);
    let ended = end(&mut stream).await;
    assert_eq!((ended.code(), &*reason(&ended)), (Code::FailedPrecondition, "FEED_SCOPE_CHANGED"));
    let refused = platform.pull(&after).await.unwrap_err();
    assert_eq!(reason(&refused), "FEED_SCOPE_CHANGED");
}

#[tokio::test]
async fn nothing_is_told_when_orgtree_does_not_answer_and_others_never_ask_it() {
    let service = Service::start(Recovery::Off).await;
    let platform = Platform::new(&service, &[TOWNSHIP]).await;
    let (_, version, _) = platform.snapshot(VOLUNTEERS).await;
    let mut stream = platform.pull(&version).await.unwrap();
    service.authority.with(|state| state.down = true);
    service.register(&form(1)).await.unwrap();
    let ended = end(&mut stream).await;
    assert_eq!((ended.code(), &*reason(&ended)), (Code::Unavailable, "UNAVAILABLE"));
    let refused = platform.pull(&version).await.unwrap_err();
    assert_eq!(reason(&refused), "UNAVAILABLE");
    let request = SnapshotRequest { r#type: VOLUNTEERS.to_owned(), ..Default::default() };
    assert_eq!(reason(&platform.page(request.clone()).await.unwrap_err()), "UNAVAILABLE");
    let questions = service.authority.with(|state| state.scopes);
    let mut everybody = FeedServiceClient::new(crate::platforms::channel(&service));
    everybody.snapshot(request).await.unwrap();
    let cursor = |partition| Cursor { partition, ..Cursor::default() };
    let request = PullRequest { cursors: (0..64).map(cursor).collect() };
    let mut stream = everybody.pull(request).await.unwrap().into_inner();
    let reading = async { while stream.message().await.unwrap().unwrap().events.is_empty() {} };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    assert_eq!(service.authority.with(|state| state.scopes), questions);
}
