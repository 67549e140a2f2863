//! Who is on a roster, and who is taken off.

use std::time::Duration;

use uuid::Uuid;
use zhiyuan_contracts::feed::v1::{SnapshotRequest, SnapshotResponse};
use zhiyuan_contracts::registration::v1::feed_service_client::FeedServiceClient;
use zhiyuan_contracts::registration::v1::{
    ListRosterMembersRequest, RosterLeavingReason, RosterMember, RosterMemberChanged,
};
use zhiyuan_domain::Partition;
use zhiyuan_rpc::SuiteChannel;

use super::{ACTS, BOTH, EVENTS, MEMBERS, Secretary, counts, file, young};
use crate::fake_orgtree::{OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service};
use crate::platforms::channel;

fn ids(members: &[RosterMember]) -> Vec<String> {
    members.iter().map(|member| member.person_id.clone()).collect()
}

#[tokio::test]
async fn who_is_taken_off_is_told_once_kept_in_the_history_and_forgotten_if_not_registered() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let registered = service.rosters.register(&young(2).id_number, &young(2).name);
    secretary.import(file([1, 2, 3]).as_bytes()).await;
    let all = ids(&secretary.members().await);
    let third = service.rosters.with(|state| state.people[&young(3).id_number].id.to_string());
    let off: Vec<String> = all.iter().filter(|id| **id != third).cloned().collect();
    // Once more, and somebody of whom nobody knows.
    let removal = secretary.removal(
        &[
            off.clone(),
            off.clone(),
            vec![zhiyuan_domain::new_id(service.clock.as_ref()).to_string()],
        ]
        .concat(),
    );
    assert_eq!(secretary.remove(&removal).await.unwrap(), 2);
    assert_eq!(ids(&secretary.members().await), std::slice::from_ref(&third));
    service
        .until("it is forgotten", async |it| it.rosters.with(|state| state.forgotten.len() == 2))
        .await;
    let left: Vec<Uuid> =
        service.rosters.with(|state| state.people.values().map(|person| person.id).collect());
    assert!(left.contains(&registered) && left.len() == 2);
    assert_eq!(service.sql(EVENTS).await, "5");
    let history = "SELECT string_agg(DISTINCT concat_ws(' ', reason, organization_code, left_by,
                       revision, count), ',')
                   FROM (SELECT *, count(*) OVER () FROM registration.roster_leaving) l";
    let expected = format!("LEFT {TOWNSHIP} {} 1 2", secretary.id);
    assert_eq!(service.sql(history).await, expected);
    let acts = service.sql(ACTS).await;
    assert!(acts.ends_with("registration.roster.members_removed DONE"), "{acts}");
    // Whoever was taken off here is free to be elsewhere, and told with the next revision.
    let other = Secretary::at(&service, OTHER_TOWNSHIP, &BOTH).await;
    service.clock.advance(Duration::from_secs(1));
    let import = other.import(file([1, 2]).as_bytes()).await;
    assert_eq!(counts(&import), [1, 1, 0, 0, 0]);
    let revision =
        format!("SELECT revision FROM registration.roster_member WHERE person_id = '{registered}'");
    assert_eq!(service.sql(&revision).await, "3");
    // Nobody takes members of others off.
    assert_eq!(
        secretary.remove(&secretary.removal(&ids(&other.members().await))).await.unwrap(),
        0
    );
    assert_eq!(service.sql(MEMBERS).await, "3");
}

#[tokio::test]
async fn what_identity_could_not_forget_is_asked_for_again() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file([1]).as_bytes()).await;
    service.rosters.fail("forget", &[false, true]);
    let mut removal = secretary.removal(&ids(&secretary.members().await));
    removal.set_reason(RosterLeavingReason::Mistake);
    secretary.remove(&removal).await.unwrap();
    service
        .until("it is forgotten", async |it| {
            it.clock.advance(Duration::from_secs(1));
            it.rosters.calls("forget") >= 3
                && it.sql("SELECT count(forget) FROM registration.roster_member").await == "0"
        })
        .await;
    assert!(service.rosters.with(|state| state.people.is_empty()));
}

