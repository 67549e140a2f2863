//! What is stored, looked at from above.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection};

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

/// The number of rows of each table and a checksum over all that is in them.
pub(crate) async fn fingerprint(database: &mut PgConnection) -> BTreeMap<String, (i64, String)> {
    let mut prints = BTreeMap::new();
    for table in tables(database).await {
        let sql = format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))
             FROM {table} t"
        );
        let print = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *database).await.unwrap();
        prints.insert(table, print);
    }
    prints
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
