//! Times on the wire.

use prost_types::Timestamp;
use time::OffsetDateTime;

/// A time as the contracts carry it.
pub fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond().cast_signed() }
}

/// A time of the contracts; `None` if it is out of range: before the year 1, after 9999.
pub fn from_timestamp(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(timestamp.nanos).ok()?;
    let at = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok()?;
    at.replace_nanosecond(nanos).ok().filter(|at| at.year() > 0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_survives_the_wire() {
        for at in
            [datetime!(2026-11-23 4:00:00.123456789 UTC), datetime!(1969-12-31 23:59:59.5 UTC)]
        {
            assert_eq!(from_timestamp(&timestamp(at)), Some(at));
        }
        assert_eq!(from_timestamp(&Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(from_timestamp(&Timestamp { seconds: 0, nanos: -1 }), None);
        // The year 0, and the first moment of the year 1.
        assert_eq!(from_timestamp(&Timestamp { seconds: -62_135_596_801, nanos: 0 }), None);
        assert!(from_timestamp(&Timestamp { seconds: -62_135_596_800, nanos: 0 }).is_some());
    }
}
