//! Closing, merging, and changes that take two people.

use std::time::Duration;

use tonic::{Code, Request, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ApproveProposalRequest, ChangeKind, CloseOrganizationRequest, ListProposalsRequest,
    Organization, OrganizationState, Permission, Proposal, ProposeChangeRequest, Role, Verdict,
    WithdrawProposalRequest,
};
use zhiyuan_orgtree::Role as TypedRole;

use super::{Admin, admin, administrator, create, creates, get, moves, recorded, relocate};
use crate::authority::figures::states;
use crate::authority::{LONG, Suite, account, gives, refusal};
use crate::dated::{come, now};
use crate::harness::{assert_field, assert_refused};

pub(super) fn closes(organization: &Organization) -> CloseOrganizationRequest {
    CloseOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        code: organization.code.clone(),
        etag: organization.etag.clone(),
    }
}

pub(crate) fn proposes(
    organization: &Organization,
    kind: ChangeKind,
    target: &str,
) -> ProposeChangeRequest {
    ProposeChangeRequest {
        request_id: Uuid::new_v4().to_string(),
        kind: kind.into(),
        code: organization.code.clone(),
        etag: organization.etag.clone(),
        target_code: target.to_owned(),
        purpose: "区划调整".to_owned(),
    }
}

pub(super) async fn close(
    admin: &mut Admin,
    request: CloseOrganizationRequest,
) -> Result<Organization, Status> {
    Ok(admin.close_organization(request).await?.into_inner().organization.unwrap())
}

pub(crate) async fn propose(
    admin: &mut Admin,
    request: ProposeChangeRequest,
) -> Result<Proposal, Status> {
    Ok(admin.propose_change(request).await?.into_inner().proposal.unwrap())
}

pub(crate) fn approves(proposal: &Proposal) -> ApproveProposalRequest {
    let (request_id, proposal_id) = (Uuid::new_v4().to_string(), proposal.id.clone());
    ApproveProposalRequest { request_id, proposal_id }
}

pub(crate) async fn approve(
    admin: &mut Admin,
    request: ApproveProposalRequest,
) -> Result<Organization, Status> {
    let mut request = Request::new(request);
    request.set_timeout(LONG);
    Ok(admin.approve_proposal(request).await?.into_inner().organization.unwrap())
}

pub(super) async fn withdraw(admin: &mut Admin, proposal: &Proposal) -> Result<(), Status> {
    let (request_id, proposal_id) = (Uuid::new_v4().to_string(), proposal.id.clone());
    let request = WithdrawProposalRequest { request_id, proposal_id };
    admin.withdraw_proposal(request).await.map(drop)
}

pub(super) async fn waiting(admin: &mut Admin, below: &str) -> Result<Vec<String>, Status> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let organization_code = below.to_owned();
        let request = ListProposalsRequest { organization_code, page_size: 1, page_token };
        let page = admin.list_proposals(request).await?.into_inner();
        ids.extend(page.proposals.into_iter().map(|proposal| proposal.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(ids);
        }
    }
}

