//! Calls that change something, sent again: one effect, one answer.

pub(crate) mod db;
pub(crate) mod job;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zhiyuan_crypto::framing::frame;
use zhiyuan_crypto::{International, Key32, Suite as _};
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
    /// As binaries of before have kept it.
    plain: Option<[u8; 32]>,
}

/// The key of digests of what is deleted before them, such as a telephone number: who tries them
/// all without it finds none.
#[derive(Debug, Clone)]
pub(crate) struct DigestKey(Key32);

impl DigestKey {
    /// Made from the one by which the service proves who it is. When that one changes, a call of
    /// before that is sent again is told that its id was used.
    pub(crate) fn new(signing_seed: &Key32) -> Self {
        let key = International.mac(signing_seed, &frame(&[b"zhiyuan.orgtree.requests"]));
        Self(Key32::from_bytes(key))
    }
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
        Self { caller, method, request_id, digest: Sha256::digest(says).into(), plain: None }
    }

    /// The same, of a call that says what stands in clear nowhere, or not for as long.
    pub(crate) fn keyed(
        key: &DigestKey,
        caller: Uuid,
        method: &'static str,
        request_id: RequestId,
        says: &[u8],
    ) -> Self {
        let plain = Some(Sha256::digest(says).into());
        let digest = International.mac(&key.0, &frame(&[method.as_bytes(), says]));
        Self { caller, method, request_id, digest, plain }
    }

    /// Whether a digest that was kept is of this call.
    fn is(&self, kept: &[u8]) -> bool {
        kept == self.digest || self.plain.is_some_and(|plain| kept == plain)
    }
}
