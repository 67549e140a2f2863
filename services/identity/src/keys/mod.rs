//! What seals, opens, indexes and compares: the one place of identity that touches
//! keys.

pub(crate) mod db;
pub(crate) mod job;
mod store;

pub(crate) use store::PostgresKeyStore;

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_crypto::blind_index::BlindIndexKeys;
use zhiyuan_crypto::digest::KeyedDigest;
use zhiyuan_crypto::field::{Cell, FieldCipher};
use zhiyuan_crypto::keys::{DataKey, KeyStore};
use zhiyuan_domain::{IdNumber, Mobile};

use crate::error::{Error, Result};

const SCHEMA: &str = "identity";
/// Digits of the code that somebody objects to a recovery with, which nothing limits the tries
/// of, and how many such codes there are.
pub(crate) const OBJECTION_DIGITS: usize = 10;
const OBJECTIONS: u64 = 10_u64.pow(10);

/// A sealed column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    EnrolmentName,
    EnrolmentIdNumber,
    EnrolmentPhone,
    EnrolmentGuardian,
    AccountName,
    AccountIdNumber,
    AccountPhone,
    GuardianConsent,
    NoticePhone,
    RecoveryPhone,
    ClaimStatement,
    ClaimAnswer,
    RosterName,
    RosterIdNumber,
    RosterPhone,
    RosterPiece,
    SigningSeed,
}

impl Column {
    fn cell(self, row: Uuid) -> Cell<'static> {
        let (table, column) = match self {
            Self::EnrolmentName => ("enrolment", "name"),
            Self::EnrolmentIdNumber => ("enrolment", "id_number"),
            Self::EnrolmentPhone => ("enrolment", "phone"),
            Self::EnrolmentGuardian => ("enrolment", "guardian"),
            Self::AccountName => ("account", "name"),
            Self::AccountIdNumber => ("account", "id_number"),
            Self::AccountPhone => ("account", "phone"),
            Self::GuardianConsent => ("guardian_consent", "guardian"),
            Self::NoticePhone => ("notice", "phone"),
            Self::RecoveryPhone => ("phone_recovery", "new_phone"),
            Self::ClaimStatement => ("enrolment", "claim_statement"),
            Self::ClaimAnswer => ("claim", "answer"),
            Self::RosterName => ("roster_person", "name"),
            Self::RosterIdNumber => ("roster_person", "id_number"),
            Self::RosterPhone => ("roster_person", "phone"),
            Self::RosterPiece => ("roster_piece", "data"),
            Self::SigningSeed => ("signing_key", "seed"),
        };
        Cell { schema: SCHEMA, table, column, row }
    }
}

/// The blind indexes of one subject, one for each active key.
#[derive(Debug)]
pub(crate) struct Indexes {
    pub(crate) versions: Vec<i16>,
    pub(crate) indexes: Vec<Vec<u8>>,
}

impl Indexes {
    fn of(versions: Vec<i16>, index: impl Fn(i16) -> Result<[u8; 32]>) -> Result<Self> {
        let indexes = versions.iter().map(|version| Ok(index(*version)?.to_vec()));
        Ok(Self { indexes: indexes.collect::<Result<_>>()?, versions })
    }
}

/// What somebody's attempts are counted under: the newest index key, and those before it while
/// they are active, so that no limit begins anew when keys rotate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) version: i16,
    pub(crate) index: [u8; 32],
    pub(crate) earlier: Vec<Vec<u8>>,
}

impl Counted {
    /// Under the keys that are active, newest last.
    pub(crate) fn of(versions: &[i16], index: impl Fn(i16) -> Result<[u8; 32]>) -> Result<Self> {
        let (newest, earlier) =
            versions.split_last().ok_or(Error::Inconsistent("identity.index_key"))?;
        let earlier = earlier.iter().map(|version| Ok(index(*version)?.to_vec()));
        Ok(Self {
            version: *newest,
            index: index(*newest)?,
            earlier: earlier.collect::<Result<_>>()?,
        })
    }
}

