//! What is refused, method by method.

use tonic::{Code, Status};
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_contracts::registration::v1::{
    CreateRosterImportRequest, GetRejectedRosterRowsRequest, ListRosterImportRowsRequest,
    ListRosterImportsRequest, ListRosterMembersRequest, RemoveRosterMembersRequest,
};

use super::{ACTS, Secretary, assert_refused, file, new};
use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service};

const INVALID: &str = "INVALID_FIELDS";

fn id(service: &Service) -> String {
    zhiyuan_domain::new_id(service.clock.as_ref()).to_string()
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let service = Service::start(Recovery::Off).await;
    let secretary = Secretary::new(&service).await;
    let good = secretary.form(b"x");
    let form = |change: fn(&mut CreateRosterImportRequest)| {
        let mut form = good.clone();
        change(&mut form);
        form
    };
    for form in [
        form(|form| form.request_id.clear()),
        form(|form| form.organization_code = "x y".to_owned()),
        form(|form| form.file_name = "名册.exe".to_owned()),
        form(|form| form.size_bytes = 0),
        form(|form| form.sha256 = "12".to_owned()),
    ] {
        assert_refused(secretary.create(&form).await, Code::InvalidArgument, INVALID);
    }
    let import = secretary.create(&good).await.unwrap();
    for (index, data) in [(-1, &b"x"[..]), (1, b"x"), (0, b""), (0, b"xx"), (70_000, b"x")] {
        let put = secretary.put(&import.id, index, data).await;
        assert_refused(put, Code::InvalidArgument, INVALID);
    }
    assert_refused(secretary.put("1", 0, b"x").await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.get("1").await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.rows("1", false).await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.start("1").await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.start_as("1", &import.id).await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.cancel("1").await, Code::InvalidArgument, INVALID);
    assert_refused(secretary.rejected(&import.id, -1).await, Code::InvalidArgument, INVALID);
    let mut silent = GetRejectedRosterRowsRequest { import_id: import.id, ..Default::default() };
    for purpose in ["", "13812345678"] {
        silent.purpose = purpose.to_owned();
        let request = secretary.sign(silent.clone());
        let answer = secretary.client.clone().get_rejected_roster_rows(request).await;
        assert_refused(answer, Code::InvalidArgument, INVALID);
    }
    let good = secretary.removal(&[id(&service)]);
    let removal = |change: fn(&mut RemoveRosterMembersRequest)| {
        let mut removal = good.clone();
        change(&mut removal);
        removal
    };
    for removal in [
        removal(|it| it.request_id.clear()),
        removal(|it| it.organization_code.clear()),
        removal(|it| it.person_ids.clear()),
        removal(|it| it.person_ids = vec!["1".to_owned()]),
        removal(|it| it.person_ids = vec![it.person_ids[0].clone(); 501]),
        removal(|it| it.reason = 0),
    ] {
        assert_refused(secretary.remove(&removal).await, Code::InvalidArgument, INVALID);
    }
}

/// Row 18: 50 MB.
#[tokio::test]
async fn row_18_a_file_that_is_too_large_is_refused_before_it_is_sent() {
    let service = Service::start(Recovery::Off).await;
    let secretary = Secretary::new(&service).await;
    let mut form = secretary.form(b"x");
    for size in [20 * 1024 * 1024 + 1, 50_000_000, i64::MAX] {
        form.size_bytes = size;
        let create = secretary.create(&form).await;
        assert_refused(create, Code::ResourceExhausted, "ROSTER_FILE_TOO_LARGE");
    }
    form.size_bytes = 20 * 1024 * 1024;
    assert_eq!(secretary.create(&form).await.unwrap().missing_pieces.len(), 32);
}

async fn everything(who: &Secretary<'_>, import: &str) -> Vec<Result<(), Status>> {
    let removal = who.removal(&[id(who.service)]);
    vec![
        who.put(import, 0, b"x").await.map(drop),
        who.get(import).await.map(drop),
        who.rows(import, true).await.map(drop),
        who.start(import).await.map(drop),
        who.cancel(import).await.map(drop),
        who.rejected(import, 0).await.map(drop),
        who.create(&who.form(b"x")).await.map(drop),
        who.imports().await.map(drop),
        who.list(ListRosterMembersRequest::default()).await.map(drop),
        who.remove(&removal).await.map(drop),
    ]
}

