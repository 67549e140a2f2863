//! The SQL of organizations.

pub(super) mod dated;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::file::Entry;
use super::search::{self, Query};
use super::tree::Place;
use super::{Contacts, Kind, Organization, State};
use crate::error::{Error, Result};

/// Between the elements of a list in a column of a batch: an array of arrays must be
/// rectangular. No code and no name holds control characters.
const SEPARATOR: &str = "\u{1f}";

struct Row {
    code: String,
    name: String,
    kind: i16,
    state: i16,
    parent_code: Option<String>,
    region_code: Option<String>,
    successor_code: Option<String>,
    leaf: bool,
    contact_phone: String,
    contact_group_number: String,
    contact_note: String,
    credit_code: Option<String>,
    /// `None` of one as it was.
    revision: Option<i64>,
    ancestor_names: Vec<String>,
}

impl TryFrom<Row> for Organization {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let inconsistent = Error::Inconsistent("orgtree.organization");
        let (Some(kind), Some(state)) = (Kind::of_number(row.kind), State::of_number(row.state))
        else {
            return Err(inconsistent);
        };
        Ok(Self {
            code: row.code,
            name: row.name,
            kind,
            parent_code: row.parent_code,
            region_code: row.region_code,
            state,
            successor_code: row.successor_code,
            leaf: row.leaf,
            contacts: Contacts {
                phone: row.contact_phone,
                group_number: row.contact_group_number,
                note: row.contact_note,
            },
            credit_code: row.credit_code,
            revision: row.revision,
            ancestor_names: row.ancestor_names,
        })
    }
}

/// Organizations with the names above them, in one statement.
macro_rules! select {
    ($tail:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT o.code, o.name, o.kind, o.state, o.parent_code, o.region_code,
                 o.successor_code, o.leaf, o.contact_phone, o.contact_group_number,
                 o.contact_note, o.credit_code, o.revision AS \"revision?\",
                 ARRAY(SELECT a.name FROM UNNEST(o.ancestors) WITH ORDINALITY AS above (code, place)
                       JOIN orgtree.organization a ON a.code = above.code
                       ORDER BY above.place) AS \"ancestor_names!\"
             FROM orgtree.organization o " + $tail,
            $($argument),+
        )
    };
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Only those that take registrations.
    pub(super) registrable_only: bool,
    pub(super) after: Option<&'a str>,
    pub(super) limit: i64,
}

fn registrable_kinds() -> Vec<i16> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.takes_registrations());
    kinds.map(Kind::number).collect()
}

/// The organizations directly below `parent`, or the roots; by code.
#[tracing::instrument(name = "db.organization.children", skip_all)]
pub(super) async fn children(
    connection: &mut PgConnection,
    parent: Option<&str>,
    part: Part<'_>,
) -> Result<Vec<Organization>> {
    let rows = select!(
        "WHERE (o.parent_code = $1 OR $1::text IS NULL AND o.parent_code IS NULL)
           AND ($2::text IS NULL OR o.code > $2)
           AND (NOT $3 OR o.state = $4 AND o.kind = ANY($5))
         ORDER BY o.code LIMIT $6",
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

/// The organizations anywhere below `above`, or anywhere at all, with the query in
/// their name; by code. The grams find them by index; what of a longer query is in
/// the name in pairs only is sorted out by the name itself.
#[tracing::instrument(name = "db.organization.search", skip_all)]
pub(super) async fn search(
    connection: &mut PgConnection,
    query: &Query,
    above: Option<&str>,
    part: Part<'_>,
) -> Result<Vec<Organization>> {
    let rows = select!(
        "WHERE o.grams @> $1 AND strpos(o.folded_name, $2) > 0
           AND ($3::text IS NULL OR o.ancestors @> ARRAY[$3::text])
           AND ($4::text IS NULL OR o.code > $4)
           AND (NOT $5 OR o.state = $6 AND o.kind = ANY($7))
         ORDER BY o.code LIMIT $8",
        &query.grams(),
        query.folded(),
        above,
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

/// An organization.
#[tracing::instrument(name = "db.organization.find", skip_all)]
pub(crate) async fn find(
    connection: &mut PgConnection,
    code: &str,
) -> Result<Option<Organization>> {
    let row = select!("WHERE o.code = $1", code).fetch_optional(connection).await?;
    row.map(Organization::try_from).transpose()
}

/// Whether there is such an organization.
#[tracing::instrument(name = "db.organization.exists", skip_all)]
pub(super) async fn exists(connection: &mut PgConnection, code: &str) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM orgtree.organization WHERE code = $1) AS \"exists!\"",
        code,
    )
    .fetch_one(connection)
    .await?)
}

