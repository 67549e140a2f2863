use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Cursor, Session};
use crate::error::Result;

/// Stores a session that begins.
#[tracing::instrument(name = "db.session.insert", skip_all)]
pub(crate) async fn insert(tx: &mut PgConnection, session: &Session) -> Result<()> {
    sqlx::query!(
        "INSERT INTO identity.session
             (partition, account_id, session_id, second_factor, client_name, generation, nonce,
              created_at, refreshed_at, expire_at, end_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        Partition::of(session.account_id).get(),
        session.account_id,
        session.session_id,
        session.second_factor,
        session.client_name,
        session.generation,
        session.nonce,
        session.created_at,
        session.refreshed_at,
        session.expire_at,
        session.end_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks a session that goes on.
#[tracing::instrument(name = "db.session.lock", skip_all)]
pub(crate) async fn lock(
    tx: &mut PgConnection,
    account_id: Uuid,
    session_id: Uuid,
) -> Result<Option<Session>> {
    Ok(sqlx::query_as!(
        Session,
        "SELECT account_id, session_id, second_factor, client_name, generation, nonce, created_at,
                refreshed_at, expire_at, end_at
         FROM identity.session
         WHERE partition = $1 AND account_id = $2 AND session_id = $3 FOR UPDATE",
        Partition::of(account_id).get(),
        account_id,
        session_id,
    )
    .fetch_optional(tx)
    .await?)
}

/// Stores that a session was renewed; its row is locked.
#[tracing::instrument(name = "db.session.renew", skip_all)]
pub(crate) async fn renew(tx: &mut PgConnection, session: &Session) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.session SET generation = $4, refreshed_at = $5, expire_at = $6
         WHERE partition = $1 AND account_id = $2 AND session_id = $3",
        Partition::of(session.account_id).get(),
        session.account_id,
        session.session_id,
        session.generation,
        session.refreshed_at,
        session.expire_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The sessions of an account that go on, latest first.
#[tracing::instrument(name = "db.session.list", skip_all)]
pub(crate) async fn list(
    conn: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<Session>> {
    Ok(sqlx::query_as!(
        Session,
        "SELECT account_id, session_id, second_factor, client_name, generation, nonce, created_at,
                refreshed_at, expire_at, end_at
         FROM identity.session
         WHERE partition = $1 AND account_id = $2 AND expire_at > $3
         ORDER BY session_id DESC",
        Partition::of(account_id).get(),
        account_id,
        now,
    )
    .fetch_all(conn)
    .await?)
}

/// Which of the sessions of an account are over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// This one.
    One(Uuid),
    /// All but this one.
    Others(Uuid),
    /// All.
    All,
    /// Those that were renewed longest ago, until so many are left.
    Oldest(i64),
}

/// Ends sessions of an account, and tells it to every process; their ids. When, the database
/// says: by the clocks of processes, who asks could think that it was long ago.
#[tracing::instrument(name = "db.session.end", skip_all)]
pub(crate) async fn end(
    tx: &mut PgConnection,
    account_id: Uuid,
    which: Which,
) -> Result<Vec<Uuid>> {
    let (one, other, left) = match which {
        Which::One(session) => (Some(session), None, None),
        Which::Others(session) => (None, Some(session), None),
        Which::All => (None, None, None),
        Which::Oldest(left) => (None, None, Some(left)),
    };
    Ok(sqlx::query_scalar!(
        r#"WITH over AS (
               DELETE FROM identity.session
               WHERE partition = $1 AND account_id = $2 AND session_id IN (
                   SELECT session_id FROM identity.session
                   WHERE partition = $1 AND account_id = $2
                     AND ($3::uuid IS NULL OR session_id = $3)
                     AND ($4::uuid IS NULL OR session_id <> $4)
                   ORDER BY refreshed_at DESC, session_id DESC
                   OFFSET coalesce($5::bigint, 0)
                   FOR UPDATE)
               RETURNING session_id)
           INSERT INTO identity.session_end (session_id, ended_at)
           SELECT session_id, clock_timestamp() FROM over
           ON CONFLICT (session_id) DO NOTHING
           RETURNING session_id"#,
        Partition::of(account_id).get(),
        account_id,
        one,
        other,
        left,
    )
    .fetch_all(tx)
    .await?)
}

/// Whether a session is known to have ended not long ago.
#[tracing::instrument(name = "db.session_end.find", skip_all)]
pub(crate) async fn is_over(conn: &mut PgConnection, session_id: Uuid) -> Result<bool> {
    let row = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM identity.session_end WHERE session_id = $1) AS "over!""#,
        session_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(row)
}

/// What ended since a cursor.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The time by the clock of the database.
    pub(crate) now: OffsetDateTime,
    pub(crate) sessions: Vec<Uuid>,
    pub(crate) cursor: Cursor,
    /// There is more behind the cursor already.
    pub(crate) more: bool,
}

/// Reads what ended in transactions from a number on, or all not older than that if the
/// number is of the future, as after the database was restored. One statement, so that
/// rows and cursor are of one snapshot.
#[tracing::instrument(name = "db.session_end.list", skip_all)]
pub(crate) async fn ended(
    conn: &mut PgConnection,
    from: Cursor,
    oldest: Duration,
    limit: usize,
) -> Result<Ended> {
    let (after_xid, after_session) = from.after.unzip();
    let row = sqlx::query!(
        r#"WITH snapshot AS MATERIALIZED (
               SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
                      $1 > pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS restored
           ), page AS MATERIALIZED (
               SELECT e.session_id, e.xid FROM identity.session_end e, snapshot
               WHERE e.ended_at > clock_timestamp() - make_interval(secs => $2)
                 AND e.xid >= CASE WHEN restored THEN 0 ELSE $1 END
                 AND (restored OR $3::bigint IS NULL OR (e.xid, e.session_id) > ($3, $4))
               ORDER BY e.xid, e.session_id LIMIT $5)
           SELECT clock_timestamp() AS "now!", (SELECT xmin FROM snapshot) AS "xmin!",
                  (SELECT restored FROM snapshot) AS "restored!",
                  ARRAY(SELECT session_id FROM page ORDER BY xid, session_id) AS "sessions!",
                  ARRAY(SELECT xid FROM page ORDER BY xid, session_id) AS "xids!""#,
        from.next,
        oldest.as_seconds_f64(),
        after_xid,
        after_session,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_one(conn)
    .await?;
    let from = if row.restored { Cursor::default() } else { from };
    let last = row.xids.last().copied().zip(row.sessions.last().copied());
    let cursor = from.follow(row.xmin, last.filter(|_| row.sessions.len() >= limit));
    let more = cursor.after.is_some();
    Ok(Ended { now: row.now, more, sessions: row.sessions, cursor })
}

/// Deletes sessions whose time is over, and ends that no token is affected by any more.
#[tracing::instrument(name = "db.session.purge", skip_all)]
pub(crate) async fn purge(
    conn: &mut PgConnection,
    expired_before: OffsetDateTime,
    oldest_end: Duration,
) -> Result<()> {
    sqlx::query!("DELETE FROM identity.session WHERE expire_at < $1", expired_before)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "DELETE FROM identity.session_end
         WHERE ended_at < clock_timestamp() - make_interval(secs => $1)",
        oldest_end.as_seconds_f64(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
