use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use super::{Entry, NewEntry, Occasion, Purpose, Standing};
use crate::error::{Error, Result};

const CORRUPT: Error = Error::Inconsistent("identity.consent_entry");

/// Adds entries to the ledger of an account, whose row is locked.
#[tracing::instrument(name = "db.consent_entry.insert", skip_all)]
pub(crate) async fn insert(
    tx: &mut PgConnection,
    account_id: Uuid,
    entries: &[NewEntry],
    now: OffsetDateTime,
) -> Result<()> {
    for entry in entries {
        sqlx::query!(
            "INSERT INTO identity.consent_entry
                 (partition, account_id, number, purpose, version, text_hash, given, occasion,
                  entered_at)
             SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7, $8
             FROM identity.consent_entry WHERE partition = $1 AND account_id = $2",
            Partition::of(account_id).get(),
            account_id,
            entry.purpose.as_column(),
            entry.version,
            entry.text_hash.as_ref().map(<[u8; 32]>::as_slice),
            entry.given,
            entry.occasion.as_column(),
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Where an account stands with each purpose that it ever agreed to.
#[tracing::instrument(name = "db.consent_entry.standings", skip_all)]
pub(crate) async fn standings(conn: &mut PgConnection, account_id: Uuid) -> Result<Vec<Standing>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (purpose) number, purpose, version, given, entered_at
         FROM identity.consent_entry WHERE partition = $1 AND account_id = $2
         ORDER BY purpose, number DESC",
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                number: row.number,
                purpose: Purpose::from_column(row.purpose).ok_or(CORRUPT)?,
                given: row.given,
                version: row.version,
                since: row.entered_at,
            })
        })
        .collect()
}

/// The entries of an account, latest first, before one of them.
#[tracing::instrument(name = "db.consent_entry.list", skip_all)]
pub(crate) async fn list(
    conn: &mut PgConnection,
    account_id: Uuid,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "SELECT number, purpose, version, text_hash, given, occasion, entered_at
         FROM identity.consent_entry
         WHERE partition = $1 AND account_id = $2 AND ($3::integer IS NULL OR number < $3)
         ORDER BY number DESC LIMIT $4",
        Partition::of(account_id).get(),
        account_id,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Entry {
                number: row.number,
                purpose: Purpose::from_column(row.purpose).ok_or(CORRUPT)?,
                version: row.version,
                text_hash: row.text_hash,
                given: row.given,
                occasion: Occasion::from_column(row.occasion).ok_or(CORRUPT)?,
                entered_at: row.entered_at,
            })
        })
        .collect()
}

/// What is told of an account's consents.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) account_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) given: Vec<(Purpose, String)>,
}

/// The consents of the accounts of a partition that are told of, after one of them.
#[tracing::instrument(name = "db.consent_entry.snapshot", skip_all)]
pub(crate) async fn snapshot(
    conn: &mut PgConnection,
    partition: i16,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Told>> {
    let rows = sqlx::query!(
        r#"SELECT a.account_id, a.revision,
                  ARRAY(SELECT purpose FROM identity.consent_in_force f
                        WHERE f.partition = a.partition AND f.account_id = a.account_id
                        ORDER BY purpose) AS "purposes!",
                  ARRAY(SELECT version FROM identity.consent_in_force f
                        WHERE f.partition = a.partition AND f.account_id = a.account_id
                        ORDER BY purpose) AS "versions!"
           FROM identity.account a
           WHERE a.partition = $1 AND a.account_id > $2 AND a.state = 'ACTIVE'
           ORDER BY a.account_id LIMIT $3"#,
        partition,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let given = row.purposes.into_iter().zip(row.versions).map(|(purpose, version)| {
                Ok((Purpose::from_column(purpose).ok_or(CORRUPT)?, version))
            });
            let given = given.collect::<Result<_>>()?;
            Ok(Told { account_id: row.account_id, revision: row.revision, given })
        })
        .collect()
}
