//! Text messages to people that are not codes: queued in the transaction of what
//! they tell of, sent by a job, again until they are taken, once for each key, within a
//! budget of their own; what became of each is recorded, and its person can read it.
//!
//! All templates go out at most once, unless whoever delivers knows ids: a message that comes
//! twice is what people are warned of as a fraud, and what it says they also read in their
//! records. One that may have been taken, since no clear answer came or the process ended in
//! the moment between, is recorded so and not sent again. A vendor that is told the id of the
//! notice (`{request_id}`) delivers it once however often it is handed over, so there it is
//! handed over again when a process has ended in that moment.

pub(crate) mod db;
mod grpc;
pub(crate) mod job;

pub(crate) use grpc::NoticeRpc;

use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::{Clock, new_id};

use crate::error::Result;
use crate::keys::{Column, Vault};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    /// A registration that had to wait is complete.
    Registered,
    /// A registration that had to wait was refused.
    Refused,
    /// Somebody else tried to register with the ID number of an account.
    AttemptOnAccount,
    /// The password of an account is another one.
    PasswordChanged,
    /// The phone of an account is another one; goes to the old one.
    PhoneChanged,
    /// The account is closed.
    AccountClosed,
    /// Somebody of 14 to 17 is registered; goes to the guardian who consented.
    Guardian,
    /// Administrators want to give the account another phone; goes to the present one.
    RecoveryStarted,
    /// The same, to the new phone.
    RecoveryStartedNew,
    /// It is approved; goes to the present phone.
    RecoveryApproved,
    /// The same, to the new phone.
    RecoveryApprovedNew,
    /// It has ended without effect; goes to both.
    RecoveryEnded,
    /// It has taken effect; goes to the new phone.
    RecoveryCompleted,
    /// Whoever a roster lists with this phone has registered with another one.
    OnRoster,
    /// Somebody claims the ID number of an account.
    ClaimOpened,
    /// Two administrators have accepted the claim; goes to whoever holds the number.
    ClaimAccepted,
    /// The same, to the claimant.
    ClaimAcceptedNew,
    /// The claim has ended without effect; goes to whoever holds the number.
    ClaimEnded,
    /// The account has ended, as another one has proved the number; goes to the phone that it had.
    Displaced,
}

impl Template {
    const ALL: [Self; 19] = [
        Self::Registered,
        Self::Refused,
        Self::AttemptOnAccount,
        Self::PasswordChanged,
        Self::PhoneChanged,
        Self::AccountClosed,
        Self::Guardian,
        Self::RecoveryStarted,
        Self::RecoveryStartedNew,
        Self::RecoveryApproved,
        Self::RecoveryApprovedNew,
        Self::RecoveryEnded,
        Self::RecoveryCompleted,
        Self::OnRoster,
        Self::ClaimOpened,
        Self::ClaimAccepted,
        Self::ClaimAcceptedNew,
        Self::ClaimEnded,
        Self::Displaced,
    ];

