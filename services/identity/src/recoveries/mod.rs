//! A lost phone: the account gets another one, which two administrators vouch for.
//!
//! Nobody is taken over by surprise: both phones are told of each step, and for a delay after
//! the approval whoever has the old phone, or any session, ends it for good. After it the
//! person proves the new phone, name and number, and sets a password, all at once. Who may
//! begin and approve is registration's to know; that they are two is seen to here as well.

mod completing;
pub(crate) mod db;
mod deciding;
mod grpc;
mod objecting;

pub(crate) use grpc::RecoveryRpc;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::Mobile;

use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::keys::Column;
use crate::notices::{Notice, Template};

/// How long one that is over can be asked for.
pub(crate) const KEPT: Duration = Duration::days(180);
/// Recoveries that are asked for at once.
pub(crate) const MOST: usize = 500;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// In which one can object, from the approval on.
    pub(crate) delay: Duration,
    /// In which it can be approved, and again in which it can be completed.
    pub(crate) open: Duration,
}

/// Where a recovery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for a second administrator.
    Started,
    /// It is approved.
    Approved,
    /// The account has the new phone.
    Completed,
    /// An administrator has ended it.
    Cancelled,
    /// Whoever has the account or its phone has ended it.
    Objected,
    /// Its time was over.
    Expired,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Started,
        Self::Approved,
        Self::Completed,
        Self::Cancelled,
        Self::Objected,
        Self::Expired,
    ];

    /// As in the column `state`.
    pub(crate) fn as_column(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Approved => "APPROVED",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Objected => "OBJECTED",
            Self::Expired => "EXPIRED",
        }
    }

    /// From the column `state`.
    pub(crate) fn from_column(column: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_column() == column)
    }

    /// Whether it may still take effect.
    pub(crate) fn is_open(self) -> bool {
        match self {
            Self::Started | Self::Approved => true,
            Self::Completed | Self::Cancelled | Self::Objected | Self::Expired => false,
        }
    }
}

/// A recovery as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    pub(crate) recovery_id: Uuid,
    /// Absent where it was cancelled before it was ever begun.
    pub(crate) account_id: Option<Uuid>,
    pub(crate) state: State,
    pub(crate) started_by: Option<Uuid>,
    pub(crate) approved_by: Option<Uuid>,
    /// Sealed; gone once it is over.
    pub(crate) new_phone: Option<Vec<u8>>,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) approved_at: Option<OffsetDateTime>,
    pub(crate) complete_after: Option<OffsetDateTime>,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) ended_at: Option<OffsetDateTime>,
}

impl Recovery {
    /// Where it stands now: one whose time is over has ended, whether or not a job has come
    /// by.
    pub(crate) fn state_at(&self, now: OffsetDateTime) -> State {
        if self.state.is_open() && self.expire_at <= now { State::Expired } else { self.state }
    }

    /// Whether it may take effect now.
    ///
    /// # Errors
    /// `RecoveryNotFound` if it never will; `RecoveryTooEarly`.
    pub(crate) fn may_complete(&self, now: OffsetDateTime) -> Result<()> {
        let (State::Approved, Some(after)) = (self.state_at(now), self.complete_after) else {
            return Err(Error::RecoveryNotFound);
        };
        if !self.approved_by.is_some_and(|approver| self.is_of_two(approver)) {
            return Err(Error::RecoveryNotFound);
        }
        if now < after {
            let wait = (after - now).try_into().unwrap_or_default();
            return Err(Error::RecoveryTooEarly { wait });
        }
        Ok(())
    }

    /// Whether two persons stand behind it, neither of whom is the owner, with this one as
    /// the second.
    pub(crate) fn is_of_two(&self, approver: Uuid) -> bool {
        let Some(starter) = self.started_by else { return false };
        starter != approver && self.account_id != Some(approver)
    }
}

/// Gives accounts another phone.
#[derive(Debug, Clone)]
pub(crate) struct Recoveries {
    pub(crate) credentials: Credentials,
    pub(crate) times: Times,
}

