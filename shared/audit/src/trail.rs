//! Where acts are recorded, and read by the people they were about.

use std::fmt;
use std::time::Instant;

use sqlx::PgConnection;
use time::OffsetDateTime;
use zhiyuan_domain::{AccountId, SharedClock};
use zhiyuan_rpc::authority::Lease;
use zhiyuan_telemetry::propagation::current_trace_id;

use crate::db::{self, SubjectRow};
use crate::record::{Actor, Outcome, Record};

/// The audit of one service. Clones are the same.
#[derive(Debug, Clone)]
pub struct Trail {
    schema: &'static str,
    clock: SharedClock,
}

impl Trail {
    /// The audit in a schema that has the tables of `sql/audit.sql` and `sql/leases.sql`.
    #[must_use]
    pub fn new(schema: &'static str, clock: SharedClock) -> Self {
        Self { schema, clock }
    }

    /// Records an act in the transaction that does it: both are committed, or none. Takes no
    /// lock that another transaction waits for.
    ///
    /// # Errors
    /// Those of the database; and `Protocol` for a record beyond its limits, which is a
    /// defect of the caller.
    pub async fn append(
        &self,
        transaction: &mut PgConnection,
        record: &Record,
    ) -> Result<(), sqlx::Error> {
        self.append_until(transaction, record, None).await
    }

    /// Records an act that an administrator was allowed under a lease, with the grant that
    /// allows it (`grant_id`). From then on the transaction commits within 2 s of the lease's
    /// end, or fails as one that lost against another (40001): the net under
    /// [`Lease::check`], which comes last before the commit all the same, and which a pause
    /// of the process could come after.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub async fn append_under(
        &self,
        transaction: &mut PgConnection,
        record: Record,
        lease: &Lease,
    ) -> Result<(), sqlx::Error> {
        let record = record.with("grant_id", lease.grant_id);
        // The clock of the database first, and *then* ours: the other way round, a pause
        // between the two would lengthen the lease.
        let shown = db::time(transaction).await?;
        let ends_at = lease.end_by(shown, Instant::now());
        self.append_until(transaction, &record, Some(ends_at)).await
    }

    async fn append_until(
        &self,
        transaction: &mut PgConnection,
        record: &Record,
        lease_ends_at: Option<OffsetDateTime>,
    ) -> Result<(), sqlx::Error> {
        record.check().map_err(|fault| sqlx::Error::Protocol(fault.to_string()))?;
        let trace_id = current_trace_id();
        let now = self.clock.now();
        db::append(transaction, self.schema, now, record, trace_id, lease_ends_at).await
    }

    /// What was done to a person's account and data, the latest first: what is pending, and
    /// entries with an index below `before`, `limit` of them at most. With `before` (the
    /// last index of the page before) there is nothing pending; without it, there may be
    /// `limit` more.
    ///
    /// # Errors
    /// Those of the database; `Decode` for a row that nothing of ours has written.
    pub async fn list_by_subject(
        &self,
        connection: &mut PgConnection,
        subject: AccountId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Entry>, sqlx::Error> {
        let rows =
            db::by_subject(connection, self.schema, subject.as_uuid(), before, limit).await?;
        rows.into_iter().map(Entry::parse).collect()
    }
}

/// The operator who is connected: the role that the session of the database was opened with,
/// as whom commands such as `migrate` act.
///
/// # Errors
/// Those of the database.
pub async fn operator(connection: &mut PgConnection) -> Result<Actor, sqlx::Error> {
    Ok(Actor::Operator(db::session_user(connection).await?))
}

/// What was recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the chain, from 1; none while it is pending.
    pub index: Option<i64>,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// The code of the organization that it was about.
    pub organization: Option<String>,
    /// Why, in the words of the actor.
    pub purpose: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// More of it, by name.
    pub details: Vec<(String, String)>,
    /// The trace that it was a part of.
    pub trace_id: Option<String>,
}

impl Entry {
    fn parse(row: SubjectRow) -> Result<Self, sqlx::Error> {
        let SubjectRow { index, content } = row;
        let unknown = |what: &'static str| sqlx::Error::Decode(what.into());
        Ok(Self {
            index,
            at: content.at,
            actor: Actor::parse(&content.actor_kind, content.actor)
                .ok_or_else(|| unknown("an actor of an unknown kind"))?,
            action: content.action,
            organization: content.organization_code,
            purpose: content.purpose,
            outcome: Outcome::parse(&content.outcome)
                .ok_or_else(|| unknown("an unknown outcome"))?,
            details: content.detail_keys.into_iter().zip(content.detail_values).collect(),
            trace_id: content.trace_id,
        })
    }
}

/// Without the purpose, which is a person's own words, and the details.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("index", &self.index)
            .field("at", &self.at)
            .field("actor", &self.actor)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
