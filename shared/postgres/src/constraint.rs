//! What an error of the database means to the one who asked.
//!
//! SQLSTATE codes: PostgreSQL documentation, appendix A.

use sqlx::{Error, postgres::PgQueryResult};

/// What the caller of a failed statement can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {
    /// Another transaction was in the way: serialization failure (40001), deadlock (40P01), lock
    /// not available in time (55P03). Running the whole transaction again helps.
    Conflict,
    /// The database is not there, full (53100), out of connections (53300), shutting down
    /// (57P01–57P03), read-only after a switch-over (25006), or the pool had no connection in
    /// time. Trying later helps.
    Unavailable,
    /// The statement or the transaction ran longer than allowed (57014, 25P03).
    Timeout,
    /// Everything else, constraints that nobody mapped included: a bug of ours.
    Defect,
}

/// Returns the name of the constraint that a statement broke, if it broke one.
#[must_use]
pub fn constraint_of(error: &Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

/// Tells what an error means. Ask [`constraint_of`] first: a rule of the business that is kept by
/// a constraint is no fault.
#[must_use]
pub fn classify(error: &Error) -> DatabaseFault {
    match error {
        Error::Database(database) => {
            database.code().map_or(DatabaseFault::Defect, |code| of_sqlstate(&code))
        }
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => DatabaseFault::Unavailable,
        _ => DatabaseFault::Defect,
    }
}

/// Checks that a statement changed as many rows as it was written to change.
///
/// # Errors
///
/// An error that classifies as [`DatabaseFault::Defect`], with both numbers.
pub fn ensure_affected(result: &PgQueryResult, expected: u64) -> Result<(), Error> {
    match result.rows_affected() {
        actual if actual == expected => Ok(()),
        actual => {
            Err(Error::Protocol(format!("a statement changed {actual} rows instead of {expected}")))
        }
    }
}

fn of_sqlstate(code: &str) -> DatabaseFault {
    match code {
        "40001" | "40P01" | "55P03" => DatabaseFault::Conflict,
        "57014" | "25P03" => DatabaseFault::Timeout,
        "25006" | "57P01" | "57P02" | "57P03" => DatabaseFault::Unavailable,
        _ if code.starts_with("08") || code.starts_with("53") => DatabaseFault::Unavailable,
        _ => DatabaseFault::Defect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_each_code_to_what_the_caller_can_do() {
        use DatabaseFault::{Conflict, Defect, Timeout, Unavailable};
        for (code, fault) in [
            ("40001", Conflict),
            ("40P01", Conflict),
            ("55P03", Conflict),
            ("53100", Unavailable),
            ("53200", Unavailable),
            ("53300", Unavailable),
            ("57P01", Unavailable),
            ("57P02", Unavailable),
            ("57P03", Unavailable),
            ("25006", Unavailable),
            ("08006", Unavailable),
            ("57014", Timeout),
            ("25P03", Timeout),
            ("23505", Defect),
            ("42501", Defect),
            ("22P02", Defect),
        ] {
            assert_eq!(of_sqlstate(code), fault, "{code}");
        }
    }

    #[test]
    fn a_lost_connection_or_an_exhausted_pool_is_unavailable() {
        let lost = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for error in [lost, Error::PoolTimedOut, Error::PoolClosed] {
            assert_eq!(classify(&error), DatabaseFault::Unavailable);
        }
        assert_eq!(classify(&Error::RowNotFound), DatabaseFault::Defect);
    }
}
