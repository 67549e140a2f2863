//! Why a form does not become a volunteer.

use zhiyuan_domain::OrganizationCode;

use crate::claims;

/// Why a registration was refused; each is one reason of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    OrganizationNotFound,
    OrganizationClosed {
        successor: Option<OrganizationCode>,
    },
    OrganizationTakesNoRegistrations,
    SmsCodeWrong,
    SmsCodeExpired,
    SmsCodeUsed,
    SmsCodeTriesExhausted,
    ConsentMissing,
    ConsentOutdated,
    UnderAge,
    GuardianRequired,
    GuardianSmsCodeWrong,
    GuardianSmsCodeExpired,
    GuardianSmsCodeUsed,
    GuardianSmsCodeTriesExhausted,
    GuardianIdMismatch,
    ActivationProofOver,
    IdNameMismatch,
    IdNotFound,
    IdCheckLimit,
    IdCheckExpired,
    AlreadyRegistered,
    /// Of a claim on somebody else's number.
    Claim(claims::Refusal),
    /// `REGISTRATION_EXPIRED`.
    Expired,
}

impl Refusal {
    /// As in the column `refusal`: the reason on the wire.
    pub(crate) fn as_column(&self) -> &'static str {
        match self {
            Self::OrganizationNotFound => "ORGANIZATION_NOT_FOUND",
            Self::OrganizationClosed { .. } => "ORGANIZATION_CLOSED",
            Self::OrganizationTakesNoRegistrations => "ORGANIZATION_TAKES_NO_REGISTRATIONS",
            Self::SmsCodeWrong => "SMS_CODE_WRONG",
            Self::SmsCodeExpired => "SMS_CODE_EXPIRED",
            Self::SmsCodeUsed => "SMS_CODE_USED",
            Self::SmsCodeTriesExhausted => "SMS_CODE_TRIES_EXHAUSTED",
            Self::ConsentMissing => "CONSENT_MISSING",
            Self::ConsentOutdated => "CONSENT_OUTDATED",
            Self::UnderAge => "UNDER_AGE",
            Self::GuardianRequired => "GUARDIAN_REQUIRED",
            Self::GuardianSmsCodeWrong => "GUARDIAN_SMS_CODE_WRONG",
            Self::GuardianSmsCodeExpired => "GUARDIAN_SMS_CODE_EXPIRED",
            Self::GuardianSmsCodeUsed => "GUARDIAN_SMS_CODE_USED",
            Self::GuardianSmsCodeTriesExhausted => "GUARDIAN_SMS_CODE_TRIES_EXHAUSTED",
            Self::GuardianIdMismatch => "GUARDIAN_ID_MISMATCH",
            Self::ActivationProofOver => "ACTIVATION_PROOF_OVER",
            Self::IdNameMismatch => "ID_NAME_MISMATCH",
            Self::IdNotFound => "ID_NOT_FOUND",
            Self::IdCheckLimit => "ID_CHECK_LIMIT",
            Self::IdCheckExpired => "ID_CHECK_EXPIRED",
            Self::AlreadyRegistered => "ALREADY_REGISTERED",
            Self::Claim(refusal) => refusal.as_column(),
            Self::Expired => "REGISTRATION_EXPIRED",
        }
    }

    /// From the columns `refusal` and `successor_code`.
    pub(crate) fn from_columns(refusal: &str, successor: Option<OrganizationCode>) -> Option<Self> {
        Self::all(successor).into_iter().find(|known| known.as_column() == refusal)
    }

    /// Who followed the organization.
    pub(crate) fn successor(&self) -> Option<&OrganizationCode> {
        match self {
            Self::OrganizationClosed { successor } => successor.as_ref(),
            _ => None,
        }
    }

    /// Whether it came before the code of the text message was right: nothing shows
    /// that whoever sent the form has the phone.
    pub(crate) fn precedes_the_code(&self) -> bool {
        match self {
            Self::SmsCodeWrong
            | Self::SmsCodeExpired
            | Self::SmsCodeUsed
            | Self::SmsCodeTriesExhausted
            | Self::ConsentMissing
            | Self::ConsentOutdated
            | Self::UnderAge
            | Self::GuardianRequired
            | Self::ActivationProofOver => true,
            // The organization is asked again once the ID number is claimed: what is
            // stored of it came after the code.
            Self::OrganizationNotFound
            | Self::OrganizationClosed { .. }
            | Self::OrganizationTakesNoRegistrations
            | Self::GuardianSmsCodeWrong
            | Self::GuardianSmsCodeExpired
            | Self::GuardianSmsCodeUsed
            | Self::GuardianSmsCodeTriesExhausted
            | Self::GuardianIdMismatch
            | Self::IdNameMismatch
            | Self::IdNotFound
            | Self::IdCheckLimit
            | Self::IdCheckExpired
            | Self::AlreadyRegistered
            | Self::Claim(_)
            | Self::Expired => false,
        }
    }

    /// Every refusal, the closed organization with this successor.
    pub(crate) fn all(successor: Option<OrganizationCode>) -> [Self; 28] {
        [
            Self::OrganizationNotFound,
            Self::OrganizationClosed { successor },
            Self::OrganizationTakesNoRegistrations,
            Self::SmsCodeWrong,
            Self::SmsCodeExpired,
            Self::SmsCodeUsed,
            Self::SmsCodeTriesExhausted,
            Self::ConsentMissing,
            Self::ConsentOutdated,
            Self::UnderAge,
            Self::GuardianRequired,
            Self::GuardianSmsCodeWrong,
            Self::GuardianSmsCodeExpired,
            Self::GuardianSmsCodeUsed,
            Self::GuardianSmsCodeTriesExhausted,
            Self::GuardianIdMismatch,
            Self::ActivationProofOver,
            Self::IdNameMismatch,
            Self::IdNotFound,
            Self::IdCheckLimit,
            Self::IdCheckExpired,
            Self::AlreadyRegistered,
            Self::Claim(claims::Refusal::Open),
            Self::Claim(claims::Refusal::Exhausted),
            Self::Claim(claims::Refusal::AgainstProven),
            Self::Claim(claims::Refusal::Rejected),
            Self::Claim(claims::Refusal::Expired),
            Self::Expired,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_columns() {
        let successor = OrganizationCode::parse("AH-340100").ok();
        for refusal in Refusal::all(successor.clone()) {
            let read = Refusal::from_columns(refusal.as_column(), refusal.successor().cloned());
            assert_eq!(read, Some(refusal));
        }
        assert_eq!(Refusal::from_columns("NONE_OF_OURS", None), None);
    }
}
