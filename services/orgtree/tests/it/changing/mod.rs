//! Organizations are made, changed and moved by who administers them.

mod credit_codes;
mod moving;
pub(crate) mod proposals;
mod refusals;
mod scope;
mod splitting;
mod two_persons;

use sqlx::PgPool;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::organization_admin_service_client::OrganizationAdminServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    CreateOrganizationRequest, GetOrganizationRequest, MoveOrganizationRequest, Organization,
    OrganizationContacts, OrganizationDetails, OrganizationKind, OrganizationState,
    UpdateOrganizationRequest,
};
use zhiyuan_orgtree::Role as TypedRole;

use crate::authority::{Bearer, HEADER, LONG, PROVINCE, Suite, account, refusal};
use crate::harness::{Service, assert_field, assert_refused, load};

pub(crate) type Admin = OrganizationAdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Somebody who has signed in with a second factor.
pub(crate) fn admin(suite: &Suite, person: u128) -> Admin {
    admin_at(suite, &suite.service, person)
}

/// The same at a replica.
pub(crate) fn admin_at(suite: &Suite, service: &Service, person: u128) -> Admin {
    let channel = service.channel.clone();
    let bearer = suite.bearer(account(person), true);
    OrganizationAdminServiceClient::with_interceptor(channel, bearer)
}

/// An administrator of an organization.
pub(crate) async fn administrator(suite: &Suite, person: u128, code: &str) -> Admin {
    suite.make(account(person), code, TypedRole::Administrator).await;
    admin(suite, person)
}

pub(crate) fn details(name: &str) -> OrganizationDetails {
    OrganizationDetails { name: name.to_owned(), ..Default::default() }
}

pub(crate) fn creates(code: &str, parent: &str, name: &str) -> CreateOrganizationRequest {
    CreateOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        code: code.to_owned(),
        parent_code: parent.to_owned(),
        kind: OrganizationKind::Township.into(),
        details: Some(details(name)),
    }
}

pub(crate) fn updates(
    organization: &Organization,
    paths: &[&str],
    details: OrganizationDetails,
) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        code: organization.code.clone(),
        etag: organization.etag.clone(),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        details: Some(details),
    }
}

pub(crate) fn moves(organization: &Organization, parent: &str) -> MoveOrganizationRequest {
    MoveOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        code: organization.code.clone(),
        etag: organization.etag.clone(),
        parent_code: parent.to_owned(),
    }
}

pub(crate) async fn get(suite: &Suite, code: &str) -> Organization {
    let request = GetOrganizationRequest { code: code.to_owned(), as_of_time: None };
    let answer = suite.service.organizations().get_organization(request).await.unwrap();
    answer.into_inner().organization.unwrap()
}

pub(crate) async fn create(
    admin: &mut Admin,
    request: CreateOrganizationRequest,
) -> Result<Organization, Status> {
    Ok(admin.create_organization(request).await?.into_inner().organization.unwrap())
}

pub(crate) async fn update(
    admin: &mut Admin,
    request: UpdateOrganizationRequest,
) -> Result<Organization, Status> {
    Ok(admin.update_organization(request).await?.into_inner().organization.unwrap())
}

/// With the time that it takes until nobody is allowed anything from above any more.
pub(crate) async fn relocate(
    admin: &mut Admin,
    request: MoveOrganizationRequest,
) -> Result<Organization, Status> {
    let mut request = Request::new(request);
    request.set_timeout(LONG);
    Ok(admin.move_organization(request).await?.into_inner().organization.unwrap())
}

/// What the audit has of organizations: the action, the organization, the outcome.
pub(crate) async fn recorded(pool: &PgPool) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT action, organization_code, outcome FROM orgtree.audit_pending
         WHERE action LIKE 'orgtree.organization.%' OR action LIKE 'orgtree.change.%'
         UNION ALL
         SELECT action, organization_code, outcome FROM orgtree.audit_entry
         WHERE action LIKE 'orgtree.organization.%' OR action LIKE 'orgtree.change.%'
         ORDER BY 1, 2, 3",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// The keys and revisions that the feed has told, or is about to.
