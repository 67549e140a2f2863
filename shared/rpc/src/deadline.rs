//! Deadlines: every call has one, and passes what is left of it on.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use zhiyuan_contracts::access::v1::LimitClass;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::error::{Code, Error};

/// The header of gRPC.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// How much a hop keeps for itself, so that its caller still hears why.
pub const HOP: Duration = Duration::from_millis(50);

/// The longest deadline of a long-lived stream: one of a hundred years would overflow
/// the clock.
const DAY: Duration = Duration::from_secs(24 * 3600);

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The deadline of a call without one, and the longest there is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For a call that names none.
    pub default: Duration,
    /// The longest; a longer one is cut.
    pub max: Duration,
}

impl Bounds {
    /// Reads `grpc-timeout`.
    ///
    /// # Errors
    /// `DEADLINE_MALFORMED` when it is there and is none.
    pub fn read(&self, headers: &HeaderMap) -> Result<Duration, Error> {
        Ok(named(headers)?.map_or(self.default, |asked| asked.min(self.max)))
    }

    /// Reads `grpc-timeout` of a call of a class. A long-lived stream has the deadline
    /// that its caller names, and none otherwise: the bounds are those of answers that
    /// come once.
    ///
    /// # Errors
    /// `DEADLINE_MALFORMED` when it is there and is none.
    pub fn of(&self, class: LimitClass, headers: &HeaderMap) -> Result<Option<Duration>, Error> {
        match class {
            LimitClass::Stream => Ok(named(headers)?.map(|asked| asked.min(DAY))),
            _ => self.read(headers).map(Some),
        }
    }
}

fn named(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    value.to_str().ok().and_then(parse).map(Some).ok_or_else(|| {
        Error::new(Code::InvalidInput, Common::DeadlineMalformed, "grpc-timeout 格式不正确")
    })
}

/// Parses a `grpc-timeout`: at most eight digits and a unit.
pub fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(amount.saturating_mul(3600))),
        'M' => Some(Duration::from_secs(amount.saturating_mul(60))),
        'S' => Some(Duration::from_secs(amount)),
        'm' => Some(Duration::from_millis(amount)),
        'u' => Some(Duration::from_micros(amount)),
        'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Renders a `grpc-timeout` in milliseconds.
pub fn render(left: Duration) -> String {
    format!("{}m", left.as_millis().min(99_999_999))
}

/// What is left of the deadline of the call that this task serves.
pub fn left() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.saturating_duration_since(Instant::now())).ok()
}

/// Does one step of work that has a deadline, so that [`left`] tells of it. The step
/// itself is not interrupted.
pub(crate) fn step<T>(deadline: Option<Instant>, work: impl FnOnce() -> T) -> T {
    match deadline {
        Some(deadline) => DEADLINE.sync_scope(deadline, work),
        None => work(),
    }
}

/// Runs work under a deadline; the work is dropped when it is over.
///
/// # Errors
/// `DEADLINE_EXCEEDED` when the time is over first.
pub async fn run<F: Future>(limit: Duration, work: F) -> Result<F::Output, Error> {
    run_until(Instant::now() + limit, work).await
}

/// Runs work until a deadline; the work is dropped when it is over.
///
/// # Errors
/// `DEADLINE_EXCEEDED` when the time is over first.
pub async fn run_until<F: Future>(deadline: Instant, work: F) -> Result<F::Output, Error> {
    // Work that never waits would be done before anybody looks at the time.
    if deadline <= Instant::now() {
        return Err(Error::deadline_exceeded());
    }
    DEADLINE
        .scope(deadline, tokio::time::timeout_at(deadline, work))
        .await
        .map_err(|_elapsed| Error::deadline_exceeded())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_refuses_what_is_none() {
        assert_eq!(parse("300m"), Some(Duration::from_millis(300)));
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("1n"), Some(Duration::from_nanos(1)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "bogus", "-5S", "123456789S", "5", "5s", "１S", "5 S"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn bounds_what_is_absent_or_too_long() {
        let bounds = Bounds { default: Duration::from_secs(5), max: Duration::from_secs(30) };
        let mut headers = HeaderMap::new();
        assert_eq!(bounds.read(&headers).unwrap(), Duration::from_secs(5));
        headers.insert(GRPC_TIMEOUT, "1H".parse().unwrap());
        assert_eq!(bounds.read(&headers).unwrap(), Duration::from_secs(30));
        headers.insert(GRPC_TIMEOUT, "soon".parse().unwrap());
        assert_eq!(bounds.read(&headers).unwrap_err().reason(), "DEADLINE_MALFORMED");
    }

    #[test]
    fn a_long_lived_stream_has_the_deadline_that_its_caller_names() {
        let bounds = Bounds { default: Duration::from_secs(5), max: Duration::from_secs(30) };
        let mut headers = HeaderMap::new();
        assert_eq!(bounds.of(LimitClass::Stream, &headers).unwrap(), None);
        assert_eq!(bounds.of(LimitClass::Suite, &headers).unwrap(), Some(bounds.default));
        headers.insert(GRPC_TIMEOUT, "1H".parse().unwrap());
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(bounds.of(LimitClass::Stream, &headers).unwrap(), hour);
        assert_eq!(bounds.of(LimitClass::Suite, &headers).unwrap(), Some(bounds.max));
        headers.insert(GRPC_TIMEOUT, "99999999H".parse().unwrap());
        assert_eq!(bounds.of(LimitClass::Stream, &headers).unwrap(), Some(DAY));
        headers.insert(GRPC_TIMEOUT, "soon".parse().unwrap());
        let refused = bounds.of(LimitClass::Stream, &headers).unwrap_err();
        assert_eq!(refused.reason(), "DEADLINE_MALFORMED");
    }

    #[tokio::test]
    async fn passes_on_what_is_left_and_ends_in_time() {
        assert_eq!(left(), None);
        let inside = run(Duration::from_secs(5), async { left() }).await.unwrap().unwrap();
        assert!(inside <= Duration::from_secs(5) && inside > Duration::from_secs(4));
        let over = run(Duration::ZERO, std::future::ready(())).await;
        assert_eq!(over.unwrap_err().reason(), "DEADLINE_EXCEEDED");
        let over = run(Duration::from_millis(1), std::future::pending::<()>()).await;
        assert_eq!(over.unwrap_err().reason(), "DEADLINE_EXCEEDED");
    }
}
