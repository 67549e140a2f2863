//! The SQL of the tree as it was.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Organization, Part, Row, State, registrable_kinds};
use crate::error::Result;

/// Whether a time is over, by the clock that dates the tree. Of a later one nothing is known.
#[tracing::instrument(name = "db.organization_version.is_past", skip_all)]
pub(in crate::organizations) async fn is_past(
    connection: &mut PgConnection,
    at: OffsetDateTime,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"SELECT $1::timestamptz <= clock_timestamp() AS "past!""#, at)
        .fetch_one(connection)
        .await?)
}

/// Organizations as they stood, with the names above them, in one statement; `$1` is when.
macro_rules! select_as_of {
    ($tail:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT v.code, v.name, v.kind, v.state, v.parent_code, v.region_code,
                 v.successor_code,
                 NOT EXISTS (SELECT FROM orgtree.organization_version b
                             WHERE b.parent_code = v.code AND b.valid_from <= $1
                               AND (b.valid_to IS NULL OR b.valid_to > $1)) AS \"leaf!\",
                 '' AS \"contact_phone!\", '' AS \"contact_group_number!\",
                 '' AS \"contact_note!\", NULL::text AS credit_code,
                 NULL::bigint AS revision,
                 ARRAY(SELECT a.name
                       FROM UNNEST(v.ancestors) WITH ORDINALITY AS above (code, place)
                       JOIN orgtree.organization_version a
                         ON a.code = above.code AND a.valid_from <= $1
                            AND (a.valid_to IS NULL OR a.valid_to > $1)
                       ORDER BY above.place) AS \"ancestor_names!\"
             FROM orgtree.organization_version v
             WHERE v.valid_from <= $1 AND (v.valid_to IS NULL OR v.valid_to > $1) AND " + $tail,
            $($argument),+
        )
    };
}

/// An organization as it stood.
#[tracing::instrument(name = "db.organization_version.find", skip_all)]
pub(in crate::organizations) async fn find(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    code: &str,
) -> Result<Option<Organization>> {
    let row = select_as_of!("v.code = $2", at, code).fetch_optional(connection).await?;
    row.map(Organization::try_from).transpose()
}

/// The organizations that were directly below `parent`, or the roots; by code.
#[tracing::instrument(name = "db.organization_version.children", skip_all)]
pub(in crate::organizations) async fn children(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    parent: Option<&str>,
    part: Part<'_>,
) -> Result<Vec<Organization>> {
    let rows = select_as_of!(
        "(v.parent_code = $2 OR $2::text IS NULL AND v.parent_code IS NULL)
           AND ($3::text IS NULL OR v.code > $3)
           AND (NOT $4 OR v.state = $5 AND v.kind = ANY($6))
         ORDER BY v.code LIMIT $7",
        at,
        parent,
        part.after,
        part.registrable_only,
        State::Active.number(),
        &registrable_kinds(),
        part.limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Organization::try_from).collect()
}

/// Whether there was such an organization.
#[tracing::instrument(name = "db.organization_version.exists", skip_all)]
pub(in crate::organizations) async fn exists(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    code: &str,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.organization_version
                          WHERE code = $2 AND valid_from <= $1
                            AND (valid_to IS NULL OR valid_to > $1)) AS "there!""#,
        at,
        code,
    )
    .fetch_one(connection)
    .await?)
}
