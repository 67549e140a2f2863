/// Why an ID number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdNumber {
    /// Neither 18 characters nor a 15-digit number.
    #[error("id number does not have 18 characters")]
    Length,
    /// Something else than 17 digits and a digit or X.
    #[error("id number is not 17 digits and a digit or X")]
    Characters,
    /// A 15-digit number; the cards are invalid since 2013-01-01.
    #[error("id number has the legacy form of 15 digits")]
    Legacy,
    /// Not 15 digits where a 15-digit number is to be upgraded.
    #[error("legacy id number does not have 15 digits")]
    NotLegacy,
    /// The first two digits (in a foreigner's number the second and third) are no province.
    #[error("id number begins with a province that does not exist")]
    Province,
    /// The code of a province or city where that of a county must be.
    #[error("id number has a province or city where a county must be")]
    AddressLevel,
    /// The nationality is not in ISO 3166-1, or is China.
    #[error("id number has a nationality that does not exist")]
    Nationality,
    /// The date of birth is not in the calendar.
    #[error("id number has a date of birth that does not exist")]
    BirthDate,
    /// The date of birth is before 1900-01-01.
    #[error("id number has a date of birth before 1900")]
    BirthDateTooEarly,
    /// The date of birth is after today.
    #[error("id number has a date of birth in the future")]
    BirthDateInFuture,
    /// The last character does not follow from the others.
    #[error("id number has a wrong check character")]
    Checksum,
}

impl InvalidIdNumber {
    /// Returns the stable name of the broken rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "ID_NUMBER_LENGTH",
            Self::Characters => "ID_NUMBER_CHARACTERS",
            Self::Legacy => "ID_LEGACY_FORMAT",
            Self::NotLegacy => "ID_NUMBER_NOT_LEGACY",
            Self::Province => "ID_NUMBER_PROVINCE",
            Self::AddressLevel => "ID_NUMBER_ADDRESS_LEVEL",
            Self::Nationality => "ID_NUMBER_NATIONALITY",
            Self::BirthDate => "ID_NUMBER_BIRTH_DATE",
            Self::BirthDateTooEarly => "ID_NUMBER_BIRTH_DATE_TOO_EARLY",
            Self::BirthDateInFuture => "ID_NUMBER_BIRTH_DATE_IN_FUTURE",
            Self::Checksum => "ID_NUMBER_CHECKSUM",
        }
    }

    /// Returns what to do about it, in zh-CN.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "证件号码应为 18 位，请对照证件检查是否漏填或多填",
            Self::Characters => "证件号码前 17 位应为数字，最后一位应为数字或 X，请检查后重新填写",
            Self::Legacy => "15 位旧号码已停用，请填写现用身份证上的 18 位号码",
            Self::NotLegacy => "此处应为 15 位旧身份证号码，请检查后重新填写",
            Self::Province => "证件号码的省份代码不存在，请对照证件检查前几位数字",
            Self::AddressLevel => "证件号码的前 6 位应为县级地区代码，请对照证件检查前 6 位数字",
            Self::Nationality => "证件号码的国籍代码不存在，请对照证件检查第 4 至 6 位数字",
            Self::BirthDate => "证件号码中的出生日期不存在，请对照证件检查第 7 至 14 位数字",
            Self::BirthDateTooEarly => {
                "证件号码中的出生日期早于 1900 年，请对照证件检查第 7 至 14 位数字"
            }
            Self::BirthDateInFuture => {
                "证件号码中的出生日期晚于今天，请对照证件检查第 7 至 14 位数字"
            }
            Self::Checksum => "证件号码校验未通过，可能有数字填错或颠倒，请对照证件逐位检查",
        }
    }
}
