//! Statements, which are the same in every service's schema: made at run time, and checked
//! by the tests of this crate.

use sqlx::AssertSqlSafe;

/// A statement for one schema, which stands as `{s}` in the text.
pub(crate) fn sql(text: &'static str, schema: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.replace("{s}", schema))
}
