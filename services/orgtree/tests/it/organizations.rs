use std::collections::BTreeSet;

use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationRequest, ListOrganizationsRequest, ListRegionsRequest, Organization,
    OrganizationContacts, OrganizationKind, OrganizationState,
};

use crate::harness::{Service, assert_field, assert_refused, empty, load};

pub(crate) fn below(parent_code: &str) -> ListOrganizationsRequest {
    ListOrganizationsRequest { parent_code: parent_code.into(), ..Default::default() }
}

pub(crate) async fn walk(
    service: &Service,
    request: &ListOrganizationsRequest,
) -> Vec<Organization> {
    let (mut all, mut request) = (Vec::new(), request.clone());
    loop {
        let answer = service.organizations().list_organizations(request.clone()).await;
        let page = answer.unwrap().into_inner();
        let size = usize::try_from(request.page_size).unwrap();
        assert!(size == 0 || page.organizations.len() <= size);
        all.extend(page.organizations);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return all;
        }
    }
}

pub(crate) fn codes(organizations: &[Organization]) -> Vec<&str> {
    organizations.iter().map(|one| one.code.as_str()).collect()
}

async fn get(service: &Service, code: &str) -> Organization {
    let request = GetOrganizationRequest { code: code.into(), as_of_time: None };
    let answer = service.organizations().get_organization(request).await.unwrap();
    answer.into_inner().organization.unwrap()
}

#[tokio::test]
async fn gets_the_root_with_its_contacts() {
    let service = Service::on_anhui().await;
    let expected = Organization {
        code: "AH".into(),
        name: "共青团安徽省委员会".into(),
        kind: OrganizationKind::Provincial.into(),
        parent_code: String::new(),
        region_code: "340000".into(),
        state: OrganizationState::Active.into(),
        successor_code: String::new(),
        takes_registrations: false,
        leaf: false,
        contacts: Some(OrganizationContacts {
            phone: "0551-63609733".into(),
            group_number: "551670865".into(),
            note: String::new(),
        }),
        ancestor_names: Vec::new(),
        etag: "1".into(),
        credit_code: String::new(),
    };
    assert_eq!(get(&service, "AH").await, expected);
    assert_eq!(get(&service, " ａｈ ").await, expected);
    service.stop().await;
}

#[tokio::test]
async fn names_the_organizations_above_from_the_root_down() {
    let service = Service::on_anhui().await;
    let township = get(&service, "AH-340102004").await;
    assert!(township.takes_registrations && township.leaf);
    assert_eq!(township.kind(), OrganizationKind::Township);
    let above = ["共青团安徽省委员会", "共青团合肥市委员会", "共青团瑶海区委员会"];
    assert_eq!(township.ancestor_names, above);
    let university = get(&service, "AH-U001").await;
    assert!(university.takes_registrations && university.leaf);
    assert_eq!(university.ancestor_names, above[..1]);
    service.stop().await;
}

#[tokio::test]
async fn the_roots_are_listed_without_a_parent() {
    let service = Service::on_anhui().await;
    assert_eq!(codes(&walk(&service, &below("")).await), ["AH"]);
    service.stop().await;
}

#[tokio::test]
async fn guangde_and_susong_hang_under_the_province() {
    let service = Service::on_anhui().await;
    let children = walk(&service, &below("AH")).await;
    for (code, region, city) in
        [("AH-341882", "341882", "AH-341800"), ("AH-340826", "340826", "AH-340800")]
    {
        let county = children.iter().find(|one| one.code == code).unwrap();
        assert_eq!((county.kind(), county.leaf), (OrganizationKind::DirectCounty, false));
        assert_eq!((county.parent_code.as_str(), county.region_code.as_str()), ("AH", region));
        assert!(walk(&service, &below(city)).await.iter().all(|one| one.region_code != region));
        assert!(!walk(&service, &below(code)).await.is_empty());
    }
    service.stop().await;
}

#[tokio::test]
async fn every_county_of_anhui_has_an_organization() {
    let service = Service::on_anhui().await;
    let mut regions = BTreeSet::new();
    for city in walk(&service, &below("AH")).await {
        if city.kind() == OrganizationKind::DirectCounty {
            regions.insert(city.region_code);
            continue;
        }
        let below = walk(&service, &below(&city.code)).await;
        let counties = below.iter().filter(|one| one.kind() == OrganizationKind::County);
        regions.extend(counties.map(|one| one.region_code.clone()));
    }
    assert_eq!(regions.len(), 104);
    service.stop().await;
}

#[tokio::test]
async fn the_tree_is_walked_from_its_root_to_every_leaf() {
    let service = Service::on_anhui().await;
    let mut open = walk(&service, &below("")).await;
    let mut all = BTreeSet::new();
    while let Some(one) = open.pop() {
        if !one.leaf {
            let request = ListOrganizationsRequest { page_size: 500, ..below(&one.code) };
            let children = walk(&service, &request).await;
            assert!(!children.is_empty(), "{}", one.code);
            open.extend(children);
        }
        assert!(all.insert(one.code));
    }
    // All are reached, so none that is called a leaf hides others.
    assert_eq!(all.len(), 1699);
    service.stop().await;
}

