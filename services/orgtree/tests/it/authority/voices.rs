//! Whether two who decide together are two, as other services ask it.

use std::time::Duration;

use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{CheckVoicesRequest, Permission, Right, Role, Voices};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::wire::timestamp;

use super::delegating::{delegated, delegates};
use super::{
    Suite, accept, account, give, gives, hands_over, invite, invited, invites, patiently, revokes,
};
use crate::harness::{assert_field, assert_refused};

const DAY: Duration = Duration::from_secs(86_400);

fn right(code: &str, permission: Permission) -> Right {
    Right { organization_code: code.to_owned(), permission: permission.into() }
}

fn asks(one: u128, other: u128, rights: &[Right]) -> CheckVoicesRequest {
    CheckVoicesRequest {
        account_id: account(one).to_string(),
        other_account_id: if other == 0 { String::new() } else { account(other).to_string() },
        rights: rights.to_vec(),
        given_by_time: None,
    }
}

async fn ask(suite: &Suite, request: CheckVoicesRequest) -> Result<Voices, Status> {
    let channel = suite.channel("registration", &suite.service);
    let mut client = AuthorityServiceClient::new(channel);
    Ok(client.check_voices(request).await?.into_inner().voices())
}

/// Of grants that are a week old, where decisions are reviewed at both cities.
async fn are(suite: &Suite, one: u128, other: u128) -> Voices {
    let rights = ["A-1", "A-2"].map(|code| right(code, Permission::Review));
    let given_by_time = Some(timestamp(suite.clock.now() - 7 * DAY));
    let request = CheckVoicesRequest { given_by_time, ..asks(one, other, &rights) };
    ask(suite, request).await.unwrap()
}

/// The same grants, however old.
async fn stay(suite: &Suite, one: u128, other: u128) -> Voices {
    let rights = ["A-1", "A-2"].map(|code| right(code, Permission::Review));
    ask(suite, asks(one, other, &rights)).await.unwrap()
}

/// Somebody makes somebody else an administrator of the province.
async fn makes(suite: &Suite, by: u128, to: u128) -> Uuid {
    let wanted = gives(account(to), "A", Role::Administrator);
    give(&mut suite.person(account(by)), wanted).await.unwrap().id.parse().unwrap()
}

