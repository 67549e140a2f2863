//! What volunteers see and change of their own record: what they state of themselves, and
//! which organization they are with.
//!
//! The record has a revision of its own, which its owner hands back with a change: one that
//! was made on an older state is refused, instead of undoing what another device did.

pub(crate) mod accounts;
mod changing;
pub(crate) mod db;
mod form;
pub(crate) mod grpc;

pub(crate) use changing::Profiles;

use time::OffsetDateTime;
use zhiyuan_contracts::registration::v1::{
    Education, Employment, PoliticalStatus, ServiceCategory, Skill,
};
use zhiyuan_domain::{OrganizationCode, RegionCode, VolunteerNumber};

/// What a volunteer states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) region: RegionCode,
    pub(crate) league_member: bool,
    pub(crate) political_status: Option<PoliticalStatus>,
    pub(crate) education: Option<Education>,
    pub(crate) employment: Option<Employment>,
    /// In the order of the numbers, each once.
    pub(crate) skills: Vec<Skill>,
    /// In the order of the numbers, each once.
    pub(crate) service_categories: Vec<ServiceCategory>,
}

/// The record of a volunteer, but for what identity holds.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) number: VolunteerNumber,
    pub(crate) organization: OrganizationCode,
    /// How well the person has proved the ID number.
    pub(crate) level: i16,
    pub(crate) registered_at: OffsetDateTime,
    /// Which state of the record this is.
    pub(crate) revision: i64,
    pub(crate) details: Details,
}

/// The time that a volunteer was with an organization.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// Of the volunteer, with which it was left; the highest for the present one.
    pub(crate) revision: i64,
    pub(crate) organization_code: String,
    pub(crate) joined_at: OffsetDateTime,
    /// None for the present one.
    pub(crate) left_at: Option<OffsetDateTime>,
}

/// What is to be stated from now on: of the fields that have a value here, that value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) region: Option<RegionCode>,
    pub(crate) league_member: Option<bool>,
    pub(crate) political_status: Option<Option<PoliticalStatus>>,
    pub(crate) education: Option<Option<Education>>,
    pub(crate) employment: Option<Option<Employment>>,
    pub(crate) skills: Option<Vec<Skill>>,
    pub(crate) service_categories: Option<Vec<ServiceCategory>>,
}

impl Details {
    /// As they are after a change.
    pub(crate) fn after(&self, change: &Change) -> Self {
        let Change {
            region,
            league_member,
            political_status,
            education,
            employment,
            skills,
            service_categories,
        } = change.clone();
        Self {
            region: region.unwrap_or(self.region),
            league_member: league_member.unwrap_or(self.league_member),
            political_status: political_status.unwrap_or(self.political_status),
            education: education.unwrap_or(self.education),
            employment: employment.unwrap_or(self.employment),
            skills: skills.unwrap_or_else(|| self.skills.clone()),
            service_categories: service_categories
                .unwrap_or_else(|| self.service_categories.clone()),
        }
    }

    /// Whether others are told of the difference: what is counted.
    pub(crate) fn is_told_unlike(&self, other: &Self) -> bool {
        self.region != other.region || self.league_member != other.league_member
    }
}

impl Change {
    /// What it says, field by field, for its digest and by name for the audit.
    pub(crate) fn says(&self) -> Vec<(&'static str, Vec<u8>)> {
        let number = |number: Option<i32>| number.map_or(Vec::new(), |n| n.to_be_bytes().to_vec());
        let all = |list: Vec<i32>| list.into_iter().flat_map(i32::to_be_bytes).collect();
        let said = [
            ("region_code", self.region.map(|region| region.as_str().as_bytes().to_vec())),
            ("league_member", self.league_member.map(|is| vec![u8::from(is)])),
            ("political_status", self.political_status.map(|it| number(it.map(i32::from)))),
            ("education", self.education.map(|it| number(it.map(i32::from)))),
            ("employment", self.employment.map(|it| number(it.map(i32::from)))),
            ("skills", self.skills.as_deref().map(numbers).map(all)),
            ("service_categories", self.service_categories.as_deref().map(numbers).map(all)),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The numbers of choices, as they are on the wire and in the columns.
fn numbers<T: Copy + Into<i32>>(list: &[T]) -> Vec<i32> {
    list.iter().map(|one| (*one).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> Details {
        Details {
            region: RegionCode::parse("341822").unwrap(),
            league_member: true,
            political_status: Some(PoliticalStatus::LeagueMember),
            education: Some(Education::Undergraduate),
            employment: Some(Employment::Student),
            skills: vec![Skill::Law],
            service_categories: vec![ServiceCategory::Care],
        }
    }

    #[test]
    fn a_change_of_nothing_leaves_everything() {
        assert_eq!(details().after(&Change::default()), details());
        assert_eq!(Change::default().says(), []);
    }

    #[test]
    fn what_a_change_names_is_replaced_or_taken_back_and_nothing_else() {
        let change = Change {
            political_status: Some(None),
            skills: Some(vec![]),
            employment: Some(Some(Employment::Clerk)),
            ..Change::default()
        };
        let expected = Details {
            political_status: None,
            skills: vec![],
            employment: Some(Employment::Clerk),
            ..details()
        };
        assert_eq!(details().after(&change), expected);
        let names: Vec<&str> = change.says().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["political_status", "employment", "skills"]);
    }

    #[test]
    fn what_is_taken_back_is_said_otherwise_than_what_is_stated() {
        let says = |status| Change { political_status: Some(status), ..Change::default() }.says();
        assert_ne!(says(None), says(Some(PoliticalStatus::Masses)));
        assert_ne!(says(None), Change::default().says());
    }

    #[test]
    fn only_region_and_membership_are_told_to_others() {
        let elsewhere = Details { region: RegionCode::parse("340102").unwrap(), ..details() };
        let left = Details { league_member: false, ..details() };
        let learned = Details { skills: vec![], education: None, ..details() };
        assert!(details().is_told_unlike(&elsewhere) && details().is_told_unlike(&left));
        assert!(!details().is_told_unlike(&learned));
    }
}
