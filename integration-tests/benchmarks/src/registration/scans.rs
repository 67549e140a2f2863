//! Rows that were read one after the other, since no index was used.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::PgConnection;

/// Rows read so far, by table.
#[derive(Debug)]
pub(super) struct Scans(BTreeMap<String, i64>);

impl Scans {
    /// Reads what the server has counted.
    pub(super) async fn read(admin: &mut PgConnection) -> anyhow::Result<Self> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT schemaname || '.' || relname, seq_tup_read::bigint FROM pg_stat_user_tables",
        )
        .fetch_all(admin)
        .await?;
        Ok(Self(rows.into_iter().collect()))
    }

    /// The tables of which most rows were read since, for each of so many registrations.
    pub(super) async fn since(
        &self,
        admin: &mut PgConnection,
        count: usize,
    ) -> anyhow::Result<String> {
        let now = Self::read(admin).await?;
        let count = i64::try_from(count)?.max(1);
        let mut read: Vec<(&String, i64)> = now
            .0
            .iter()
            .map(|(table, rows)| (table, rows - self.0.get(table).copied().unwrap_or_default()))
            .map(|(table, rows)| (table, rows / count))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        read.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        let mut text = String::new();
        for (table, rows) in read.into_iter().take(6) {
            let _ = write!(text, "{table} {rows} rows, ");
        }
        Ok(text)
    }
}
