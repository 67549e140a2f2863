use zhiyuan_contracts::feed::v1::ErrorReason;
use zhiyuan_rpc::{Code, Remote};

/// Why a feed can't be written, served or followed just now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// The clocks of process and database are too far apart to stamp anything.
    #[error("the clocks of this process and of the database differ by {seconds} s")]
    Skew {
        /// By how much, of the process's minus the database's.
        seconds: i64,
    },
    /// The service that is followed did not answer, or refused.
    #[error("the service that is followed")]
    Source(#[from] Remote),
    /// The service that is followed can't be reached.
    #[error("the service that is followed can't be reached")]
    Unreachable,
    /// The service that is followed has been silent.
    #[error("no heartbeat in time")]
    Silent,
    /// What the service sent is no feed.
    #[error("not a feed: {0}")]
    Contract(&'static str),
    /// The service does not have what was applied from it: it was restored to an older
    /// state.
    #[error("partition {partition} has diverged")]
    Diverged {
        /// The partition.
        partition: i16,
    },
    /// What the reader may see has changed; to this version, if that was told.
    #[error("the scope has changed")]
    ScopeChanged {
        /// The version by which is told now.
        version: Option<String>,
    },
    /// Another process has the slot, or has moved a cursor.
    #[error("another reader was faster")]
    Outrun,
    /// What was held back comes again, as a cut was taken.
    #[error("a cut was taken")]
    CutTaken,
    /// The effect of an event failed.
    #[error("failed to apply")]
    Apply(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// `FEED_DIVERGED`.
pub(crate) fn diverged(partition: i16) -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::new(
        Code::Precondition,
        ErrorReason::FeedDiverged,
        "读取位置与本服务的记录不符，请从快照重新同步",
    )
    .with_metadata("partition", partition.to_string())
}

/// `FEED_TRIMMED`.
pub(crate) fn trimmed(partition: i16) -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::new(
        Code::OutOfRange,
        ErrorReason::FeedTrimmed,
        "读取位置之后的记录已过保存期，请从快照重新同步",
    )
    .with_metadata("partition", partition.to_string())
}

/// `FEED_TYPE_UNKNOWN`.
pub(crate) fn type_unknown() -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::new(
        Code::InvalidInput,
        ErrorReason::FeedTypeUnknown,
        "没有这种消息的快照，请核对消息全名",
    )
}

/// `FEED_SCOPE_CHANGED`; to this version, by which is told now.
pub(crate) fn scope_changed(version: &str) -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::new(
        Code::Precondition,
        ErrorReason::FeedScopeChanged,
        "可见的组织范围已变更，请从快照重新同步",
    )
    .with_metadata("scope_version", version)
}

/// `FEED_NOT_SCOPED`.
pub(crate) fn not_scoped() -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::new(
        Code::Forbidden,
        ErrorReason::FeedNotScoped,
        "此服务账号限定了组织范围，而这一数据流不能按组织提供",
    )
}

/// A failure while serving a feed, as it is answered.
pub(crate) fn answered(error: sqlx::Error) -> zhiyuan_rpc::Error {
    zhiyuan_rpc::Error::unavailable(error)
}
