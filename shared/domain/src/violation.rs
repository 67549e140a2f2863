//! How a broken rule is told to the person who filled in the field.

use crate::{
    InvalidCreditCode, InvalidGuardian, InvalidId, InvalidIdNumber, InvalidMobile,
    InvalidOrganizationCode, InvalidOrganizationName, InvalidPassword, InvalidPersonName,
    InvalidRegionCode, InvalidRemark, InvalidStatement, InvalidVolunteerNumber,
};

/// A broken rule of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Stable name in SCREAMING_SNAKE_CASE, e.g. `ID_NUMBER_CHECKSUM`; clients may branch on it.
    pub reason: &'static str,
    /// What to do about it, in zh-CN; never contains the value.
    pub message: String,
}

macro_rules! told {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Violation {
            fn from(error: $error) -> Self {
                Self { reason: error.reason(), message: error.message().to_owned() }
            }
        }
    )+};
}

told!(
    InvalidCreditCode,
    InvalidGuardian,
    InvalidId,
    InvalidIdNumber,
    InvalidMobile,
    InvalidOrganizationCode,
    InvalidOrganizationName,
    InvalidPassword,
    InvalidPersonName,
    InvalidRegionCode,
    InvalidRemark,
    InvalidStatement,
    InvalidVolunteerNumber,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_the_reason_and_the_message_of_the_error() {
        let violation = Violation::from(InvalidIdNumber::Checksum);
        assert_eq!(violation.reason, "ID_NUMBER_CHECKSUM");
        assert_eq!(violation.message, InvalidIdNumber::Checksum.message());
    }
}