/// Whom a batch made known whose process died, of an import that nobody went on with.
#[tokio::test]
async fn who_is_known_and_on_no_roster_for_days_is_forgotten() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file([1, 2]).as_bytes()).await;
    let strays: Vec<Uuid> =
        (3..=7).map(|n| service.rosters.know_at(service.clock.as_ref(), &n.to_string())).collect();
    let registered = service.rosters.register("8", "已注册");
    service.rosters.fail("list", &[false]);
    service.clock.advance(Duration::from_secs(7 * 24 * 3600));
    service
        .until("the young are looked for", async |it| {
            it.clock.advance(Duration::from_secs(60));
            it.rosters.calls("list") >= 3
        })
        .await;
    assert_eq!(service.rosters.calls("forget"), 0);

    service.clock.advance(Duration::from_secs(24 * 3600));
    service
        .until("they are forgotten", async |it| {
            it.clock.advance(Duration::from_secs(60));
            it.rosters.with(|state| state.forgotten.len()) >= strays.len()
        })
        .await;
    let mut forgotten = service.rosters.with(|state| state.forgotten.clone());
    forgotten.sort();
    let mut expected = strays.clone();
    expected.sort();
    assert_eq!(forgotten, expected);
    assert!(service.rosters.with(|state| state.people.values().any(|p| p.id == registered)));
    assert_eq!(service.sql(MEMBERS).await, "2");

    // Everybody is looked at once.
    let calls = service.rosters.calls("list");
    secretary.import(file([9]).as_bytes()).await;
    service
        .until("it is looked again", async |it| {
            it.clock.advance(Duration::from_secs(600));
            it.rosters.calls("list") > calls
        })
        .await;
    assert_eq!(service.rosters.with(|state| state.forgotten.len()), strays.len());
}

#[tokio::test]
async fn members_are_listed_by_whether_they_have_registered_and_are_too_old() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file(1..6).as_bytes()).await;
    let all = ids(&secretary.members().await);
    let list = async |filter| ids(&secretary.list(filter).await.unwrap());
    let unregistered_only = true;
    let unregistered =
        ListRosterMembersRequest { unregistered_only, page_size: 2, ..Default::default() };
    assert_eq!(list(unregistered.clone()).await, all);
    // Identity tells that somebody has an account.
    let id: Uuid = all[1].parse().unwrap();
    service.feed.account(id, zhiyuan_contracts::identity::v1::AccountState::Active, 1);
    service.until("it is known", async |_| list(unregistered.clone()).await.len() == 4).await;
    assert!(!list(unregistered.clone()).await.contains(&all[1]));
    let registered: Vec<bool> =
        secretary.members().await.iter().map(|member| member.registered).collect();
    assert_eq!(registered, [false, true, false, false, false]);
    let aged = ListRosterMembersRequest { aged_out_only: true, ..Default::default() };
    assert_eq!(list(aged.clone()).await, [""; 0]);
    let pool = service.pool().await;
    for (n, month) in ["2026-10", "2026-11", "2026-12"].into_iter().enumerate() {
        let ends = "UPDATE registration.roster_member SET ends_in = $1 WHERE person_id::text = $2";
        sqlx::query(ends).bind(month).bind(&all[n]).execute(&pool).await.unwrap();
    }
    // It is November.
    assert_eq!(list(aged).await, all[..1]);
    let mut removal = secretary.removal(&all[..1]);
    removal.set_reason(RosterLeavingReason::AgedOut);
    assert_eq!(secretary.remove(&removal).await.unwrap(), 1);
}

#[tokio::test]
async fn a_snapshot_has_everybody_who_was_ever_on_a_roster() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    secretary.import(file(1..9).as_bytes()).await;
    let all = ids(&secretary.members().await);
    secretary.remove(&secretary.removal(&all[..1])).await.unwrap();
    let mut client = FeedServiceClient::new(channel(&service));
    let mut told = Vec::new();
    for partition in 0..64 {
        let request = SnapshotRequest {
            partition,
            r#type: "zhiyuan.registration.v1.RosterMemberChanged".to_owned(),
            page_size: 1,
            ..SnapshotRequest::default()
        };
        told.extend(pages(&mut client, request).await);
    }
    told.sort();
    let expected: Vec<(String, String, i64)> = all
        .iter()
        .enumerate()
        .map(|(n, id)| match n {
            0 => (id.clone(), String::new(), 2),
            _ => (id.clone(), TOWNSHIP.to_owned(), 1),
        })
        .collect();
    assert_eq!(told, expected);
}

async fn pages(
    client: &mut FeedServiceClient<SuiteChannel>,
    mut request: SnapshotRequest,
) -> Vec<(String, String, i64)> {
    let mut told = Vec::new();
    loop {
        let SnapshotResponse { records, next_page_token, .. } =
            client.snapshot(request.clone()).await.unwrap().into_inner();
        for record in records {
            let member: RosterMemberChanged = record.payload.unwrap().to_msg().unwrap();
            assert_eq!(record.key, member.person_id);
            let id: Uuid = member.person_id.parse().unwrap();
            assert_eq!(i32::from(Partition::of(id).get()), request.partition);
            told.push((member.person_id, member.organization_code, record.revision));
        }
        request.page_token = next_page_token;
        if request.page_token.is_empty() {
            return told;
        }
    }
}