    /// As in the column `template`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Refused => "REFUSED",
            Self::AttemptOnAccount => "ATTEMPT_ON_ACCOUNT",
            Self::PasswordChanged => "PASSWORD_CHANGED",
            Self::PhoneChanged => "PHONE_CHANGED",
            Self::AccountClosed => "ACCOUNT_CLOSED",
            Self::Guardian => "GUARDIAN",
            Self::RecoveryStarted => "RECOVERY_STARTED",
            Self::RecoveryStartedNew => "RECOVERY_STARTED_NEW",
            Self::RecoveryApproved => "RECOVERY_APPROVED",
            Self::RecoveryApprovedNew => "RECOVERY_APPROVED_NEW",
            Self::RecoveryEnded => "RECOVERY_ENDED",
            Self::RecoveryCompleted => "RECOVERY_COMPLETED",
            Self::OnRoster => "ON_ROSTER",
            Self::ClaimOpened => "CLAIM_OPENED",
            Self::ClaimAccepted => "CLAIM_ACCEPTED",
            Self::ClaimAcceptedNew => "CLAIM_ACCEPTED_NEW",
            Self::ClaimEnded => "CLAIM_ENDED",
            Self::Displaced => "DISPLACED",
        }
    }

    /// From the column `template`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_column() == column)
    }

    /// Whether the code to object with is told too. It goes with the notice, so that nobody
    /// who uses up the codes of the phone keeps its owner from objecting.
    pub(crate) fn brings_objection_code(self) -> bool {
        matches!(self, Self::RecoveryStarted | Self::RecoveryApproved)
    }

    /// What the person reads. Nothing personal: others may see the screen.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Registered => "您的志愿者注册已完成，请回到注册页面查看志愿者编号。",
            Self::Refused => "您的志愿者注册未能完成，请回到注册页面查看原因，核对后重新提交。",
            Self::AttemptOnAccount => {
                "有人使用您的身份证号码再次注册志愿者，系统已拒绝。如非本人操作，请联系所在团组织。"
            }
            Self::PasswordChanged => {
                "您的志愿者账号密码已更改，其他设备需要重新登录。如非本人操作，请立即用短信验证码重置密码。"
            }
            Self::PhoneChanged => {
                "您的志愿者账号已更换手机号，今后的验证码将发往新手机号。如非本人操作，请立即联系所在团组织。"
            }
            Self::AccountClosed => {
                "您的志愿者账号已注销，姓名、身份证号码和手机号已删除。如非本人操作，请立即联系所在团组织。"
            }
            Self::Guardian => {
                "您以监护人身份同意注册的青年志愿者已注册成功。如您未曾同意，请立即联系当地团组织。"
            }
            Self::RecoveryStarted => {
                "所在团组织已发起为您的志愿者账号更换手机号（原手机遗失），待另一位管理员核准。如非本人申请，请登录后提出异议，或凭以下异议码提出异议，请勿告诉他人。异议码："
            }
            Self::RecoveryStartedNew => {
                "团组织已受理将本手机号设为志愿者账号新手机号的申请，待另一位管理员核准。如与您无关，请勿向任何人提供验证码。"
            }
            Self::RecoveryApproved => {
                "您的志愿者账号更换手机号的申请已核准，等待期过后即可生效。如非本人申请，请立即登录后提出异议，或凭以下异议码提出异议，请勿告诉他人。异议码："
            }
            Self::RecoveryApprovedNew => {
                "将本手机号设为志愿者账号新手机号的申请已核准，请在等待期过后凭短信验证码、姓名和身份证号码后六位办理。如与您无关，请勿向任何人提供验证码。"
            }
            Self::RecoveryEnded => {
                "志愿者账号更换手机号的申请已终止，账号未作变更。如有疑问，请联系所在团组织。"
            }
            Self::RecoveryCompleted => {
                "志愿者账号已更换为本手机号并重设密码，所有设备需要重新登录。如非本人操作，请立即联系所在团组织。"
            }
            Self::OnRoster => {
                "团员名册中登记为本手机号的团员已用另一手机号注册志愿者。如非本人注册，请立即联系所在团组织。"
            }
            Self::ClaimOpened => {
                "有人提出认领您志愿者账号所用的身份证号码，将由上级团组织的两位管理员核对证件后核定。您的账号目前不受影响，请登录后查看并作出说明。"
            }
            Self::ClaimAccepted => {
                "对您志愿者账号所用身份证号码的认领申请已核定属实，等待期过后您的账号将终止。如有异议，请立即登录作出说明，并持身份证联系上级团组织。"
            }
            Self::ClaimAcceptedNew => {
                "您的身份认领申请已核定属实，等待期过后即可完成注册，届时另行通知。"
            }
            Self::ClaimEnded => "对您志愿者账号所用身份证号码的认领申请已终止，您的账号未作变更。",
            Self::Displaced => {
                "您的志愿者账号所用身份证号码经两位管理员核对证件后已由他人认领，该账号已终止。如有异议，请持身份证联系上级团组织。"
            }
        }
    }
}

/// What the keys of notices of recoveries begin with; the id follows.
const RECOVERY: &str = "recovery/";

/// The recovery that a notice is about, by its key.
pub(crate) fn recovery_of(once: &str) -> Option<Uuid> {
    let (id, _step) = once.strip_prefix(RECOVERY)?.split_once('/')?;
    Uuid::try_parse(id).ok()
}

/// Notices that a phone gets in any [`WINDOW`]; what is beyond waits. A choice of ours: a
/// phone that is told more often is one that somebody plays with.
pub(crate) const PER_WINDOW: usize = 10;
/// What [`PER_WINDOW`] looks back on.
pub(crate) const WINDOW: Duration = Duration::hours(24);
/// A notice that could not be sent that long is given up: it would tell of something that
/// is long past.
pub(crate) const GIVEN_UP_AFTER: Duration = Duration::hours(48);

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Whoever delivers took it.
    Taken,
    /// It may have been taken.
    Unknown,
    /// Whoever delivers does not want it.
    Refused,
    /// Nobody who delivers could be reached.
    NotReached,
    /// The account is gone.
    Nobody,
    /// The phone had its share, or there were too many.
    OverBudget,
}

