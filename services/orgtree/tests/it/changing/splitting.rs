//! Splitting an organization into several.

use std::time::Duration;

use sqlx::PgPool;
use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ChangeKind, GetOrganizationRequest, ListOrganizationsRequest, ListProposalsRequest,
    Organization, OrganizationContacts, OrganizationDetails, OrganizationKind, OrganizationPart,
    OrganizationState, Permission, Proposal, ProposeSplitRequest, Role, Verdict,
};
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::wire::timestamp;

use super::proposals::{approve, approves, close, closes, proposes, withdraw};
use super::{
    Admin, administrator, create, creates, details, get, moves, recorded, relocate, told, update,
    updates,
};
use crate::authority::{Suite, account, gives, refusal};
use crate::dated::{come, cut, figures, now};
use crate::harness::{assert_field, assert_refused};
use crate::organizations::{below, codes, walk};

/// A part that takes these along.
pub(super) fn part(code: &str, name: &str, child_codes: &[&str]) -> OrganizationPart {
    OrganizationPart {
        code: code.to_owned(),
        kind: OrganizationKind::Municipal.into(),
        details: Some(details(name)),
        child_codes: child_codes.iter().map(|code| (*code).to_owned()).collect(),
    }
}

fn splits(organization: &Organization, parts: &[OrganizationPart]) -> ProposeSplitRequest {
    ProposeSplitRequest {
        request_id: Uuid::new_v4().to_string(),
        code: organization.code.clone(),
        etag: organization.etag.clone(),
        parts: parts.to_vec(),
        purpose: "区划调整".to_owned(),
    }
}

async fn propose(admin: &mut Admin, request: ProposeSplitRequest) -> Result<Proposal, Status> {
    Ok(admin.propose_split(request).await?.into_inner().proposal.unwrap())
}

/// City one with three townships more, one of which has a village.
async fn with_townships(admin: &mut Admin) {
    for (code, above, name) in [
        ("A-1-2", "A-1", "镇一二"),
        ("A-1-3", "A-1", "镇一三"),
        ("A-1-3-1", "A-1-3", "村一三一"),
        ("A-1-4", "A-1", "镇一四"),
    ] {
        create(admin, creates(code, above, name)).await.unwrap();
    }
}

/// The volunteers who are kept of an organization: its own, and those of the subtree.
async fn kept(pool: &PgPool, code: &str) -> (i64, i64) {
    let sql = "SELECT own_volunteers, subtree_volunteers FROM orgtree.organization_count
               WHERE organization_code = $1";
    let kept: Option<(i64, i64)> =
        sqlx::query_as(sql).bind(code).fetch_optional(pool).await.unwrap();
    kept.unwrap_or_default()
}

async fn folded(pool: &PgPool) {
    let folded = async {
        let sql = "SELECT EXISTS (SELECT FROM orgtree.count_delta WHERE folded_at IS NULL)";
        while sqlx::query_scalar::<_, bool>(sql).fetch_one(pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), folded).await.unwrap();
}