pub(super) async fn told(pool: &PgPool, code: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT revision FROM orgtree.outbox WHERE key = $1
         UNION ALL SELECT revision FROM orgtree.event WHERE key = $1 ORDER BY 1",
    )
    .bind(code)
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_organization_is_made_changed_and_moved_and_each_is_told_and_recorded() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let contacts = OrganizationContacts {
        phone: "0551-1234567".into(),
        group_number: "551670865".into(),
        note: "工作日联系".into(),
    };
    let wanted = CreateOrganizationRequest {
        code: "a-1-2".into(),
        details: Some(OrganizationDetails {
            name: " 镇 一二 ".into(),
            contacts: Some(contacts.clone()),
            ..Default::default()
        }),
        ..creates("", "A-1", "")
    };
    let made = create(&mut admin, wanted.clone()).await.unwrap();
    assert_eq!(made, get(&suite, "A-1-2").await);
    assert_eq!((made.name.as_str(), made.etag.as_str()), ("镇 一二", "1"));
    assert_eq!(made.ancestor_names, ["省", "市一"]);
    assert_eq!((made.state(), made.leaf), (OrganizationState::Active, true));
    assert_eq!(made.contacts.as_ref(), Some(&contacts));
    // Sent again, it has the same answer; another one under its id is refused.
    assert_eq!(create(&mut admin, wanted.clone()).await.unwrap(), made);
    let other = CreateOrganizationRequest { code: "A-1-3".into(), ..wanted };
    let status = create(&mut admin, other).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");

    let wanted = updates(&made, &["name"], details("镇一三"));
    let changed = update(&mut admin, wanted.clone()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.etag.as_str()), ("镇一三", "2"));
    assert_eq!(changed.contacts.as_ref(), Some(&contacts), "what is not named stays");
    assert_eq!(update(&mut admin, wanted).await.unwrap(), changed);
    let wanted = updates(&changed, &["contacts"], details("passed over"));
    let changed = update(&mut admin, wanted).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.contacts), ("镇一三", Some(Default::default())));
    // It is found by the new name.
    let query = zhiyuan_contracts::orgtree::v1::ListOrganizationsRequest {
        query: "一三".into(),
        ..Default::default()
    };
    assert_eq!(crate::organizations::walk(&suite.service, &query).await.len(), 1);

    assert!(get(&suite, "A-2-1").await.leaf);
    let moved = relocate(&mut admin, moves(&get(&suite, "A-1-2").await, "A-2-1")).await.unwrap();
    assert_eq!(moved.ancestor_names, ["省", "市二", "镇二一"]);
    assert_eq!((moved.parent_code.as_str(), moved.etag.as_str()), ("A-2-1", "4"));
    assert!(!get(&suite, "A-2-1").await.leaf);

    assert_eq!(told(&pool, "A-1-2").await, [1, 2, 3, 4]);
    assert_eq!(told(&pool, "A-2-1").await, [1], "by the load that made it");
    let done = |action: &str| {
        (format!("orgtree.organization.{action}"), "A-1-2".to_owned(), "DONE".to_owned())
    };
    let expected = [done("created"), done("moved"), done("updated"), done("updated")];
    let recorded: Vec<_> = recorded(&pool).await;
    assert_eq!(recorded[..4], expected);
    suite.stop().await;
}

#[tokio::test]
async fn who_may_is_who_manages_the_organization_itself() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    suite.make(account(1), "A-1", TypedRole::Manager).await;
    let missing = (Code::PermissionDenied, "PERMISSION_MISSING".to_owned());
    let hidden = (Code::NotFound, "ORGANIZATION_NOT_FOUND".to_owned());
    for (person, code, expected) in
        [(1, "A-1-1", &missing), (1, "A-1", &missing), (1, "A", &hidden), (1, "A-2", &hidden)]
    {
        let (mut admin, organization) = (admin(&suite, person), get(&suite, code).await);
        let status = create(&mut admin, creates("A-9", code, "新镇")).await.unwrap_err();
        assert_eq!(&refusal(&status), expected, "{code}");
        let wanted = updates(&organization, &["name"], details("新名"));
        assert_eq!(&refusal(&update(&mut admin, wanted).await.unwrap_err()), expected, "{code}");
        let wanted = moves(&organization, "A-1-1");
        assert_eq!(&refusal(&relocate(&mut admin, wanted).await.unwrap_err()), expected, "{code}");
    }
    let refused = recorded(&pool).await;
    assert_eq!(refused.len(), 12);
    assert!(refused.iter().all(|(_, _, outcome)| outcome == "REFUSED"));
    // Contacts are kept by the organization's own administrators.
    let mut own = administrator(&suite, 2, "A-1-1").await;
    let details = OrganizationDetails {
        contacts: Some(OrganizationContacts { phone: "12355".into(), ..Default::default() }),
        ..Default::default()
    };
    let wanted = updates(&get(&suite, "A-1-1").await, &["contacts"], details);
    assert_eq!(update(&mut own, wanted).await.unwrap().contacts.unwrap().phone, "12355");
    // One factor is not enough.
    let channel = suite.service.channel.clone();
    let bearer = suite.bearer(account(2), false);
    let mut one = OrganizationAdminServiceClient::with_interceptor(channel, bearer);
    let status = create(&mut one, creates("A-9", "A-1-1", "新镇")).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");
    suite.stop().await;
}