impl Recoveries {
    /// The new phone of a recovery that goes on; none if it is over.
    async fn new_phone(&self, recovery: &Recovery) -> Result<Option<Mobile>> {
        let (Some(account_id), Some(sealed)) = (recovery.account_id, &recovery.new_phone) else {
            return Ok(None);
        };
        let vault = &self.credentials.sign_in.issuer.vault;
        let key = match vault.key(account_id).await {
            // Closed between the two.
            Err(Error::KeyMissing) => return Ok(None),
            key => key?,
        };
        let text = vault.open(&key, Column::RecoveryPhone, recovery.recovery_id, sealed)?;
        let phone = Mobile::parse(&text);
        phone.map(Some).map_err(|_invalid| Error::Inconsistent("identity.phone_recovery"))
    }

    /// What the phone of the account and the new one are told.
    async fn notices(
        &self,
        (recovery_id, account_id): (Uuid, Uuid),
        new_phone: Option<&Mobile>,
        (to_account, to_new): (Template, Template),
    ) -> Result<Vec<Notice>> {
        let clock = self.credentials.sign_in.clock.as_ref();
        let vault = &self.credentials.sign_in.issuer.vault;
        let mut notices =
            vec![Notice::recovery_to_account(clock, to_account, recovery_id, account_id)];
        if let Some(phone) = new_phone {
            let phone = phone.as_e164();
            notices
                .push(Notice::recovery_to_phone(vault, clock, to_new, recovery_id, phone).await?);
        }
        Ok(notices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    fn approved() -> Recovery {
        Recovery {
            recovery_id: Uuid::from_u128(1),
            account_id: Some(Uuid::from_u128(2)),
            state: State::Approved,
            started_by: Some(Uuid::from_u128(3)),
            approved_by: Some(Uuid::from_u128(4)),
            new_phone: None,
            started_at: NOON,
            approved_at: Some(NOON),
            complete_after: Some(NOON + Duration::hours(72)),
            expire_at: NOON + Duration::days(17),
            ended_at: None,
        }
    }

    #[test]
    fn takes_effect_after_the_delay_and_before_its_end() {
        let recovery = approved();
        let told = |at| recovery.may_complete(at).err().map(|error| format!("{error:?}"));
        let early = NOON + Duration::hours(72) - Duration::SECOND;
        assert_eq!(told(early), Some("RecoveryTooEarly { wait: 1s }".to_owned()));
        assert_eq!(told(NOON + Duration::hours(72)), None);
        assert_eq!(told(NOON + Duration::days(17) - Duration::SECOND), None);
        assert_eq!(told(NOON + Duration::days(17)), Some("RecoveryNotFound".to_owned()));
        let later = NOON + Duration::hours(73);
        for state in State::ALL.into_iter().filter(|state| *state != State::Approved) {
            let other = Recovery { state, ..approved() };
            assert!(matches!(other.may_complete(later), Err(Error::RecoveryNotFound)), "{state:?}");
        }
        for approved_by in [None, Some(Uuid::from_u128(2)), Some(Uuid::from_u128(3))] {
            let other = Recovery { approved_by, ..approved() };
            let told = other.may_complete(later);
            assert!(matches!(told, Err(Error::RecoveryNotFound)), "{approved_by:?}");
        }
    }

    #[test]
    fn two_others_stand_behind_it() {
        let recovery = approved();
        assert!(recovery.is_of_two(Uuid::from_u128(4)));
        assert!(!recovery.is_of_two(Uuid::from_u128(3)), "the starter");
        assert!(!recovery.is_of_two(Uuid::from_u128(2)), "the owner");
        assert!(!Recovery { started_by: None, ..recovery }.is_of_two(Uuid::from_u128(4)));
    }

    #[test]
    fn states_survive_their_column() {
        for state in State::ALL {
            assert_eq!(State::from_column(state.as_column()), Some(state));
        }
    }
}
