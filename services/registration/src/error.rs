//! What can go wrong in registration, and what the caller is told.

use std::time::Duration;

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_crypto::keys::UnknownVersion;
use zhiyuan_postgres::{DatabaseFault, classify, constraint_of, lost};
use zhiyuan_rpc::{Code, Error as RpcError, Remote};

use crate::registering::Refusal;
use crate::rosters::Fault;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The `request_id` was used with another form.
    #[error("the request id was used with another form")]
    RequestIdReused,
    /// There is no registration with this `request_id`.
    #[error("there is no registration with this request id")]
    RegistrationNotFound,
    /// The caller has no volunteer's record.
    #[error("the caller has no record of a volunteer")]
    VolunteerNotFound,
    /// The record was changed since it was read.
    #[error("the record was changed since it was read")]
    EtagStale,
    /// There is no such review, or none that the caller administers.
    #[error("there is no such review")]
    ReviewNotFound,
    /// The review is decided already.
    #[error("the review is decided")]
    ReviewDecided,
    /// Whoever decides has looked.
    #[error("the review was not looked at")]
    ReviewNotSeen,
    /// Nobody decides about the own application.
    #[error("the review is about the caller")]
    ReviewOfOneself,
    /// There is no such recovery, or it is hidden from the caller.
    #[error("there is no such recovery of a phone")]
    RecoveryNotFound,
    /// There is no such volunteer, or it is hidden from the caller.
    #[error("there is no such volunteer")]
    RecoveryVolunteerNotFound,
    /// There is no such organization, or it is hidden from the caller.
    #[error("there is no such organization")]
    RecoveryOrganizationNotFound,
    /// A recovery of the volunteer's phone goes on.
    #[error("a recovery goes on")]
    RecoveryOpen,
    /// Nobody recovers a phone for himself.
    #[error("a recovery is not for oneself")]
    RecoveryOfSelf,
    /// Whoever started it does not approve it.
    #[error("a recovery needs another administrator")]
    RecoveryNeedsAnother,
    /// The volunteer administers what the caller may give nobody.
    #[error("the volunteer is an administrator")]
    RecoveryOfAdministrator,
    /// It does not wait for an approval.
    #[error("the recovery does not wait for an approval")]
    RecoveryNotWaiting,
    /// It is over.
    #[error("the recovery is over")]
    RecoveryOver,
    /// The caller has started as many recoveries as one may.
    #[error("too many recoveries were started")]
    RecoveriesExhausted { wait: Duration },
    /// The grant of the caller is too young.
    #[error("the grant is too young")]
    RecoveryGrantTooNew,
    /// As many were started of the volunteer as may be, or the volunteer has objected lately.
    #[error("too many recoveries of the volunteer were started")]
    RecoveriesOfVolunteerExhausted { wait: Duration },
    /// The registration is refused.
    #[error("refused: {}", .0.as_column())]
    Refused(Refusal),
    /// What of rosters is refused.
    #[error(transparent)]
    Roster(#[from] Fault),
    /// Another service did not do what it was asked.
    #[error("another service failed")]
    Remote(#[from] Remote),
    /// Another service answered what its contract does not allow.
    #[error("answer against the contract: {0}")]
    Contract(&'static str),
    /// Two registrations made the same volunteer at once; one of them finds it
    /// there when it is tried again.
    #[error("the volunteer was made at the same time")]
    Collision(#[source] sqlx::Error),
    /// The database.
    #[error("database")]
    Database(#[source] sqlx::Error),
    /// A row holds what no row may hold.
    #[error("inconsistent row in {0}")]
    Inconsistent(&'static str),
    /// The key of a stored digest is not configured any more.
    #[error("the key of a digest is missing")]
    DigestKey(#[from] UnknownVersion),
    /// What a request says is wrong, or its time is over: already in its final form.
    #[error(transparent)]
    Request(Box<RpcError>),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a transaction lost against another one: done again, it may win.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Collision(_) => true,
            Self::Database(error) => lost(error),
            Self::Remote(_)
            | Self::Request(_)
            | Self::RequestIdReused
            | Self::RegistrationNotFound
            | Self::VolunteerNotFound
            | Self::EtagStale
            | Self::ReviewNotFound
            | Self::ReviewDecided
            | Self::ReviewNotSeen
            | Self::ReviewOfOneself
            | Self::RecoveryNotFound
            | Self::RecoveryVolunteerNotFound
            | Self::RecoveryOrganizationNotFound
            | Self::RecoveryOpen
            | Self::RecoveryOfSelf
            | Self::RecoveryNeedsAnother
            | Self::RecoveryOfAdministrator
            | Self::RecoveryNotWaiting
            | Self::RecoveryOver
            | Self::RecoveriesExhausted { .. }
            | Self::RecoveryGrantTooNew
            | Self::RecoveriesOfVolunteerExhausted { .. }
            | Self::Refused(_)
            | Self::Roster(_)
            | Self::Contract(_)
            | Self::Inconsistent(_)
            | Self::DigestKey(_) => false,
        }
    }

    /// Whether the same work may succeed later; anything else is worth a look by a
    /// person.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Remote(remote) => remote.is_transient(),
            Self::Collision(_) => true,
            Self::Database(error) => classify(error) != DatabaseFault::Defect,
            Self::Request(error) => matches!(error.code(), Code::Timeout | Code::Unavailable),
            Self::RequestIdReused
            | Self::RegistrationNotFound
            | Self::VolunteerNotFound
            | Self::EtagStale
            | Self::ReviewNotFound
            | Self::ReviewDecided
            | Self::ReviewNotSeen
            | Self::ReviewOfOneself
            | Self::RecoveryNotFound
            | Self::RecoveryVolunteerNotFound
            | Self::RecoveryOrganizationNotFound
            | Self::RecoveryOpen
            | Self::RecoveryOfSelf
            | Self::RecoveryNeedsAnother
            | Self::RecoveryOfAdministrator
            | Self::RecoveryNotWaiting
            | Self::RecoveryOver
            | Self::RecoveriesExhausted { .. }
            | Self::RecoveryGrantTooNew
            | Self::RecoveriesOfVolunteerExhausted { .. }
            | Self::Refused(_)
            | Self::Roster(_)
            | Self::Contract(_)
            | Self::Inconsistent(_)
            | Self::DigestKey(_) => false,
        }
    }
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        Self::Request(Box::new(error))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match constraint_of(&error) {
            Some("volunteer_pkey") => Self::Collision(error),
            _ => Self::Database(error),
        }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::RequestIdReused => Self::new(
                Code::AlreadyExists,
                Reason::RequestIdReused,
                "这次提交的内容与先前用同一请求标识提交的不同，请刷新页面后重新提交",
            ),
            Error::RegistrationNotFound => Self::new(
                Code::NotFound,
                Reason::RegistrationNotFound,
                "没有找到这次注册的记录，请重新填写并提交",
            ),
            Error::VolunteerNotFound => Self::new(
                Code::NotFound,
                Reason::VolunteerNotFound,
                "没有找到您的志愿者档案；如刚刚完成注册，请稍后再试",
            ),
            Error::EtagStale => Self::new(
                Code::Conflict,
                Reason::EtagStale,
                "资料已在别处修改过，请刷新页面，核对后重新修改",
            ),
            Error::ReviewNotFound => Self::new(
                Code::NotFound,
                Reason::ReviewNotFound,
                "没有找到这份待审核的注册申请，或它不在您的管理范围内，请刷新列表",
            ),
            Error::ReviewDecided => Self::new(
                Code::Precondition,
                Reason::ReviewDecided,
                "这份注册申请已有审核结论，请刷新列表",
            ),
            Error::ReviewNotSeen => Self::new(
                Code::Precondition,
                Reason::ReviewNotSeen,
                "请先查看申请人的姓名和身份证号码，与证件核对后再作出决定",
            ),
            Error::ReviewOfOneself => Self::new(
                Code::Forbidden,
                Reason::ReviewOfOneself,
                "不能查看或审核本人的注册申请，请由其他管理员处理",
            ),
            Error::RecoveryNotFound => Self::new(
                Code::NotFound,
                Reason::RecoveryNotFound,
                "没有这份换号申请，或不在您的管理范围内",
            ),
            Error::RecoveryVolunteerNotFound => Self::new(
                Code::NotFound,
                Reason::VolunteerNotFound,
                "没有这位志愿者，或不在您的管理范围内，请核对志愿者编号",
            ),
            Error::RecoveryOrganizationNotFound => Self::new(
                Code::NotFound,
                Reason::OrganizationNotFound,
                "没有这个组织，或不在您的管理范围内",
            ),
            Error::RecoveryOpen => Self::new(
                Code::Precondition,
                Reason::RecoveryOpen,
                "该志愿者已有进行中的换号申请，请先办结或撤销",
            ),
            Error::RecoveryOfSelf => Self::new(
                Code::Precondition,
                Reason::RecoveryOfSelf,
                "不能为本人办理换号，请由另外两位管理员办理",
            ),
            Error::RecoveryNeedsAnother => Self::new(
                Code::Precondition,
                Reason::RecoveryNeedsAnother,
                "须由两位相互独立的管理员分别发起和核准：发起人不能自行核准，双方不能由对方授权，且发起人\
                 须仍有办理权限；请由另一位管理员核准，或撤销后重新办理",
            ),
            Error::RecoveryOfAdministrator => Self::new(
                Code::Precondition,
                Reason::RecoveryOfAdministrator,
                "该志愿者担任管理员，须由有权授予其全部管理权限的管理员办理",
            ),
            Error::RecoveryNotWaiting => Self::new(
                Code::Precondition,
                Reason::RecoveryNotWaiting,
                "这份换号申请当前不能核准，请刷新页面查看最新状态",
            ),
            Error::RecoveryOver => Self::new(
                Code::Precondition,
                Reason::RecoveryOver,
                "这份换号申请已经生效或终止，不能撤销",
            ),
            Error::RecoveriesExhausted { wait } => Self::new(
                Code::Exhausted,
                Reason::RecoveriesExhausted,
                "您 24 小时内发起的换号申请已达上限，请稍后再办，或由其他管理员办理",
            )
            .with_retry_after(wait),
            Error::RecoveryGrantTooNew => Self::new(
                Code::Precondition,
                Reason::RecoveryGrantTooNew,
                "您的管理授权生效时间较短，暂不能办理换号，请由任职时间较长的管理员办理",
            ),
            Error::RecoveriesOfVolunteerExhausted { wait } => Self::new(
                Code::Exhausted,
                Reason::RecoveriesOfVolunteerExhausted,
                "该志愿者近期的换号申请已达上限，或本人刚提出过异议，请稍后再办，并与本人当面核实",
            )
            .with_retry_after(wait),
            Error::Refused(refusal) => refusal.into(),
            Error::Roster(fault) => fault.into(),
            Error::Remote(remote) => remote.into_error(),
            Error::Collision(source) => Self::conflict(source),
            Error::Database(source) => match classify(&source) {
                DatabaseFault::Conflict => Self::conflict(source),
                DatabaseFault::Unavailable | DatabaseFault::Timeout => Self::unavailable(source),
                DatabaseFault::Defect => Self::internal(source),
            },
            error @ (Error::Contract(_) | Error::Inconsistent(_) | Error::DigestKey(_)) => {
                Self::internal(error)
            }
            Error::Request(error) => *error,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        RpcError::from(error).into()
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, message) = told(&refusal);
        let error = Self::new(code, reason, message);
        match refusal {
            Refusal::OrganizationClosed { successor: Some(successor) } => {
                error.with_metadata("successor_code", successor.as_str())
            }
            // The only purpose without which nobody can register.
            Refusal::ConsentMissing => {
                error.with_metadata("purpose", "CONSENT_PURPOSE_REGISTRATION")
            }
            _ => error,
        }
    }
}