/// An organization in the tree as it is.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) code: String,
    pub(super) parent_code: Option<String>,
    pub(super) ancestors: Vec<String>,
    pub(super) leaf: bool,
    pub(super) revision: i64,
    /// Whether an administrator has made or changed it.
    pub(super) by_call: bool,
    /// Of an open one.
    pub(super) credit_code: Option<String>,
}

/// Makes a second loader wait, and no reader; and gives the loader the time it needs:
/// half a million organizations are thought about for longer than a session that
/// serves people may idle in a transaction.
#[tracing::instrument(name = "db.organization.lock", skip_all)]
pub(super) async fn lock(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT set_config('lock_timeout', '60s', true) AS a,
                set_config('idle_in_transaction_session_timeout', '10min', true) AS b,
                set_config('statement_timeout', '10min', true) AS c"
    )
    .fetch_one(&mut *connection)
    .await?;
    alone(&mut *connection).await?;
    // After the lock of the tree: whoever changes one organization takes them in this order too.
    sqlx::query!("LOCK TABLE orgtree.organization IN SHARE ROW EXCLUSIVE MODE")
        .execute(connection)
        .await
        .map(drop)
}

/// Alone with the tree until the transaction ends: figures are folded up it, and roles given on
/// it, under the same lock, shared. Everything that is changed now is dated to this moment.
#[tracing::instrument(name = "db.tree.alone", skip_all)]
pub(crate) async fn alone(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('orgtree.tree', 0)) AS alone")
        .fetch_one(&mut *connection)
        .await?;
    // A statement of its own: the clock is looked at under the lock.
    sqlx::query!(
        "SELECT set_config('orgtree.changed_at', clock_timestamp()::text, true) AS changed_at"
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// The tree as it is.
#[tracing::instrument(name = "db.organization.existing", skip_all)]
pub(super) async fn existing(
    connection: &mut PgConnection,
) -> std::result::Result<Vec<Existing>, sqlx::Error> {
    sqlx::query_as!(
        Existing,
        "SELECT code, parent_code, ancestors, leaf, revision, by_call,
                CASE WHEN state = $1 THEN credit_code END AS credit_code
         FROM orgtree.organization",
        State::Active.number(),
    )
    .fetch_all(connection)
    .await
}

/// Looks at what is otherwise looked at when all is done.
#[tracing::instrument(name = "db.organization.look_now", skip_all)]
pub(super) async fn look_now(
    connection: &mut PgConnection,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!("SET CONSTRAINTS ALL IMMEDIATE").execute(connection).await.map(drop)
}

/// The time, as the database knows it.
#[tracing::instrument(name = "db.organization.now", skip_all)]
pub(super) async fn now(
    connection: &mut PgConnection,
) -> std::result::Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(connection).await
}

/// A row that was inserted or updated.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) code: String,
    pub(super) revision: i64,
}

