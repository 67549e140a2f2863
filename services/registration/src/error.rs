//! What can go wrong in registration, and what the caller is told.

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_crypto::keys::UnknownVersion;
use zhiyuan_postgres::{DatabaseFault, classify, constraint_of, lost};
use zhiyuan_rpc::{Code, Error as RpcError, Remote};

use crate::registering::Refusal;
use crate::{claims, phone_recoveries, rosters};

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
    /// What of lost phones is refused.
    #[error(transparent)]
    PhoneRecovery(#[from] phone_recoveries::Fault),
    /// The registration is refused.
    #[error("refused: {}", .0.as_column())]
    Refused(Refusal),
    /// What of rosters is refused.
    #[error(transparent)]
    Roster(#[from] rosters::Fault),
    /// What of claims is refused.
    #[error(transparent)]
    Claim(#[from] claims::Fault),
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
            | Self::Refused(_)
            | Self::PhoneRecovery(_)
            | Self::Roster(_)
            | Self::Claim(_)
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
            | Self::Refused(_)
            | Self::PhoneRecovery(_)
            | Self::Roster(_)
            | Self::Claim(_)
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
            Error::Refused(refusal) => refusal.into(),
            Error::PhoneRecovery(fault) => fault.into(),
            Error::Roster(fault) => fault.into(),
            Error::Claim(fault) => fault.into(),
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use zhiyuan_contracts::reason::Reason as _;

    use super::*;

    #[test]
    fn every_reason_of_the_contract_is_used() {
        let mut used: Vec<&str> = Refusal::all(None)
            .into_iter()
            .map(|refusal| RpcError::from(refusal).reason())
            .collect();
        used.extend([
            Reason::RequestIdReused.wire(),
            Reason::RegistrationNotFound.wire(),
            Reason::VolunteerNotFound.wire(),
            Reason::EtagStale.wire(),
            Reason::ReviewNotFound.wire(),
            Reason::ReviewDecided.wire(),
            Reason::ReviewOfOneself.wire(),
            Reason::ReviewNotSeen.wire(),
        ]);
        used.extend(rosters::Fault::ALL.map(|fault| RpcError::from(fault).reason()));
        used.extend(phone_recoveries::Fault::ALL.map(|fault| RpcError::from(fault).reason()));
        used.extend(claims::Fault::ALL.map(|fault| RpcError::from(fault).reason()));
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
}