/// How a refusal is told.
fn told(refusal: &Refusal) -> (Code, Reason, &'static str) {
    use Code::{AlreadyExists, Exhausted, NotFound, Precondition, Unauthenticated};
    match refusal {
        Refusal::OrganizationNotFound => {
            (NotFound, Reason::OrganizationNotFound, "没有找到所选的组织，请重新选择所属组织")
        }
        Refusal::OrganizationClosed { successor: None } => (
            Precondition,
            Reason::OrganizationClosed,
            "所选的组织已撤销，请重新选择所属组织后再提交",
        ),
        Refusal::OrganizationClosed { successor: Some(_) } => (
            Precondition,
            Reason::OrganizationClosed,
            "所选的组织已撤销或合并，请改选承接它的组织后再提交",
        ),
        Refusal::OrganizationTakesNoRegistrations => (
            Precondition,
            Reason::OrganizationTakesNoRegistrations,
            "所选的组织不直接接受注册，请选择它下面的乡镇（街道）、高校、企业或工作委员会的团组织",
        ),
        Refusal::SmsCodeWrong => (
            Unauthenticated,
            Reason::SmsCodeWrong,
            "短信验证码不正确，请核对手机号码和验证码后重新提交",
        ),
        Refusal::SmsCodeExpired => {
            (Unauthenticated, Reason::SmsCodeExpired, "短信验证码已过期，请重新获取后再提交")
        }
        Refusal::SmsCodeUsed => {
            (Unauthenticated, Reason::SmsCodeUsed, "短信验证码已使用过，请重新获取后再提交")
        }
        Refusal::SmsCodeTriesExhausted => (
            Exhausted,
            Reason::SmsCodeTriesExhausted,
            "短信验证码的尝试次数已用完，请重新获取后再提交",
        ),
        Refusal::ConsentMissing => {
            (Precondition, Reason::ConsentMissing, "请先阅读并同意注册所需的告知书，再重新提交")
        }
        Refusal::ConsentOutdated => (
            Precondition,
            Reason::ConsentOutdated,
            "告知书已更新，请重新阅读并同意最新版本后再提交",
        ),
        Refusal::UnderAge => (
            Precondition,
            Reason::UnderAge,
            "未满 14 周岁不能注册成为志愿者，欢迎年满 14 周岁后再来",
        ),
        Refusal::GuardianRequired => (
            Precondition,
            Reason::GuardianRequired,
            "14 至 17 周岁注册须经监护人同意，请填写监护人信息和发到监护人手机的验证码；\
             年满 16 周岁、以自己的劳动收入为主要生活来源的，请勾选相应选项",
        ),
        Refusal::GuardianSmsCodeWrong => (
            Unauthenticated,
            Reason::GuardianSmsCodeWrong,
            "监护人的短信验证码不正确，请核对监护人的手机号码和验证码后重新提交",
        ),
        Refusal::GuardianSmsCodeExpired => (
            Unauthenticated,
            Reason::GuardianSmsCodeExpired,
            "监护人的短信验证码已过期，请重新获取后再提交",
        ),
        Refusal::GuardianSmsCodeUsed => (
            Unauthenticated,
            Reason::GuardianSmsCodeUsed,
            "监护人的短信验证码已使用过，请重新获取后再提交",
        ),
        Refusal::GuardianSmsCodeTriesExhausted => (
            Exhausted,
            Reason::GuardianSmsCodeTriesExhausted,
            "监护人的短信验证码的尝试次数已用完，请重新获取后再提交",
        ),
        Refusal::GuardianIdMismatch => (
            Precondition,
            Reason::GuardianIdMismatch,
            "监护人的姓名与身份证号码不一致，请核对后重新提交（验证码 30 分钟内仍然有效）",
        ),
        Refusal::ActivationProofOver => (
            Unauthenticated,
            Reason::ActivationProofOver,
            "激活凭证无效、已使用或已过期，请重新验证默认密码，或填写姓名和身份证号码直接注册",
        ),
        Refusal::IdNameMismatch => (
            Precondition,
            Reason::IdNameMismatch,
            "姓名与身份证号码不一致，请核对后重新提交（验证码 30 分钟内仍然有效）",
        ),
        Refusal::IdNotFound => (
            Precondition,
            Reason::IdNotFound,
            "公安机关人口库中没有这个身份证号码，请核对后重新提交（验证码 30 分钟内仍然有效）；\
             如确认无误，请向户籍所在地公安机关咨询",
        ),
        Refusal::IdCheckLimit => (
            Exhausted,
            Reason::IdCheckLimit,
            "今天实名核验未通过的次数已达上限，请核对姓名和身份证号码，明天再试",
        ),
        Refusal::IdCheckExpired => {
            (Precondition, Reason::IdCheckExpired, "实名核验未能在 7 天内完成，请重新提交注册")
        }
        Refusal::AlreadyRegistered => (
            AlreadyExists,
            Reason::AlreadyRegistered,
            "该身份证号码已经注册为志愿者，无需重复注册；如不是本人注册，请联系所在的团组织",
        ),
        Refusal::Expired => (
            Precondition,
            Reason::RegistrationExpired,
            "这次注册没有在规定时间内完成，已取消，请重新提交",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use zhiyuan_contracts::reason::Reason as _;

    use zhiyuan_domain::OrganizationCode;

    use super::*;

    #[test]
    fn every_refusal_is_the_reason_of_its_name_with_a_message_in_chinese() {
        let successor = OrganizationCode::parse("AH-340100").ok();
        for refusal in Refusal::all(successor).into_iter().chain(Refusal::all(None)) {
            let (_, reason, message) = told(&refusal);
            assert_eq!(reason.wire(), refusal.as_column());
            assert!(!message.is_ascii() && !message.contains("  "), "{message}");
        }
    }

    #[test]
    fn every_reason_of_the_contract_is_used() {
        let mut used: Vec<&str> = Refusal::all(None).iter().map(|r| told(r).1.wire()).collect();
        used.extend([
            Reason::RequestIdReused.wire(),
            Reason::RegistrationNotFound.wire(),
            Reason::VolunteerNotFound.wire(),
            Reason::EtagStale.wire(),
            Reason::ReviewNotFound.wire(),
            Reason::ReviewDecided.wire(),
            Reason::ReviewOfOneself.wire(),
            Reason::ReviewNotSeen.wire(),
            Reason::RecoveryNotFound.wire(),
            Reason::OrganizationNotFound.wire(),
            Reason::RecoveryOpen.wire(),
            Reason::RecoveryOfSelf.wire(),
            Reason::RecoveryNeedsAnother.wire(),
            Reason::RecoveryOfAdministrator.wire(),
            Reason::RecoveryNotWaiting.wire(),
            Reason::RecoveryOver.wire(),
            Reason::RecoveriesExhausted.wire(),
            Reason::RecoveryGrantTooNew.wire(),
            Reason::RecoveriesOfVolunteerExhausted.wire(),
        ]);
        used.extend(Fault::ALL.map(|fault| RpcError::from(fault).reason()));
        for reason in (1..200).filter_map(|number| Reason::try_from(number).ok()) {
            assert!(used.contains(&reason.wire()), "{}", reason.wire());
        }
    }

    #[test]
    fn each_error_has_its_code_and_reason() {
        let remote = |code| Remote {
            code,
            domain: String::new(),
            reason: String::new(),
            metadata: HashMap::default(),
            retry_after: None,
        };
        let table: Vec<(Error, Code, &str)> = vec![
            (Error::RequestIdReused, Code::AlreadyExists, "REQUEST_ID_REUSED"),
            (Error::RegistrationNotFound, Code::NotFound, "REGISTRATION_NOT_FOUND"),
            (Error::VolunteerNotFound, Code::NotFound, "VOLUNTEER_NOT_FOUND"),
            (Error::EtagStale, Code::Conflict, "ETAG_STALE"),
            (Error::ReviewNotFound, Code::NotFound, "REVIEW_NOT_FOUND"),
            (Error::ReviewDecided, Code::Precondition, "REVIEW_DECIDED"),
            (Error::ReviewNotSeen, Code::Precondition, "REVIEW_NOT_SEEN"),
            (Error::ReviewOfOneself, Code::Forbidden, "REVIEW_OF_ONESELF"),
            (Error::RecoveryNotFound, Code::NotFound, "RECOVERY_NOT_FOUND"),
            (Error::RecoveryVolunteerNotFound, Code::NotFound, "VOLUNTEER_NOT_FOUND"),
            (Error::RecoveryOrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Error::RecoveryOpen, Code::Precondition, "RECOVERY_OPEN"),
            (Error::RecoveryOfSelf, Code::Precondition, "RECOVERY_OF_SELF"),
            (Error::RecoveryNeedsAnother, Code::Precondition, "RECOVERY_NEEDS_ANOTHER"),
            (Error::RecoveryOfAdministrator, Code::Precondition, "RECOVERY_OF_ADMINISTRATOR"),
            (Error::RecoveryNotWaiting, Code::Precondition, "RECOVERY_NOT_WAITING"),
            (Error::RecoveryOver, Code::Precondition, "RECOVERY_OVER"),
            (
                Error::RecoveriesExhausted { wait: Duration::from_secs(9) },
                Code::Exhausted,
                "RECOVERIES_EXHAUSTED",
            ),
            (Error::RecoveryGrantTooNew, Code::Precondition, "RECOVERY_GRANT_TOO_NEW"),
            (
                Error::RecoveriesOfVolunteerExhausted { wait: Duration::from_secs(9) },
                Code::Exhausted,
                "RECOVERIES_OF_VOLUNTEER_EXHAUSTED",
            ),
            (Error::Refused(Refusal::UnderAge), Code::Precondition, "UNDER_AGE"),
            (Error::Remote(remote(tonic::Code::Unavailable)), Code::Unavailable, "UNAVAILABLE"),
            (Error::Remote(remote(tonic::Code::InvalidArgument)), Code::Internal, "INTERNAL"),
            (Error::Contract("x"), Code::Internal, "INTERNAL"),
            (Error::Collision(sqlx::Error::PoolClosed), Code::Conflict, "CONFLICT"),
            (Error::Database(sqlx::Error::PoolTimedOut), Code::Unavailable, "UNAVAILABLE"),
            (Error::Database(sqlx::Error::RowNotFound), Code::Internal, "INTERNAL"),
            (Error::Inconsistent("x"), Code::Internal, "INTERNAL"),
            (Error::DigestKey(UnknownVersion(1)), Code::Internal, "INTERNAL"),
            (RpcError::deadline_exceeded().into(), Code::Timeout, "DEADLINE_EXCEEDED"),
        ];
        for (error, code, reason) in table {
            let told = RpcError::from(error);
            assert_eq!((told.code(), told.reason()), (code, reason));
        }
    }

    #[test]
    fn codes_of_refusals() {
        let table: Vec<String> = Refusal::all(None)
            .iter()
            .map(|refusal| format!("{:?} {}", told(refusal).0, refusal.as_column()))
            .collect();
        let expected = [
            "NotFound ORGANIZATION_NOT_FOUND",
            "Precondition ORGANIZATION_CLOSED",
            "Precondition ORGANIZATION_TAKES_NO_REGISTRATIONS",
            "Unauthenticated SMS_CODE_WRONG",
            "Unauthenticated SMS_CODE_EXPIRED",
            "Unauthenticated SMS_CODE_USED",
            "Exhausted SMS_CODE_TRIES_EXHAUSTED",
            "Precondition CONSENT_MISSING",
            "Precondition CONSENT_OUTDATED",
            "Precondition UNDER_AGE",
            "Precondition GUARDIAN_REQUIRED",
            "Unauthenticated GUARDIAN_SMS_CODE_WRONG",
            "Unauthenticated GUARDIAN_SMS_CODE_EXPIRED",
            "Unauthenticated GUARDIAN_SMS_CODE_USED",
            "Exhausted GUARDIAN_SMS_CODE_TRIES_EXHAUSTED",
            "Precondition GUARDIAN_ID_MISMATCH",
            "Unauthenticated ACTIVATION_PROOF_OVER",
            "Precondition ID_NAME_MISMATCH",
            "Precondition ID_NOT_FOUND",
            "Exhausted ID_CHECK_LIMIT",
            "Precondition ID_CHECK_EXPIRED",
            "AlreadyExists ALREADY_REGISTERED",
            "Precondition REGISTRATION_EXPIRED",
        ];
        assert_eq!(table, expected);
    }
}
