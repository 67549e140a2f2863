//! A rejected call leaves no row.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{bytes, callers, lists, paths, request_ids, size, text, time, values, ways};
use crate::harness::{Own, Site, database};

/// Who follows which feed, and how far: the services of the suite begin to, once they are up.
const FOLLOWERS: &str = "feed_follower";
const SETTLING: [&str; 3] = [FOLLOWERS, "feed_cursor", "count_state"];

/// Whoever calls as a person has signed in, and does so again where the session ends with
/// the call.
const OF_CALLERS: [&str; 4] =
    ["identity.session", "identity.session_end", "identity.device", "identity.delay"];

type Print = BTreeMap<String, (i64, String)>;

async fn print(site: &Site) -> Print {
    let mut main = database::fingerprint(&mut site.main_database().await).await;
    main.extend(database::fingerprint(&mut site.key_database().await).await);
    main.retain(|table, _| !SETTLING.iter().any(|settling| table.ends_with(settling)));
    main.retain(|table, _| !OF_CALLERS.contains(&&**table));
    main
}

/// What is stored once nothing changes any more by itself.
async fn settled(site: &Site) -> Print {
    let (mut last, mut same) = (print(site).await, 0);
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let next = print(site).await;
        same = if next == last { same + 1 } else { 0 };
        if same == 3 {
            return last;
        }
        last = next;
    }
    panic!("the suite does not come to rest");
}

/// The followers of a service.
async fn followers(site: &Site, table: &str) -> Vec<String> {
    let sql = format!("SELECT DISTINCT follower FROM {table} ORDER BY 1");
    let mut main = site.main_database().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut main).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_call_leaves_nothing() {
    let suite = Own::start("rejected").await;
    let site = &suite.site;
    for way in ways(site) {
        way.prove().await;
    }
    let before = settled(site).await;
    bytes::garbage(site).await;
    bytes::bad_utf8(site).await;
    bytes::truncated(site).await;
    bytes::flags(site).await;
    bytes::encodings(site).await;
    size::four_gibibytes(site).await;
    size::large(site).await;
    size::metadata(site).await;
    size::a_million(site).await;
    callers::no_token(site).await;
    callers::two_tokens(site).await;
    callers::spoofed(site).await;
    paths::unknown(site).await;
    time::malformed_deadlines(site).await;
    time::deadlines_of_nothing(site).await;
    time::times_out_of_range(site).await;
    request_ids::missing(site).await;
    request_ids::not_random(site).await;
    values::enumerations(site).await;
    values::masks(site).await;
    text::characters(site).await;
    text::long(site).await;
    lists::negative(site).await;
    lists::forged(site).await;
    let after = print(site).await;
    let left: Vec<_> =
        after.iter().filter(|&(table, now)| before.get(table) != Some(now)).collect();
    assert!(left.is_empty(), "{left:?}");
    // Nor has anybody become a follower by a call that was refused.
    for (table, who) in [("identity", "registration"), ("registration", "orgtree")] {
        let found = followers(site, &format!("{table}.{FOLLOWERS}")).await;
        assert!(found.iter().all(|found| found == who), "{table}: {found:?}");
    }
    suite.stop().await;
}
