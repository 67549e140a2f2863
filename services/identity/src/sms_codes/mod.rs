//! Codes by text message: how often they are sent, and when one is right.
//!
//! A code proves that somebody holds a phone. Limits count by the phone, in one
//! row that is locked while a code is sent, never by address alone: a campus
//! shares one.

mod checking;
pub(crate) mod db;
mod grpc;
pub(crate) mod later;
mod sending;

pub(crate) use checking::{Code, challenge_of, evaluate};
pub(crate) use grpc::{SmsCodes, code_of};
pub(crate) use sending::{Ask, Sender, Sent};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::SmsPurpose;

/// Digits of a code.
pub(crate) const DIGITS: usize = 6;
/// A code is good that long.
pub(crate) const CODE_LIFE: Duration = Duration::minutes(5);
/// Once it was right, it proves the phone that long.
pub(crate) const PROOF_LIFE: Duration = Duration::minutes(30);
/// Tries that are evaluated before a code was right, and again after.
pub(crate) const TRIES: i16 = 5;
/// Between two codes for one phone.
pub(crate) const INTERVAL: Duration = Duration::minutes(1);
/// Codes for one phone in any [`WINDOW`].
pub(crate) const PER_WINDOW: usize = 10;
/// What the daily limit looks back on.
pub(crate) const WINDOW: Duration = Duration::hours(24);

/// As in the column `purpose`.
pub(crate) fn purpose_column(purpose: SmsPurpose) -> i16 {
    match purpose {
        SmsPurpose::Unspecified => 0,
        SmsPurpose::Register => 1,
        SmsPurpose::SignIn => 2,
        SmsPurpose::ResetPassword => 3,
        SmsPurpose::ChangePhone => 4,
        SmsPurpose::CloseAccount => 5,
        SmsPurpose::GuardianConsent => 6,
        SmsPurpose::RecoverAccount => 7,
        SmsPurpose::ObjectToRecovery => 8,
        SmsPurpose::Activation => 9,
    }
}

/// What the person reads the code is for.
fn purpose_name(purpose: SmsPurpose) -> &'static str {
    match purpose {
        SmsPurpose::Unspecified => "",
        SmsPurpose::Register => "注册",
        SmsPurpose::SignIn => "登录",
        SmsPurpose::ResetPassword => "重置密码",
        SmsPurpose::ChangePhone => "更换手机号",
        SmsPurpose::CloseAccount => "注销账号",
        SmsPurpose::GuardianConsent => "监护人同意",
        SmsPurpose::RecoverAccount => "遗失换号",
        SmsPurpose::ObjectToRecovery => "对换号提出异议",
        SmsPurpose::Activation => "默认密码激活",
    }
}

/// Whether a phone may be sent a code now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// It may.
    Send,
    /// Less than a minute has passed.
    TooSoon {
        /// Until then.
        until: OffsetDateTime,
    },
    /// Ten codes within 24 hours.
    DailyLimit {
        /// Until then.
        until: OffsetDateTime,
    },
}

/// Decides from the times of earlier codes; the caller holds the phone's row.
pub(crate) fn allowance(sent_at: &[OffsetDateTime], now: OffsetDateTime) -> Allowance {
    // A clock that was once ahead must not block a phone for as long.
    let mut recent: Vec<OffsetDateTime> =
        sent_at.iter().map(|at| (*at).min(now)).filter(|at| *at + WINDOW > now).collect();
    recent.sort_unstable();
    let overflow = recent.len().checked_sub(PER_WINDOW);
    if let Some(oldest) = overflow.and_then(|index| recent.get(index)) {
        return Allowance::DailyLimit { until: *oldest + WINDOW };
    }
    match recent.last() {
        Some(last) if *last + INTERVAL > now => Allowance::TooSoon { until: *last + INTERVAL },
        _ => Allowance::Send,
    }
}

/// A challenge as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) index_version: i16,
    pub(crate) phone_index: Vec<u8>,
    pub(crate) purpose: i16,
    pub(crate) mac_version: i16,
    pub(crate) code_mac: Vec<u8>,
    pub(crate) expire_at: OffsetDateTime,
    pub(crate) tries: i16,
    pub(crate) proof_tries: i16,
    pub(crate) proven_at: Option<OffsetDateTime>,
    pub(crate) used_at: Option<OffsetDateTime>,
    /// The platform on whose page the code is to be used; on none, if there is none.
    pub(crate) via: Option<String>,
    /// Whose phone it is, of a code for an activation.
    pub(crate) person_id: Option<Uuid>,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The code is right.
    Right,
    /// It isn't.
    Wrong,
    /// Its time is over.
    Expired,
    /// Somebody has registered with it.
    Used,
    /// There are no tries left.
    Exhausted,
}