impl Outcome {
    /// As in the column `outcome`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Taken => "TAKEN",
            Self::Unknown => "UNKNOWN",
            Self::Refused => "REFUSED",
            Self::NotReached => "NOT_REACHED",
            Self::Nobody => "NOBODY",
            Self::OverBudget => "OVER_BUDGET",
        }
    }

    /// As in the column `state`: what may have arrived counts as sent.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Taken | Self::Unknown => "SENT",
            Self::Refused | Self::NotReached | Self::Nobody | Self::OverBudget => "GIVEN_UP",
        }
    }
}

/// When a phone may be sent one more, after those that it was sent.
pub(crate) fn allowed_at(sent_at: &[OffsetDateTime], now: OffsetDateTime) -> OffsetDateTime {
    // A clock that was once ahead must not silence a phone for as long.
    let mut recent: Vec<OffsetDateTime> =
        sent_at.iter().map(|at| (*at).min(now)).filter(|at| *at + WINDOW > now).collect();
    recent.sort_unstable();
    let overflow = recent.len().checked_sub(PER_WINDOW);
    overflow.and_then(|index| recent.get(index)).map_or(now, |oldest| *oldest + WINDOW)
}

/// Whom it goes to.
#[derive(Debug)]
pub(crate) enum Recipient {
    /// The phone of an account, read when the notice is sent.
    Account(Uuid),
    /// A phone sealed under the data key of the notice.
    Phone {
        sealed: Vec<u8>,
        /// The account that it was the phone of, which may read of the notice.
        owner: Option<Uuid>,
    },
}

impl Recipient {
    /// A phone, under a data key that is made for the notice.
    async fn seal(
        vault: &Vault,
        notice_id: Uuid,
        phone: &str,
        owner: Option<Uuid>,
    ) -> Result<Self> {
        let key = vault.make_key(notice_id).await?;
        let sealed = vault.seal(&key, Column::NoticePhone, notice_id, phone)?;
        Ok(Self::Phone { sealed, owner })
    }
}

/// A notice to be queued.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) notice_id: Uuid,
    pub(crate) once: String,
    pub(crate) template: Template,
    pub(crate) recipient: Recipient,
    pub(crate) at: OffsetDateTime,
}

impl Notice {
    /// A registration that had to wait is complete.
    pub(crate) fn registered(
        clock: &dyn Clock,
        enrolment_id: Uuid,
        account_id: Uuid,
        at: OffsetDateTime,
    ) -> Self {
        Self {
            notice_id: new_id(clock),
            once: format!("enrolment/{enrolment_id}"),
            template: Template::Registered,
            recipient: Recipient::Account(account_id),
            at,
        }
    }

    /// A registration that had to wait was refused; makes the key that the phone is
    /// sealed with.
    pub(crate) async fn refused(
        vault: &Vault,
        clock: &dyn Clock,
        enrolment_id: Uuid,
        phone: &str,
        at: OffsetDateTime,
    ) -> Result<Self> {
        let once = format!("enrolment/{enrolment_id}");
        Self::to_phone(vault, clock, Template::Refused, once, phone, at).await
    }

    /// Somebody of 14 to 17 is registered, told to the guardian; makes the key that the
    /// phone is sealed with.
    pub(crate) async fn guardian(
        vault: &Vault,
        clock: &dyn Clock,
        enrolment_id: Uuid,
        phone: &str,
        at: OffsetDateTime,
    ) -> Result<Self> {
        let once = format!("guardian/{enrolment_id}");
        Self::to_phone(vault, clock, Template::Guardian, once, phone, at).await
    }

    /// Somebody on a roster has registered with another phone than the roster's, told to that
    /// one; makes the key that it is sealed with.
    pub(crate) async fn on_roster(
        vault: &Vault,
        clock: &dyn Clock,
        enrolment_id: Uuid,
        phone: &str,
        at: OffsetDateTime,
    ) -> Result<Self> {
        let once = format!("roster/{enrolment_id}");
        Self::to_phone(vault, clock, Template::OnRoster, once, phone, at).await
    }

    /// Told to a phone that is nobody's account's; makes the key that it is sealed with.
    async fn to_phone(
        vault: &Vault,
        clock: &dyn Clock,
        template: Template,
        once: String,
        phone: &str,
        at: OffsetDateTime,
    ) -> Result<Self> {
        let notice_id = new_id(clock);
        let recipient = Recipient::seal(vault, notice_id, phone, None).await?;
        Ok(Self { notice_id, once, template, recipient, at })
    }

    /// Something of an account has changed; told each time.
    pub(crate) fn to_account(
        clock: &dyn Clock,
        template: Template,
        account_id: Uuid,
        at: OffsetDateTime,
    ) -> Self {
        let notice_id = new_id(clock);
        Self {
            notice_id,
            once: format!("change/{notice_id}"),
            template,
            recipient: Recipient::Account(account_id),
            at,
        }
    }

