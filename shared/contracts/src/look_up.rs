//! What the purposes of look-ups are called where they are recorded, by whichever service.

use crate::identity::v1::LookUpPurpose;

impl LookUpPurpose {
    /// The name under which a purpose is recorded; none, if it is none.
    pub fn recorded_as(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::ActivityEnrolment => Some("报名参加志愿服务活动"),
            Self::ServiceHours => Some("记录或核对志愿服务时长"),
            Self::AccountLinking => Some("关联平台账号"),
            Self::Insurance => Some("办理志愿者保险"),
            Self::Credit => Some("落实信用激励"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_but_none_has_its_name() {
        for number in 0..16 {
            let Ok(purpose) = LookUpPurpose::try_from(number) else { continue };
            assert_eq!(purpose.recorded_as().is_none(), number == 0, "{purpose:?}");
        }
    }
}
