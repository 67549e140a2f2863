use sqlx::PgConnection;
use time::OffsetDateTime;
use zhiyuan_auth::accounts::Use;
use zhiyuan_auth::quota::Count;

use super::{Account, Key, Kind};
use crate::error::{Error, Result};

/// The accounts that may call, by name, with their keys that have not expired.
#[tracing::instrument(name = "db.service_account.active", skip_all)]
pub(crate) async fn active(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Account>> {
    let rows = sqlx::query!(
        r#"SELECT a.name, a.scopes, a.calls_per_minute, a.calls_per_day, a.within,
                  k.public_key AS "public_key?", k.use_at AS "use_at?", k.expire_at AS "expire_at?"
           FROM identity.service_account a
           LEFT JOIN identity.service_account_key k ON k.account = a.name AND k.expire_at > $1
           WHERE a.disabled_at IS NULL
           ORDER BY a.name, k.key_id"#,
        now,
    )
    .fetch_all(conn)
    .await?;
    let mut accounts: Vec<Account> = Vec::new();
    for row in rows {
        if accounts.last().is_none_or(|last| last.name != row.name) {
            accounts.push(Account {
                name: row.name,
                scopes: row.scopes,
                calls_per_minute: number(row.calls_per_minute.into())?,
                calls_per_day: number(row.calls_per_day.into())?,
                within: row.within,
                keys: Vec::new(),
            });
        }
        let key = match (row.public_key, row.use_at, row.expire_at) {
            (Some(public_key), Some(use_at), Some(expire_at)) => {
                Key { public_key, use_at, expire_at }
            }
            _ => continue,
        };
        if let Some(account) = accounts.last_mut() {
            account.keys.push(key);
        }
    }
    Ok(accounts)
}

fn number(column: i64) -> Result<u32> {
    u32::try_from(column).map_err(|_negative| Error::Inconsistent("identity.service_account"))
}

/// How often accounts called on a day.
#[tracing::instrument(name = "db.service_account.counts", skip_all)]
pub(crate) async fn counts(conn: &mut PgConnection, day: i64) -> Result<Vec<(String, Count)>> {
    let rows = sqlx::query!(
        "SELECT account, minute, calls_in_minute, day, calls_in_day
         FROM identity.service_account_count WHERE day = $1 ORDER BY account",
        day,
    )
    .fetch_all(conn)
    .await?;
    // More than any quota is as much as a full one.
    let calls = |column: i64| u32::try_from(column).unwrap_or(u32::MAX);
    let counts = rows.into_iter().map(|row| {
        let (in_minute, in_day) = (calls(row.calls_in_minute), calls(row.calls_in_day));
        (row.account, Count { minute: row.minute, in_minute, day: row.day, in_day })
    });
    Ok(counts.collect())
}

/// Counts calls that a process tells of, in this minute and on this day, and stores when keys
/// were used last. What is unknown by now is passed over.
#[tracing::instrument(name = "db.service_account.count", skip_all)]
pub(crate) async fn count(
    tx: &mut PgConnection,
    uses: &[Use],
    minute: i64,
    day: i64,
    now: OffsetDateTime,
) -> Result<()> {
    let names: Vec<String> = uses.iter().map(|told| told.account.to_string()).collect();
    let calls: Vec<i64> = uses.iter().map(|told| told.calls.into()).collect();
    // In the order of names, so that two processes don't lock each other out.
    sqlx::query!(
        "INSERT INTO identity.service_account_count AS c
             (account, minute, calls_in_minute, day, calls_in_day)
         SELECT a.name, $3, u.calls, $4, u.calls
         FROM unnest($1::text[], $2::bigint[]) AS u (name, calls)
         JOIN identity.service_account a ON a.name = u.name
         ORDER BY a.name
         ON CONFLICT (account) DO UPDATE SET
             minute = excluded.minute,
             calls_in_minute = excluded.calls_in_minute
                 + CASE WHEN c.minute = excluded.minute THEN c.calls_in_minute ELSE 0 END,
             day = excluded.day,
             calls_in_day = excluded.calls_in_day
                 + CASE WHEN c.day = excluded.day THEN c.calls_in_day ELSE 0 END",
        &names,
        &calls,
        minute,
        day,
    )
    .execute(&mut *tx)
    .await?;
    let mut keys: Vec<(&str, i64)> =
        uses.iter().flat_map(|told| &told.keys).map(|(key, at)| (&**key, *at)).collect();
    keys.sort_unstable();
    for (key_id, at) in keys {
        // No clock of another process makes a use of the future.
        let at = OffsetDateTime::from_unix_timestamp(at).map_or(now, |at| at.min(now));
        sqlx::query!(
            "UPDATE identity.service_account_key SET last_used_at = $2
             WHERE key_id = $1 AND coalesce(last_used_at < $2, true)",
            key_id,
            at,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What an operator sets of an account.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) title: &'a str,
    pub(crate) kind: Kind,
    pub(crate) scopes: &'a [String],
    pub(crate) within: &'a [String],
    pub(crate) calls_per_minute: i32,
    pub(crate) calls_per_day: i32,
    pub(crate) look_ups_per_day: i32,
}

/// Makes an account. Tells whether there was none of the name.
#[tracing::instrument(name = "db.service_account.insert", skip_all)]
pub(crate) async fn insert(
    tx: &mut PgConnection,
    name: &str,
    terms: &Terms<'_>,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.service_account
             (name, title, kind, scopes, calls_per_minute, calls_per_day, look_ups_per_day,
              created_at, within)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING",
        name,
        terms.title,
        terms.kind.as_column(),
        terms.scopes,
        terms.calls_per_minute,
        terms.calls_per_day,
        terms.look_ups_per_day,
        now,
        terms.within,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What changes of an account; the rest stays.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) title: Option<&'a str>,
    pub(crate) scopes: Option<&'a [String]>,
    pub(crate) within: Option<&'a [String]>,
    pub(crate) calls_per_minute: Option<i32>,
    pub(crate) calls_per_day: Option<i32>,
    pub(crate) look_ups_per_day: Option<i32>,
}

/// Changes an account, whose row is locked.
#[tracing::instrument(name = "db.service_account.update", skip_all)]
pub(crate) async fn update(tx: &mut PgConnection, name: &str, changes: &Changes<'_>) -> Result<()> {
    sqlx::query!(
        "UPDATE identity.service_account
         SET title = coalesce($2, title), scopes = coalesce($3, scopes),
             calls_per_minute = coalesce($4, calls_per_minute),
             calls_per_day = coalesce($5, calls_per_day),
             look_ups_per_day = coalesce($6, look_ups_per_day),
             within = coalesce($7, within)
         WHERE name = $1",
        name,
        changes.title,
        changes.scopes,
        changes.calls_per_minute,
        changes.calls_per_day,
        changes.look_ups_per_day,
        changes.within,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks an account against other operators. Whether it may call; none, if there is none.
#[tracing::instrument(name = "db.service_account.lock", skip_all)]
pub(crate) async fn lock(tx: &mut PgConnection, name: &str) -> Result<Option<bool>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT disabled_at IS NULL AS "active!" FROM identity.service_account
           WHERE name = $1 FOR UPDATE"#,
        name,
    )
    .fetch_optional(tx)
    .await?)
}

