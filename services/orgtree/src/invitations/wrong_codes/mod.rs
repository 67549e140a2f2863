//! How many codes may be wrong: a code is short enough to be read out, so that nobody may try
//! many, alone or together. With a thousand wrong ones in an hour, and ten thousand invitations
//! open at a time, one is found by chance in ten years.

pub(super) mod db;

use std::time::Duration;

use time::OffsetDateTime;

/// Wrong codes of one account within an hour.
const OF_ONE: i64 = 5;
/// Wrong codes of all accounts together.
const OF_ALL: i64 = 1_000;

/// How long it takes until the next hour begins, in which one may try again.
fn until_next_hour(now: OffsetDateTime) -> Duration {
    let passed = now.unix_timestamp().rem_euclid(3_600);
    Duration::from_secs(u64::try_from(3_600 - passed).unwrap_or(3_600))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_next_hour_comes_within_the_hour() {
        for (now, seconds) in [
            (datetime!(2026-11-23 8:00 UTC), 3_600),
            (datetime!(2026-11-23 8:59:59.5 UTC), 1),
            (datetime!(2026-11-23 8:15 UTC), 2_700),
        ] {
            assert_eq!(until_next_hour(now), Duration::from_secs(seconds));
        }
    }
}