impl Challenge {
    /// Evaluates a try under the lock of the challenge's row, and counts it. `right`
    /// is asked only if the try counts, so that nothing is learned from one that
    /// does not.
    pub(crate) fn evaluate(
        &mut self,
        now: OffsetDateTime,
        right: impl FnOnce() -> bool,
    ) -> Outcome {
        if self.used_at.is_some() {
            return Outcome::Used;
        }
        let (ends, tries) = match self.proven_at {
            Some(proven_at) => (proven_at + PROOF_LIFE, &mut self.proof_tries),
            None => (self.expire_at, &mut self.tries),
        };
        if now >= ends {
            return Outcome::Expired;
        }
        if *tries >= TRIES {
            return Outcome::Exhausted;
        }
        *tries += 1;
        if !right() {
            return Outcome::Wrong;
        }
        self.proven_at.get_or_insert(now);
        Outcome::Right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn challenge() -> Challenge {
        Challenge {
            index_version: 1,
            phone_index: vec![1],
            purpose: 1,
            mac_version: 1,
            code_mac: vec![2],
            expire_at: NOON + CODE_LIFE,
            tries: 0,
            proof_tries: 0,
            proven_at: None,
            used_at: None,
            via: None,
            person_id: None,
        }
    }

    #[test]
    fn one_code_a_minute_and_ten_in_24_hours() {
        assert_eq!(allowance(&[], NOON), Allowance::Send);
        let until = NOON + INTERVAL;
        assert_eq!(allowance(&[NOON], NOON), Allowance::TooSoon { until });
        assert_eq!(allowance(&[NOON], until), Allowance::Send);
        let ten: Vec<_> = (0..10).map(|i| NOON + Duration::minutes(i)).collect();
        let later = NOON + Duration::hours(1);
        assert_eq!(allowance(&ten, later), Allowance::DailyLimit { until: NOON + WINDOW });
        assert_eq!(allowance(&ten, NOON + WINDOW), Allowance::Send);
        let nine = ten.get(..9).unwrap();
        assert_eq!(allowance(nine, later), Allowance::Send);
    }

    #[test]
    fn never_sends_more_than_ten_in_any_24_hours() {
        let mut sent: Vec<OffsetDateTime> = Vec::new();
        let mut now = NOON;
        for _ in 0..5000 {
            if allowance(&sent, now) == Allowance::Send {
                sent.push(now);
            }
            now += Duration::seconds(37);
        }
        for at in &sent {
            let within = sent.iter().filter(|other| **other >= *at && **other < *at + WINDOW);
            assert!(within.count() <= PER_WINDOW);
        }
        assert!(sent.len() > 2 * PER_WINDOW);
    }

    #[test]
    fn evaluates_five_tries_and_no_sixth() {
        let mut challenge = challenge();
        for _ in 0..5 {
            assert_eq!(challenge.evaluate(NOON, || false), Outcome::Wrong);
        }
        let mut asked = false;
        let outcome = challenge.evaluate(NOON, || {
            asked = true;
            true
        });
        assert_eq!(outcome, Outcome::Exhausted);
        assert!(!asked);
    }

    #[test]
    fn a_code_expires_after_five_minutes() {
        let mut challenge = challenge();
        assert_eq!(challenge.evaluate(NOON + CODE_LIFE, || true), Outcome::Expired);
    }

    #[test]
    fn a_right_code_proves_the_phone_for_30_minutes_and_five_further_tries() {
        let mut challenge = challenge();
        assert_eq!(challenge.evaluate(NOON, || true), Outcome::Right);
        let later = NOON + PROOF_LIFE - Duration::seconds(1);
        for _ in 0..4 {
            assert_eq!(challenge.evaluate(later, || true), Outcome::Right);
        }
        assert_eq!(challenge.evaluate(later, || false), Outcome::Wrong);
        assert_eq!(challenge.evaluate(later, || true), Outcome::Exhausted);
        challenge.proof_tries = 0;
        assert_eq!(challenge.evaluate(NOON + PROOF_LIFE, || true), Outcome::Expired);
    }

    #[test]
    fn a_used_code_is_no_good_even_if_right() {
        let mut challenge = challenge();
        challenge.used_at = Some(NOON);
        assert_eq!(challenge.evaluate(NOON, || true), Outcome::Used);
    }
}
