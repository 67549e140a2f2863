//! Connections that can't hang, on a server that keeps what it acknowledges.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{DatabaseConfig, Error};

/// Bounds of every session. Short enough that a forgotten transaction can't hold up vacuum or a
/// migration, long enough for the slowest report.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("timezone", "UTC"),
    // A statement whose client has gone is stopped within this time, whether its call was
    // cancelled or the process killed. The server looks by itself, only while it works.
    ("client_connection_check_interval", "500ms"),
];

/// How long a statement may go on whose call has ended before its connection is closed for it.
/// Most end by themselves in that time; a new connection costs more than waiting for them.
const AFTERMATH: Duration = Duration::from_millis(100);

/// How long closing a pool waits for a server that may not answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Opens a pool, and logs one line about the server's durability.
///
/// `application_name` is what the database's administrator sees in `pg_stat_activity`.
///
/// # Errors
///
/// [`Error::Url`], [`Error::Connect`] when no connection can be made within `acquire_timeout_ms`,
/// and [`Error::UnsafeDurability`] when `fsync` or `synchronous_commit` is off and
/// `allow_unsafe_durability` is not set.
pub async fn connect(config: &DatabaseConfig, application_name: &str) -> Result<PgPool, Error> {
    let options = parse(&config.url)?.application_name(application_name).options(SESSION);
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .after_release(|connection, _| Box::pin(async move { Ok(is_at_rest(connection).await) }))
        .connect_with(options)
        .await
        .map_err(Error::Connect)?;
    ensure_durable(&pool, config.allow_unsafe_durability).await?;
    Ok(pool)
}

/// Whether nothing runs on a connection that was given back. A call that was cancelled drops the
/// future of its statement, which tells the server nothing: it would work on, and the connection
/// would wait for it. Costs no message to the server: what is there is read, no more.
async fn is_at_rest(connection: &mut PgConnection) -> bool {
    match tokio::time::timeout(AFTERMATH, connection.flush()).await {
        // An error of the last statement says nothing about the connection: the pool asks next.
        Ok(_ended) => true,
        Err(_elapsed) => {
            tracing::debug!("a statement outlived its call: its connection is closed");
            false
        }
    }
}

/// Closes a pool. A server that doesn't answer is not waited for: it notices by itself.
pub async fn close(pool: &PgPool) {
    if tokio::time::timeout(FAREWELL, pool.close()).await.is_err() {
        tracing::warn!("the database did not answer the end of its connections");
    }
}

/// Asks the database for a sign of life.
///
/// # Errors
///
/// Whatever keeps the database from answering.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(pool).await.map(drop)
}

/// Parses a URL without letting the parser's message, which may quote it, reach a log.
pub(crate) fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Error::Url);
    }
    PgConnectOptions::from_str(url).map_err(|_| Error::Url)
}

async fn ensure_durable(pool: &PgPool, allow_unsafe: bool) -> Result<(), Error> {
    let (fsync, synchronous_commit): (String, String) =
        sqlx::query_as("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            .fetch_one(pool)
            .await
            .map_err(Error::query("read the server's durability settings"))?;
    if is_durable(&fsync, &synchronous_commit) {
        tracing::info!("durability: fsync={fsync} synchronous_commit={synchronous_commit}");
        return Ok(());
    }
    if !allow_unsafe {
        return Err(Error::UnsafeDurability { fsync, synchronous_commit });
    }
    tracing::warn!(
        "durability: fsync={fsync} synchronous_commit={synchronous_commit}: \
         acknowledged writes may be lost"
    );
    Ok(())
}

/// `local` and `remote_write` are refused as well: with a standby they lose acknowledged writes
/// when it takes over. `remote_apply` is stricter than `on`.
fn is_durable(fsync: &str, synchronous_commit: &str) -> bool {
    fsync == "on" && matches!(synchronous_commit, "on" | "remote_apply")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_lose_nothing_count_as_durable() {
        assert!(is_durable("on", "on"));
        assert!(is_durable("on", "remote_apply"));
        for (fsync, commit) in [("off", "on"), ("on", "off"), ("on", "local")] {
            assert!(!is_durable(fsync, commit), "{fsync} {commit}");
        }
    }

    #[test]
    fn an_invalid_url_is_not_quoted() {
        let error = parse("postgres://user:s3cret@host:notaport/db").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("s3cret"));
        assert!(matches!(parse("mysql://h/d"), Err(Error::Url)));
    }
}
