//! Cuts: a time at which everything stamped until then is applied, and nothing later, in
//! all partitions of all feeds of a service. What a cut is taken at is exact across
//! feeds, a second or two late.
//!
//! While a cut is open, readers hold back what is stamped later ([`crate::reader`]); once
//! every slot has passed it, it is taken, alone with all effects, and they go on.

pub(crate) mod db;

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::next_shanghai_midnight;
use zhiyuan_rpc::chain;

use crate::reader::SLOTS;

/// How often an open cut is looked after once its time has come.
const LOOK: Duration = Duration::from_millis(500);
/// A cut that can't be taken for so long, while a process looks, is given up, so that
/// figures go on: it is recorded, and not as exact.
const PATIENCE: Duration = Duration::from_secs(600);

/// The cuts of a service that follows these feeds.
#[derive(Debug)]
pub struct Cuts {
    pool: PgPool,
    schema: &'static str,
    feeds: &'static [&'static str],
    patience: Duration,
    /// The open cut whose time has come, and since when this process has waited for it.
    waiting: Option<(OffsetDateTime, Instant)>,
}

/// What became of the earliest open cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// There is none whose time has come, or not everybody has passed it.
    Nothing,
    /// It was taken; whether it is exact.
    Cut {
        /// Nothing that is stamped later was applied before.
        exact: bool,
    },
}

impl Cuts {
    /// Cuts across `feeds`, in a schema that has the tables of `sql/reader.sql`.
    pub fn new(schema: &'static str, feeds: &'static [&'static str], pool: PgPool) -> Self {
        Self { pool, schema, feeds, patience: PATIENCE, waiting: None }
    }

    #[cfg(test)]
    pub(crate) fn impatient(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }

    /// Opens a cut at a time to come, of the next two days. `false` if that is too late:
    /// something stamped later is applied already, or a later cut is there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn plan(&self, at: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        db::alone(&mut transaction, self.schema).await?;
        let planned = db::plan(&mut transaction, self.schema, at).await?;
        transaction.commit().await?;
        Ok(planned)
    }

    /// Takes the earliest open cut if every slot of every feed has passed it, and none is
    /// being read from snapshots.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn take(&mut self) -> Result<Took, sqlx::Error> {
        let Some(at) = db::due(&self.pool, self.schema).await? else { return Ok(Took::Nothing) };
        let since = match self.waiting {
            Some((waiting, since)) if waiting == at => since,
            _ => {
                let now = Instant::now();
                self.waiting = Some((at, now));
                now
            }
        };
        let mut transaction = self.pool.begin().await?;
        db::alone(&mut transaction, self.schema).await?;
        if db::due(&mut *transaction, self.schema).await? != Some(at) {
            return Ok(Took::Nothing);
        }
        let state = db::state(&mut transaction, self.schema, self.feeds, SLOTS, at).await?;
        let exact = state.passed && !state.beyond;
        if !state.passed && since.elapsed() < self.patience {
            return Ok(Took::Nothing);
        }
        db::take(&mut transaction, self.schema, at, exact).await?;
        transaction.commit().await?;
        if exact {
            tracing::info!(%at, "a cut was taken");
        } else {
            tracing::error!(%at, passed = state.passed, "a cut is not exact");
        }
        Ok(Took::Cut { exact })
    }

    /// Keeps a cut planned for the next midnight of Asia/Shanghai, and takes what is due,
    /// until `stop`.
    ///
    /// # Errors
    /// Never: what fails is tried again.
    pub async fn daily(mut self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut planned = None;
        while !stop.is_cancelled() {
            match db::now(&self.pool).await.map(next_shanghai_midnight) {
                Ok(next) if planned == Some(next) => {}
                Ok(next) => match self.plan(next).await {
                    Ok(_) => planned = Some(next),
                    Err(error) => tracing::warn!(error = chain(&error), "failed to plan a cut"),
                },
                Err(error) => tracing::warn!(error = chain(&error), "failed to read the time"),
            }
            if let Err(error) = self.take().await {
                tracing::warn!(error = chain(&error), "failed to take a cut");
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Keeps cuts from being opened and taken until the transaction ends, and tells the time of
/// the open one: what happens after that, and is not told by a feed, has to wait until it is
/// taken, or it would count as before it. To be taken before any other lock, as readers do.
///
/// # Errors
/// Those of the database.
pub async fn hold(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    db::hold(transaction, schema).await
}

/// The number of the last cut that was taken, 0 before the first: what a transaction of a
/// [`Projection`](crate::Projection) does comes after it.
///
/// # Errors
/// Those of the database.
pub async fn current(
    transaction: &mut PgConnection,
    schema: &'static str,
) -> Result<i64, sqlx::Error> {
    db::current(transaction, schema).await
}

/// A cut that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Cut {
    /// Later cuts have larger numbers.
    pub cut_id: i64,
    /// Whether nothing that is stamped later was applied before it.
    pub exact: bool,
}

/// The cut at exactly this time, if it was taken.
///
/// # Errors
/// Those of the database.
pub async fn find(
    executor: impl sqlx::PgExecutor<'_>,
    schema: &'static str,
    at: OffsetDateTime,
) -> Result<Option<Cut>, sqlx::Error> {
    db::find(executor, schema, at).await
}
