//! Pages of lists (rows 31 and 32).

use prost_reflect::{DynamicMessage, Value};
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{ListOrganizationsRequest, ListOrganizationsResponse};
use zhiyuan_rpc::page::Page;

use super::{assert_field_refused, assert_refused, ways};
use crate::bad_inputs::Way;
use crate::harness::caller::account_of;
use crate::harness::client::LIST_ORGANIZATIONS;
use crate::harness::{Door, Site, shared};

/// The ways to methods that answer pages.
fn lists(site: &Site) -> Vec<Way> {
    let mut lists = ways(site);
    lists.retain(|way| way.policy.method.input().get_field_by_name("page_token").is_some());
    assert!(lists.len() >= 10, "{}", lists.len());
    lists
}

pub(super) async fn negative(site: &Site) {
    for way in lists(site) {
        for size in [-1, i32::MIN] {
            let mut message = way.sample();
            message.set_field_by_name("page_size", Value::I32(size));
            assert_field_refused(&way.ask(&message).await, "page_size", &way);
        }
    }
}

#[tokio::test]
async fn every_service_31_page_size() {
    let site = shared();
    negative(&site).await;
    for way in lists(&site) {
        for size in [501, i32::MAX] {
            let mut message = way.sample();
            message.set_field_by_name("page_size", Value::I32(size));
            let refusal = way.ask(&message).await.refusal;
            // Nobody imports in the samples, and no notice was issued.
            let missing = match way.policy.method.name() {
                "ListRosterImportRows" => Some("ROSTER_IMPORT_NOT_FOUND"),
                "ListPeriodicNoticeRows" | "ListPeriodicNoticeConfirmations" => {
                    Some("NOTICE_NOT_FOUND")
                }
                _ => None,
            };
            assert_eq!(refusal.map(|refusal| refusal.reason).as_deref(), missing, "{way}");
        }
    }
    // One list is long enough to see it.
    let request = ListOrganizationsRequest {
        query: "团".to_owned(),
        page_size: i32::MAX,
        ..Default::default()
    };
    for door in [Door::grpc(site.addresses.gateway), Door::grpc(site.addresses.orgtree)] {
        let page: ListOrganizationsResponse =
            door.call(LIST_ORGANIZATIONS, &request).await.unwrap();
        assert_eq!(page.organizations.len(), 500);
        assert_ne!(page.next_page_token, "");
    }
}