/// What the database still has of whom to ask at parts.
async fn reached(pool: &PgPool) -> String {
    let sql = "SELECT coalesce(string_agg(contact_phone || contact_group_number || contact_note,
                   '|' ORDER BY code), '') FROM orgtree.proposal_part";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_split_makes_parts_beside_it_with_what_goes_along_and_it_takes_two() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut one = administrator(&suite, 1, "A").await;
    let mut other = administrator(&suite, 2, "A").await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    with_townships(&mut one).await;
    for (code, count) in [("A-1", 2), ("A-1-1", 3), ("A-1-3", 4), ("A-1-3-1", 5), ("A-1-4", 6)] {
        come(&mut pool.acquire().await.unwrap(), code, count).await;
    }
    let split = get(&suite, "A-1").await;
    let contacts = OrganizationContacts { phone: "0551-12345".into(), ..Default::default() };
    let mut named = part("a-3", " 新 市三", &["A-1-3", "A-1-1"]);
    named.details = Some(OrganizationDetails {
        contacts: Some(contacts.clone()),
        ..named.details.clone().unwrap()
    });
    let wanted = splits(&split, &[named, part("A-4", "新市四", &[])]);
    let proposal = propose(&mut one, wanted.clone()).await.unwrap();
    assert_eq!((proposal.kind(), proposal.target_code.as_str()), (ChangeKind::Split, ""));
    assert_eq!(proposal.parts.len(), 2);
    assert_eq!(proposal.parts[0].code, "A-3");
    assert_eq!(proposal.parts[0].details.as_ref().unwrap().name, "新 市三");
    assert_eq!(proposal.parts[0].child_codes, ["A-1-1", "A-1-3"]);
    assert_eq!(propose(&mut one, wanted.clone()).await.unwrap(), proposal);
    // Named in another order it is the same call, and with another part it is none.
    let mut turned = wanted.clone();
    turned.parts[0].child_codes.reverse();
    assert_eq!(propose(&mut one, turned).await.unwrap(), proposal);
    let other_parts = ProposeSplitRequest { parts: wanted.parts[..1].to_vec(), ..wanted };
    let status = propose(&mut one, other_parts).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(get(&suite, "A-1").await, split, "nothing changes by a proposal");
    // Who decides sees what is to be.
    let request = ListProposalsRequest::default();
    let listed = other.list_proposals(request).await.unwrap().into_inner().proposals;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0], proposal);
    let status = approve(&mut one, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "ANOTHER_PERSON_REQUIRED");
    assert_eq!(reached(&pool).await, "0551-12345|");

    let allowed = async |code| suite.verdict(account(3), code, Permission::Review).await;
    assert_eq!(allowed("A-1-3-1").await, Verdict::Allowed);
    let before = now(&pool).await;
    let wanted = approves(&proposal);
    let done = approve(&mut other, wanted.clone()).await.unwrap();
    assert_eq!((done.code.as_str(), done.state()), ("A-1", OrganizationState::Active));
    assert_eq!((done.parent_code.as_str(), done.etag.as_str()), ("A", "2"));
    assert_eq!(approve(&mut other, wanted).await.unwrap(), done);

    let made = get(&suite, "A-3").await;
    assert_eq!((made.name.as_str(), made.kind()), ("新 市三", OrganizationKind::Municipal));
    assert_eq!((made.contacts.as_ref(), made.leaf), (Some(&contacts), false));
    assert_eq!((made.ancestor_names, made.etag.as_str()), (vec!["省".to_owned()], "1"));
    assert!(get(&suite, "A-4").await.leaf);
    assert_eq!(codes(&walk(&suite.service, &below("A")).await), ["A-1", "A-2", "A-3", "A-4"]);
    assert_eq!(codes(&walk(&suite.service, &below("A-1")).await), ["A-1-2", "A-1-4"]);
    assert_eq!(codes(&walk(&suite.service, &below("A-3")).await), ["A-1-1", "A-1-3"]);
    assert_eq!(get(&suite, "A-1-3-1").await.ancestor_names, ["省", "新 市三", "镇一三"]);
    // Closed ones below one that goes along go with it.
    assert_eq!(get(&suite, "A-1-9").await.ancestor_names, ["省", "新 市三", "镇一一"]);
    // Who administered what was split administers what stays, and no part of it.
    for (code, verdict) in [
        ("A-1", Verdict::Allowed),
        ("A-1-4", Verdict::Allowed),
        ("A-1-3-1", Verdict::OutOfScope),
        ("A-3", Verdict::OutOfScope),
        ("A-4", Verdict::OutOfScope),
    ] {
        assert_eq!(allowed(code).await, verdict, "{code}");
    }
    let verdict = suite.verdict(account(1), "A-4", Permission::Grant).await;
    assert_eq!(verdict, Verdict::Allowed);
    suite.person(account(1)).create_grant(gives(account(4), "A-4", Role::Manager)).await.unwrap();

    folded(&pool).await;
    for (code, expected) in [
        ("A", (0, 20)),
        ("A-1", (2, 8)),
        ("A-1-4", (6, 6)),
        ("A-3", (0, 12)),
        ("A-1-3", (4, 9)),
        ("A-4", (0, 0)),
    ] {
        assert_eq!(kept(&pool, code).await, expected, "{code}");
    }
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    // The tree of before, as it was.
    let as_of_time = Some(timestamp(before));
    let request = ListOrganizationsRequest { as_of_time, ..below("A-1") };
    let was = walk(&suite.service, &request).await;
    assert_eq!(codes(&was), ["A-1-1", "A-1-2", "A-1-3", "A-1-4"]);
    let request = GetOrganizationRequest { code: "A-3".into(), as_of_time };
    let status = suite.service.organizations().get_organization(request).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");

    // Each is told once, with its next revision, and recorded.
    for (code, revisions) in [
        ("A-1", &[1, 2][..]),
        ("A-3", &[1]),
        ("A-4", &[1]),
        ("A-1-1", &[1, 2]),
        ("A-1-3", &[1, 2]),
        ("A-1-3-1", &[1]),
        ("A-1-4", &[1]),
        ("A", &[1]),
    ] {
        assert_eq!(told(&pool, code).await, revisions, "{code}");
    }
    let recorded = recorded(&pool).await;
    for (act, code) in [
        ("orgtree.change.proposed", "A-1"),
        ("orgtree.organization.split", "A-1"),
        ("orgtree.organization.created", "A-3"),
        ("orgtree.organization.created", "A-4"),
        ("orgtree.organization.moved", "A-1-1"),
        ("orgtree.organization.moved", "A-1-3"),
    ] {
        let is = |(what, of, outcome): &&(String, String, String)| {
            (what.as_str(), of.as_str(), outcome.as_str()) == (act, code, "DONE")
        };
        assert_eq!(recorded.iter().filter(is).count(), 1, "{act} {code} of {recorded:?}");
    }
    let both: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT detail_keys, detail_values FROM orgtree.audit_pending
             UNION ALL SELECT detail_keys, detail_values FROM orgtree.audit_entry) a
         WHERE detail_values[array_position(detail_keys, 'proposal')] = $1
           AND detail_values[array_position(detail_keys, 'proposed_by')] = $2",
    )
    .bind(&proposal.id)
    .bind(account(1).to_string())
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(both, 5);
    let status = approve(&mut other, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "PROPOSAL_ENDED");
    assert_eq!(reached(&pool).await, "|", "the organization has it by now");
    suite.stop().await;
}