/// Disables an account from a time on, or not any more; its row is locked.
#[tracing::instrument(name = "db.service_account.disable", skip_all)]
pub(crate) async fn set_disabled(
    tx: &mut PgConnection,
    name: &str,
    at: Option<OffsetDateTime>,
) -> Result<()> {
    sqlx::query!("UPDATE identity.service_account SET disabled_at = $2 WHERE name = $1", name, at)
        .execute(tx)
        .await?;
    Ok(())
}

/// How many keys of an account have not expired; its row is locked.
#[tracing::instrument(name = "db.service_account_key.count", skip_all)]
pub(crate) async fn count_keys(
    tx: &mut PgConnection,
    name: &str,
    now: OffsetDateTime,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "keys!" FROM identity.service_account_key
           WHERE account = $1 AND expire_at > $2"#,
        name,
        now,
    )
    .fetch_one(tx)
    .await?)
}

/// Stores a key. Whether no account had it yet.
#[tracing::instrument(name = "db.service_account_key.insert", skip_all)]
pub(crate) async fn insert_key(
    tx: &mut PgConnection,
    name: &str,
    key_id: &str,
    key: &Key,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO identity.service_account_key
             (key_id, account, public_key, use_at, expire_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        key_id,
        name,
        key.public_key,
        key.use_at,
        key.expire_at,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a key. Whether the account had it.
#[tracing::instrument(name = "db.service_account_key.delete", skip_all)]
pub(crate) async fn delete_key(tx: &mut PgConnection, name: &str, key_id: &str) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM identity.service_account_key WHERE account = $1 AND key_id = $2",
        name,
        key_id,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An account as an operator is shown it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) kind: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) within: Vec<String>,
    pub(crate) calls_per_minute: i32,
    pub(crate) calls_per_day: i32,
    pub(crate) look_ups_per_day: i32,
    pub(crate) disabled_at: Option<OffsetDateTime>,
}

/// All accounts, by name.
#[tracing::instrument(name = "db.service_account.list", skip_all)]
pub(crate) async fn list(conn: &mut PgConnection) -> Result<Vec<Shown>> {
    Ok(sqlx::query_as!(
        Shown,
        "SELECT name, title, kind, scopes, within, calls_per_minute, calls_per_day,
                look_ups_per_day, disabled_at
         FROM identity.service_account ORDER BY name",
    )
    .fetch_all(conn)
    .await?)
}

/// A key as an operator is shown it.
#[derive(Debug)]
pub(crate) struct ShownKey {
    pub(crate) account: String,
    pub(crate) key_id: String,
    pub(crate) use_at: OffsetDateTime,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) last_used_at: Option<OffsetDateTime>,
}

/// All keys, by account, the oldest first.
#[tracing::instrument(name = "db.service_account_key.list", skip_all)]
pub(crate) async fn list_keys(conn: &mut PgConnection) -> Result<Vec<ShownKey>> {
    Ok(sqlx::query_as!(
        ShownKey,
        "SELECT account, key_id, use_at, expire_at, last_used_at
         FROM identity.service_account_key ORDER BY account, use_at, key_id",
    )
    .fetch_all(conn)
    .await?)
}

/// What people call an account that may call, and its look-ups a day.
#[tracing::instrument(name = "db.service_account.find", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, name: &str) -> Result<Option<(String, i32)>> {
    let row = sqlx::query!(
        "SELECT title, look_ups_per_day FROM identity.service_account
         WHERE name = $1 AND disabled_at IS NULL",
        name,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.title, row.look_ups_per_day)))
}