/// Inserts what is new and updates what differs; returns which rows that were. The
/// revision of a row goes up if something is different that the feed tells.
#[tracing::instrument(name = "db.organization.upsert", skip_all)]
pub(super) async fn upsert(
    connection: &mut PgConnection,
    rows: &[(&Entry, &Place<'_>)],
) -> std::result::Result<Vec<Written>, sqlx::Error> {
    fn column<'a, T>(
        rows: &[(&'a Entry, &'a Place<'a>)],
        value: impl Fn(&'a Entry) -> T,
    ) -> Vec<T> {
        rows.iter().map(|(entry, _)| value(entry)).collect()
    }
    let folded: Vec<String> = column(rows, |entry| search::fold(&entry.name));
    let grams: Vec<String> = folded
        .iter()
        .map(|name| search::grams(name).into_iter().collect::<Vec<_>>().join(SEPARATOR))
        .collect();
    let ancestors: Vec<String> =
        rows.iter().map(|(_, place)| place.ancestors.join(SEPARATOR)).collect();
    let leaves: Vec<bool> = rows.iter().map(|(_, place)| place.leaf).collect();
    sqlx::query_as!(
        Written,
        "INSERT INTO orgtree.organization AS old
             (code, name, kind, state, parent_code, region_code, successor_code, contact_phone,
              contact_group_number, contact_note, leaf, folded_name, ancestors, grams,
              credit_code)
         SELECT code, name, kind, state, parent_code, region_code, successor_code, contact_phone,
                contact_group_number, contact_note, leaf, folded_name,
                string_to_array(ancestors, $15), string_to_array(grams, $15), credit_code
         FROM UNNEST($1::text[], $2::text[], $3::smallint[], $4::smallint[], $5::text[],
                     $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                     $11::boolean[], $12::text[], $13::text[], $14::text[], $16::text[])
             AS new (code, name, kind, state, parent_code, region_code, successor_code,
                     contact_phone, contact_group_number, contact_note, leaf, folded_name,
                     ancestors, grams, credit_code)
         ON CONFLICT (code) DO UPDATE
         SET name = excluded.name, kind = excluded.kind, state = excluded.state,
             parent_code = excluded.parent_code, region_code = excluded.region_code,
             successor_code = excluded.successor_code, contact_phone = excluded.contact_phone,
             contact_group_number = excluded.contact_group_number,
             contact_note = excluded.contact_note, leaf = excluded.leaf,
             folded_name = excluded.folded_name, ancestors = excluded.ancestors,
             grams = excluded.grams, credit_code = excluded.credit_code,
             revision = old.revision
                 + ((old.name, old.kind, old.state, old.parent_code, old.region_code,
                     old.successor_code, old.contact_phone, old.contact_group_number,
                     old.contact_note, old.credit_code)
                    IS DISTINCT FROM
                    (excluded.name, excluded.kind, excluded.state, excluded.parent_code,
                     excluded.region_code, excluded.successor_code, excluded.contact_phone,
                     excluded.contact_group_number, excluded.contact_note,
                     excluded.credit_code))::integer
         WHERE (old.name, old.kind, old.state, old.parent_code, old.region_code,
                old.successor_code, old.contact_phone, old.contact_group_number,
                old.contact_note, old.leaf, old.folded_name, old.ancestors, old.grams,
                old.credit_code)
             IS DISTINCT FROM
               (excluded.name, excluded.kind, excluded.state, excluded.parent_code,
                excluded.region_code, excluded.successor_code, excluded.contact_phone,
                excluded.contact_group_number, excluded.contact_note, excluded.leaf,
                excluded.folded_name, excluded.ancestors, excluded.grams, excluded.credit_code)
         RETURNING code, revision",
        &column(rows, |entry| entry.code.as_str()) as &[&str],
        &column(rows, |entry| entry.name.as_str()) as &[&str],
        &column(rows, |entry| entry.kind.number()),
        &column(rows, |entry| entry.state.number()),
        &column(rows, |entry| entry.parent_code.as_deref()) as &[Option<&str>],
        &column(rows, |entry| entry.region_code.as_deref()) as &[Option<&str>],
        &column(rows, |entry| entry.successor_code.as_deref()) as &[Option<&str>],
        &column(rows, |entry| entry.contacts.phone.as_str()) as &[&str],
        &column(rows, |entry| entry.contacts.group_number.as_str()) as &[&str],
        &column(rows, |entry| entry.contacts.note.as_str()) as &[&str],
        &leaves,
        &folded,
        &ancestors,
        &grams,
        SEPARATOR,
        &column(rows, |entry| entry.credit_code.as_deref()) as &[Option<&str>],
    )
    .fetch_all(connection)
    .await
}

/// An organization whose place changes, and nothing else.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    pub(super) code: &'a str,
    pub(super) place: &'a Place<'a>,
}

/// Gives organizations their new places; returns how many there were.
#[tracing::instrument(name = "db.organization.relocate", skip_all)]
pub(super) async fn relocate(
    connection: &mut PgConnection,
    moved: &[Moved<'_>],
) -> std::result::Result<u64, sqlx::Error> {
    let codes: Vec<&str> = moved.iter().map(|moved| moved.code).collect();
    let ancestors: Vec<String> =
        moved.iter().map(|moved| moved.place.ancestors.join(SEPARATOR)).collect();
    let leaves: Vec<bool> = moved.iter().map(|moved| moved.place.leaf).collect();
    let result = sqlx::query!(
        "UPDATE orgtree.organization o
         SET ancestors = string_to_array(new.ancestors, $4), leaf = new.leaf
         FROM UNNEST($1::text[], $2::text[], $3::boolean[]) AS new (code, ancestors, leaf)
         WHERE o.code = new.code",
        &codes as &[&str],
        &ancestors,
        &leaves,
        SEPARATOR,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// Tells the planner of a table that was just filled; autovacuum comes too late for
/// the first visitors.
#[tracing::instrument(name = "db.organization.analyze", skip_all)]
pub(super) async fn analyze(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query!("ANALYZE orgtree.organization").execute(connection).await.map(drop)
}
