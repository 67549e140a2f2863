//! The SQL of what identity tells.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::Account;
use crate::error::Result;

/// A part of a partition: after one id, up to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) partition: i16,
    pub(super) after: Uuid,
    pub(super) until: Uuid,
}

/// Makes registrations due that wait for a verdict which has fallen; tells whether there was
/// any. Not those that have just begun: whoever begins one has the verdict in an answer, and looks
/// once more when that says to wait.
#[tracing::instrument(name = "db.registration.make_due", skip_all)]
pub(super) async fn make_due(
    transaction: &mut PgConnection,
    enrolments: &[Uuid],
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE registration.registration SET next_step_at = $2
         WHERE enrolment_id = ANY($1) AND step IN ('PENDING', 'REVIEW') AND next_step_at > $2",
        enrolments,
        now,
    )
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes all registrations of a partition due that wait for a verdict; tells whether
/// there was any.
#[tracing::instrument(name = "db.registration.make_waiting_due", skip_all)]
pub(super) async fn make_waiting_due(
    transaction: &mut PgConnection,
    partition: i16,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE registration.registration SET next_step_at = $2
         WHERE step IN ('PENDING', 'REVIEW') AND next_step_at > $2
           AND get_byte(uuid_send(enrolment_id), 15) & 63 = $1",
        i32::from(partition),
        now,
    )
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Stores accounts of which nothing newer is known.
#[tracing::instrument(name = "db.account.upsert_newer", skip_all)]
pub(super) async fn upsert_newer(
    transaction: &mut PgConnection,
    accounts: &[Account],
) -> Result<()> {
    let columns = Columns::of(accounts);
    // Of two events of one account, the newer.
    sqlx::query!(
        "INSERT INTO registration.account AS a (partition, account_id, level, closed, revision)
         SELECT DISTINCT ON (partition, account_id)
                partition, account_id, level, closed, revision
         FROM unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::boolean[], $5::bigint[])
              AS new (partition, account_id, level, closed, revision)
         ORDER BY partition, account_id, revision DESC
         ON CONFLICT (partition, account_id) DO UPDATE
         SET level = excluded.level, closed = excluded.closed, revision = excluded.revision
         WHERE a.revision < excluded.revision",
        &columns.partitions,
        &columns.ids,
        &columns.levels,
        &columns.closed,
        &columns.revisions,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Makes the accounts of a range these, whatever is known of them. Those of volunteers who
/// were registered since `fresh` stay until identity has told of them: the page may have
/// been read before.
#[tracing::instrument(name = "db.account.replace", skip_all)]
pub(super) async fn replace(
    transaction: &mut PgConnection,
    range: &Range,
    accounts: &[Account],
    fresh: OffsetDateTime,
) -> Result<()> {
    let columns = Columns::of(accounts);
    sqlx::query!(
        "DELETE FROM registration.account a
         WHERE partition = $1 AND account_id > $2 AND account_id <= $3 AND account_id <> ALL($4)
           AND NOT (revision = 0 AND EXISTS (
               SELECT FROM registration.volunteer v
               WHERE v.partition = a.partition AND v.volunteer_id = a.account_id
                 AND v.registered_at > $5))",
        range.partition,
        range.after,
        range.until,
        &columns.ids,
        fresh,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO registration.account (partition, account_id, level, closed, revision)
         SELECT partition, account_id, level, closed, revision
         FROM unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::boolean[], $5::bigint[])
              AS new (partition, account_id, level, closed, revision)
         ORDER BY partition, account_id
         ON CONFLICT (partition, account_id) DO UPDATE
         SET level = excluded.level, closed = excluded.closed, revision = excluded.revision",
        &columns.partitions,
        &columns.ids,
        &columns.levels,
        &columns.closed,
        &columns.revisions,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Accounts as columns.
struct Columns {
    partitions: Vec<i16>,
    ids: Vec<Uuid>,
    levels: Vec<i16>,
    closed: Vec<bool>,
    revisions: Vec<i64>,
}

impl Columns {
    fn of(accounts: &[Account]) -> Self {
        Self {
            partitions: accounts.iter().map(|account| Partition::of(account.id).get()).collect(),
            ids: accounts.iter().map(|account| account.id).collect(),
            closed: accounts.iter().map(|account| account.closed).collect(),
            levels: accounts.iter().map(|account| account.level).collect(),
            revisions: accounts.iter().map(|account| account.revision).collect(),
        }
    }
}
