use zhiyuan_contracts::orgtree::v1::{ListOrganizationsRequest, Organization};

use crate::harness::{Service, assert_field, empty, load, told};
use crate::organizations::{below, codes, walk};

async fn find(service: &Service, parent: &str, query: &str) -> Vec<Organization> {
    walk(service, &ListOrganizationsRequest { query: query.into(), ..below(parent) }).await
}

#[tokio::test]
async fn finds_parts_of_names_of_any_length() {
    let service = Service::on_anhui().await;
    let everything = find(&service, "", "团").await;
    assert_eq!(everything.len(), 1699);
    for query in ["德", "大学", "广德", "科学技术", "共青团中国科学技术大学委员会", "会"]
    {
        let found = find(&service, "", query).await;
        let expected: Vec<&str> = everything
            .iter()
            .filter(|one| one.name.contains(query))
            .map(|one| one.code.as_str())
            .collect();
        assert!(!expected.is_empty(), "{query}");
        assert_eq!(codes(&found), expected, "{query}");
    }
    assert!(codes(&find(&service, "", "广德").await).contains(&"AH-341882"));
    service.stop().await;
}

#[tokio::test]
async fn finds_only_below_the_parent() {
    let service = Service::on_anhui().await;
    let hefei = find(&service, "AH-340100", "镇").await;
    let all = find(&service, "AH", "镇").await;
    let above = "共青团合肥市委员会".to_owned();
    let expected: Vec<&str> = all
        .iter()
        .filter(|one| one.ancestor_names.contains(&above))
        .map(|one| one.code.as_str())
        .collect();
    assert!(!expected.is_empty() && expected.len() < all.len());
    assert_eq!(codes(&hefei), expected);
    assert!(hefei.iter().any(|one| one.parent_code != "AH-340100"), "at any depth");
    assert!(find(&service, "AH-340100", "广德").await.is_empty());
    assert!(!codes(&find(&service, "AH-341882", "广德").await).contains(&"AH-341882"));
    service.stop().await;
}

#[tokio::test]
async fn finds_nothing_by_characters_that_do_not_follow_each_other() {
    let service = Service::on_anhui().await;
    // All pairs of it occur in 共青团安徽大学委员会 and others, but not in a row.
    for query in ["学大", "德广", "共青团共青", "𠮷", "大学大学"] {
        assert!(find(&service, "", query).await.is_empty(), "{query}");
    }
    service.stop().await;
}

#[tokio::test]
async fn three_characters_whose_pairs_lie_apart_are_not_found() {
    let database = empty().await;
    let text = "code,name,kind,parent_code,region_code\n\
                A,甲乙丁乙丙,TOWNSHIP,,\nB,甲乙丙,TOWNSHIP,,\n";
    load(&database, text).await.unwrap();
    let service = Service::start(&database).await;
    assert_eq!(codes(&find(&service, "", "甲乙丙").await), ["B"]);
    assert_eq!(codes(&find(&service, "", "乙丙").await), ["A", "B"]);
    service.stop().await;
}

#[tokio::test]
async fn pages_of_any_size_hold_each_match_once() {
    let service = Service::on_anhui().await;
    let request = ListOrganizationsRequest { query: "学".into(), ..below("AH") };
    let whole = walk(&service, &request).await;
    for page_size in [1, 2, 100] {
        let request = ListOrganizationsRequest { page_size, ..request.clone() };
        assert_eq!(codes(&walk(&service, &request).await), codes(&whole), "{page_size}");
    }
    service.stop().await;
}

#[tokio::test]
async fn finds_only_those_that_take_registrations_when_asked_to() {
    let service = Service::on_anhui().await;
    let request = ListOrganizationsRequest { query: "广德".into(), ..below("") };
    let registrable = ListOrganizationsRequest { registrable_only: true, ..request.clone() };
    let found = walk(&service, &registrable).await;
    assert!(found.iter().all(|one| one.takes_registrations));
    let all = walk(&service, &request).await;
    assert!(codes(&all).contains(&"AH-341882"));
    assert!(!codes(&found).contains(&"AH-341882"));
    service.stop().await;
}

#[tokio::test]
async fn width_case_and_spaces_make_no_difference() {
    let database = empty().await;
    let text = "code,name,kind,parent_code,region_code\n\
                A,马钢（集团）ABC 公司,ENTERPRISE,,\nB,100%_公司,ENTERPRISE,,\n";
    load(&database, text).await.unwrap();
    let service = Service::start(&database).await;
    for query in ["(集团)", "（集团）", "ａｂｃ公司", "aBc 公司", "马 钢"] {
        assert_eq!(codes(&find(&service, "", query).await), ["A"], "{query}");
    }
    service.stop().await;
}

#[tokio::test]
async fn signs_of_patterns_stand_for_themselves() {
    let database = empty().await;
    let text = "code,name,kind,parent_code,region_code\n\
                A,一公司,ENTERPRISE,,\nB,100%_公司,ENTERPRISE,,\n";
    load(&database, text).await.unwrap();
    let service = Service::start(&database).await;
    for (query, expected) in [
        ("%", vec!["B"]),
        ("_", vec!["B"]),
        ("%_", vec!["B"]),
        ("一%", vec![]),
        ("\\", vec![]),
        ("'", vec![]),
    ] {
        assert_eq!(codes(&find(&service, "", query).await), expected, "{query}");
    }
    service.stop().await;
}

#[tokio::test]
async fn spaces_alone_ask_for_nothing() {
    let service = Service::on_anhui().await;
    assert_eq!(codes(&find(&service, "", " \u{3000}").await), ["AH"]);
    service.stop().await;
}

#[tokio::test]
async fn refuses_long_queries_and_control_characters_together_with_other_faults() {
    let service = Service::on_anhui().await;
    assert!(find(&service, "", &"团".repeat(50)).await.is_empty());
    for (query, reason) in
        [("团".repeat(51), "QUERY_LENGTH"), ("广\u{0}".into(), "QUERY_CHARACTERS")]
    {
        let request = ListOrganizationsRequest { query, ..below("AH") };
        let status = service.organizations().list_organizations(request).await.unwrap_err();
        assert_field(&status, "query", reason);
    }
    let request = ListOrganizationsRequest { query: "\n".into(), ..below("A_H") };
    let status = service.organizations().list_organizations(request).await.unwrap_err();
    let fields: Vec<String> = told(&status).2.into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["parent_code", "query"]);
    service.stop().await;
}
