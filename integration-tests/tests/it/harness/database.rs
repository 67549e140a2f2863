//! What is stored, looked at from above.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Site;

/// The tables of the services' schemas, as `schema.table`.
pub(crate) async fn tables(database: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
    )
    .fetch_all(database)
    .await
    .unwrap()
}

/// Tables that change by and by, whether anything happens or not: those of the feeds each
/// second, and what signs the audit a minute after it has grown.
const BEATING: [&str; 5] =
    ["feed_watermark", "feed_slot", "feed_follower", "count_state", "audit_head"];

/// The number of rows of each table and a checksum over all that is in them; but for
/// those that change by and by.
pub(crate) async fn fingerprint(database: &mut PgConnection) -> BTreeMap<String, (i64, String)> {
    let mut prints = BTreeMap::new();
    for table in tables(database).await {
        if BEATING.iter().any(|beating| table.ends_with(beating)) {
            continue;
        }
        let sql = format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))
             FROM {table} t"
        );
        let print = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *database).await.unwrap();
        prints.insert(table, print);
    }
    prints
}

/// Waits until everything that has happened is told, applied, counted and sealed.
pub(crate) async fn until_quiet(main: &mut PgConnection) {
    const PATIENCE: Duration = Duration::from_secs(90);
    const QUIET: &str = "
        SELECT NOT EXISTS (TABLE identity.outbox) AND NOT EXISTS (TABLE registration.outbox)
           AND NOT EXISTS (TABLE identity.audit_pending)
           AND NOT EXISTS (TABLE registration.audit_pending)
           AND NOT EXISTS (TABLE orgtree.audit_pending)
           AND NOT EXISTS (SELECT FROM orgtree.count_delta WHERE folded_at IS NULL)
           AND (SELECT count(*) = 64 FROM orgtree.feed_cursor WHERE rebuild_type IS NULL)
           AND (SELECT count(*) = 64 FROM registration.feed_cursor WHERE rebuild_type IS NULL)
           AND NOT EXISTS (
               SELECT FROM registration.feed_head h
               LEFT JOIN orgtree.feed_cursor c USING (partition)
               WHERE (c.position, c.event_id) IS DISTINCT FROM (h.position, h.event_id))
           AND NOT EXISTS (
               SELECT FROM identity.feed_head h
               LEFT JOIN registration.feed_cursor c USING (partition)
               WHERE (c.position, c.event_id) IS DISTINCT FROM (h.position, h.event_id))";
    let until = tokio::time::Instant::now() + PATIENCE;
    while !sqlx::query_scalar::<_, bool>(QUIET).fetch_one(&mut *main).await.unwrap() {
        assert!(tokio::time::Instant::now() < until, "the feeds do not come to rest");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many rows a query finds.
pub(crate) async fn count(database: &mut PgConnection, from: &'static str) -> i64 {
    let sql = format!("SELECT count(*) FROM {from}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(database).await.unwrap()
}

/// Asserts that these tables are empty.
pub(crate) async fn assert_empty(database: &mut PgConnection, tables: &[&'static str]) {
    for table in tables {
        assert_eq!(count(database, table).await, 0, "rows in {table}");
    }
}

/// Makes calls while a lock is held, until enough of them wait in the database, and lets
/// them go all at once: who has read by then and will write can't be told from luck.
///
/// `lock` is a statement that takes a lock for the rest of a transaction.
pub(crate) async fn pile_up<T>(site: &Site, lock: String, calls: impl Future<Output = T>) -> T {
    const WAITING: i64 = 10;
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut holder = site.main_database().await;
    let mut transaction = holder.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
    let release = async {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut watcher = site.main_database().await;
        while count(&mut watcher, "pg_stat_activity WHERE wait_event_type = 'Lock'").await < WAITING
        {
            assert!(tokio::time::Instant::now() < until, "nobody waits for the lock");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        transaction.commit().await.unwrap();
    };
    tokio::join!(calls, release).0
}
