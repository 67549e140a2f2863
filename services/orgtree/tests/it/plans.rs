use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, PgPool};
use zhiyuan_contracts::orgtree::v1::ListOrganizationsRequest;

use crate::harness::{Service, empty, load};
use crate::organizations::{below, walk};

async fn plan(pool: &PgPool, condition: &str) -> String {
    let sql = format!(
        "EXPLAIN SELECT code FROM orgtree.organization o WHERE {condition} ORDER BY code LIMIT 101"
    );
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    lines.join("\n")
}

/// A tree large enough that reading it all is dearer than asking an index.
fn large() -> String {
    let mut text = String::from("code,name,kind,parent_code,region_code\nA,团省委,PROVINCIAL,,\n");
    for city in 0..20 {
        writeln!(text, "A-{city},市{city},MUNICIPAL,A,").unwrap();
        for below in 0..250 {
            // Characters that many names share, some that few do.
            let rare = char::from_u32(0x4e00 + below * 7 + city).unwrap();
            writeln!(text, "A-{city}-{below},共青团{rare}镇委员会,TOWNSHIP,A-{city},").unwrap();
        }
    }
    for below in 0..20 {
        writeln!(text, "A-7-9-{below},共青团第{below}企业委员会,ENTERPRISE,A-7-9,").unwrap();
    }
    text
}

#[tokio::test]
async fn lists_and_searches_ask_an_index() {
    let database = empty().await;
    load(&database, &large()).await.unwrap();
    let pool = database.pool().await;
    for (condition, index) in [
        ("parent_code = 'A-7' AND code > 'A-7-3'", "organization_children"),
        // A page of a snapshot of the feed.
        ("partition = 7 AND code > 'A-3'", "organization_partition"),
        ("grams @> '{丈}'", "organization_grams"),
        ("grams @> '{丈镇}' AND strpos(folded_name, '丈镇') > 0", "organization_grams"),
        ("grams @> '{丈镇,镇委}' AND strpos(folded_name, '丈镇委') > 0", "organization_grams"),
        ("grams @> '{丈}' AND ancestors @> '{A}'", "organization_grams"),
        ("grams @> '{团}' AND ancestors @> '{A-7-9}'", "organization_ancestors"),
        // Every name has it: the first page is found by going along the codes.
        ("grams @> '{团}'", "organization_pkey"),
    ] {
        let plan = plan(&pool, condition).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{condition}: {plan}");
    }
    let service = Service::start(&database).await;
    let request = ListOrganizationsRequest { query: "丈镇".into(), ..below("A") };
    let found = walk(&service, &request).await;
    assert!(!found.is_empty() && found.iter().all(|one| one.name.contains("丈镇")));
    service.stop().await;
}
