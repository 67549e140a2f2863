//! All rows of a database, as an operator's dump would have them.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::harness::database;

/// A row, with its binary columns both in hexadecimal and as they are.
pub(super) struct Row {
    pub(super) table: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads every row of every table.
pub(super) async fn of(database: &mut PgConnection) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in database::tables(database).await {
        let sql = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let texts: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *database).await.unwrap();
        for text in texts {
            let mut bytes = text.clone().into_bytes();
            // A composite value doubles the backslash.
            for part in text.split("\\x").skip(1) {
                bytes.push(b'\n');
                bytes.extend(decoded(part));
            }
            rows.push(Row { table: table.clone(), bytes });
        }
    }
    rows
}

/// The bytes that a text begins with in hexadecimal.
fn decoded(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map_while(|c| c.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