#[tokio::test]
async fn figures_as_of_a_midnight_stay_what_they_were_when_an_organization_is_split() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut one = administrator(&suite, 1, "A").await;
    let mut other = administrator(&suite, 2, "A").await;
    with_townships(&mut one).await;
    let mut connection = pool.acquire().await.unwrap();
    for (code, count) in [("A-1", 1), ("A-1-1", 3), ("A-1-3-1", 4)] {
        come(&mut connection, code, count).await;
    }
    let first = cut(&pool).await;
    come(&mut connection, "A-1-3-1", 10).await;
    let parts = [part("A-3", "市三", &["A-1-3"]), part("A-4", "市四", &["A-1-1"])];
    let proposal = propose(&mut one, splits(&get(&suite, "A-1").await, &parts)).await.unwrap();
    approve(&mut other, approves(&proposal)).await.unwrap();
    come(&mut connection, "A-1-3-1", 100).await;
    let second = cut(&pool).await;
    come(&mut connection, "A-1-3", 1_000).await;
    for _ in 0..20 {
        for (code, at, expected) in [
            ("A", first, (0, 8)),
            ("A-1", first, (1, 8)),
            ("A-1-3", first, (0, 4)),
            ("A", second, (0, 118)),
            ("A-1", second, (1, 1)),
            ("A-3", second, (0, 114)),
            ("A-4", second, (0, 3)),
        ] {
            assert_eq!(figures(&suite, code, at).await.unwrap(), expected, "{code} {at}");
        }
    }
    let status = figures(&suite, "A-3", first).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}

