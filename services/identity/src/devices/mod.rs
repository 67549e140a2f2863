//! Devices that proved an account: where a person is known from, so that strangers can't
//! use up what is kept for the owner.
//!
//! A device is known by a token, which opens nothing by itself: with it the owner gets the
//! last codes of a phone's day, needs no challenge, and is not delayed by the failures of
//! strangers.

pub(crate) mod db;
mod token;

pub(crate) use token::{DeviceToken, token_field};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::Mobile;

use crate::keys::Vault;
use crate::sign_in::PASSWORD_IS_PHONE;

/// A person has so many devices at most; the one that was used longest ago is forgotten.
const PER_ACCOUNT: i64 = 20;
/// A device that was not used for that long is forgotten.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::days(180);
/// As long as a password that the phone has set is that phone once more.
const SETTLED_AFTER: Duration = PASSWORD_IS_PHONE;
/// The time of the last use is not stored more exactly than this: it would be a write with
/// each call.
const USE_NOTED_EVERY: Duration = Duration::days(1);

/// A known device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) account_id: Uuid,
    pub(crate) device_id: Uuid,
    /// The blind index of the phone that was proved from it last, and the index's key.
    pub(crate) phone: Option<(i16, Vec<u8>)>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) last_used_at: OffsetDateTime,
}

impl Device {
    /// Whether it has been known for so long that whoever has taken the phone did not make it
    /// known.
    pub(crate) fn is_settled(&self, now: OffsetDateTime) -> bool {
        self.created_at + SETTLED_AFTER <= now
    }

    /// Whether this phone was proved from the device, and was not detached since.
    pub(crate) fn proved(&self, vault: &Vault, phone: &Mobile) -> bool {
        let Some((version, proved)) = &self.phone else { return false };
        // An index key that this process no longer has proves nothing.
        vault
            .phone_index(*version, phone)
            .is_ok_and(|index| zhiyuan_crypto::digest::equal(&index, proved))
    }

    fn is_forgotten(&self, now: OffsetDateTime) -> bool {
        self.last_used_at + FORGOTTEN_AFTER <= now
    }

    fn is_use_due(&self, now: OffsetDateTime) -> bool {
        self.last_used_at + USE_NOTED_EVERY <= now
    }
}