#[tokio::test]
async fn pages_of_any_size_hold_each_organization_once_and_by_code() {
    let service = Service::on_anhui().await;
    let whole = walk(&service, &below("AH")).await;
    assert!(codes(&whole).is_sorted_by(|a, b| a < b) && whole.len() > 50);
    for page_size in [1, 2, 100] {
        let request = ListOrganizationsRequest { page_size, ..below("AH") };
        assert_eq!(codes(&walk(&service, &request).await), codes(&whole), "{page_size}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_page_holds_a_hundred_unless_told_and_never_more_than_five_hundred() {
    let service = Service::on_anhui().await;
    for (page_size, expected) in [(0, 100), (1_000_000, 500)] {
        let request =
            ListOrganizationsRequest { page_size, query: "共青团".into(), ..Default::default() };
        let answer = service.organizations().list_organizations(request).await.unwrap();
        assert_eq!(answer.into_inner().organizations.len(), expected);
    }
    service.stop().await;
}

#[tokio::test]
async fn lists_only_those_that_take_registrations_when_asked_to() {
    let service = Service::on_anhui().await;
    let all = walk(&service, &below("AH")).await;
    let request = ListOrganizationsRequest { registrable_only: true, page_size: 7, ..below("AH") };
    let registrable = walk(&service, &request).await;
    let expected: Vec<&str> =
        all.iter().filter(|one| one.takes_registrations).map(|one| one.code.as_str()).collect();
    assert_eq!(codes(&registrable), expected);
    assert!(expected.len() < all.len() && expected.contains(&"AH-U001"));
    service.stop().await;
}

#[tokio::test]
async fn a_closed_organization_takes_no_registrations_and_names_who_followed() {
    let database = empty().await;
    let text = "code,name,kind,parent_code,region_code,state,successor_code\n\
                A,省,PROVINCIAL,,,,\n\
                A-1,旧街道团委,TOWNSHIP,A,,CLOSED,A-2\n\
                A-2,新街道团委,TOWNSHIP,A,,ACTIVE,\n";
    load(&database, text).await.unwrap();
    let service = Service::start(&database).await;
    let closed = get(&service, "A-1").await;
    assert_eq!(closed.state(), OrganizationState::Closed);
    assert!(!closed.takes_registrations);
    assert_eq!((closed.successor_code.as_str(), closed.region_code.as_str()), ("A-2", ""));
    let request = ListOrganizationsRequest { registrable_only: true, ..below("A") };
    assert_eq!(codes(&walk(&service, &request).await), ["A-2"]);
    assert_eq!(codes(&walk(&service, &below("A")).await), ["A-1", "A-2"]);
    service.stop().await;
}

#[tokio::test]
async fn refuses_an_organization_that_does_not_exist() {
    let service = Service::on_anhui().await;
    let request = GetOrganizationRequest { code: "AH-X".into(), as_of_time: None };
    let status = service.organizations().get_organization(request).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    for query in ["", "广德"] {
        let request = ListOrganizationsRequest { query: query.into(), ..below("AH-X") };
        let status = service.organizations().list_organizations(request).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_leaf_has_nothing_below() {
    let service = Service::on_anhui().await;
    assert!(walk(&service, &below("AH-U001")).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn refuses_what_is_no_organization_code() {
    let service = Service::on_anhui().await;
    let long = "A".repeat(65);
    for (code, reason) in [
        ("", "ORGANIZATION_CODE_LENGTH"),
        (&long, "ORGANIZATION_CODE_LENGTH"),
        ("AH\u{0}", "ORGANIZATION_CODE_CHARACTERS"),
        ("AH--1", "ORGANIZATION_CODE_HYPHEN"),
    ] {
        let request = GetOrganizationRequest { code: code.into(), as_of_time: None };
        let status = service.organizations().get_organization(request).await.unwrap_err();
        assert_field(&status, "code", reason);
    }
    let status = service.organizations().list_organizations(below("A_H")).await.unwrap_err();
    assert_field(&status, "parent_code", "ORGANIZATION_CODE_CHARACTERS");
    service.stop().await;
}

#[tokio::test]
async fn refuses_a_negative_page_size() {
    let service = Service::on_anhui().await;
    let request = ListOrganizationsRequest { page_size: -1, ..below("AH") };
    let status = service.organizations().list_organizations(request).await.unwrap_err();
    assert_field(&status, "page_size", "PAGE_SIZE_NEGATIVE");
    service.stop().await;
}

#[tokio::test]
async fn refuses_the_page_token_of_another_list() {
    let service = Service::on_anhui().await;
    let first = ListOrganizationsRequest { page_size: 1, ..below("AH") };
    let answer = service.organizations().list_organizations(first.clone()).await.unwrap();
    let token = answer.into_inner().next_page_token;
    let regions = ListRegionsRequest { page_size: 1, ..Default::default() };
    let answer = service.regions().list_regions(regions).await.unwrap();
    let of_regions = answer.into_inner().next_page_token;
    let same = ListOrganizationsRequest { page_token: token.clone(), ..first.clone() };
    assert!(service.organizations().list_organizations(same.clone()).await.is_ok());
    for foreign in [
        ListOrganizationsRequest { parent_code: "AH-340100".into(), ..same.clone() },
        ListOrganizationsRequest { query: "大学".into(), ..same.clone() },
        ListOrganizationsRequest { registrable_only: true, ..same },
        ListOrganizationsRequest { page_token: of_regions, ..first.clone() },
        ListOrganizationsRequest { page_token: "!".into(), ..first },
    ] {
        let status = service.organizations().list_organizations(foreign).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    service.stop().await;
}
