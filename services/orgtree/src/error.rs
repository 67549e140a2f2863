//! What can go wrong in orgtree, and what the caller is told.

use zhiyuan_contracts::orgtree::v1::ErrorReason as Reason;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_postgres::{DatabaseFault, classify};
use zhiyuan_rpc::{Code, Error as RpcError};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such region.
    #[error("there is no such region")]
    RegionNotFound,
    /// There is no such organization.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// No cut was taken at the time, or it is too long ago.
    #[error("there is no cut at this time")]
    CutNotFound,
    /// The cut is not exact.
    #[error("the cut at this time is not exact")]
    CutNotExact,
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

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::RegionNotFound => {
                Self::new(Code::NotFound, Reason::RegionNotFound, "没有这个地区，请重新选择")
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
            (Error::OrganizationNotFound, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            (Error::PageToken, Code::InvalidInput, "PAGE_TOKEN_INVALID"),
            (Error::Database(sqlx::Error::PoolTimedOut), Code::Unavailable, "UNAVAILABLE"),
            (Error::Database(sqlx::Error::RowNotFound), Code::Internal, "INTERNAL"),
            (Error::Inconsistent("t"), Code::Internal, "INTERNAL"),
            (Error::from(RpcError::method_not_found()), Code::Unimplemented, "METHOD_NOT_FOUND"),
        ] {
            let shown = format!("{error:?}");
            let told = RpcError::from(error);
            assert_eq!((told.code(), told.reason()), (code, reason), "{shown}");
        }
    }
}
