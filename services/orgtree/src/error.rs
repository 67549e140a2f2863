//! What can go wrong in orgtree, and what the caller is told.

use std::time::Duration;

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::reason::Reason as _;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_postgres::{DatabaseFault, classify, lost};
use zhiyuan_rpc::{Code, Error as RpcError};

use crate::applications::{self, Fault};
use crate::authority::Permission;
use crate::{invitations, news, notices};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such region.
    #[error("there is no such region")]
    RegionNotFound,
    /// The region is no more.
    #[error("the region was abolished")]
    RegionAbolished {
        /// How it was called.
        name: String,
        /// Codes and names of what is there instead.
        successors: Vec<(String, String)>,
    },
    /// There is no such organization.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// No cut was taken at the time, or it is too long ago.
    #[error("there is no cut at this time")]
    CutNotFound,
    /// The cut is not exact.
    #[error("the cut at this time is not exact")]
    CutNotExact,
    /// The caller administers the organization, and not with this permission.
    #[error("the caller lacks {0:?}")]
    PermissionMissing(Permission),
    /// There is no such grant, or it is hidden from this caller.
    #[error("there is no such grant")]
    GrantNotFound,
    /// Somebody gives a role to oneself.
    #[error("a role is given to oneself")]
    GrantToSelf,
    /// The role has more permissions than its giver.
    #[error("the role has permissions that its giver lacks")]
    RoleAboveOwn,
    /// The account has the role there already.
    #[error("the account has this role already")]
    GrantExists {
        /// By this grant.
        id: Uuid,
    },
    /// The root would have no administrator, or not for as long.
    #[error("the last administrator of the root")]
    LastAdministrator,
    /// The grant is revoked, or the organization moved, and what was before may still have
    /// effect for so long.
    #[error("the change is recorded, and not over yet")]
    RevocationInProgress {
        /// Until it is over.
        wait: Duration,
    },
    /// The organization is closed.
    #[error("the organization is closed")]
    OrganizationClosed {
        /// Who followed.
        successor: Option<String>,
    },
    /// The account is closed.
    #[error("the account is closed")]
    AccountClosed,
    /// The organization has a roster.
    #[error("the organization has a roster")]
    RosterExists,
    /// What of invitations is refused.
    #[error(transparent)]
    Invitation(#[from] invitations::Fault),
    /// The grant is delegated, and not delegated any further.
    #[error("the grant is delegated")]
    GrantDelegated,
    /// Somebody else acts for the holder there.
    #[error("somebody else acts for the holder there")]
    DelegationExists {
        /// By this grant.
        id: Uuid,
    },
    /// The organization has changed since the caller has seen it.
    #[error("the organization has changed since")]
    EtagStale,
    /// The code is that of another organization.
    #[error("the code is taken")]
    OrganizationCodeTaken {
        /// Whether that one is closed.
        closed: bool,
    },
    /// An open organization right below the same one has the name.
    #[error("the name is taken")]
    OrganizationNameTaken,
    /// An open organization has the credit code.
    #[error("the credit code is taken")]
    CreditCodeTaken {
        /// Which.
        by: String,
    },
    /// An organization would lie below itself.
    #[error("an organization would lie below itself")]
    OrganizationCycle,
    /// No more organizations have a place right below that one.
    #[error("too many organizations right below one")]
    TooManyChildren,
    /// An organization that is to go to a part is none of those that could.
    #[error("{code} is no open organization right below")]
    NotRightBelow {
        /// Which.
        code: String,
    },
    /// What is told of one of several organizations that are to be.
    #[error("part {code}")]
    OfPart {
        /// Of which.
        code: String,
        /// What.
        source: Box<Self>,
    },
    /// One person alone may not make such a change.
    #[error("a second person is required")]
    SecondPersonRequired,
    /// Somebody is at the organization, or something open below it.
    #[error("the organization is not empty")]
    OrganizationNotEmpty,
    /// There is no such proposal, or it is hidden from this caller.
    #[error("there is no such proposal")]
    ProposalNotFound,
    /// The proposal does not wait any more.
    #[error("the proposal has ended")]
    ProposalEnded,
    /// The two are not two.
    #[error("another person is required")]
    AnotherPersonRequired,
    /// What of applications is refused.
    #[error(transparent)]
    Application(#[from] Fault),
    /// What of articles is refused.
    #[error(transparent)]
    Article(#[from] news::Fault),
    /// What of notices is refused.
    #[error(transparent)]
    Notice(#[from] notices::Fault),
    /// What an application says is not taken by the tree, which its applicant alone can mend.
    #[error("the application is to be returned: {0}")]
    ToReturn(Box<Error>),
    /// The request id was used with another request.
    #[error("the request id was used with another request")]
    RequestIdReused,
    /// The page token holds no key of the list.
    #[error("the page token holds no key of the list")]
    PageToken,
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A row holds what no row may hold.
    #[error("inconsistent row in {0}")]
    Inconsistent(&'static str),
    /// What a request says is wrong, already in its final form.
    #[error(transparent)]
    Request(Box<RpcError>),
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        Self::Request(Box::new(error))
    }
}

impl Error {
    /// Whether a transaction lost against another one: done again, it may win.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Database(error) if lost(error))
    }

    /// This, of one of several organizations that are to be.
    pub(crate) fn of_part(self, code: &str) -> Self {
        match self {
            // Not about what the part says.
            lost @ (Self::Database(_) | Self::Inconsistent(_)) => lost,
            told => Self::OfPart { code: code.to_owned(), source: Box::new(told) },
        }
    }

    /// Why the caller may not have what it asked for, as the contract calls it; none if it
    /// was not for that.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        let reason = match self {
            Self::OrganizationNotFound => Reason::OrganizationNotFound.wire(),
            Self::PermissionMissing(_) => Common::PermissionMissing.wire(),
            Self::GrantNotFound => Reason::GrantNotFound.wire(),
            Self::GrantToSelf => Reason::GrantToSelf.wire(),
            Self::RoleAboveOwn => Reason::RoleAboveOwn.wire(),
            Self::LastAdministrator => Reason::LastAdministrator.wire(),
            Self::GrantDelegated => Reason::GrantDelegated.wire(),
            Self::ProposalNotFound => Reason::ProposalNotFound.wire(),
            Self::AnotherPersonRequired => Reason::AnotherPersonRequired.wire(),
            Self::Invitation(fault) => return fault.refusal(),
            Self::Application(fault) => return fault.refusal(),
            Self::Article(fault) => return fault.refusal(),
            Self::Notice(fault) => return fault.refusal(),
            Self::DelegationExists { .. }
            | Self::RegionNotFound
            | Self::RegionAbolished { .. }
            | Self::CutNotFound
            | Self::CutNotExact
            | Self::GrantExists { .. }
            | Self::RevocationInProgress { .. }
            | Self::OrganizationClosed { .. }
            | Self::AccountClosed
            | Self::RosterExists
            | Self::EtagStale
            | Self::OrganizationCodeTaken { .. }
            | Self::OrganizationNameTaken
            | Self::CreditCodeTaken { .. }
            | Self::OrganizationCycle
            | Self::TooManyChildren
            | Self::NotRightBelow { .. }
            | Self::OfPart { .. }
            | Self::SecondPersonRequired
            | Self::OrganizationNotEmpty
            | Self::ProposalEnded
            | Self::ToReturn(_)
            | Self::RequestIdReused
            | Self::PageToken
            | Self::Database(_)
            | Self::Inconsistent(_)
            | Self::Request(_) => return None,
        };
        Some(reason)
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::RegionNotFound => {
                Self::new(Code::NotFound, Reason::RegionNotFound, "没有这个地区，请重新选择")
            }
            Error::RegionAbolished { name, successors } => {
                let (codes, names): (Vec<String>, Vec<String>) = successors.into_iter().unzip();
                let message = if names.is_empty() {
                    format!("{name}已撤销，请重新选择地区")
                } else {
                    format!("{name}已撤销，请在{}范围内改选", names.join("或"))
                };
                let error = Self::new(Code::Precondition, Reason::RegionAbolished, message);
                if codes.is_empty() {
                    return error;
                }
                error.with_metadata("successor_codes", codes.join(" "))
            }
            Error::OrganizationNotFound => {
                Self::new(Code::NotFound, Reason::OrganizationNotFound, "没有这个组织，请重新选择")
            }
            Error::CutNotFound => Self::new(
                Code::NotFound,
                Reason::CutNotFound,
                "没有这一时刻的统计截面，请改用最近 34 天内某日的北京时间零点",
            ),
            Error::CutNotExact => Self::new(
                Code::Precondition,
                Reason::CutNotExact,
                "这一时刻的统计截面不完整，请改用前一日或后一日的零点",
            ),
            Error::PermissionMissing(permission) => Self::permission_missing(permission.into()),
            Error::GrantNotFound => {
                Self::new(Code::NotFound, Reason::GrantNotFound, "没有这项授权，请刷新列表后重试")
            }
            Error::GrantToSelf => Self::new(
                Code::Forbidden,
                Reason::GrantToSelf,
                "不能给自己授权，请由本组织或上级组织的其他管理员办理",
            ),
            Error::RoleAboveOwn => Self::new(
                Code::Forbidden,
                Reason::RoleAboveOwn,
                "不能授予超出自己权限的角色，请由上级组织的管理员办理",
            ),
            Error::GrantExists { id } => Self::new(
                Code::AlreadyExists,
                Reason::GrantExists,
                "该账号在此组织已有这一角色，且有效期不短于本次授权，无需重复授权",
            )
            .with_metadata("grant_id", id.to_string()),
            Error::LastAdministrator => Self::new(
                Code::Precondition,
                Reason::LastAdministrator,
                "这是最上级组织最后一位长期有效的管理员，请先授权接任者再撤销",
            ),
            Error::RevocationInProgress { wait } => Self::new(
                Code::Unavailable,
                Reason::RevocationInProgress,
                "变更已登记，正在等待全部服务生效，请稍后用同一请求重试以确认",
            )
            .with_retry_after(wait),
            Error::OrganizationClosed { successor } => {
                let error = Self::new(
                    Code::Precondition,
                    Reason::OrganizationClosed,
                    "该组织已撤销或合并，请改在承接的组织办理",
                );
                match successor {
                    Some(code) => error.with_metadata("successor_code", code),
                    None => error,
                }
            }
            Error::AccountClosed => Self::new(
                Code::Precondition,
                Reason::AccountClosed,
                "该账号已注销，不能再授权，请核对账号编号",
            ),
            Error::RosterExists => Self::new(
                Code::Precondition,
                Reason::RosterExists,
                "该组织已有团员名册，团员数以名册为准，无需填报",
            ),
            Error::Invitation(fault) => fault.into(),
            Error::GrantDelegated => Self::new(
                Code::Precondition,
                Reason::GrantDelegated,
                "受委托的权限不能再委托或移交，请由委托人办理",
            ),
            Error::DelegationExists { id } => Self::new(
                Code::AlreadyExists,
                Reason::DelegationExists,
                "您已委托他人管理该组织或其上级、下级组织，请先撤销那项委托再委托其他人",
            )
            .with_metadata("grant_id", id.to_string()),
            Error::EtagStale => {
                Self::new(Code::Conflict, Reason::EtagStale, "该组织已被他人修改，请刷新后重新操作")
            }
            Error::OrganizationCodeTaken { closed: false } => Self::new(
                Code::AlreadyExists,
                Reason::OrganizationCodeTaken,
                "该组织代码已被使用，请换一个代码",
            ),
            Error::OrganizationCodeTaken { closed: true } => Self::new(
                Code::Precondition,
                Reason::OrganizationCodeTaken,
                "该代码属于已撤销的组织，不能再次使用，请换一个代码",
            ),
            Error::OrganizationNameTaken => Self::new(
                Code::AlreadyExists,
                Reason::OrganizationNameTaken,
                "同一上级组织下已有同名组织，请换一个名称",
            ),
            Error::CreditCodeTaken { by } => Self::new(
                Code::AlreadyExists,
                Reason::CreditCodeTaken,
                format!("该统一社会信用代码已登记在组织 {by} 名下，请核对；如有误占，请联系该组织的上级组织更正"),
            )
            .with_metadata("organization_code", by),
            Error::Application(fault) => fault.into(),
            Error::Article(fault) => fault.into(),
            Error::Notice(fault) => fault.into(),
            Error::OrganizationCycle => Self::new(
                Code::Precondition,
                Reason::OrganizationCycle,
                "不能将组织移到自身或其下级之下，请选择其他上级组织",
            ),
            Error::TooManyChildren => Self::new(
                Code::Exhausted,
                Reason::TooManyChildren,
                "该上级组织的直属下级已达 5000 个，请选择或先设立其他上级组织",
            ),
            Error::NotRightBelow { code } => Self::new(
                Code::Precondition,
                Reason::NotRightBelow,
                format!("组织 {code} 已不是被拆分组织的直属下级，或已撤销，请刷新后重新选择"),
            )
            .with_metadata("organization_code", code),
            Error::OfPart { code, source } => Self::from(*source).with_metadata("part_code", code),
            Error::SecondPersonRequired => Self::new(
                Code::Precondition,
                Reason::SecondPersonRequired,
                "此项变动须由两名管理员办理，请先提出变动申请，再由另一名管理员批准",
            ),
            Error::OrganizationNotEmpty => Self::new(
                Code::Precondition,
                Reason::OrganizationNotEmpty,
                "该组织仍有成员或未撤销的下级组织，请指定承接的组织，或先撤销下级组织",
            ),
            Error::ProposalNotFound => Self::new(
                Code::NotFound,
                Reason::ProposalNotFound,
                "没有这项变动申请，请刷新列表后重试",
            ),
            Error::ProposalEnded => Self::new(
                Code::Precondition,
                Reason::ProposalEnded,
                "该变动申请已办结、已撤回、已过期，或申请人已无权限，请刷新列表后重新申请",
            ),
            Error::AnotherPersonRequired => Self::new(
                Code::Forbidden,
                Reason::AnotherPersonRequired,
                "须由另一名管理员批准：两人的权限不能互相授予或在申请之后取得；两人都由同一人授权的，任职均须满一定期限",
            ),
            Error::ToReturn(error) => {
                let message = applications::to_return(&error);
                Self::from(*error).with_message(message)
            }
            Error::RequestIdReused => Self::new(
                Code::AlreadyExists,
                Reason::RequestIdReused,
                "该请求标识已用于另一项操作，请重新生成后再提交",
            ),
            Error::PageToken => Self::new(
                Code::InvalidInput,
                Common::PageTokenInvalid,
                "翻页标记无效，请从第一页重新查询",
            ),
            Error::Database(source) => match classify(&source) {
                DatabaseFault::Conflict => Self::conflict(source),
                DatabaseFault::Unavailable | DatabaseFault::Timeout => Self::unavailable(source),
                DatabaseFault::Defect => Self::internal(source),
            },
            error @ Error::Inconsistent(_) => Self::internal(error),
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
    use super::*;

    #[test]
    fn every_error_has_its_code_and_reason() {
        for (error, code, reason) in [
            (Error::RegionNotFound, Code::NotFound, "REGION_NOT_FOUND"),
            (
                Error::RegionAbolished { name: "广德县".into(), successors: Vec::new() },
                Code::Precondition,
                "REGION_ABOLISHED",
            ),
            (Error::OrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Error::CutNotFound, Code::NotFound, "CUT_NOT_FOUND"),
            (Error::CutNotExact, Code::Precondition, "CUT_NOT_EXACT"),
            (Error::PermissionMissing(Permission::Grant), Code::Forbidden, "PERMISSION_MISSING"),
            (Error::GrantNotFound, Code::NotFound, "GRANT_NOT_FOUND"),
            (Error::GrantToSelf, Code::Forbidden, "GRANT_TO_SELF"),
            (Error::RoleAboveOwn, Code::Forbidden, "ROLE_ABOVE_OWN"),
            (Error::GrantExists { id: Uuid::nil() }, Code::AlreadyExists, "GRANT_EXISTS"),
            (Error::LastAdministrator, Code::Precondition, "LAST_ADMINISTRATOR"),
            (
                Error::RevocationInProgress { wait: Duration::from_secs(5) },
                Code::Unavailable,
                "REVOCATION_IN_PROGRESS",
            ),
            (
                Error::OrganizationClosed { successor: None },
                Code::Precondition,
                "ORGANIZATION_CLOSED",
            ),
            (Error::AccountClosed, Code::Precondition, "ACCOUNT_CLOSED"),
            (Error::RosterExists, Code::Precondition, "ROSTER_EXISTS"),
            (invitations::Fault::Over.into(), Code::Precondition, "INVITATION_OVER"),
            (Error::GrantDelegated, Code::Precondition, "GRANT_DELEGATED"),
            (Error::DelegationExists { id: Uuid::nil() }, Code::AlreadyExists, "DELEGATION_EXISTS"),
            (Error::EtagStale, Code::Conflict, "ETAG_STALE"),
            (
                Error::OrganizationCodeTaken { closed: false },
                Code::AlreadyExists,
                "ORGANIZATION_CODE_TAKEN",
            ),
            (
                Error::OrganizationCodeTaken { closed: true },
                Code::Precondition,
                "ORGANIZATION_CODE_TAKEN",
            ),
            (Error::OrganizationNameTaken, Code::AlreadyExists, "ORGANIZATION_NAME_TAKEN"),
            (Error::CreditCodeTaken { by: "A-1".into() }, Code::AlreadyExists, "CREDIT_CODE_TAKEN"),
            (Fault::Own.into(), Code::Forbidden, "APPLICATION_OWN"),
            (
                Error::ToReturn(Box::new(Error::OrganizationNameTaken)),
                Code::AlreadyExists,
                "ORGANIZATION_NAME_TAKEN",
            ),
            (Error::OrganizationCycle, Code::Precondition, "ORGANIZATION_CYCLE"),
            (Error::TooManyChildren, Code::Exhausted, "TOO_MANY_CHILDREN"),
            (Error::NotRightBelow { code: "A-1".into() }, Code::Precondition, "NOT_RIGHT_BELOW"),
            (
                Error::OrganizationNameTaken.of_part("A-1"),
                Code::AlreadyExists,
                "ORGANIZATION_NAME_TAKEN",
            ),
            (Error::SecondPersonRequired, Code::Precondition, "SECOND_PERSON_REQUIRED"),
            (Error::OrganizationNotEmpty, Code::Precondition, "ORGANIZATION_NOT_EMPTY"),
            (Error::ProposalNotFound, Code::NotFound, "PROPOSAL_NOT_FOUND"),
            (Error::ProposalEnded, Code::Precondition, "PROPOSAL_ENDED"),
            (Error::AnotherPersonRequired, Code::Forbidden, "ANOTHER_PERSON_REQUIRED"),
            (Error::RequestIdReused, Code::AlreadyExists, "REQUEST_ID_REUSED"),
            (Error::PageToken, Code::InvalidInput, "PAGE_TOKEN_INVALID"),
            (Error::Database(sqlx::Error::PoolTimedOut), Code::Unavailable, "UNAVAILABLE"),
            (Error::Database(sqlx::Error::RowNotFound), Code::Internal, "INTERNAL"),
            (Error::Inconsistent("t"), Code::Internal, "INTERNAL"),
            (Error::from(RpcError::method_not_found()), Code::Unimplemented, "METHOD_NOT_FOUND"),
        ] {
            let (shown, refusal) = (format!("{error:?}"), error.refusal());
            let told = RpcError::from(error);
            assert_eq!((told.code(), told.reason()), (code, reason), "{shown}");
            assert!(refusal.is_none_or(|refusal| refusal == reason), "{shown}");
        }
    }
}
