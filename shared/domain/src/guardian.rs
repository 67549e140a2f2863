//! Who may consent for somebody of 14 to 17.

use time::Date;

use crate::{AgeClass, AgeRule, IdNumber, Mobile, registration_age};

/// Why somebody can't be the guardian of an applicant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGuardian {
    /// It is the applicant.
    #[error("the guardian is the applicant")]
    Applicant,
    /// Younger than 18.
    #[error("the guardian is no adult")]
    UnderAge,
    /// The phone is the applicant's: a code to it shows nothing of a guardian.
    #[error("the guardian has the applicant's phone")]
    Phone,
}

impl InvalidGuardian {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Applicant => "GUARDIAN_IS_APPLICANT",
            Self::UnderAge => "GUARDIAN_UNDER_AGE",
            Self::Phone => "GUARDIAN_PHONE_SAME",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Applicant => "监护人不能是注册人本人，请填写监护人的身份证号码",
            Self::UnderAge => "监护人须年满 18 周岁，请填写成年监护人的身份证号码",
            Self::Phone => "监护人的手机号码不能与注册人的相同，请填写监护人本人的手机号码",
        }
    }
}

/// What is known of an applicant: fields that could not be parsed are not compared.
#[derive(Clone, Copy, Debug)]
pub struct Ward<'a> {
    /// The applicant's own number.
    pub id_number: Option<&'a IdNumber>,
    /// The applicant's own phone.
    pub phone: Option<&'a Mobile>,
}

impl Ward<'_> {
    /// Passes the ID number of a guardian on: of an adult (on this day, in Asia/Shanghai),
    /// and of somebody else.
    ///
    /// # Errors
    /// It is the applicant's, or of somebody under 18.
    pub fn guardian_number(
        &self,
        number: IdNumber,
        today: Date,
        rule: AgeRule,
    ) -> Result<IdNumber, InvalidGuardian> {
        if self.id_number == Some(&number) {
            return Err(InvalidGuardian::Applicant);
        }
        match registration_age(number.birth_date(), today, rule) {
            AgeClass::Adult => Ok(number),
            AgeClass::TooYoung | AgeClass::Minor | AgeClass::WorkingAge => {
                Err(InvalidGuardian::UnderAge)
            }
        }
    }

    /// Passes the phone of a guardian on.
    ///
    /// # Errors
    /// It is the applicant's.
    pub fn guardian_phone(&self, phone: Mobile) -> Result<Mobile, InvalidGuardian> {
        if self.phone == Some(&phone) { Err(InvalidGuardian::Phone) } else { Ok(phone) }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_guardian_is_an_adult_and_somebody_else_with_another_phone() {
        let today = date!(2026 - 11 - 25);
        let parse = |number| IdNumber::parse(number, today).unwrap();
        let (own, adult) = (parse("110101201101010012"), parse("110101198001010010"));
        let (phone, other) =
            (Mobile::parse("13800000000").unwrap(), Mobile::parse("13800000001").unwrap());
        let ward = Ward { id_number: Some(&own), phone: Some(&phone) };
        let number = |number| ward.guardian_number(number, today, AgeRule::OnBirthday);
        assert_eq!(number(own.clone()), Err(InvalidGuardian::Applicant));
        assert_eq!(number(adult.clone()), Ok(adult));
        let unknown = Ward { id_number: None, phone: None };
        let number = unknown.guardian_number(own.clone(), today, AgeRule::OnBirthday);
        assert_eq!(number, Err(InvalidGuardian::UnderAge));
        assert_eq!(ward.guardian_phone(phone.clone()), Err(InvalidGuardian::Phone));
        assert_eq!(ward.guardian_phone(other.clone()), Ok(other));
    }
}
