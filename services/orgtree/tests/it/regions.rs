use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use time::macros::datetime;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::{
    GetRegionRequest, ListRegionsRequest, Region, RegionLevel, RegionSuccessor,
};
use zhiyuan_domain::ManualClock;
use zhiyuan_orgtree::{Config, Seed};
use zhiyuan_testkit::TestDatabase;

use crate::harness::{Service, assert_field, assert_refused, config, empty};

fn below(parent_code: &str, page_size: i32, page_token: &str) -> ListRegionsRequest {
    let (parent_code, page_token) = (parent_code.to_owned(), page_token.to_owned());
    ListRegionsRequest { parent_code, page_size, page_token }
}

async fn walk(service: &Service, parent: &str, page_size: i32) -> Vec<Region> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let request = below(parent, page_size, &token);
        let page = service.regions().list_regions(request).await.unwrap().into_inner();
        assert!(page_size == 0 || page.regions.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.regions);
        token = page.next_page_token;
        if token.is_empty() {
            return all;
        }
    }
}

fn codes(regions: &[Region]) -> Vec<&str> {
    regions.iter().map(|region| region.code.as_str()).collect()
}

#[tokio::test]
async fn walks_the_whole_country_down_to_the_leaves() {
    let service = Service::on_anhui().await;
    let mut open = walk(&service, "", 500).await;
    assert_eq!(open.len(), 34);
    assert!(open.iter().all(|region| region.level() == RegionLevel::Province));
    let (mut all, mut leaves) = (0, BTreeSet::new());
    while let Some(region) = open.pop() {
        all += 1;
        if region.leaf {
            leaves.insert(region.code);
            continue;
        }
        let below = walk(&service, &region.code, 500).await;
        assert!(!below.is_empty() && below.iter().all(|one| one.parent_code == region.code));
        open.extend(below);
    }
    assert_eq!(all, 3214);
    for leaf in ["110101", "341882", "441900", "710000", "810000", "820000"] {
        assert!(leaves.contains(leaf), "{leaf}");
    }
    service.stop().await;
}

#[tokio::test]
async fn all_counties_of_anhui_are_there_and_are_leaves() {
    let service = Service::on_anhui().await;
    let cities = walk(&service, "340000", 0).await;
    assert_eq!(cities.len(), 16);
    let mut counties = Vec::new();
    for city in &cities {
        assert!(!city.leaf && city.level() == RegionLevel::City, "{city:?}");
        counties.extend(walk(&service, &city.code, 0).await);
    }
    assert_eq!(counties.len(), 104);
    assert!(counties.iter().all(|one| one.leaf && one.level() == RegionLevel::County));
    service.stop().await;
}