#[tokio::test]
async fn fields_are_refused_all_at_once_and_each_for_its_reason() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let good = creates("A-9", "A", "新镇");
    let named =
        |name: &str| CreateOrganizationRequest { details: Some(details(name)), ..good.clone() };
    let reached = |phone: &str, group_number: &str, note: &str| {
        let [phone, group_number, note] = [phone, group_number, note].map(str::to_owned);
        let contacts = Some(OrganizationContacts { phone, group_number, note });
        let details = OrganizationDetails { contacts, ..details("新镇") };
        CreateOrganizationRequest { details: Some(details), ..good.clone() }
    };
    for (request, field, reason) in [
        (
            CreateOrganizationRequest { code: "A_9".into(), ..good.clone() },
            "code",
            "ORGANIZATION_CODE_CHARACTERS",
        ),
        (
            CreateOrganizationRequest { parent_code: "".into(), ..good.clone() },
            "parent_code",
            "ORGANIZATION_CODE_LENGTH",
        ),
        (CreateOrganizationRequest { kind: 0, ..good.clone() }, "kind", "KIND_UNKNOWN"),
        (CreateOrganizationRequest { kind: 99, ..good.clone() }, "kind", "KIND_UNKNOWN"),
        (named(""), "details.name", "ORGANIZATION_NAME_LENGTH"),
        (reached("12355a", "", ""), "details.contacts.phone", "CONTACT_PHONE_FORM"),
        (reached("", "群1", ""), "details.contacts.group_number", "CONTACT_GROUP_FORM"),
        (reached("", "", "a\nb"), "details.contacts.note", "CONTACT_NOTE_FORM"),
    ] {
        assert_field(&create(&mut admin, request).await.unwrap_err(), field, reason);
    }
    let organization = get(&suite, "A-1").await;
    for etag in ["", "0", "01", " 1", "x"] {
        let stale = Organization { etag: etag.into(), ..organization.clone() };
        let status = relocate(&mut admin, moves(&stale, "A-2")).await.unwrap_err();
        assert_field(&status, "etag", "ETAG_INVALID");
    }
    for (paths, reason) in [
        (&[][..], "UPDATE_MASK_EMPTY"),
        (&["kind"], "UPDATE_MASK_UNKNOWN"),
        (&["name"; 11], "UPDATE_MASK_TOO_LONG"),
    ] {
        let wanted = updates(&organization, paths, details("新市"));
        let status = update(&mut admin, wanted).await.unwrap_err();
        assert_field(&status, "update_mask", reason);
    }
    suite.stop().await;
}

#[tokio::test]
async fn org_tree_19_a_name_with_look_alikes_or_the_other_direction_is_refused() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    for (name, reason) in [
        ("共青团А县委员会", "ORGANIZATION_NAME_SCRIPTS"),
        ("团\u{202e}委员会", "ORGANIZATION_NAME_CHARACTERS"),
        ("团\u{200b}委员会", "ORGANIZATION_NAME_CHARACTERS"),
    ] {
        let status = create(&mut admin, creates("A-9", "A", name)).await.unwrap_err();
        assert_field(&status, "details.name", reason);
        let wanted = updates(&get(&suite, "A-1").await, &["name"], details(name));
        assert_field(&update(&mut admin, wanted).await.unwrap_err(), "details.name", reason);
    }
    suite.stop().await;
}

/// An update of the product loads its file again.
#[tokio::test]
async fn what_administrators_have_changed_is_not_undone_by_a_file() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut administrator = administrator(&suite, 1, "A").await;
    let renamed = get(&suite, "A-1").await;
    let renamed =
        update(&mut administrator, updates(&renamed, &["name"], details("新市"))).await.unwrap();
    let moved = get(&suite, "A-2-1").await;
    let moved = relocate(&mut administrator, moves(&moved, "A-1")).await.unwrap();
    let made = create(&mut administrator, creates("A-3", "A", "市三")).await.unwrap();
    // The same file, with another name for what was made, and one more below it.
    let more = "A-3,别名,MUNICIPAL,A,,,\nA-3-1,镇三一,TOWNSHIP,A-3,,,\nA-2,市贰,MUNICIPAL,A,,,";
    let kept: String = PROVINCE
        .lines()
        .filter(|line| !line.starts_with("A-2,"))
        .fold(String::new(), |text, line| text + line + "\n");
    load(&suite.database, &format!("{HEADER}\n{kept}{more}\n")).await.unwrap();
    for there in [&renamed, &moved, &made] {
        let now = get(&suite, &there.code).await;
        assert_eq!((&now.name, &now.parent_code), (&there.name, &there.parent_code));
        assert_eq!(now.etag, there.etag);
    }
    assert_eq!(get(&suite, "A-2").await.name, "市贰", "nobody had changed that one");
    assert_eq!(get(&suite, "A-3-1").await.ancestor_names, ["省", "市三"]);
    let kept: Vec<Option<String>> = sqlx::query_scalar(
        "SELECT detail_values[array_position(detail_keys, 'kept')] FROM orgtree.audit_pending
         WHERE action = 'orgtree.organizations.loaded'
         UNION ALL
         SELECT detail_values[array_position(detail_keys, 'kept')] FROM orgtree.audit_entry
         WHERE action = 'orgtree.organizations.loaded' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    // The first load had nothing to keep.
    assert_eq!(kept, [Some("3".to_owned()), None]);
    suite.stop().await;
}
