//! What can go wrong in identity, and what the caller is told.

use std::time::Duration;

use zhiyuan_contracts::identity::v1::ErrorReason as Reason;
use zhiyuan_crypto::field::FieldError;
use zhiyuan_crypto::keys::KeyStoreError;
use zhiyuan_crypto::password::PasswordError;
use zhiyuan_postgres::{DatabaseFault, classify, lost};
use zhiyuan_rpc::{Code, Error as RpcError};

use crate::challenges::{ALGORITHM, Fault};
use crate::claims;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Less than a minute since the last code.
    #[error("a code was sent less than a minute ago")]
    SmsTooSoon { wait: Duration },
    /// Ten codes in 24 hours.
    #[error("ten codes were sent within 24 hours")]
    SmsDailyLimit { wait: Duration },
    /// The budget of all phones is used up.
    #[error("the budget of this minute is used up")]
    SmsBudgetExhausted { wait: Duration },
    /// Work is to be proved first.
    #[error("a challenge is to be solved")]
    ChallengeRequired {
        challenge: String,
        bits: u8,
        /// A captcha would do as well.
        captcha: bool,
        /// What was wrong with the solution that was given.
        fault: Option<Fault>,
    },
    /// The vendor did not take the message.
    #[error("the text message was not taken")]
    SmsUnavailable,
    /// There is no such enrolment.
    #[error("there is no such enrolment")]
    EnrolmentNotFound,
    /// Only a claimed enrolment can be activated.
    #[error("the enrolment is not claimed")]
    EnrolmentNotClaimed,
    /// An active account is not undone by discarding its enrolment.
    #[error("the enrolment is active")]
    EnrolmentActive,
    /// A person has decided otherwise.
    #[error("the enrolment is decided otherwise")]
    EnrolmentDecided,
    /// It does not wait for a person to decide.
    #[error("the enrolment is not in review")]
    EnrolmentNotInReview,
    /// Nobody looks at the own application, or decides on it.
    #[error("the enrolment is the viewer's own")]
    EnrolmentOwn,
    /// After wrong tries.
    #[error("attempts are delayed after wrong ones")]
    SignInDelayed { wait: Duration },
    /// Identifier and password don't fit together, or nobody is meant.
    #[error("sign-in refused")]
    SignInRefused,
    /// The code is another one, or of another phone or purpose.
    #[error("the code is wrong")]
    SmsCodeWrong,
    /// After a right code: it is another one, or there are no tries left.
    #[error("the default password is wrong")]
    DefaultPasswordWrong,
    /// The code's time is over.
    #[error("the code has expired")]
    SmsCodeExpired,
    /// The code was used.
    #[error("the code was used")]
    SmsCodeUsed,
    /// The challenge has had all its tries.
    #[error("the challenge has no tries left")]
    SmsCodeTriesExhausted,
    /// The phone, which is proved, belongs to no account.
    #[error("the phone belongs to no account")]
    AccountNotFound,
    /// There is no such account, or it is closed.
    #[error("there is no such account")]
    AccountGone,
    /// The phone may have another owner by now, or several.
    #[error("a second proof is required")]
    SecondProofRequired,
    /// The refresh token is good for nothing any more.
    #[error("the session is over")]
    SessionOver,
    /// The caller has no such session.
    #[error("there is no such session")]
    SessionNotFound,
    /// The present password is another one.
    #[error("the present password is wrong")]
    PasswordWrong,
    /// Another version of the text is in force.
    #[error("another version of the text is in force")]
    ConsentOutdated { version: String },
    /// A consent was given or taken back meanwhile.
    #[error("the consent has changed meanwhile")]
    ConsentChanged,
    /// There is no account without this consent.
    #[error("there is no account without this consent")]
    ConsentRequired,
    /// A phone is not proved.
    #[error("a proof of a phone is missing")]
    PhoneProofMissing,
    /// The clocks of this process and of the database are apart.
    #[error("the clock of this process is {seconds} s away from the database's")]
    ClockOff { seconds: i64 },
    /// A platform has looked up as many people as it may today.
    #[error("the platform has looked up as many people as it may today")]
    LookUpsExhausted { wait: Duration },
    /// The id of a platform is bound to another volunteer.
    #[error("the external id is bound to another volunteer")]
    ExternalIdTaken,
    /// Nobody who is registered has this id.
    #[error("there is no such volunteer")]
    VolunteerNotFound,
    /// There is no such recovery, or none for whoever asks.
    #[error("there is no such recovery")]
    RecoveryNotFound,
    /// There is a recovery of the account that goes on.
    #[error("there is a recovery that goes on")]
    RecoveryOpen,
    /// A recovery needs two administrators.
    #[error("a recovery needs two administrators")]
    RecoveryNeedsTwo,
    /// The recovery is over.
    #[error("the recovery is over")]
    RecoveryOver,
    /// The time in which one can object is not over.
    #[error("the time in which one can object is not over")]
    RecoveryTooEarly { wait: Duration },
    /// There is no such roster, or its time is over.
    #[error("there is no such roster")]
    RosterFileNotFound,
    /// Another piece of the roster is there.
    #[error("another piece of the roster is there")]
    RosterPieceDiffers,
    /// What of claims is refused.
    #[error(transparent)]
    Claim(#[from] claims::Fault),
    /// No key signs just now.
    #[error("no key signs access tokens just now")]
    NoSigningKey,
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    HashingBusy,
    /// Hashing failed.
    #[error("failed to hash")]
    Hashing(#[source] PasswordError),
    /// Stored data failed its integrity check.
    #[error("failed to open a sealed column")]
    Sealed(#[from] FieldError),
    /// The key store does not answer.
    #[error("the key store does not answer")]
    KeyStore(#[from] KeyStoreError),
    /// The data key of a person is gone though the person is there.
    #[error("a data key is missing")]
    KeyMissing,
    /// Cryptography failed for another reason.
    #[error("cryptography failed: {0}")]
    Cryptography(&'static str),
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A row holds what no row may hold.
    #[error("inconsistent row in {0}")]
    Inconsistent(&'static str),
    /// What a request says is wrong, already in its final form.
    #[error(transparent)]
    Request(#[from] RpcError),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a transaction lost against another one: done again, it may win.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Database(error) if lost(error))
    }

    /// Whether the same work may succeed in a moment without anybody's doing.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => classify(error) != DatabaseFault::Defect,
            Self::KeyStore(KeyStoreError::Unavailable(_))
            | Self::HashingBusy
            | Self::NoSigningKey
            | Self::ClockOff { .. } => true,
            Self::SmsTooSoon { .. }
            | Self::SmsDailyLimit { .. }
            | Self::SmsBudgetExhausted { .. }
            | Self::ChallengeRequired { .. }
            | Self::SmsUnavailable
            | Self::EnrolmentNotFound
            | Self::EnrolmentNotClaimed
            | Self::EnrolmentActive
            | Self::EnrolmentDecided
            | Self::EnrolmentNotInReview
            | Self::EnrolmentOwn
            | Self::SignInDelayed { .. }
            | Self::SignInRefused
            | Self::SmsCodeWrong
            | Self::SmsCodeExpired
            | Self::DefaultPasswordWrong
            | Self::SmsCodeUsed
            | Self::SmsCodeTriesExhausted
            | Self::AccountNotFound
            | Self::AccountGone
            | Self::SecondProofRequired
            | Self::SessionOver
            | Self::SessionNotFound
            | Self::PasswordWrong
            | Self::ConsentOutdated { .. }
            | Self::ConsentRequired
            | Self::ConsentChanged
            | Self::PhoneProofMissing
            | Self::LookUpsExhausted { .. }
            | Self::ExternalIdTaken
            | Self::VolunteerNotFound
            | Self::RecoveryNotFound
            | Self::RecoveryOpen
            | Self::RecoveryNeedsTwo
            | Self::RecoveryOver
            | Self::RecoveryTooEarly { .. }
            | Self::Claim(_)
            | Self::RosterFileNotFound
            | Self::RosterPieceDiffers
            | Self::Hashing(_)
            | Self::Sealed(_)
            | Self::KeyStore(KeyStoreError::Unwrap(_) | KeyStoreError::Destroyed)
            | Self::KeyMissing
            | Self::Cryptography(_)
            | Self::Inconsistent(_)
            | Self::Request(_) => false,
        }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::SmsTooSoon { wait } => Self::new(
                Code::Exhausted,
                Reason::SmsTooSoon,
                format!("验证码发送过于频繁，请 {} 秒后再试", seconds(wait)),
            )
            .with_retry_after(wait),
            Error::SmsDailyLimit { wait } => Self::new(
                Code::Exhausted,
                Reason::SmsDailyLimit,
                "该手机号 24 小时内获取验证码次数已达上限，请明天再试",
            )
            .with_retry_after(wait),
            Error::SmsBudgetExhausted { wait } => Self::new(
                Code::Exhausted,
                Reason::SmsBudgetExhausted,
                "当前获取验证码的人数较多，请一分钟后再试",
            )
            .with_retry_after(wait),
            Error::ChallengeRequired { challenge, bits, captcha, fault } => {
                let mut error = Self::new(
                    Code::Exhausted,
                    Reason::ChallengeRequired,
                    "为防止滥用，请先完成安全验证后重试",
                )
                .with_metadata("algorithm", ALGORITHM)
                .with_metadata("challenge", challenge)
                .with_metadata("difficulty_bits", bits.to_string());
                if captcha {
                    error = error.with_metadata("captcha", "offered");
                }
                match fault {
                    Some(fault) => error.with_metadata("refused", fault.as_metadata()),
                    None => error,
                }
            }
            Error::SmsUnavailable => {
                Self::new(Code::Unavailable, Reason::SmsUnavailable, "短信暂时无法发送，请稍后再试")
                    .with_retry_after(Duration::from_secs(5))
            }
            Error::EnrolmentNotFound => {
                Self::new(Code::NotFound, Reason::EnrolmentNotFound, "没有这份注册申请")
            }
            Error::EnrolmentNotClaimed => Self::new(
                Code::Precondition,
                Reason::EnrolmentNotClaimed,
                "这份注册申请尚未通过实名核验",
            ),
            Error::EnrolmentActive => Self::new(
                Code::Precondition,
                Reason::EnrolmentActive,
                "账号已经启用，不能撤销注册申请",
            ),
            Error::EnrolmentDecided => Self::new(
                Code::Precondition,
                Reason::EnrolmentDecided,
                "这份注册申请已有审核结论，不能更改",
            ),
            Error::EnrolmentNotInReview => Self::new(
                Code::Precondition,
                Reason::EnrolmentNotInReview,
                "这份注册申请不在待审核状态",
            ),
            Error::EnrolmentOwn => Self::new(
                Code::Forbidden,
                Reason::EnrolmentOwn,
                "不能查看或审核本人的注册申请，请由其他管理员处理",
            ),
            Error::SignInDelayed { wait } => Self::new(
                Code::Exhausted,
                Reason::SignInDelayed,
                format!("输错次数较多，请 {} 秒后再试，或换一种登录方式", seconds(wait)),
            )
            .with_retry_after(wait),
            Error::SignInRefused => Self::new(
                Code::Unauthenticated,
                Reason::SignInRefused,
                "账号或密码不正确。多人共用手机号的，请用身份证号码登录；忘记密码的，请用短信验证码重置",
            ),
            Error::SmsCodeWrong => Self::new(
                Code::Unauthenticated,
                Reason::SmsCodeWrong,
                "短信验证码不正确，请核对后重新输入",
            ),
            Error::DefaultPasswordWrong => Self::new(
                Code::Unauthenticated,
                Reason::DefaultPasswordWrong,
                "默认密码不正确，请核对身份证号码后 8 位；多次不成功的，请直接注册",
            ),
            Error::SmsCodeExpired => Self::new(
                Code::Unauthenticated,
                Reason::SmsCodeExpired,
                "短信验证码已过期，请重新获取",
            ),
            Error::SmsCodeUsed => Self::new(
                Code::Unauthenticated,
                Reason::SmsCodeUsed,
                "短信验证码已使用过，请重新获取",
            ),
            Error::SmsCodeTriesExhausted => Self::new(
                Code::Exhausted,
                Reason::SmsCodeTriesExhausted,
                "短信验证码输错次数过多，请重新获取",
            ),
            Error::AccountNotFound => Self::new(
                Code::NotFound,
                Reason::AccountNotFound,
                "该手机号没有对应的志愿者账号，请先注册",
            ),
            Error::AccountGone => {
                Self::new(Code::NotFound, Reason::AccountNotFound, "没有这个账号，或账号已注销")
            }
            Error::SecondProofRequired => Self::new(
                Code::Precondition,
                Reason::SecondProofRequired,
                "请再填写姓名和身份证号码后 6 位，确认账号属于您本人",
            ),
            Error::SessionOver => {
                Self::new(Code::Unauthenticated, Reason::SessionOver, "登录已结束，请重新登录")
            }
            Error::SessionNotFound => {
                Self::new(Code::NotFound, Reason::SessionNotFound, "没有这条登录记录")
            }
            Error::PasswordWrong => Self::new(
                Code::Unauthenticated,
                Reason::PasswordWrong,
                "当前密码不正确，请重新输入",
            ),
            Error::ConsentOutdated { version } => Self::new(
                Code::Precondition,
                Reason::ConsentOutdated,
                "告知书已经更新，请阅读最新版本后再同意",
            )
            .with_metadata("version", version),
            Error::ConsentChanged => Self::new(
                Code::Conflict,
                Reason::ConsentChanged,
                "这项同意在别处有过变更，请刷新页面，核对后重新选择",
            ),
            Error::ConsentRequired => Self::new(
                Code::Precondition,
                Reason::ConsentRequired,
                "没有这项同意就无法保留账号；如不再同意，请注销账号",
            ),
            Error::PhoneProofMissing => Self::new(
                Code::Precondition,
                Reason::PhoneProofMissing,
                "更换手机号需要原手机号和新手机号的短信验证码",
            ),
            Error::LookUpsExhausted { wait } => Self::new(
                Code::Exhausted,
                Reason::LookUpsExhausted,
                "今日的查询次数已达上限，请明天再试，或联系平台管理员调整额度",
            )
            .with_retry_after(wait),
            Error::ExternalIdTaken => Self::new(
                Code::AlreadyExists,
                Reason::ExternalIdTaken,
                "该平台编号已关联其他志愿者，请核对，或先解除原有关联",
            ),
            Error::VolunteerNotFound => {
                Self::new(Code::NotFound, Reason::VolunteerNotFound, "没有这位志愿者，请核对编号")
            }
            Error::Claim(fault) => fault.into(),
            Error::RecoveryNotFound => Self::new(
                Code::NotFound,
                Reason::RecoveryNotFound,
                "没有可以办理的换号申请，可能尚未核准、已终止或已过期，请联系所在团组织",
            ),
            Error::RecoveryOpen => Self::new(
                Code::Precondition,
                Reason::RecoveryOpen,
                "该账号已有进行中的换号申请，请先办结或撤销",
            ),
            Error::RecoveryNeedsTwo => Self::new(
                Code::Precondition,
                Reason::RecoveryNeedsTwo,
                "换号申请须由两位管理员分别发起和核准，且均不能是本人",
            ),
            Error::RecoveryOver => Self::new(
                Code::Precondition,
                Reason::RecoveryOver,
                "这份换号申请已经生效或终止，不能再提出异议；如非本人操作，请立即联系所在团组织",
            ),
            Error::RecoveryTooEarly { wait } => Self::new(
                Code::Precondition,
                Reason::RecoveryTooEarly,
                "换号申请的等待期尚未结束，请在短信通知的等待期过后再办理",
            )
            .with_retry_after(wait),
            Error::RosterFileNotFound => Self::new(
                Code::NotFound,
                Reason::RosterFileNotFound,
                "名册文件不存在或已过保存期，请重新上传",
            ),
            Error::RosterPieceDiffers => Self::new(
                Code::AlreadyExists,
                Reason::RosterPieceDiffers,
                "该位置已有内容不同的文件分片，请重新开始上传",
            ),
            Error::NoSigningKey | Error::ClockOff { .. } => Self::unavailable(error),
            Error::HashingBusy => Self::overloaded(Duration::from_secs(1)),
            Error::Sealed(source) => Self::data_corrupt(source),
            Error::KeyStore(source @ KeyStoreError::Unavailable(_)) => Self::unavailable(source),
            Error::KeyStore(source @ KeyStoreError::Unwrap(_)) => Self::data_corrupt(source),
            Error::KeyStore(source @ KeyStoreError::Destroyed) => Self::internal(source),
            Error::Database(source) => match classify(&source) {
                DatabaseFault::Conflict => Self::conflict(source),
                DatabaseFault::Unavailable | DatabaseFault::Timeout => Self::unavailable(source),
                DatabaseFault::Defect => Self::internal(source),
            },
            error @ (Error::Hashing(_)
            | Error::KeyMissing
            | Error::Cryptography(_)
            | Error::Inconsistent(_)) => Self::internal(error),
            Error::Request(error) => error,
        }
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::HashingBusy,
            other => Self::Hashing(other),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        RpcError::from(error).into()
    }
}

/// Whole seconds, rounded up, for people.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_code_and_reason() {
        let wait = Duration::from_secs(9);
        let table = [
            (Error::SmsTooSoon { wait }, Code::Exhausted, "SMS_TOO_SOON"),
            (Error::SmsDailyLimit { wait }, Code::Exhausted, "SMS_DAILY_LIMIT"),
            (Error::SmsBudgetExhausted { wait }, Code::Exhausted, "SMS_BUDGET_EXHAUSTED"),
            (
                Error::ChallengeRequired {
                    challenge: String::new(),
                    bits: 20,
                    captcha: false,
                    fault: None,
                },
                Code::Exhausted,
                "CHALLENGE_REQUIRED",
            ),
            (Error::SmsUnavailable, Code::Unavailable, "SMS_UNAVAILABLE"),
            (Error::EnrolmentNotFound, Code::NotFound, "ENROLMENT_NOT_FOUND"),
            (Error::EnrolmentNotClaimed, Code::Precondition, "ENROLMENT_NOT_CLAIMED"),
            (Error::EnrolmentActive, Code::Precondition, "ENROLMENT_ACTIVE"),
            (Error::SignInDelayed { wait }, Code::Exhausted, "SIGN_IN_DELAYED"),
            (Error::SignInRefused, Code::Unauthenticated, "SIGN_IN_REFUSED"),
            (Error::SmsCodeWrong, Code::Unauthenticated, "SMS_CODE_WRONG"),
            (Error::DefaultPasswordWrong, Code::Unauthenticated, "DEFAULT_PASSWORD_WRONG"),
            (Error::SmsCodeExpired, Code::Unauthenticated, "SMS_CODE_EXPIRED"),
            (Error::SmsCodeUsed, Code::Unauthenticated, "SMS_CODE_USED"),
            (Error::SmsCodeTriesExhausted, Code::Exhausted, "SMS_CODE_TRIES_EXHAUSTED"),
            (Error::AccountNotFound, Code::NotFound, "ACCOUNT_NOT_FOUND"),
            (Error::AccountGone, Code::NotFound, "ACCOUNT_NOT_FOUND"),
            (Error::EnrolmentDecided, Code::Precondition, "ENROLMENT_DECIDED"),
            (Error::EnrolmentNotInReview, Code::Precondition, "ENROLMENT_NOT_IN_REVIEW"),
            (Error::EnrolmentOwn, Code::Forbidden, "ENROLMENT_OWN"),
            (Error::SecondProofRequired, Code::Precondition, "SECOND_PROOF_REQUIRED"),
            (Error::SessionOver, Code::Unauthenticated, "SESSION_OVER"),
            (Error::SessionNotFound, Code::NotFound, "SESSION_NOT_FOUND"),
            (Error::PasswordWrong, Code::Unauthenticated, "PASSWORD_WRONG"),
            (Error::PhoneProofMissing, Code::Precondition, "PHONE_PROOF_MISSING"),
            (
                Error::ConsentOutdated { version: "2".into() },
                Code::Precondition,
                "CONSENT_OUTDATED",
            ),
            (Error::ConsentChanged, Code::Conflict, "CONSENT_CHANGED"),
            (Error::ConsentRequired, Code::Precondition, "CONSENT_REQUIRED"),
            (Error::LookUpsExhausted { wait }, Code::Exhausted, "LOOK_UPS_EXHAUSTED"),
            (Error::ExternalIdTaken, Code::AlreadyExists, "EXTERNAL_ID_TAKEN"),
            (Error::VolunteerNotFound, Code::NotFound, "VOLUNTEER_NOT_FOUND"),
            (Error::RecoveryNotFound, Code::NotFound, "RECOVERY_NOT_FOUND"),
            (Error::RecoveryOpen, Code::Precondition, "RECOVERY_OPEN"),
            (Error::RecoveryNeedsTwo, Code::Precondition, "RECOVERY_NEEDS_TWO"),
            (Error::RecoveryOver, Code::Precondition, "RECOVERY_OVER"),
            (Error::RecoveryTooEarly { wait }, Code::Precondition, "RECOVERY_TOO_EARLY"),
            (Error::RosterFileNotFound, Code::NotFound, "ROSTER_FILE_NOT_FOUND"),
            (Error::RosterPieceDiffers, Code::AlreadyExists, "ROSTER_PIECE_DIFFERS"),
            (Error::NoSigningKey, Code::Unavailable, "UNAVAILABLE"),
            (Error::ClockOff { seconds: 90 }, Code::Unavailable, "UNAVAILABLE"),
            (PasswordError::Busy.into(), Code::Exhausted, "OVERLOADED"),
            (PasswordError::Failed.into(), Code::Internal, "INTERNAL"),
            (FieldError::Corrupt.into(), Code::DataLoss, "DATA_CORRUPT"),
            (KeyStoreError::Destroyed.into(), Code::Internal, "INTERNAL"),
            (KeyStoreError::Unavailable("down".into()).into(), Code::Unavailable, "UNAVAILABLE"),
            (Error::KeyMissing, Code::Internal, "INTERNAL"),
            (Error::Cryptography("seal"), Code::Internal, "INTERNAL"),
            (sqlx::Error::PoolTimedOut.into(), Code::Unavailable, "UNAVAILABLE"),
            (sqlx::Error::RowNotFound.into(), Code::Internal, "INTERNAL"),
            (Error::Inconsistent("identity.account"), Code::Internal, "INTERNAL"),
            (RpcError::malformed_request().into(), Code::InvalidInput, "MALFORMED_REQUEST"),
        ];
        for (error, code, reason) in table {
            let shown = format!("{error:?}");
            let told = RpcError::from(error);
            assert_eq!((told.code(), told.reason()), (code, reason), "{shown}");
        }
    }
}
