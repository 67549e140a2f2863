//! Calls that change something, sent again: one effect, one answer.

pub(crate) mod db;
pub(crate) mod job;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zhiyuan_domain::RequestId;

/// How long a call that is sent again is known.
const KEPT: time::Duration = time::Duration::days(30);

/// A call that changes something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Whose ids these are: another caller's never meet them.
    pub(crate) caller: Uuid,
    /// Of the contract, such as `CreateGrant`.
    pub(crate) method: &'static str,
    pub(crate) request_id: RequestId,
    digest: [u8; 32],
}

impl Request {
    /// A call of a method, with what it says in its parsed spelling: two that mean the
    /// same are the same.
    pub(crate) fn new(
        caller: Uuid,
        method: &'static str,
        request_id: RequestId,
        says: &[u8],
    ) -> Self {
        Self { caller, method, request_id, digest: Sha256::digest(says).into() }
    }
}
