//! Statements, which are the same in every service's schema: made at run time, and checked
//! by the tests of this crate.

use sqlx::AssertSqlSafe;

/// The columns that say what happened, alike in what is pending and in what is sealed.
const CONTENT: &str = "at, actor_kind, actor, action, subject_account_id, organization_code, \
                       purpose, outcome, detail_keys, detail_values, trace_id";

/// A statement for one schema, which stands as `{s}` in the text; `{content}` are the
/// columns of what happened.
pub(crate) fn sql(text: &'static str, schema: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.replace("{s}", schema).replace("{content}", CONTENT))
}