#[tokio::test]
async fn pages_of_any_size_hold_each_region_once_and_by_code() {
    let service = Service::on_anhui().await;
    let whole = walk(&service, "", 0).await;
    assert!(codes(&whole).is_sorted_by(|a, b| a < b));
    for size in [1, 2, 33, 34, 35, 100] {
        assert_eq!(codes(&walk(&service, "", size).await), codes(&whole), "{size}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_leaf_and_an_unknown_region_have_nothing_below() {
    let service = Service::on_anhui().await;
    for parent in ["341882", "349999"] {
        assert!(walk(&service, parent, 0).await.is_empty(), "{parent}");
    }
    service.stop().await;
}

#[tokio::test]
async fn gets_a_region_however_its_code_is_typed() {
    let service = Service::on_anhui().await;
    for code in ["341882", " ３４１８８２"] {
        let request = GetRegionRequest { code: code.into() };
        let answer = service.regions().get_region(request).await.unwrap().into_inner();
        let expected = Region {
            code: "341882".into(),
            name: "广德市".into(),
            level: RegionLevel::County.into(),
            parent_code: "341800".into(),
            leaf: true,
            ..Default::default()
        };
        assert_eq!(answer.region, Some(expected));
    }
    service.stop().await;
}

/// Migrates with a file of regions.
async fn load(database: &TestDatabase, lines: &str) -> Result<(), zhiyuan_orgtree::MigrateError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("code,name,level,parent_code,abolished_on,successors\n{lines}");
    file.write_all(text.as_bytes()).unwrap();
    let regions_file = Some(file.path().to_owned());
    zhiyuan_orgtree::migrate(&Config { regions_file, ..config(database, Seed::None) }).await
}

#[tokio::test]
async fn a_region_that_is_abolished_is_left_out_from_that_day_on_and_tells_what_is_there() {
    let database = empty().await;
    let before = "340000,安徽省,province,,,\n341800,宣城市,city,340000,,\n\
                  341822,广德县,county,341800,,\n341823,泾县,county,341800,,\n";
    load(&database, before).await.unwrap();
    // A file with a fault changes nothing.
    let wrong = format!("{before}341882,广德市,county,341800,,341822\n");
    load(&database, &wrong).await.unwrap_err();
    let clock = Arc::new(ManualClock::new(datetime!(2026-11-23 15:59:59 UTC)));
    let service =
        Service::start_with(config(&database, Seed::None), Arc::<ManualClock>::clone(&clock)).await;
    let get = async |code: &str| {
        let request = GetRegionRequest { code: code.into() };
        service.regions().get_region(request).await.unwrap().into_inner().region.unwrap()
    };
    assert_eq!(codes(&walk(&service, "341800", 0).await), ["341822", "341823"]);
    assert_eq!(get("341822").await.abolish_date, "");

    // It is told before, and counts from the first moment of its day in China on.
    let after = "340000,安徽省,province,,,\n341800,宣城市,city,340000,,\n\
                 341822,广德县,county,341800,2026-11-24,341882\n\
                 341882,广德市,county,341800,,\n";
    load(&database, after).await.unwrap();
    let today = walk(&service, "341800", 0).await;
    assert_eq!(codes(&today), ["341822", "341823", "341882"], "what a file lacks stays");
    let region = get("341822").await;
    assert_eq!((&*region.abolish_date, region.abolished), ("2026-11-24", false));
    clock.advance(Duration::from_secs(1));
    assert_eq!(codes(&walk(&service, "341800", 0).await), ["341823", "341882"]);
    assert_eq!(codes(&walk(&service, "341800", 1).await), ["341823", "341882"]);
    let region = get("341822").await;
    assert!(region.abolished);
    let successor = RegionSuccessor { code: "341882".into(), name: "广德市".into() };
    assert_eq!(region.successors, [successor]);
    service.stop().await;
}

/// A file says in November what comes in January.
#[tokio::test]
async fn what_is_to_come_is_not_so_before_its_day() {
    let database = empty().await;
    // 341822 was followed long ago; what followed it, and the last county of another city, have
    // yet to go.
    let lines = "340000,安徽省,province,,,\n341800,宣城市,city,340000,,\n\
                 341822,广德县,county,341800,2019-08-10,341882\n\
                 341882,广德市,county,341800,2027-01-01,341899\n\
                 341899,桃州市,county,341800,,\n\
                 340100,合肥市,city,340000,,\n340181,巢湖市,county,340100,2027-01-01,341800\n";
    load(&database, lines).await.unwrap();
    let clock = Arc::new(ManualClock::new(datetime!(2026-12-31 15:59:59 UTC)));
    let service =
        Service::start_with(config(&database, Seed::None), Arc::<ManualClock>::clone(&clock)).await;
    let get = async |code: &str| {
        let request = GetRegionRequest { code: code.into() };
        service.regions().get_region(request).await.unwrap().into_inner().region.unwrap()
    };
    let followed = async || {
        let successors = get("341822").await.successors.into_iter();
        successors.map(|one| one.code).collect::<Vec<_>>()
    };
    let leaves = async || {
        let cities = walk(&service, "340000", 0).await;
        let leaves: Vec<String> =
            cities.into_iter().filter(|city| city.leaf).map(|city| city.code).collect();
        assert_eq!(leaves.is_empty(), !get("340100").await.leaf);
        leaves
    };
    assert_eq!(followed().await, ["341882"]);
    assert!(leaves().await.is_empty());
    assert_eq!(codes(&walk(&service, "340100", 0).await), ["340181"]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(followed().await, ["341899"]);
    assert_eq!(leaves().await, ["340100"]);
    assert!(walk(&service, "340100", 0).await.is_empty());
    assert_eq!(get("340181").await.successors[0].code, "341800");
    service.stop().await;
}

#[tokio::test]
async fn refuses_a_region_that_does_not_exist() {
    let service = Service::on_anhui().await;
    let request = GetRegionRequest { code: "349999".into() };
    let status = service.regions().get_region(request).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "REGION_NOT_FOUND");
    service.stop().await;
}

#[tokio::test]
async fn refuses_what_is_no_region_code() {
    let service = Service::on_anhui().await;
    for (code, reason) in [
        ("", "REGION_CODE_FORMAT"),
        ("34\u{0}882", "REGION_CODE_FORMAT"),
        ("990000", "REGION_CODE_PROVINCE"),
    ] {
        let request = GetRegionRequest { code: code.into() };
        let status = service.regions().get_region(request).await.unwrap_err();
        assert_field(&status, "code", reason);
    }
    let status = service.regions().list_regions(below("安徽", 0, "")).await.unwrap_err();
    assert_field(&status, "parent_code", "REGION_CODE_FORMAT");
    service.stop().await;
}

#[tokio::test]
async fn refuses_a_negative_page_size() {
    let service = Service::on_anhui().await;
    let status = service.regions().list_regions(below("", -1, "")).await.unwrap_err();
    assert_field(&status, "page_size", "PAGE_SIZE_NEGATIVE");
    service.stop().await;
}

#[tokio::test]
async fn refuses_the_page_token_of_another_list() {
    let service = Service::on_anhui().await;
    let page = service.regions().list_regions(below("", 1, "")).await.unwrap().into_inner();
    for (parent, token) in [("340000", page.next_page_token.as_str()), ("", "x")] {
        let request = below(parent, 1, token);
        let status = service.regions().list_regions(request).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    service.stop().await;
}