/// As many as there are, wherever they are, while the tree changes under them.
#[tokio::test]
async fn nobody_is_lost_who_registers_while_an_organization_is_split() {
    const COME: usize = 60;
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut one = administrator(&suite, 1, "A").await;
    let mut other = administrator(&suite, 2, "A").await;
    with_townships(&mut one).await;
    let mut coming = tokio::task::JoinSet::new();
    // To what goes along, to what stays, and to what will only be.
    for code in ["A-1-1", "A-1-3-1", "A-1-4", "A-1", "A-3"] {
        let pool = pool.clone();
        coming.spawn(async move {
            for _ in 0..COME {
                come(&mut pool.acquire().await.unwrap(), code, 1).await;
            }
        });
    }
    let parts = [part("A-3", "市三", &["A-1-3"]), part("A-4", "市四", &["A-1-1"])];
    let proposal = propose(&mut one, splits(&get(&suite, "A-1").await, &parts)).await.unwrap();
    approve(&mut other, approves(&proposal)).await.unwrap();
    while let Some(came) = coming.join_next().await {
        came.unwrap();
    }
    folded(&pool).await;
    let come = i64::try_from(COME).unwrap();
    for (code, expected) in [
        ("A", (0, 5 * come)),
        ("A-1", (come, 2 * come)),
        ("A-3", (come, 2 * come)),
        ("A-4", (0, come)),
    ] {
        assert_eq!(kept(&pool, code).await, expected, "{code}");
    }
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}

#[tokio::test]
async fn who_splits_manages_the_organization_and_the_one_above_it() {
    let suite = Suite::on_province().await;
    let wanted = async |code| splits(&get(&suite, code).await, &[part("A-3", "市三", &[])]);
    let mut own = administrator(&suite, 1, "A-1").await;
    let status = propose(&mut own, wanted("A-1").await).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    propose(&mut own, wanted("A-1-1").await).await.unwrap();
    let status = propose(&mut own, wanted("A-2").await).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    // Above the root nobody administers anything.
    let mut root = administrator(&suite, 2, "A").await;
    let status = propose(&mut root, wanted("A").await).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    suite.make(account(3), "A", TypedRole::Manager).await;
    let status = propose(&mut super::admin(&suite, 3), wanted("A-1").await).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    // Who approves has to as well.
    let proposal = propose(&mut root, wanted("A-1").await).await.unwrap();
    let status = approve(&mut own, approves(&proposal)).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    suite.stop().await;
}

