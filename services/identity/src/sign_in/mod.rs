//! Signing in: who somebody is, by password or by code.
//!
//! Whoever is not known gets the same answer after the same work as whoever gives a
//! wrong password. Only a right code, which proves the phone, opens more of an answer.

mod grpc;
mod owner;
mod signing;
mod trial;

pub(crate) use grpc::{SignInRpc, can_be_password, second_proof};
pub(crate) use owner::{Owners, SecondProof};
pub(crate) use trial::Gate;

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use zhiyuan_crypto::password::PasswordHasher;
use zhiyuan_domain::SharedClock;

use crate::sessions::issuer::Issuer;

/// A phone to which no code was right for this long may have another owner by now.
pub(crate) const RECYCLED_AFTER: Duration = Duration::days(60);
/// A password that was set with nothing but a code to the phone is no second factor beside
/// one for this long: time for the owner of a stolen phone to notice, as the notice of the
/// change goes there too. A choice of ours.
pub(crate) const PASSWORD_IS_PHONE: Duration = Duration::days(7);
/// Accounts that are looked at for one phone; a family has fewer.
pub(crate) const MOST_OF_PHONE: i64 = 8;

/// Signs people in.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) owners: Owners,
    pub(crate) hasher: Arc<PasswordHasher>,
    pub(crate) issuer: Issuer,
    pub(crate) gate: Gate,
    pub(crate) clock: SharedClock,
}

/// Whether a right code to the phone of an account is proof enough.
///
/// `known_device` is one that proved this account before. `alone`: no other account has
/// the phone.
pub(crate) fn code_is_enough(
    phone_proven_at: OffsetDateTime,
    known_device: bool,
    alone: bool,
    now: OffsetDateTime,
) -> bool {
    known_device || (alone && now - phone_proven_at < RECYCLED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    #[test]
    fn a_code_is_not_enough_for_a_phone_that_may_be_anothers_by_now() {
        let recent = NOON - RECYCLED_AFTER + Duration::SECOND;
        let old = NOON - RECYCLED_AFTER;
        assert!(code_is_enough(recent, false, true, NOON));
        assert!(!code_is_enough(old, false, true, NOON));
        assert!(code_is_enough(old, true, true, NOON));
        // Which of several accounts is meant, a code does not say; a device does.
        assert!(!code_is_enough(recent, false, false, NOON));
        assert!(code_is_enough(recent, true, false, NOON));
    }
}