#[tokio::test]
async fn two_of_the_operator_are_two_at_once_and_whom_one_of_them_made_is_none_beside_him() {
    let suite = Suite::on_province().await;
    for n in [1, 2] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    assert_eq!(are(&suite, 1, 2).await, Voices::Independent);
    assert_eq!(are(&suite, 1, 0).await, Voices::Independent);
    assert_eq!(are(&suite, 1, 1).await, Voices::Dependent);
    makes(&suite, 1, 3).await;
    makes(&suite, 3, 4).await;
    assert_eq!(are(&suite, 3, 0).await, Voices::None, "since just now");
    assert_eq!(are(&suite, 2, 3).await, Voices::NoneOfOther);
    assert_eq!(stay(&suite, 3, 0).await, Voices::Independent);
    suite.clock.advance(60 * DAY);
    for (one, other, expected) in [
        (1, 3, Voices::Dependent),
        (3, 1, Voices::Dependent),
        (1, 4, Voices::Dependent),
        (4, 1, Voices::Dependent),
        (3, 4, Voices::Dependent),
        (2, 3, Voices::Independent),
        (4, 2, Voices::Independent),
    ] {
        assert_eq!(are(&suite, one, other).await, expected, "{one} {other}");
        assert_eq!(stay(&suite, one, other).await, expected, "{one} {other}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn two_by_the_same_hand_are_two_after_thirty_days_and_by_two_hands_after_the_week() {
    let suite = Suite::on_province().await;
    for n in [1, 2] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    makes(&suite, 1, 3).await;
    makes(&suite, 1, 4).await;
    makes(&suite, 2, 5).await;
    suite.clock.advance(7 * DAY);
    assert_eq!(are(&suite, 3, 4).await, Voices::Dependent);
    assert_eq!(are(&suite, 3, 5).await, Voices::Independent);
    // Whoever was two before stays two, with a grant that is new.
    assert_eq!(stay(&suite, 3, 4).await, Voices::Independent);
    // Later, one of the two makes a third one: that makes the two of them not two.
    suite.clock.advance(23 * DAY - Duration::from_secs(1));
    assert_eq!(are(&suite, 3, 4).await, Voices::Dependent);
    suite.clock.advance(Duration::from_secs(1));
    assert_eq!(are(&suite, 3, 4).await, Voices::Independent);
    makes(&suite, 3, 6).await;
    makes(&suite, 5, 7).await;
    suite.clock.advance(7 * DAY);
    // By two whom the same made long ago, who are new.
    makes(&suite, 4, 8).await;
    suite.clock.advance(7 * DAY);
    assert_eq!(are(&suite, 6, 8).await, Voices::Dependent);
    assert_eq!(are(&suite, 6, 4).await, Voices::Dependent);
    assert_eq!(are(&suite, 6, 7).await, Voices::Independent);
    suite.stop().await;
}

#[tokio::test]
async fn who_stands_behind_stands_there_when_the_grant_of_those_between_has_ended() {
    let suite = Suite::on_province().await;
    for n in [1, 2] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    let between = makes(&suite, 1, 3).await;
    makes(&suite, 3, 4).await;
    makes(&suite, 1, 5).await;
    suite.person(account(1)).revoke_grant(patiently(revokes(between))).await.unwrap();
    suite.clock.advance(8 * DAY);
    assert_eq!(are(&suite, 4, 5).await, Voices::Dependent);
    assert_eq!(are(&suite, 4, 1).await, Voices::Dependent);
    // Who lost the role has no voice.
    assert_eq!(are(&suite, 3, 2).await, Voices::None);
    assert_eq!(are(&suite, 2, 3).await, Voices::NoneOfOther);
    suite.stop().await;
}

#[tokio::test]
async fn who_invited_stands_behind_and_so_does_who_handed_over() {
    let suite = Suite::on_province().await;
    for n in [1, 2, 3, 9] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    // Invited by one, confirmed by another one.
    invited(&suite, (1, 2), 4, "A").await;
    // Handed over: the successor is one by him who has left.
    let mut leaving = suite.inviter(account(3));
    let made = invite(&mut leaving, invites("A", Role::Administrator)).await.unwrap();
    let accepted = accept(&mut suite.inviter(account(5)), &made.invitation_code).await.unwrap();
    let wanted = hands_over(&accepted);
    leaving.hand_over(patiently(wanted)).await.unwrap();
    suite.make(account(3), "A", TypedRole::Administrator).await;
    invited(&suite, (9, 3), 6, "A").await;
    suite.clock.advance(8 * DAY);
    for (one, other, expected) in [
        (4, 1, Voices::Dependent),
        (4, 2, Voices::Dependent),
        (4, 3, Voices::Independent),
        (5, 3, Voices::Dependent),
        (5, 6, Voices::Dependent),
        (5, 4, Voices::Independent),
        (4, 6, Voices::Independent),
    ] {
        assert_eq!(are(&suite, one, other).await, expected, "{one} {other}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn each_right_takes_a_grant_of_their_own_with_the_permission() {
    let suite = Suite::on_province().await;
    let held = suite.make(account(1), "A", TypedRole::Administrator).await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    suite.make(account(4), "A", TypedRole::Auditor).await;
    delegated(&suite, 1, 5, delegates(&suite, held, "A")).await;
    for n in [3, 4, 5, 6] {
        assert_eq!(are(&suite, n, 0).await, Voices::None, "{n}");
        assert_eq!(are(&suite, 2, n).await, Voices::NoneOfOther, "{n}");
    }
    // By the operator at one of the two, and by the other one at the other.
    let wanted = gives(account(3), "A-2", Role::Manager);
    give(&mut suite.person(account(2)), wanted).await.unwrap();
    suite.clock.advance(40 * DAY);
    assert_eq!(are(&suite, 3, 0).await, Voices::Independent);
    assert_eq!(are(&suite, 3, 2).await, Voices::Dependent);
    assert_eq!(are(&suite, 3, 1).await, Voices::Independent);
    // Beside that by a second one at the same place.
    let wanted = gives(account(3), "A-2", Role::Administrator);
    give(&mut suite.person(account(1)), wanted).await.unwrap();
    suite.clock.advance(7 * DAY);
    assert_eq!(are(&suite, 3, 2).await, Voices::Independent);
    // Of an organization that there is not, nobody has a right.
    let nowhere = [right("A-X", Permission::Review)];
    assert_eq!(ask(&suite, asks(1, 2, &nowhere)).await.unwrap(), Voices::None);
    suite.stop().await;
}

/// Nobody gets behind what was given before, by giving a role to who gave it.
#[tokio::test]
async fn who_gives_a_role_to_who_has_others_already_stands_behind_none_of_these() {
    let suite = Suite::on_province().await;
    for n in [1, 2] {
        suite.make(account(n), "A", TypedRole::Administrator).await;
    }
    makes(&suite, 1, 3).await;
    makes(&suite, 2, 4).await;
    suite.clock.advance(7 * DAY);
    assert_eq!(are(&suite, 3, 4).await, Voices::Independent);
    suite.make(account(5), "A-1", TypedRole::Administrator).await;
    for n in [1, 2] {
        for role in [Role::Administrator, Role::Viewer] {
            let wanted = gives(account(n), "A-1", role);
            give(&mut suite.person(account(5)), wanted).await.unwrap();
        }
    }
    assert_eq!(are(&suite, 3, 4).await, Voices::Independent);
    suite.stop().await;
}

#[tokio::test]
async fn services_of_the_suite_alone_ask_and_ask_something() {
    let suite = Suite::on_province().await;
    let rights = [right("A", Permission::Review)];
    let channel = suite.channel("platform", &suite.service);
    let mut client = AuthorityServiceClient::new(channel);
    let status = client.check_voices(asks(1, 2, &rights)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = suite.person(account(1)).check_voices(asks(1, 2, &rights)).await.unwrap_err();
    assert_refused(&status, Code::Unauthenticated, "UNAUTHENTICATED");
    let good = || asks(1, 2, &rights);
    for (request, field, reason) in [
        (CheckVoicesRequest { account_id: "x".into(), ..good() }, "account_id", "ID_FORMAT"),
        (
            CheckVoicesRequest { other_account_id: "x".into(), ..good() },
            "other_account_id",
            "ID_FORMAT",
        ),
        (CheckVoicesRequest { rights: vec![], ..good() }, "rights", "RIGHTS_COUNT"),
        (
            CheckVoicesRequest { rights: vec![rights[0].clone(); 501], ..good() },
            "rights",
            "RIGHTS_COUNT",
        ),
        (
            asks(1, 2, &[right("a_", Permission::Review)]),
            "rights[0].organization_code",
            "ORGANIZATION_CODE_CHARACTERS",
        ),
        (
            asks(1, 2, &[rights[0].clone(), right("A", Permission::Unspecified)]),
            "rights[1].permission",
            "PERMISSION_UNKNOWN",
        ),
    ] {
        assert_field(&ask(&suite, request).await.unwrap_err(), field, reason);
    }
    suite.stop().await;
}