    /// The phone of an account has changed, told to the old one; makes the key that it is
    /// sealed with.
    pub(crate) async fn phone_changed(
        vault: &Vault,
        clock: &dyn Clock,
        account_id: Uuid,
        old_phone: &str,
    ) -> Result<Self> {
        let notice_id = new_id(clock);
        Ok(Self {
            notice_id,
            once: format!("phone/{account_id}/{notice_id}"),
            template: Template::PhoneChanged,
            recipient: Recipient::seal(vault, notice_id, old_phone, Some(account_id)).await?,
            at: clock.now(),
        })
    }

    /// A step of a recovery, told to the account's phone, once.
    pub(crate) fn recovery_to_account(
        clock: &dyn Clock,
        template: Template,
        recovery_id: Uuid,
        account_id: Uuid,
    ) -> Self {
        Self {
            notice_id: new_id(clock),
            once: format!("{RECOVERY}{recovery_id}/{}/account", template.as_column()),
            template,
            recipient: Recipient::Account(account_id),
            at: clock.now(),
        }
    }

    /// A step of a recovery, told to the new phone, once; makes the key that it is sealed
    /// with.
    pub(crate) async fn recovery_to_phone(
        vault: &Vault,
        clock: &dyn Clock,
        template: Template,
        recovery_id: Uuid,
        phone: &str,
    ) -> Result<Self> {
        let once = format!("{RECOVERY}{recovery_id}/{}/phone", template.as_column());
        Self::to_phone(vault, clock, template, once, phone, clock.now()).await
    }

    /// A step of a claim, told to whoever holds the number, once.
    pub(crate) fn claim_to_account(
        clock: &dyn Clock,
        template: Template,
        claim_id: Uuid,
        holder_id: Uuid,
    ) -> Self {
        Self {
            notice_id: new_id(clock),
            once: format!("claim/{claim_id}/{holder_id}/{}", template.as_column()),
            template,
            recipient: Recipient::Account(holder_id),
            at: clock.now(),
        }
    }

    /// A claim is accepted, told to the claimant; makes the key that the phone is sealed with.
    pub(crate) async fn claim_to_phone(
        vault: &Vault,
        clock: &dyn Clock,
        claim_id: Uuid,
        phone: &str,
    ) -> Result<Self> {
        let once = format!("claim/{claim_id}/accepted");
        Self::to_phone(vault, clock, Template::ClaimAcceptedNew, once, phone, clock.now()).await
    }

    /// A claim was carried out against an account, told to the phone that it had; makes the key
    /// that this one is sealed with, as the account's is destroyed.
    pub(crate) async fn displaced(
        vault: &Vault,
        clock: &dyn Clock,
        claim_id: Uuid,
        phone: &str,
    ) -> Result<Self> {
        let once = format!("claim/{claim_id}/displaced");
        Self::to_phone(vault, clock, Template::Displaced, once, phone, clock.now()).await
    }

    /// An account is closed, told to the phone that it had; makes the key that this one is
    /// sealed with, as the account's is destroyed.
    pub(crate) async fn account_closed(
        vault: &Vault,
        clock: &dyn Clock,
        account_id: Uuid,
        phone: &str,
    ) -> Result<Self> {
        let once = format!("closed/{account_id}");
        Self::to_phone(vault, clock, Template::AccountClosed, once, phone, clock.now()).await
    }

    /// Somebody else tried the ID number of an account; at most one notice a day.
    pub(crate) fn attempt_on_account(
        clock: &dyn Clock,
        account_id: Uuid,
        day: Date,
        at: OffsetDateTime,
    ) -> Self {
        Self {
            notice_id: new_id(clock),
            once: format!("attempt/{account_id}/{day}"),
            template: Template::AttemptOnAccount,
            recipient: Recipient::Account(account_id),
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_gets_ten_in_24_hours() {
        let now = time::macros::datetime!(2026-11-25 12:00 UTC);
        let ten: Vec<_> = (0..10).map(|n| now - Duration::hours(n)).collect();
        assert_eq!(allowed_at(&[], now), now);
        assert_eq!(allowed_at(ten.get(..9).unwrap(), now), now);
        assert_eq!(allowed_at(&ten, now), now + Duration::hours(15));
        let later = now + Duration::hours(15);
        assert_eq!(allowed_at(&ten, later), later);
        // However far ahead a clock was.
        let ahead = [now + Duration::days(400); 10];
        assert_eq!(allowed_at(&ahead, now), now + WINDOW);
    }

    #[test]
    fn templates_survive_their_column() {
        for template in Template::ALL {
            assert_eq!(Template::from_column(template.as_column()), Some(template));
        }
    }
}
