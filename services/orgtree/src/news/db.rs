//! The SQL of articles.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Article, Content, Kind, Publication, State};
use crate::error::{Error, Result};

struct Row {
    article_id: Uuid,
    organization_code: String,
    organization_name: String,
    kind: i16,
    title: String,
    summary: String,
    body: String,
    pinned: bool,
    state: i16,
    revision: i64,
    publication_id: Option<Uuid>,
    published_at: Option<OffsetDateTime>,
    changed_at: OffsetDateTime,
}

impl TryFrom<Row> for Article {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let (Some(kind), Some(state)) = (Kind::of_number(row.kind), State::of_number(row.state))
        else {
            return Err(Error::Inconsistent("orgtree.article"));
        };
        let publication = row.publication_id.zip(row.published_at);
        let Row { title, summary, body, pinned, .. } = row;
        Ok(Self {
            id: row.article_id,
            organization_code: row.organization_code,
            organization_name: row.organization_name,
            content: Content { kind, title, summary, body, pinned },
            state,
            revision: row.revision,
            publication: publication.map(|(id, at)| Publication { id, at }),
            changed_at: row.changed_at,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<Article>> {
    rows.into_iter().map(Article::try_from).collect()
}

/// Inserts an article.
#[tracing::instrument(name = "db.article.insert", skip_all)]
pub(super) async fn insert(
    transaction: &mut PgConnection,
    (id, organization_code): (Uuid, &str),
    content: &Content,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO orgtree.article
             (article_id, organization_code, kind, title, summary, body, pinned, created_at,
              changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        id,
        organization_code,
        content.kind.number(),
        content.title,
        content.summary,
        content.body,
        content.pinned,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Stores an article after one step.
#[tracing::instrument(name = "db.article.store", skip_all)]
pub(super) async fn store(transaction: &mut PgConnection, one: &Article) -> Result<()> {
    let stored = sqlx::query!(
        "UPDATE orgtree.article
         SET kind = $3, title = $4, summary = $5, body = $6, pinned = $7, state = $8,
             publication_id = $9, published_at = $10, changed_at = $11, revision = $2::bigint
         WHERE article_id = $1 AND revision = $2::bigint - 1",
        one.id,
        one.revision,
        one.content.kind.number(),
        one.content.title,
        one.content.summary,
        one.content.body,
        one.content.pinned,
        one.state.number(),
        one.publication.map(|publication| publication.id),
        one.publication.map(|publication| publication.at),
        one.changed_at,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&stored, 1)?)
}

/// Articles whole, in one statement.
macro_rules! whole {
    ($tail:literal, $($value:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT a.article_id, a.organization_code, o.name AS organization_name, a.kind, a.title,
                    a.summary, a.body, a.pinned, a.state, a.revision, a.publication_id,
                    a.published_at, a.changed_at
             FROM orgtree.article a
             JOIN orgtree.organization o ON o.code = a.organization_code " + $tail,
            $($value),*
        )
    };
}

/// Finds an article, and keeps it as it is until the transaction ends.
#[tracing::instrument(name = "db.article.hold", skip_all)]
pub(super) async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Article>> {
    let row = whole!("WHERE a.article_id = $1 FOR UPDATE OF a", id);
    row.fetch_optional(transaction).await?.map(Article::try_from).transpose()
}

/// Finds an article.
#[tracing::instrument(name = "db.article.find", skip_all)]
pub(super) async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Article>> {
    let row = whole!("WHERE a.article_id = $1", id);
    row.fetch_optional(executor).await?.map(Article::try_from).transpose()
}

/// The articles of an organization itself without their texts, the latest first.
#[tracing::instrument(name = "db.article.list_own", skip_all)]
pub(super) async fn list_own(
    executor: impl PgExecutor<'_>,
    organization_code: &str,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Article>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.article_id, a.organization_code, o.name AS organization_name, a.kind, a.title,
                  a.summary, '' AS "body!", a.pinned, a.state, a.revision, a.publication_id,
                  a.published_at, a.changed_at
           FROM orgtree.article a
           JOIN orgtree.organization o ON o.code = a.organization_code
           WHERE a.organization_code = $1 AND ($2::uuid IS NULL OR a.article_id < $2)
           ORDER BY a.article_id DESC LIMIT $3"#,
        organization_code,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    all(rows)
}

/// Which of what is published is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published<'a> {
    /// By it and by all above it.
    pub(super) organization_code: &'a str,
    pub(super) kinds: &'a [Kind],
    pub(super) pinned_only: bool,
    pub(super) after: Option<Uuid>,
    pub(super) limit: i64,
}

/// What is published, without the texts, the latest publication first: of each organization as
/// many as are wanted in all, by an index.
#[tracing::instrument(name = "db.article.list_published", skip_all)]
pub(super) async fn list_published(
    executor: impl PgExecutor<'_>,
    wanted: Published<'_>,
) -> Result<Vec<Article>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.article_id, a.organization_code, o.name AS organization_name, a.kind, a.title,
                  a.summary, '' AS "body!", a.pinned, a.state, a.revision, a.publication_id,
                  a.published_at, a.changed_at
           FROM (SELECT unnest(t.ancestors || t.code) AS code
                 FROM orgtree.organization t WHERE t.code = $1) publisher
           CROSS JOIN LATERAL
               (SELECT * FROM orgtree.article p
                WHERE p.organization_code = publisher.code AND p.state = 2
                  AND p.kind = ANY($2::smallint[]) AND (p.pinned OR NOT $3)
                  AND ($4::uuid IS NULL OR p.publication_id < $4)
                ORDER BY p.publication_id DESC LIMIT $5) a
           JOIN orgtree.organization o ON o.code = a.organization_code
           ORDER BY a.publication_id DESC LIMIT $5"#,
        wanted.organization_code,
        &wanted.kinds.iter().map(|kind| kind.number()).collect::<Vec<_>>(),
        wanted.pinned_only,
        wanted.after,
        wanted.limit,
    )
    .fetch_all(executor)
    .await?;
    all(rows)
}

/// Whether there is such an organization.
#[tracing::instrument(name = "db.article.organization_exists", skip_all)]
pub(super) async fn organization_exists(executor: impl PgExecutor<'_>, code: &str) -> Result<bool> {
    let row = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.organization WHERE code = $1) AS "there!""#,
        code,
    );
    Ok(row.fetch_one(executor).await?)
}