#[tokio::test]
async fn who_does_not_reach_the_organization_is_told_of_nothing() {
    let service = Service::start(Recovery::Off).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.create(&secretary.form(b"x")).await.unwrap();
    let mut beside = Secretary::at(&service, OTHER_TOWNSHIP, &super::BOTH).await;
    beside.organization = TOWNSHIP.to_owned();
    for (n, refused) in everything(&beside, &import.id).await.into_iter().enumerate() {
        let expected = if n < 6 { "ROSTER_IMPORT_NOT_FOUND" } else { "ORGANIZATION_NOT_FOUND" };
        assert_refused(refused, Code::NotFound, expected);
    }
    // Nor is there one of which nobody has heard.
    for refused in everything(&secretary, &id(&service)).await.into_iter().take(6) {
        assert_refused(refused, Code::NotFound, "ROSTER_IMPORT_NOT_FOUND");
    }
    let acts = service.sql(ACTS).await;
    assert_eq!(acts.matches("REFUSED").count(), 6, "{acts}");
}

#[tokio::test]
async fn it_needs_the_permission_a_second_factor_and_to_reveal_another_one() {
    let service = Service::start(Recovery::Off).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.create(&secretary.form(b"x")).await.unwrap();
    let mut viewer = Secretary::at(&service, COUNTY, &[Permission::View]).await;
    viewer.organization = TOWNSHIP.to_owned();
    for refused in everything(&viewer, &import.id).await {
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
    }
    let manager = Secretary::at(&service, TOWNSHIP, &[Permission::ManageMembers]).await;
    let shown = manager.rejected(&import.id, 0).await;
    assert_refused(shown, Code::PermissionDenied, "PERMISSION_MISSING");
    let (me, now) = (secretary.id.to_string(), service.now());
    let weak = service.accounts.sign_with(&me, now, secretary.form(b"x"), false);
    let weak = secretary.client.clone().create_roster_import(weak).await.unwrap_err();
    assert_eq!(weak.code(), Code::FailedPrecondition);
    // What somebody else has begun, others look at and end, and no more.
    let other = Secretary::new(&service).await;
    let of_another = "ROSTER_IMPORT_OF_ANOTHER";
    for refused in [
        other.put(&import.id, 0, b"x").await.map(drop),
        other.start(&import.id).await.map(drop),
        other.rejected(&import.id, 0).await.map(drop),
    ] {
        assert_refused(refused, Code::PermissionDenied, of_another);
    }
    other.get(&import.id).await.unwrap();
    other.cancel(&import.id).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_the_state_is_refused() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let (state, failed) = ("ROSTER_IMPORT_STATE", Code::FailedPrecondition);
    let text = file([1]);
    let import = secretary.create(&secretary.form(text.as_bytes())).await.unwrap();
    assert_refused(secretary.start(&import.id).await, failed, state);
    assert_refused(secretary.rejected(&import.id, 0).await, failed, state);
    secretary.put(&import.id, 0, text.as_bytes()).await.unwrap();
    let other = text.replace('1', "2");
    let differs = secretary.put(&import.id, 0, other.as_bytes()).await;
    assert_refused(differs, failed, "ROSTER_PIECE_DIFFERS");
    let done = secretary.import(file([2]).as_bytes()).await;
    assert_refused(secretary.start(&done.id).await, failed, state);
    assert_refused(secretary.cancel(&done.id).await, failed, state);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_known_and_another_under_its_id_is_refused() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let form = secretary.form(file([1]).as_bytes());
    let import = secretary.create(&form).await.unwrap();
    assert_eq!(secretary.create(&form).await.unwrap().id, import.id);
    let (exists, reused) = (Code::AlreadyExists, "REQUEST_ID_REUSED");
    let other = CreateRosterImportRequest { file_name: "b.csv".to_owned(), ..form };
    assert_refused(secretary.create(&other).await, exists, reused);
    let checked = secretary.checked(file([1]).as_bytes()).await;
    let request_id = new();
    secretary.start_as(&request_id, &checked.id).await.unwrap();
    secretary.until(&checked.id, super::RosterImportState::Done).await;
    secretary.start_as(&request_id, &checked.id).await.unwrap();
    assert_refused(secretary.start_as(&request_id, &import.id).await, exists, reused);
    let request_id = new();
    secretary.cancel_as(&request_id, &import.id).await.unwrap();
    assert_refused(secretary.cancel_as(&request_id, &checked.id).await, exists, reused);
    let member = secretary.members().await.remove(0).person_id;
    let removal = secretary.removal(&[member.clone(), member]);
    for _ in 0..2 {
        assert_eq!(secretary.remove(&removal).await.unwrap(), 1);
    }
    let other = RemoveRosterMembersRequest { person_ids: vec![id(&service)], ..removal };
    assert_refused(secretary.remove(&other).await, exists, reused);
}

