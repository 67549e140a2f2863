#![doc = include_str!("../README.md")]

pub mod age;
pub mod clock;
pub mod credit_code;
pub mod direction;
pub mod guardian;
pub mod id_number;
pub mod ids;
mod long_number;
pub mod mobile;
pub mod organization_code;
pub mod organization_name;
pub mod password;
pub mod person_name;
pub mod region_code;
pub mod remark;
pub mod statement;
pub mod violation;
pub mod volunteer_number;
mod width;

pub use age::{AgeClass, AgeRule, age_on, league_membership_ends_in, month_of, registration_age};
pub use clock::{
    Clock, ManualClock, SharedClock, SystemClock, next_shanghai_midnight, shanghai_date,
};
pub use credit_code::{CreditCode, InvalidCreditCode};
pub use direction::turns_direction;
pub use guardian::{InvalidGuardian, Ward};
pub use id_number::{IdNumber, IdNumberKind, InvalidIdNumber, Sex};
pub use ids::{
    AccountId, ChallengeId, EnrolmentId, InvalidId, Partition, RecoveryId, RequestId, RosterFileId,
    VolunteerId, least_id_of, new_id,
};
pub use long_number::holds_long_number;
pub use mobile::{InvalidMobile, Mobile};
pub use organization_code::{InvalidOrganizationCode, OrganizationCode};
pub use organization_name::{InvalidOrganizationName, OrganizationName};
pub use password::{InvalidPassword, Password, PersonalDetails};
pub use person_name::{InvalidPersonName, PersonName};
pub use region_code::{InvalidRegionCode, RegionCode};
pub use remark::{InvalidRemark, Remark};
pub use statement::{InvalidStatement, Statement};
pub use violation::Violation;
pub use volunteer_number::{InvalidVolunteerNumber, VolunteerNumber};