#[tokio::test]
async fn what_a_split_says_is_refused_all_at_once_and_each_for_its_reason() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let city = get(&suite, "A-1").await;
    let good = || part("A-3", "市三", &["A-1-1"]);
    let many = |count| (0..count).map(|n| part(&format!("A-P{n}"), &format!("市{n}"), &[]));
    let going: Vec<String> = (0..201).map(|n| format!("A-1-{n}")).collect();
    let going: Vec<&str> = going.iter().map(String::as_str).collect();
    let credited = |code: &str, name: &str| {
        let credit_code = "51340000MJ0000034F".to_owned();
        let details = Some(OrganizationDetails { credit_code, ..details(name) });
        OrganizationPart { details, ..part(code, name, &[]) }
    };
    for (parts, field, reason) in [
        (vec![], "parts", "PARTS_COUNT"),
        (many(21).collect(), "parts", "PARTS_COUNT"),
        (vec![part("A-3", "市三", &going)], "parts", "CHILDREN_TOO_MANY"),
        (vec![good(), part("A_4", "市四", &[])], "parts[1].code", "ORGANIZATION_CODE_CHARACTERS"),
        (vec![part("A-3", "", &[])], "parts[0].details.name", "ORGANIZATION_NAME_LENGTH"),
        (vec![OrganizationPart { kind: 0, ..good() }], "parts[0].kind", "KIND_UNKNOWN"),
        (
            vec![part("A-3", "市三", &["A-1-1", "x_"])],
            "parts[0].child_codes[1]",
            "ORGANIZATION_CODE_CHARACTERS",
        ),
        (vec![good(), part("a-3", "市四", &[])], "parts[1].code", "PART_CODE_TWICE"),
        (vec![good(), part("A-4", "市 三", &[])], "parts[1].details.name", "PART_NAME_TWICE"),
        (
            vec![credited("A-3", "市三"), credited("A-4", "市四")],
            "parts[1].details.credit_code",
            "PART_CREDIT_CODE_TWICE",
        ),
        (vec![good(), part("A-4", "市四", &["A-1-1"])], "parts[1].child_codes", "CHILD_TWICE"),
        (vec![part("A-3", "市三", &["A-1-1", "A-1-1"])], "parts[0].child_codes", "CHILD_TWICE"),
    ] {
        let status = propose(&mut admin, splits(&city, &parts)).await.unwrap_err();
        assert_field(&status, field, reason);
    }
    let stale = Organization { etag: "x".into(), ..city.clone() };
    assert_field(
        &propose(&mut admin, splits(&stale, &[good()])).await.unwrap_err(),
        "etag",
        "ETAG_INVALID",
    );
    let silent = ProposeSplitRequest { purpose: String::new(), ..splits(&city, &[good()]) };
    assert_field(&propose(&mut admin, silent).await.unwrap_err(), "purpose", "REMARK_EMPTY");
    // A split is not proposed as a change of another kind.
    let other = proposes(&city, ChangeKind::Split, "A-2");
    let status = super::proposals::propose(&mut admin, other).await.unwrap_err();
    assert_field(&status, "kind", "KIND_UNKNOWN");
    // Twenty are not too many.
    let twenty: Vec<OrganizationPart> = many(20).collect();
    propose(&mut admin, splits(&city, &twenty)).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn what_the_tree_does_not_take_is_neither_proposed_nor_done() {
    let suite = Suite::on_province().await;
    let mut one = administrator(&suite, 1, "A").await;
    let mut other = administrator(&suite, 2, "A").await;
    with_townships(&mut one).await;
    let city = get(&suite, "A-1").await;
    let not_below = (Code::FailedPrecondition, "NOT_RIGHT_BELOW");
    let named = OrganizationDetails { region_code: "349999".into(), ..details("市三") };
    let elsewhere = OrganizationPart { details: Some(named), ..part("A-3", "市三", &["A-1-1"]) };
    for (wanted, (code, reason)) in [
        // Nowhere, beside, two levels below, above, itself, and closed.
        (part("A-3", "市三", &["A-1-X"]), not_below),
        (part("A-3", "市三", &["A-2-1"]), not_below),
        (part("A-3", "市三", &["A-1-3-1"]), not_below),
        (part("A-3", "市三", &["A"]), not_below),
        (part("A-3", "市三", &["A-1"]), not_below),
        (part("A-3", "市三", &["A-1-9"]), not_below),
        (part("A-2", "市三", &[]), (Code::AlreadyExists, "ORGANIZATION_CODE_TAKEN")),
        (part("A-1-9", "市三", &[]), (Code::FailedPrecondition, "ORGANIZATION_CODE_TAKEN")),
        (part("A-3", "市 二", &[]), (Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN")),
        (part("A-3", "市一", &[]), (Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN")),
        (elsewhere, (Code::NotFound, "REGION_NOT_FOUND")),
    ] {
        let status = propose(&mut one, splits(&city, &[wanted])).await.unwrap_err();
        assert_refused(&status, code, reason);
    }
    let stale = Organization { etag: "9".into(), ..city.clone() };
    let status = propose(&mut one, splits(&stale, &[part("A-3", "市三", &[])])).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    let closed = get(&suite, "A-1-9").await;
    let status = propose(&mut one, splits(&closed, &[part("A-3", "市三", &[])])).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CLOSED");

    // Closed, and right below.
    create(&mut one, creates("A-1-5", "A-1", "镇一五")).await.unwrap();
    close(&mut one, closes(&get(&suite, "A-1-5").await)).await.unwrap();
    let wanted = splits(&city, &[part("A-3", "市三", &["A-1-5"])]);
    let status = propose(&mut one, wanted).await.unwrap_err();
    assert_refused(&status, not_below.0, not_below.1);

    // What has changed since it was proposed.
    let wanted = async |code: &str, name: &str, child: &str| {
        let parts = [part("A-5", "市五", &["A-1-4"]), part(code, name, &[child])];
        splits(&get(&suite, "A-1").await, &parts)
    };
    let taken = propose(&mut one, wanted("A-6", "市六", "A-1-2").await).await.unwrap();
    let named = propose(&mut one, wanted("A-7", "市七", "A-1-2").await).await.unwrap();
    let gone = propose(&mut one, wanted("A-8", "市八", "A-1-1").await).await.unwrap();
    let renamed = propose(&mut one, wanted("A-9", "市九", "A-1-2").await).await.unwrap();
    create(&mut one, creates("A-6", "A", "另市")).await.unwrap();
    create(&mut one, creates("A-10", "A", "市七")).await.unwrap();
    relocate(&mut one, moves(&get(&suite, "A-1-1").await, "A-2")).await.unwrap();
    for (proposal, expected) in [
        (&taken, (Code::AlreadyExists, "ORGANIZATION_CODE_TAKEN")),
        (&named, (Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN")),
        (&gone, not_below),
    ] {
        let status = approve(&mut other, approves(proposal)).await.unwrap_err();
        assert_refused(&status, expected.0, expected.1);
    }
    let wanted = updates(&get(&suite, "A-1").await, &["name"], details("新市"));
    update(&mut one, wanted).await.unwrap();
    let status = approve(&mut other, approves(&renamed)).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    // Nothing of any of them was done, though their first part could have been.
    assert_eq!(get(&suite, "A-1-4").await.parent_code, "A-1");
    let nothing = walk(&suite.service, &below("A")).await;
    assert_eq!(codes(&nothing), ["A-1", "A-10", "A-2", "A-6"]);
    suite.stop().await;
}

#[tokio::test]
async fn of_two_splits_that_were_decided_on_the_same_tree_one_is_done() {
    let suite = Suite::on_province().await;
    let mut one = administrator(&suite, 1, "A").await;
    with_townships(&mut one).await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let city = get(&suite, "A-1").await;
    let mut proposals = Vec::new();
    for n in 3..6 {
        let parts = [part(&format!("A-{n}"), &format!("市{n}"), &["A-1-2"])];
        proposals.push(propose(&mut one, splits(&city, &parts)).await.unwrap());
    }
    let mut deciding = tokio::task::JoinSet::new();
    for proposal in proposals {
        let mut other = super::admin(&suite, 2);
        deciding.spawn(async move { approve(&mut other, approves(&proposal)).await });
    }
    let mut done = Vec::new();
    while let Some(decided) = deciding.join_next().await {
        match decided.unwrap() {
            Ok(split) => done.push(split),
            Err(status) => assert_refused(&status, Code::Aborted, "ETAG_STALE"),
        }
    }
    assert_eq!(done.len(), 1);
    assert_eq!(walk(&suite.service, &below("A")).await.len(), 3);
    suite.stop().await;
}

#[tokio::test]
async fn whom_to_ask_at_a_part_is_forgotten_once_its_proposal_is_over() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let with = |code: &str, phone: &str| {
        let contacts = OrganizationContacts { phone: phone.to_owned(), ..Default::default() };
        let named = OrganizationDetails { contacts: Some(contacts), ..details("市三") };
        OrganizationPart { details: Some(named), ..part(code, "市三", &[]) }
    };
    let city = get(&suite, "A-1").await;
    let wanted = splits(&city, &[with("A-3", "0551-1")]);
    let withdrawn = propose(&mut admin, wanted.clone()).await.unwrap();
    propose(&mut admin, splits(&city, &[with("A-4", "0551-2")])).await.unwrap();
    assert_eq!(reached(&pool).await, "0551-1|0551-2");
    withdraw(&mut admin, &withdrawn).await.unwrap();
    assert_eq!(reached(&pool).await, "|0551-2");
    // Who sends the call again is answered what it says, which nobody has kept.
    assert_eq!(propose(&mut admin, wanted).await.unwrap(), withdrawn);
    let answers: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT answer FROM orgtree.request").fetch_all(&pool).await.unwrap();
    let holds = |answer: &Vec<u8>| answer.windows(5).any(|part| part == b"0551-");
    assert!(!answers.iter().any(holds));
    // What a part was to be stays as it was proposed.
    for change in [
        "UPDATE orgtree.proposal_part SET contact_phone = '1'",
        "UPDATE orgtree.proposal_part SET name = '改'",
        "DELETE FROM orgtree.proposal_part",
    ] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{change}");
    }
    // In its time nobody approves it; the next look forgets it.
    suite.clock.advance(Duration::from_secs(7 * 86_400));
    let again = suite.replica().await;
    let forgotten = async {
        while reached(&pool).await != "|" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), forgotten).await.unwrap();
    again.stop().await;
    let late = approve(&mut super::admin(&suite, 1), approves(&withdrawn)).await.unwrap_err();
    assert_eq!(refusal(&late).1, "PROPOSAL_ENDED");
    suite.stop().await;
}
