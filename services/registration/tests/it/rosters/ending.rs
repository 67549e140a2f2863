//! identity tells that members are somebody else, or nobody any more.

use zhiyuan_contracts::identity::v1::AccountState;
use zhiyuan_contracts::registration::v1::ListRosterMembersRequest;

use super::{ACTS, EVENTS, MEMBERS, Secretary, file, young};
use crate::harness::{Recovery, Service};

fn returned() -> ListRosterMembersRequest {
    ListRosterMembersRequest { returned_only: true, ..Default::default() }
}

#[tokio::test]
async fn whoever_has_another_name_is_returned_to_the_organization_with_the_row() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.import(file([1, 2]).as_bytes()).await;
    let id = service.rosters.with(|state| state.people[&young(2).id_number].id);
    assert_eq!(secretary.list(returned()).await.unwrap(), []);
    // Told twice, and of somebody who is on no roster.
    service.feed.ended(id);
    service.feed.ended(id);
    service.feed.ended(zhiyuan_domain::new_id(service.clock.as_ref()));
    service.until("off", async |it| it.sql(MEMBERS).await == "1").await;
    let back = secretary.list(returned()).await.unwrap().remove(0);
    assert_eq!(back.person_id, id.to_string());
    assert_eq!((&*back.import_id, back.row_number, &*back.masked_name), (&*import.id, 3, ""));
    assert!(back.since.is_some() && back.return_time.is_some());
    assert_eq!(secretary.members().await.len(), 1);
    let last = "SELECT string_agg(revision::text, ',' ORDER BY seq) FROM registration.outbox
                WHERE type LIKE '%RosterMemberChanged'";
    assert_eq!(service.sql(last).await, "1,1,2");
    // Identity has let go of the person: nobody has to ask it to forget.
    assert_eq!(service.rosters.calls("forget"), 0);
    // Of others nobody is told.
    let other = Secretary::at(&service, crate::fake_orgtree::OTHER_TOWNSHIP, &super::BOTH).await;
    assert_eq!(other.list(returned()).await.unwrap(), []);
}

#[tokio::test]
async fn who_closes_the_account_is_off_the_roster_and_where_they_were_is_forgotten() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let id = service.rosters.register(&young(1).id_number, &young(1).name);
    secretary.import(file([1, 2]).as_bytes()).await;
    secretary.remove(&secretary.removal(&[id.to_string()])).await.unwrap();
    secretary.import(file([1]).as_bytes()).await;
    service.feed.account(id, AccountState::Active, 1);
    service.feed.account(id, AccountState::Closed, 2);
    service.until("off", async |it| it.sql(MEMBERS).await == "1").await;
    assert_eq!(service.sql(EVENTS).await, "5");
    assert_eq!(service.sql("SELECT count(*) FROM registration.roster_leaving").await, "0");
    let acts = service.sql(ACTS).await;
    assert!(acts.ends_with("registration.roster.member_closed DONE"), "{acts}");
}