/// A lease that is over before the commit.
#[tokio::test]
async fn what_was_allowed_by_a_lease_that_ended_takes_no_effect() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.import((file([1]) + "张三,1,\n").as_bytes()).await;
    let uploading = secretary.create(&secretary.form(b"x")).await.unwrap();
    let checked = secretary.checked(file([2]).as_bytes()).await;
    let member = secretary.members().await.remove(0).person_id;
    let before = service.sql(ACTS).await;
    // What was allowed before may be relied on for 3 s.
    tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
    service.authority.with(|state| state.lease_ms = 0);
    for refused in [
        secretary.create(&secretary.form(b"x")).await.map(drop),
        secretary.put(&uploading.id, 0, b"x").await.map(drop),
        secretary.start(&checked.id).await.map(drop),
        secretary.cancel(&checked.id).await.map(drop),
        secretary.rejected(&import.id, 0).await.map(drop),
        secretary.remove(&secretary.removal(&[member])).await.map(drop),
    ] {
        assert_refused(refused, Code::Unavailable, "UNAVAILABLE");
    }
    assert_eq!(service.sql(ACTS).await, before);
    assert_eq!(service.sql(super::MEMBERS).await, "1");
    assert_eq!(secretary.get(&uploading.id).await.unwrap().missing_pieces, [0]);
}

#[tokio::test]
async fn tokens_and_sizes_of_pages_are_checked() {
    let service = Service::start(Recovery::Off).await;
    let secretary = Secretary::new(&service).await;
    let organization_code = TOWNSHIP.to_owned();
    let import_id = secretary.create(&secretary.form(b"x")).await.unwrap().id;
    for (page_size, page_token, expected) in [(-1, "", INVALID), (0, "x", "PAGE_TOKEN_INVALID")] {
        let page_token = page_token.to_owned();
        let mut client = secretary.client.clone();
        let imports = ListRosterImportsRequest {
            organization_code: organization_code.clone(),
            page_size,
            page_token: page_token.clone(),
        };
        let answer = client.list_roster_imports(secretary.sign(imports)).await;
        assert_refused(answer, Code::InvalidArgument, expected);
        let rows = ListRosterImportRowsRequest {
            import_id: import_id.clone(),
            rejected_only: false,
            page_size,
            page_token: page_token.clone(),
        };
        let answer = client.list_roster_import_rows(secretary.sign(rows)).await;
        assert_refused(answer, Code::InvalidArgument, expected);
        let members = ListRosterMembersRequest {
            organization_code: organization_code.clone(),
            page_size,
            page_token,
            ..Default::default()
        };
        let answer = client.list_roster_members(secretary.sign(members)).await;
        assert_refused(answer, Code::InvalidArgument, expected);
    }
    // Ids are ordered by the time.
    service.clock.advance(std::time::Duration::from_millis(1));
    let newest = secretary.create(&secretary.form(b"x")).await.unwrap().id;
    let ids: Vec<String> = secretary.imports().await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, [newest, import_id]);
}