/// Keys in use.
#[derive(Clone)]
pub(crate) struct Vault {
    store: Arc<dyn KeyStore>,
    cipher: FieldCipher,
    index: Arc<BlindIndexKeys>,
    codes: Arc<KeyedDigest>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        cipher: FieldCipher,
        index: BlindIndexKeys,
        codes: KeyedDigest,
    ) -> Self {
        Self { store, cipher, index: Arc::new(index), codes: Arc::new(codes) }
    }

    /// The data key of a subject, made if need be. Committed before anything is
    /// sealed with it.
    pub(crate) async fn make_key(&self, subject: Uuid) -> Result<DataKey> {
        Ok(self.store.create(subject).await?)
    }

    /// The data key of a subject that has one.
    pub(crate) async fn key(&self, subject: Uuid) -> Result<DataKey> {
        self.store.get(subject).await?.ok_or(Error::KeyMissing)
    }

    /// The data keys of people whose ids were made just now, in their order. Committed before
    /// anything is sealed with them.
    pub(crate) async fn make_keys(&self, subjects: &[Uuid]) -> Result<Vec<DataKey>> {
        Ok(self.store.create_many(subjects).await?)
    }

    /// The data keys of those of the subjects that have one.
    pub(crate) async fn keys(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, DataKey>> {
        Ok(self.store.get_many(subjects).await?)
    }

    /// Destroys data keys for good, of subjects of whom nobody makes one at the same time.
    pub(crate) async fn destroy_keys(&self, subjects: &[Uuid]) -> Result<()> {
        if subjects.is_empty() { Ok(()) } else { Ok(self.store.destroy_many(subjects).await?) }
    }

    /// Destroys a data key for good.
    pub(crate) async fn destroy_key(&self, subject: Uuid) -> Result<()> {
        Ok(self.store.destroy(subject).await?)
    }

    pub(crate) fn seal(
        &self,
        key: &DataKey,
        column: Column,
        row: Uuid,
        text: &str,
    ) -> Result<Vec<u8>> {
        self.seal_bytes(key, column, row, text.as_bytes())
    }

    pub(crate) fn seal_bytes(
        &self,
        key: &DataKey,
        column: Column,
        row: Uuid,
        bytes: &[u8],
    ) -> Result<Vec<u8>> {
        self.cipher
            .seal(key, &column.cell(row), bytes)
            .map_err(|_failed| Error::Cryptography("seal"))
    }

    pub(crate) fn open_bytes(
        &self,
        key: &DataKey,
        column: Column,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        Ok(self.cipher.open(key, &column.cell(row), sealed)?)
    }

    pub(crate) fn open(
        &self,
        key: &DataKey,
        column: Column,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>> {
        let bytes = self.open_bytes(key, column, row, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_utf8| Error::Cryptography("utf-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    pub(crate) fn phone_index(&self, version: i16, phone: &Mobile) -> Result<[u8; 32]> {
        self.compute(version, "identity.phone", phone.as_e164())
    }

    pub(crate) fn number_index(&self, version: i16, number: &IdNumber) -> Result<[u8; 32]> {
        self.compute(version, "identity.number", number.as_str())
    }

    /// What an account may hold a phone under: while keys rotate, any of the active ones.
    pub(crate) fn phone_indexes(&self, versions: Vec<i16>, phone: &Mobile) -> Result<Indexes> {
        Indexes::of(versions, |version| self.phone_index(version, phone))
    }

    /// What an ID number may be held under.
    pub(crate) fn number_indexes(&self, versions: Vec<i16>, number: &IdNumber) -> Result<Indexes> {
        Indexes::of(versions, |version| self.number_index(version, number))
    }

    /// The key under which failed checks of a phone or a number are counted.
    pub(crate) fn check_index(&self, version: i16, subject: &str) -> Result<[u8; 32]> {
        self.compute(version, "identity.failed_check", subject)
    }

    /// The key under which wrong passwords of somebody who is signed in are counted.
    pub(crate) fn account_index(&self, version: i16, account_id: Uuid) -> Result<[u8; 32]> {
        self.compute(version, "identity.account", &account_id.to_string())
    }

    fn compute(&self, version: i16, domain: &str, text: &str) -> Result<[u8; 32]> {
        self.index.compute(version, domain, text.as_bytes()).map_err(|_unknown| {
            Error::Cryptography("index key of an active version is not configured")
        })
    }

    /// Index keys that this process was given.
    pub(crate) fn index_versions(&self) -> Vec<i16> {
        self.index.versions().collect()
    }

    /// The version of the key that new codes are compared under.
    pub(crate) fn code_version(&self) -> i16 {
        self.codes.version()
    }

    pub(crate) fn code_mac(
        &self,
        version: i16,
        challenge_id: Uuid,
        code: &str,
    ) -> Result<[u8; 32]> {
        let builder = self
            .codes
            .begin(version, "identity.sms_code")
            .map_err(|_unknown| Error::Cryptography("code key of a challenge is not configured"))?;
        Ok(builder
            .field("challenge", challenge_id.as_bytes())
            .field("code", code.as_bytes())
            .finish())
    }

    /// What is stored of the proof of an activation.
    pub(crate) fn activation_mac(
        &self,
        version: i16,
        activation_id: Uuid,
        secret: &[u8],
    ) -> Result<[u8; 32]> {
        let fields = [("activation", activation_id.as_bytes().as_slice()), ("secret", secret)];
        self.code("identity.activation", version, &fields)
    }

    /// What the notices of a recovery bring to the phone of the account, to object with: ten
    /// digits, the first under the key of new codes.
    pub(crate) fn objection_codes(&self, recovery_id: Uuid) -> Result<Vec<Zeroizing<String>>> {
        let current = self.codes.version();
        let others = self.codes.versions().filter(|version| *version != current);
        let code = |version| {
            let builder = self
                .codes
                .begin(version, "identity.objection")
                .map_err(|_unknown| Error::Cryptography("code key is not configured"))?;
            let digest = builder.field("recovery", recovery_id.as_bytes()).finish();
            let number = digest.iter().take(8).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
            Ok(Zeroizing::new(format!("{:0width$}", number % OBJECTIONS, width = OBJECTION_DIGITS)))
        };
        std::iter::once(current).chain(others).map(code).collect()
    }

    /// The code that makes a refresh token one of ours.
    pub(crate) fn refresh_code(
        &self,
        version: i16,
        fields: [(&str, &[u8]); 4],
    ) -> Result<[u8; 32]> {
        self.code("identity.refresh_token", version, &fields)
    }

    /// What makes a challenge one of ours.
    pub(crate) fn challenge_mac(
        &self,
        version: i16,
        fields: [(&str, &[u8]); 4],
    ) -> Result<[u8; 32]> {
        self.code("identity.challenge", version, &fields)
    }

    fn code(&self, purpose: &str, version: i16, fields: &[(&str, &[u8])]) -> Result<[u8; 32]> {
        let begun = self
            .codes
            .begin(version, purpose)
            .map_err(|_unknown| Error::Cryptography("code key is not configured"))?;
        Ok(fields.iter().fold(begun, |code, (name, value)| code.field(name, value)).finish())
    }
}