/// What a list is made by, as its service names it in a token.
async fn filters(way: &Way, message: &DynamicMessage) -> Vec<String> {
    let text = |name: &str| {
        let value = message.get_field_by_name(name).unwrap().into_owned();
        value.as_str().map(str::to_owned).unwrap()
    };
    match way.policy.method.name() {
        "ListConsentTexts" => vec!["consents".to_owned()],
        "ListMyConsents" => vec!["my_consents".to_owned()],
        "ListMyConsentEntries" => vec!["consent_entries".to_owned()],
        "ListSessions" => vec!["sessions".to_owned()],
        "ListMyNotices" => vec!["notices".to_owned()],
        "ListMyLooks" => vec!["my_looks".to_owned()],
        "ListMyOrganizations" => vec!["my_organizations".to_owned()],
        "ListMyPhoneRecoveries" => vec!["phone_recoveries".to_owned()],
        "ListPhoneRecoveries" => vec!["phone_recoveries".to_owned(), text("organization_code")],
        "ListAccountGrants" => vec!["account_grants".to_owned(), text("account_id")],
        "ListMyRecords" => vec!["records".to_owned()],
        "ListSigningKeys" => vec!["signing_keys".to_owned()],
        "ListClaimedEnrolments" => vec!["claimed".to_owned()],
        "ListRegions" => vec!["regions".to_owned(), text("parent_code")],
        "ListOrganizations" => {
            let registrable = "registrable".to_owned();
            vec!["organizations".to_owned(), text("parent_code"), text("query"), registrable]
        }
        "ListRosterImports" => vec!["roster_imports".to_owned(), text("organization_code")],
        "ListRosterImportRows" => {
            vec!["roster_rows".to_owned(), text("import_id"), "rejected".to_owned()]
        }
        // All that can be asked for is.
        "ListRosterMembers" => {
            vec!["roster_members".to_owned(), text("organization_code"), "uar".to_owned()]
        }
        "ListMyClaims" => vec!["claims".to_owned()],
        "ListClaims" => vec!["claims".to_owned(), text("organization_code")],
        "ListReviews" => vec!["reviews".to_owned(), text("organization_code")],
        // These differ by who asks.
        "ListMyGrants" => vec!["my_grants".to_owned(), asker(way).await],
        "ListProposals" => {
            vec!["proposals".to_owned(), asker(way).await, text("organization_code")]
        }
        "ListGrants" => {
            vec!["grants".to_owned(), asker(way).await, text("organization_code")]
        }
        "ListOrganizationStatistics" => {
            let list = "organization_statistics".to_owned();
            vec![list, asker(way).await, text("organization_code")]
        }
        "ListTargets" => vec!["targets".to_owned(), asker(way).await, text("organization_code")],
        "ListMyApplications" => vec!["my_applications".to_owned(), asker(way).await],
        // The first kind.
        "ListArticles" => vec!["articles".to_owned(), text("organization_code"), "1".to_owned()],
        "ListOwnArticles" => {
            vec!["own_articles".to_owned(), asker(way).await, text("organization_code")]
        }
        // All that can be asked for is.
        "ListApplications" => {
            let (code, which) = (text("organization_code"), "waiting".to_owned());
            vec!["applications".to_owned(), asker(way).await, code, which]
        }
        "ListInvitations" => {
            vec!["invitations".to_owned(), asker(way).await, text("organization_code")]
        }
        "ListPeriodicNotices" => {
            let (list, code) = ("periodic_notices".to_owned(), text("organization_code"));
            vec![list, asker(way).await, code, "own".to_owned()]
        }
        "ListPeriodicNoticeRows" => {
            vec!["periodic_notice_rows".to_owned(), asker(way).await, text("notice_id")]
        }
        "ListPeriodicNoticeConfirmations" => {
            let list = "periodic_notice_confirmations".to_owned();
            vec![list, asker(way).await, text("notice_id")]
        }
        "ListPeriodicNoticeKeys" => vec!["periodic_notice_keys".to_owned()],
        "Snapshot" => vec![text("type"), "0".to_owned()],
        unknown => panic!("say what the list of {unknown} is made by"),
    }
}

/// The account of who asks.
async fn asker(way: &Way) -> String {
    account_of(&way.proof.header(&way.policy).await.unwrap().1)
}

/// A token of a list, which says to go on after a key.
fn token(filters: &[String], key: &str) -> String {
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let page = Page::parse(1, "", &filters).unwrap();
    page.cut(vec![key, key], |key| (*key).to_owned()).1
}

pub(super) async fn forged(site: &Site) {
    for way in lists(site) {
        let message = way.sample();
        let filters = filters(&way, &message).await;
        let good = token(&filters, "340100");
        let mut altered = good.clone();
        let other = if altered.starts_with('A') { "B" } else { "A" };
        altered.replace_range(..1, other);
        let mut elsewhere = filters.clone();
        elsewhere[0] += "-of-somebody-else";
        let mut narrower = filters.clone();
        narrower.push("more".to_owned());
        for (what, token) in [
            ("garbage", "garbage".to_owned()),
            ("no base64", "==".to_owned()),
            ("altered", altered),
            ("cut", good[..good.len() - 1].to_owned()),
            ("of another list", token(&elsewhere, "340100")),
            ("of another filter", token(&narrower, "340100")),
            // Anybody can make one that is well formed.
            ("a key that is none", token(&filters, "canary'; --")),
            ("an empty key", token(&filters, "")),
            ("a key with a NUL", token(&filters, "canary\0")),
        ] {
            let mut message = message.clone();
            message.set_field_by_name("page_token", Value::String(token.clone()));
            let told = way.ask(&message).await;
            let what = format!("{what}, {way}");
            assert_refused(&told, Code::InvalidArgument, "PAGE_TOKEN_INVALID", &what);
            assert!(!told.repeats(b"canary"), "{what}");
        }
    }
}

#[tokio::test]
async fn every_service_32_forged_page_token() {
    forged(&shared()).await;
}
