//! Deadlines: every call has one, and passes what is left of it on.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;

use crate::error::{Code, Error};

/// The header of gRPC.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// How much a hop keeps for itself, so that its caller still hears why.
pub const HOP: Duration = Duration::from_millis(50);

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
        let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(self.default) };
        let asked = value.to_str().ok().and_then(parse).ok_or_else(|| {
            Error::new(Code::InvalidInput, Common::DeadlineMalformed, "grpc-timeout 格式不正确")
        })?;
        Ok(asked.min(self.max))
    }
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

/// Runs work under a deadline; the work is dropped when it is over.
///
/// # Errors
/// `DEADLINE_EXCEEDED` when the time is over first.
pub async fn run<F: Future>(limit: Duration, work: F) -> Result<F::Output, Error> {
    let deadline = Instant::now() + limit;
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

    #[tokio::test]
    async fn passes_on_what_is_left_and_ends_in_time() {
        assert_eq!(left(), None);
        let inside = run(Duration::from_secs(5), async { left() }).await.unwrap().unwrap();
        assert!(inside <= Duration::from_secs(5) && inside > Duration::from_secs(4));
        let over = run(Duration::from_millis(1), std::future::pending::<()>()).await;
        assert_eq!(over.unwrap_err().reason(), "DEADLINE_EXCEEDED");
    }
}
