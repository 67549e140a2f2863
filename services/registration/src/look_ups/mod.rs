//! What platforms ask of volunteers: many by their ids, one by its number. Who somebody is, by
//! ID number or phone, is asked of identity.

pub(crate) mod db;
mod grpc;

pub(crate) use grpc::VolunteerRpc;

use std::collections::HashMap;

use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::LookUpPurpose;

use crate::volunteers::Told;

/// For how long volunteers read who looked; the audit keeps it for longer.
pub(crate) const KEPT: Duration = Duration::days(180);
/// Ids of one question.
pub(crate) const MOST: usize = 500;

/// Who looks, what for, and when: what the volunteer reads of it.
#[derive(Debug, Clone)]
pub(crate) struct Look<'a> {
    /// The name of the service account.
    pub(crate) platform: &'a str,
    pub(crate) purpose: LookUpPurpose,
    pub(crate) at: OffsetDateTime,
}

/// How often a platform looked at a volunteer on a day, for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) day: Date,
    pub(crate) platform: String,
    pub(crate) purpose: i16,
    pub(crate) times: i64,
    pub(crate) last_at: OffsetDateTime,
}

/// After what a page of looks goes on: day, purpose and platform of the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) day: Date,
    pub(crate) purpose: i16,
    pub(crate) platform: String,
}

impl After {
    /// Reads what [`key_of`] wrote.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '/');
        let day = Date::from_julian_day(parts.next()?.parse().ok()?).ok()?;
        let purpose = parts.next()?.parse().ok()?;
        Some(Self { day, purpose, platform: parts.next()?.to_owned() })
    }
}

/// The place of a look in the list.
pub(crate) fn key_of(looked: &Looked) -> String {
    format!("{}/{}/{}", looked.day.to_julian_day(), looked.purpose, looked.platform)
}

/// What was found of each id, in the order in which they were asked for.
fn in_order(ids: &[Uuid], found: Vec<Told>) -> Vec<(Uuid, Option<Told>)> {
    let found: HashMap<Uuid, Told> =
        found.into_iter().map(|told| (told.volunteer_id, told)).collect();
    ids.iter().map(|id| (*id, found.get(id).cloned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: u128) -> Told {
        Told {
            volunteer_id: Uuid::from_u128(id),
            volunteer_number: String::new(),
            region_code: String::new(),
            organization_code: String::new(),
            league_member: false,
            registered_at: OffsetDateTime::UNIX_EPOCH,
            level: 1,
            account_missing: false,
            closed: false,
            revision: 1,
        }
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions_one_for_each() {
        let ids = [3, 1, 2, 1].map(Uuid::from_u128);
        let answers = in_order(&ids, vec![told(1), told(3)]);
        let told = [Some(told(3)), Some(told(1)), None, Some(told(1))];
        assert_eq!(answers, ids.into_iter().zip(told).collect::<Vec<_>>());
    }
    #[test]
    fn a_place_in_the_list_is_read_as_it_was_written() {
        let looked = Looked {
            day: time::macros::date!(2026 - 11 - 25),
            platform: "a/b-1".into(),
            purpose: 2,
            times: 3,
            last_at: OffsetDateTime::UNIX_EPOCH,
        };
        let after = After::parse(&key_of(&looked)).unwrap();
        assert_eq!((after.day, after.purpose, &*after.platform), (looked.day, 2, "a/b-1"));
        for bad in ["", "1", "1/2", "x/2/a", "1/x/a", "99999999999/1/a"] {
            assert_eq!(After::parse(bad), None, "{bad}");
        }
    }
}
