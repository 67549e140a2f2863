//! The net under leases.

/// The statements that keep a transaction from committing more than 2 s after the end of the
/// lease that it was allowed under, with `service` for the schema and `service.change` for the
/// table. They are for a migration, which is a file of its own: copy them there.
///
/// A row's `lease_ends_at` is by the clock of the database: the transaction reads
/// `clock_timestamp()` first, and *then* asks its own clock how long the lease lasts from now.
/// The other way round, a pause between the two would lengthen the lease. A transaction that is
/// refused fails with 40001, as one that lost against another.
pub const REFUSE_LATE_COMMIT: &str = include_str!("lease.sql");
