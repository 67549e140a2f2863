//! A lost phone: two administrators of a volunteer's organization help back into the account.
//!
//! Who may decide is known here, and both phones to identity alone. A decision is a row,
//! written in the transaction that records it; identity hears of it at once, or by the
//! recovery task if the process dies between the two.

pub(crate) mod db;
mod deciding;
mod fault;
pub(crate) mod grpc;
mod identity;
pub(crate) mod job;
mod looking;
mod permission;
mod showing;

pub(crate) use deciding::Recoveries;
pub(crate) use fault::Fault;
pub(crate) use identity::Accounts;
pub(crate) use permission::{Administrators, right};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{Violation, holds_long_number};

/// How long recoveries are kept.
pub(crate) const KEPT: Duration = Duration::days(180);
/// Who started a recovery may send it again that long, with the phone, before identity is
/// asked whether it ever heard of it.
pub(crate) const PHONE_AWAITED: Duration = Duration::minutes(15);
/// Before it is tried again to tell identity.
pub(crate) const TRY_AGAIN: Duration = Duration::seconds(30);
/// Before it is looked again whether both administrators of one that is approved still may.
pub(crate) const LOOK_AGAIN: Duration = Duration::minutes(10);
/// What the limit of an administrator looks back on.
pub(crate) const WINDOW: Duration = Duration::hours(24);
/// What the limit of a volunteer looks back on.
pub(crate) const VOLUNTEER_WINDOW: Duration = Duration::days(30);
/// A recovery ends within that long of its start, one way or another.
pub(crate) const LONGEST: Duration = Duration::days(90);

/// What an operator has set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// That one administrator may start in 24 hours.
    pub(crate) per_administrator: u32,
    /// That may be started of one volunteer in 30 days.
    pub(crate) per_volunteer: u32,
    /// In which none is started after the volunteer has objected to one.
    pub(crate) objection_pause: Duration,
    /// How old the grant is by which an administrator starts or approves one.
    pub(crate) grant_age: Duration,
}

/// How far a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is decided to start it; identity may or may not have it.
    Starting,
    /// It waits for a second administrator.
    Started,
    /// It is approved, and identity is to be told.
    Approving,
    /// Identity knows.
    Approved,
    /// It is cancelled, and identity is to be told.
    Cancelling,
    /// Identity knows.
    Cancelled,
    /// Identity did not begin it.
    Refused,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Starting,
        Self::Started,
        Self::Approving,
        Self::Approved,
        Self::Cancelling,
        Self::Cancelled,
        Self::Refused,
    ];

    /// As in the column `step`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Started => "STARTED",
            Self::Approving => "APPROVING",
            Self::Approved => "APPROVED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::Refused => "REFUSED",
        }
    }

    /// From the column `step`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_column() == column)
    }

    /// Whether identity is to be told.
    pub(crate) fn is_to_be_told(self) -> bool {
        match self {
            Self::Starting | Self::Approving | Self::Cancelling => true,
            Self::Started | Self::Approved | Self::Cancelled | Self::Refused => false,
        }
    }
}

/// Why identity did not begin a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another one goes on.
    Open,
    /// The account is closed.
    Gone,
}

impl Refusal {
    /// As in the column `refusal`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Gone => "GONE",
        }
    }

    /// From the column `refusal`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        [Self::Open, Self::Gone].into_iter().find(|refusal| refusal.as_column() == column)
    }
}

/// A recovery as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    pub(crate) recovery_id: Uuid,
    pub(crate) volunteer_id: Uuid,
    pub(crate) step: Step,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) reason: String,
    pub(crate) started_by: Uuid,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) approved_by: Option<Uuid>,
    pub(crate) approved_at: Option<OffsetDateTime>,
    pub(crate) cancelled_at: Option<OffsetDateTime>,
}

/// Why a recovery is wanted, in the words of an administrator.
#[derive(Clone)]
pub(crate) struct Reason(String);

impl Reason {
    /// Takes letters, digits, spaces and a few marks; no long numbers, which would be phones
    /// or ID numbers: what is recorded of it is kept for long.
    pub(crate) fn parse(text: &str) -> Result<Self, Violation> {
        let violation = |reason, message: &str| Violation { reason, message: message.to_owned() };
        let text = text.trim();
        let count = text.chars().count();
        if count == 0 || count > 200 {
            return Err(violation("REASON_LENGTH", "请填写 1 至 200 字的办理原因"));
        }
        let fine = |c: char| c.is_alphanumeric() || " ，。、：（）“”,.:()-".contains(c);
        if !text.chars().all(fine) {
            let message = "办理原因只能包含文字、数字、空格和常用标点";
            return Err(violation("REASON_CHARACTERS", message));
        }
        if holds_long_number(text) {
            let message = "办理原因中请勿填写手机号、身份证号码等个人信息";
            return Err(violation("REASON_PERSONAL", message));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_survive() {
        for step in Step::ALL {
            assert_eq!(Step::from_column(step.as_column()), Some(step));
        }
        for refusal in [Refusal::Open, Refusal::Gone] {
            assert_eq!(Refusal::from_column(refusal.as_column()), Some(refusal));
        }
    }

    #[test]
    fn a_reason_is_words_and_no_numbers_of_people() {
        let wrong = |text: &str| Reason::parse(text).err().map(|violation| violation.reason);
        for fine in ["手机遗失，已到团委窗口核对身份证原件。", "lost, seen in person (room 12-3)"]
        {
            assert_eq!(wrong(fine), None, "{fine}");
        }
        assert_eq!(Reason::parse(" 手机遗失 ").unwrap().as_str(), "手机遗失");
        for (text, told) in [
            ("", "REASON_LENGTH"),
            ("   ", "REASON_LENGTH"),
            (&*"遗".repeat(201), "REASON_LENGTH"),
            ("遗失\n换号", "REASON_CHARACTERS"),
            ("<b>遗失</b>", "REASON_CHARACTERS"),
            ("' OR 1=1", "REASON_CHARACTERS"),
            ("遗失\u{202e}", "REASON_CHARACTERS"),
            ("新号 13900000000", "REASON_PERSONAL"),
            ("新号 139 0000 0000", "REASON_PERSONAL"),
            ("新号 139-0000-0000", "REASON_PERSONAL"),
            ("新号 139.0000.0000", "REASON_PERSONAL"),
            ("新号 139，0000，0000", "REASON_PERSONAL"),
            ("新号 (139):0000、0000", "REASON_PERSONAL"),
            ("新号１３９００００００００", "REASON_PERSONAL"),
        ] {
            assert_eq!(wrong(text), Some(told), "{text}");
        }
    }
}