#[tokio::test]
async fn org_tree_05_an_organization_that_somebody_is_at_is_not_closed() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    // Something open is below.
    let status = close(&mut admin, closes(&get(&suite, "A-2").await)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_NOT_EMPTY");
    // Somebody is there, folded or not; or at a closed one below.
    for code in ["A-2-1", "A-1-9"] {
        come(&mut pool.acquire().await.unwrap(), code, 1).await;
    }
    for code in ["A-2-1", "A-1-1"] {
        for _ in 0..2 {
            let wanted = closes(&get(&suite, code).await);
            let status = close(&mut admin, wanted).await.unwrap_err();
            assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_NOT_EMPTY");
            let wanted = proposes(&get(&suite, code).await, ChangeKind::Close, "");
            let status = propose(&mut admin, wanted).await.unwrap_err();
            assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_NOT_EMPTY");
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
    }
    suite.stop().await;
}

#[tokio::test]
async fn an_empty_organization_is_closed_by_one_and_its_code_and_place_stay_its_own() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    create(&mut admin, creates("A-1-2", "A-1", "新镇")).await.unwrap();
    // Not by who administers it alone.
    let mut own = administrator(&suite, 2, "A-1-2").await;
    let open = get(&suite, "A-1-2").await;
    let status = close(&mut own, closes(&open)).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let stale = Organization { etag: "9".into(), ..open.clone() };
    let status = close(&mut admin, closes(&stale)).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    let wanted = closes(&open);
    let before = now(&pool).await;
    let closed = close(&mut admin, wanted.clone()).await.unwrap();
    assert_eq!((closed.state(), closed.etag.as_str()), (OrganizationState::Closed, "2"));
    assert_eq!((closed.parent_code.as_str(), closed.successor_code.as_str()), ("A-1", ""));
    assert_eq!(close(&mut admin, wanted).await.unwrap(), closed);
    let status = close(&mut admin, closes(&closed)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let status = create(&mut admin, creates("A-1-2", "A-1", "另镇")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CODE_TAKEN");
    // Its name is free again.
    create(&mut admin, creates("A-1-3", "A-1", "新镇")).await.unwrap();
    let request = zhiyuan_contracts::orgtree::v1::GetOrganizationRequest {
        code: "A-1-2".into(),
        as_of_time: Some(zhiyuan_rpc::wire::timestamp(before)),
    };
    let was = suite.service.organizations().get_organization(request).await.unwrap();
    assert_eq!(was.into_inner().organization.unwrap().state(), OrganizationState::Active);
    assert_refused(
        &close(&mut admin, closes(&Organization { code: "A-X".into(), ..closed }))
            .await
            .unwrap_err(),
        Code::NotFound,
        "ORGANIZATION_NOT_FOUND",
    );
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_17_merged_organizations_count_nobody_twice_and_it_takes_two() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut one = administrator(&suite, 1, "A").await;
    let mut other = administrator(&suite, 2, "A").await;
    suite.make(account(3), "A-2", TypedRole::Manager).await;
    for (code, count) in [("A-1-1", 3), ("A-2-1", 4)] {
        come(&mut pool.acquire().await.unwrap(), code, count).await;
    }
    // What it has stated is over with the merge: the successor counts them by now.
    suite.figures(account(1)).state_members(states("A-2-1", 40)).await.unwrap();
    create(&mut one, creates("A-2-1-1", "A-2-1", "新村")).await.unwrap();
    let merged = get(&suite, "A-2-1").await;
    let wanted = proposes(&merged, ChangeKind::Close, "A-1-1");
    let proposal = propose(&mut one, wanted.clone()).await.unwrap();
    assert_eq!(propose(&mut one, wanted.clone()).await.unwrap(), proposal);
    let reused = ProposeChangeRequest { purpose: "另一项".into(), ..wanted };
    let status = propose(&mut one, reused).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(get(&suite, "A-2-1").await, merged, "nothing changes by a proposal");
    // Not by the same person.
    let status = approve(&mut one, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "ANOTHER_PERSON_REQUIRED");

    let wanted = approves(&proposal);
    let done = approve(&mut other, wanted.clone()).await.unwrap();
    assert_eq!((done.state(), done.successor_code.as_str()), (OrganizationState::Closed, "A-1-1"));
    assert_eq!((done.parent_code.as_str(), done.etag.as_str()), ("A-1-1", "2"));
    assert_eq!(approve(&mut other, wanted).await.unwrap(), done);
    // What lies below it comes along, and who administered from above has lost it.
    assert_eq!(get(&suite, "A-2-1-1").await.ancestor_names, ["省", "市一", "镇一一", "镇二一"]);
    let verdict = suite.verdict(account(3), "A-2-1", Permission::Review).await;
    assert_eq!(verdict, Verdict::OutOfScope);
    let folded = async {
        let sql = "SELECT EXISTS (SELECT FROM orgtree.count_delta WHERE folded_at IS NULL)";
        while sqlx::query_scalar::<_, bool>(sql).fetch_one(&pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), folded).await.unwrap();
    for (code, own, subtree) in [("A", 0, 7), ("A-1-1", 3, 7), ("A-2-1", 4, 4), ("A-2", 0, 0)] {
        let sql = "SELECT own_volunteers, subtree_volunteers FROM orgtree.organization_count
                   WHERE organization_code = $1";
        let kept: Option<(i64, i64)> =
            sqlx::query_as(sql).bind(code).fetch_optional(&pool).await.unwrap();
        assert_eq!(kept.unwrap_or_default(), (own, subtree), "{code}");
    }
    let stated: i64 = sqlx::query_scalar(
        "SELECT sum(subtree_stated_members)::bigint FROM orgtree.organization_count",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(stated, 0);
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    let status = approve(&mut other, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "PROPOSAL_ENDED");
    let recorded = recorded(&pool).await;
    for expected in [
        ("orgtree.change.approved", "REFUSED"),
        ("orgtree.change.proposed", "DONE"),
        ("orgtree.organization.merged", "DONE"),
    ] {
        let is = |(act, code, outcome): &(String, String, String)| {
            (act.as_str(), outcome.as_str()) == expected && code == "A-2-1"
        };
        assert!(recorded.iter().any(is), "{expected:?} of {recorded:?}");
    }
    suite.stop().await;
}

#[tokio::test]
async fn a_merge_into_what_lies_below_or_is_closed_or_too_deep_is_not_proposed() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let city = get(&suite, "A-1").await;
    for (target, code, reason) in [
        ("A-1-1", Code::FailedPrecondition, "ORGANIZATION_CYCLE"),
        ("A-1", Code::FailedPrecondition, "ORGANIZATION_CYCLE"),
        ("A-1-9", Code::FailedPrecondition, "ORGANIZATION_CLOSED"),
        ("A-X", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
    ] {
        let status = propose(&mut admin, proposes(&city, ChangeKind::Close, target)).await;
        assert_refused(&status.unwrap_err(), code, reason);
    }
    let mut above = "A-2".to_owned();
    for level in 3..=12 {
        let code = format!("A-D{level}");
        create(&mut admin, creates(&code, &above, &format!("第{level}级"))).await.unwrap();
        above = code;
    }
    let status = propose(&mut admin, proposes(&city, ChangeKind::Close, "A-D11")).await;
    assert_field(&status.unwrap_err(), "target_code", "PARENT_TOO_DEEP");
    let status = propose(&mut admin, proposes(&city, ChangeKind::Move, "A-D11")).await;
    assert_field(&status.unwrap_err(), "target_code", "PARENT_TOO_DEEP");
    let status = propose(&mut admin, proposes(&city, ChangeKind::Move, "A")).await;
    assert_field(&status.unwrap_err(), "target_code", "PARENT_UNCHANGED");
    for (request, field, reason) in [
        (proposes(&city, ChangeKind::Unspecified, "A-2"), "kind", "KIND_UNKNOWN"),
        (proposes(&city, ChangeKind::Move, ""), "target_code", "ORGANIZATION_CODE_LENGTH"),
        (
            ProposeChangeRequest {
                purpose: String::new(),
                ..proposes(&city, ChangeKind::Move, "A-2")
            },
            "purpose",
            "REMARK_EMPTY",
        ),
    ] {
        assert_field(&propose(&mut admin, request).await.unwrap_err(), field, reason);
    }
    let mut own = administrator(&suite, 2, "A-1").await;
    let status = propose(&mut own, proposes(&city, ChangeKind::Close, "A-2")).await;
    assert_refused(&status.unwrap_err(), Code::PermissionDenied, "PERMISSION_MISSING");
    suite.stop().await;
}

#[tokio::test]
async fn two_are_two_only_if_neither_is_one_by_the_other() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut first = administrator(&suite, 1, "A").await;
    come(&mut pool.acquire().await.unwrap(), "A-2-1", 1_000).await;
    let mut granting = suite.person(account(1));
    let role = Role::Administrator;
    granting.create_grant(gives(account(2), "A", role)).await.unwrap();
    let city = get(&suite, "A-2").await;
    let status = relocate(&mut first, moves(&city, "A-1")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_PERSON_REQUIRED");
    let mut second = admin(&suite, 2);
    let another = (Code::PermissionDenied, "ANOTHER_PERSON_REQUIRED".to_owned());
    // The second is one by the first, whichever of them proposes.
    let proposal = propose(&mut first, proposes(&city, ChangeKind::Move, "A-1")).await.unwrap();
    let status = approve(&mut second, approves(&proposal)).await.unwrap_err();
    assert_eq!(refusal(&status), another);
    suite.clock.advance(Duration::from_secs(1));
    let reverse = propose(&mut second, proposes(&city, ChangeKind::Move, "A-1")).await.unwrap();
    let status = approve(&mut first, approves(&reverse)).await.unwrap_err();
    assert_eq!(refusal(&status), another);
    // One who was made an administrator since the proposal, by a third one.
    suite.make(account(3), "A", TypedRole::Administrator).await;
    suite.clock.advance(Duration::from_secs(1));
    suite.person(account(3)).create_grant(gives(account(4), "A", role)).await.unwrap();
    let mut fourth = admin(&suite, 4);
    let status = approve(&mut fourth, approves(&proposal)).await.unwrap_err();
    assert_eq!(refusal(&status), another);
    // Who may not, and who is not there.
    suite.make(account(5), "A", TypedRole::Manager).await;
    let status = approve(&mut admin(&suite, 5), approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let mut beside = administrator(&suite, 6, "A-1").await;
    let status = approve(&mut beside, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "PROPOSAL_NOT_FOUND");
    let status = withdraw(&mut beside, &proposal).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "PROPOSAL_NOT_FOUND");
    let nothing = Proposal { id: Uuid::new_v4().to_string(), ..proposal.clone() };
    let status = approve(&mut first, approves(&nothing)).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "PROPOSAL_NOT_FOUND");

    // The third one is of the operator, as the first is.
    let mut third = admin(&suite, 3);
    assert_eq!(waiting(&mut third, "").await.unwrap(), [&*proposal.id, &*reverse.id]);
    assert_eq!(waiting(&mut third, "A-2").await.unwrap(), [&*proposal.id, &*reverse.id]);
    assert!(waiting(&mut third, "A-1").await.unwrap().is_empty());
    assert!(waiting(&mut beside, "").await.unwrap().is_empty());
    let status = waiting(&mut beside, "A-2").await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let status = waiting(&mut admin(&suite, 5), "A-2").await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    let moved = approve(&mut third, approves(&proposal)).await.unwrap();
    assert_eq!((moved.parent_code.as_str(), moved.etag.as_str()), ("A-1", "2"));
    // The other one was made on what was before.
    let status = approve(&mut third, approves(&reverse)).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}

#[tokio::test]
async fn a_proposal_ends_when_it_is_withdrawn_when_its_time_is_over_or_its_maker_may_not() {
    let suite = Suite::on_province().await;
    let mut first = administrator(&suite, 1, "A").await;
    let mut second = administrator(&suite, 2, "A").await;
    let city = get(&suite, "A-2").await;
    let proposed = || proposes(&city, ChangeKind::Close, "A-1");
    let ended = (Code::FailedPrecondition, "PROPOSAL_ENDED".to_owned());
    let own = propose(&mut first, proposed()).await.unwrap();
    withdraw(&mut first, &own).await.unwrap();
    let others = propose(&mut first, proposed()).await.unwrap();
    withdraw(&mut second, &others).await.unwrap();
    for withdrawn in [&own, &others] {
        let status = approve(&mut second, approves(withdrawn)).await.unwrap_err();
        assert_eq!(refusal(&status), ended);
        assert_eq!(refusal(&withdraw(&mut first, withdrawn).await.unwrap_err()), ended);
    }
    // Who proposed it is no administrator any more.
    suite.make(account(3), "A", TypedRole::Administrator).await;
    let mut third = admin(&suite, 3);
    let orphan = propose(&mut third, proposed()).await.unwrap();
    let pool = suite.database.pool().await;
    sqlx::query("UPDATE orgtree.authority_grant SET revoked_at = now() WHERE account_id = $1")
        .bind(account(3))
        .execute(&pool)
        .await
        .unwrap();
    let status = approve(&mut second, approves(&orphan)).await.unwrap_err();
    assert_eq!(refusal(&status), ended);
    // Seven days later.
    let late = propose(&mut first, proposed()).await.unwrap();
    suite.clock.advance(Duration::from_secs(7 * 86_400));
    let (mut first, mut second) = (admin(&suite, 1), admin(&suite, 2));
    assert_eq!(refusal(&approve(&mut second, approves(&late)).await.unwrap_err()), ended);
    assert_eq!(refusal(&withdraw(&mut first, &late).await.unwrap_err()), ended);
    assert!(waiting(&mut first, "").await.unwrap().is_empty());
    for change in [
        "UPDATE orgtree.proposal SET state = 1, decided_by = NULL, decided_at = NULL",
        "UPDATE orgtree.proposal SET purpose = '改' WHERE state = 1",
        "DELETE FROM orgtree.proposal",
    ] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{change}");
    }
    let status = first
        .approve_proposal(ApproveProposalRequest {
            request_id: Uuid::new_v4().to_string(),
            proposal_id: "x".into(),
        })
        .await
        .unwrap_err();
    assert_field(&status, "proposal_id", "ID_FORMAT");
    suite.stop().await;
}
