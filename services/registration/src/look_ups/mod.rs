//! What platforms ask of volunteers: many by their ids, one by its number. Who somebody is, by
//! ID number or phone, is asked of identity.

mod db;
mod grpc;

pub(crate) use grpc::VolunteerRpc;

use std::collections::HashMap;

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::LookUpPurpose;

use crate::volunteers::Told;

/// Ids of one question.
pub(crate) const MOST: usize = 500;

/// The name under which a purpose is recorded, as identity does it; none, if it is none.
fn purpose_name(purpose: LookUpPurpose) -> Option<&'static str> {
    match purpose {
        LookUpPurpose::Unspecified => None,
        LookUpPurpose::ActivityEnrolment => Some("报名参加志愿服务活动"),
        LookUpPurpose::ServiceHours => Some("记录或核对志愿服务时长"),
        LookUpPurpose::AccountLinking => Some("关联平台账号"),
        LookUpPurpose::Insurance => Some("办理志愿者保险"),
        LookUpPurpose::Credit => Some("落实信用激励"),
    }
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
    use time::OffsetDateTime;

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
}
