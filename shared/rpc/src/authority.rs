//! How a service asks orgtree who administers what.
//!
//! ```text
//! let Decision::Allowed(lease) = authority.ask(account, &organization, permission).await? …
//! // The transaction does its work. Just before it commits:
//! lease.check(Instant::now())?;
//! ```
//!
//! `RevokeGrant` answers when every lease is over and every commit under one is done or can't
//! be any more: 3 s and 2 s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CheckResponse, FilterScopeRequest, FilterWithinRequest, Permission, Role, Verdict,
};
use zhiyuan_domain::OrganizationCode;

use crate::client::SuiteChannel;
use crate::error::Error;
use crate::remote::Remote;

/// No answer is relied on for longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(3);

/// The most answers that are kept; past it each question is asked.
const KEPT: usize = 10_000;

/// How a question was decided.
#[derive(Debug, Clone)]
pub enum Decision {
    /// The account may, as long as the lease lasts.
    Allowed(Lease),
    /// The account administers the organization, and may not do this:
    /// [`Error::permission_missing`].
    Forbidden,
    /// There is no such organization, or it is none of the account's: the caller is told
    /// that there is none.
    OutOfScope,
}

/// For how long an account may do something, and by which grant.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The grant that allows it; the audit keeps it.
    pub grant_id: Uuid,
    /// Where the grant is: at the organization, or above it.
    pub organization_code: String,
    /// The role of the grant.
    pub role: Role,
    /// The account that gave it; `None` if the operator of the suite did.
    pub granted_by: Option<Uuid>,
    until: Instant,
}

impl Lease {
    /// Tests that the lease lasts: the last thing before a commit, which then takes at most
    /// two seconds.
    ///
    /// # Errors
    /// `UNAVAILABLE`: the work took too long. Nothing was changed, and it may be done again.
    pub fn check(&self, now: Instant) -> Result<(), Error> {
        if now < self.until {
            return Ok(());
        }
        Err(Error::unavailable("the lease of an authority ended before the commit"))
    }

    /// Whichever of two ends sooner, for what needs both.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        if other.until < self.until { other } else { self }
    }

    /// The end of the lease by another clock, which had shown `shown` before `now`: that of a
    /// database, say. However long the answer of that clock took, this is not too late.
    pub fn end_by(&self, shown: OffsetDateTime, now: Instant) -> OffsetDateTime {
        shown + self.until.saturating_duration_since(now)
            - now.saturating_duration_since(self.until)
    }
}

impl Decision {
    /// What orgtree answered to a question that was asked at this time, on the clock that
    /// nobody sets. [`Authority::ask`] is what services ask with.
    ///
    /// # Errors
    /// `INTERNAL` for what the contract does not allow.
    pub fn of(answer: &CheckResponse, asked: Instant) -> Result<Self, Error> {
        let broken = || Error::internal("orgtree answered what its contract does not allow");
        match answer.verdict() {
            Verdict::Allowed => {
                let grant = answer.grant.as_ref().ok_or_else(broken)?;
                let granted_by = match &*grant.granted_by {
                    "" => None,
                    id => Some(Uuid::try_parse(id).map_err(|_form| broken())?),
                };
                let lasts = u64::try_from(answer.lease_ms).map_err(|_negative| broken())?;
                Ok(Self::Allowed(Lease {
                    grant_id: Uuid::try_parse(&grant.id).map_err(|_form| broken())?,
                    organization_code: grant.organization_code.clone(),
                    role: grant.role(),
                    granted_by,
                    until: asked + Duration::from_millis(lasts).min(LONGEST),
                }))
            }
            Verdict::Forbidden => Ok(Self::Forbidden),
            Verdict::OutOfScope => Ok(Self::OutOfScope),
            Verdict::Unspecified => Err(broken()),
        }
    }
}

type Question = (Uuid, OrganizationCode, Permission);

/// Asks orgtree, and relies on what was allowed for as long as it may.
#[derive(Debug, Clone)]
pub struct Authority {
    client: AuthorityServiceClient<SuiteChannel>,
    leases: Arc<Mutex<HashMap<Question, Lease>>>,
}

/// Why somebody may not do all of several things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The account administers the organization, and this permission is missing.
    Missing(Permission),
    /// There is no such organization, or the account administers neither it nor one above.
    OutOfScope,
}

impl Authority {
    /// Asks over this channel.
    pub fn new(orgtree: SuiteChannel) -> Self {
        Self { client: AuthorityServiceClient::new(orgtree), leases: Arc::default() }
    }

    /// Whether an account may do something at an organization. Only what is allowed is
    /// kept: a new grant counts at once.
    ///
    /// # Errors
    /// When orgtree doesn't answer, or refuses to: `UNAVAILABLE` or `INTERNAL`.
    pub async fn ask(
        &self,
        account_id: Uuid,
        organization: &OrganizationCode,
        permission: Permission,
    ) -> Result<Decision, Error> {
        let question = (account_id, organization.clone(), permission);
        // The answer is as old as the question: what was true when orgtree looked may have
        // ended before the answer was here.
        let asked = Instant::now();
        if let Some(lease) = self.kept(&question, asked) {
            return Ok(Decision::Allowed(lease));
        }
        let request = CheckRequest {
            account_id: account_id.to_string(),
            organization_code: organization.as_str().to_owned(),
            permission: permission.into(),
        };
        let answer = self.client.clone().check(request).await.map_err(Remote::from);
        let answer = answer.map_err(Remote::into_error)?.into_inner();
        let decision = Decision::of(&answer, asked)?;
        if let Decision::Allowed(lease) = &decision {
            self.keep(question, lease.clone());
        }
        Ok(decision)
    }

    /// Whether an account may do several things at an organization, asked in their order: the
    /// lease that ends first.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_all(
        &self,
        account_id: Uuid,
        organization: &OrganizationCode,
        permissions: &[Permission],
    ) -> Result<Result<Lease, Refused>, Error> {
        let mut first: Option<Lease> = None;
        for permission in permissions {
            match self.ask(account_id, organization, *permission).await? {
                Decision::Allowed(lease) => {
                    first = Some(first.map_or(lease.clone(), |first| first.or_sooner(lease)));
                }
                Decision::Forbidden => return Ok(Err(Refused::Missing(*permission))),
                Decision::OutOfScope => return Ok(Err(Refused::OutOfScope)),
            }
        }
        Ok(first.ok_or(Refused::OutOfScope))
    }

    /// Those of the organizations that are at another one or below it: what somebody may do
    /// there, they may do at these. 500 at most.
    ///
    /// # Errors
    /// When orgtree doesn't answer, or refuses to: `UNAVAILABLE` or `INTERNAL`.
    pub async fn within(
        &self,
        above: &OrganizationCode,
        codes: Vec<String>,
    ) -> Result<HashSet<String>, Error> {
        let request = FilterWithinRequest {
            organization_code: above.as_str().to_owned(),
            organization_codes: codes,
        };
        let answer = self.client.clone().filter_within(request).await.map_err(Remote::from);
        let answer = answer.map_err(Remote::into_error)?.into_inner();
        Ok(answer.organization_codes.into_iter().collect())
    }

    /// Which organizations are at one of `within` or below it, and of which version of that
    /// scope this is said. Nothing of it is kept here. 1000 codes at most.
    ///
    /// # Errors
    /// When orgtree doesn't answer, or refuses to: `UNAVAILABLE` or `INTERNAL`.
    pub async fn scope(
        &self,
        within: &BTreeSet<String>,
        codes: BTreeSet<String>,
    ) -> Result<(HashSet<String>, String), Error> {
        let request = FilterScopeRequest {
            scope_codes: within.iter().cloned().collect(),
            organization_codes: codes.into_iter().collect(),
        };
        let answer = self.client.clone().filter_scope(request).await.map_err(Remote::from);
        let answer = answer.map_err(Remote::into_error)?.into_inner();
        if answer.scope_version.is_empty() {
            return Err(Error::internal("orgtree answered what its contract does not allow"));
        }
        Ok((answer.organization_codes.into_iter().collect(), answer.scope_version))
    }

    fn kept(&self, question: &Question, now: Instant) -> Option<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(question).filter(|lease| now < lease.until).cloned()
    }

    fn keep(&self, question: Question, lease: Lease) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.len() >= KEPT {
            let now = Instant::now();
            leases.retain(|_, lease| now < lease.until);
        }
        if leases.len() < KEPT {
            leases.insert(question, lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use zhiyuan_contracts::orgtree::v1::Grant;

    use super::*;

    fn allowed(lease_ms: i64, asked: Instant) -> Result<Decision, Error> {
        let id = Uuid::from_u128(7).to_string();
        let grant = Some(Grant { id, role: Role::Viewer.into(), ..Grant::default() });
        Decision::of(&CheckResponse { verdict: Verdict::Allowed.into(), grant, lease_ms }, asked)
    }

    fn lease(lease_ms: i64, asked: Instant) -> Lease {
        let Ok(Decision::Allowed(lease)) = allowed(lease_ms, asked) else { panic!() };
        lease
    }

    #[test]
    fn a_lease_is_counted_from_the_question_and_never_longer_than_three_seconds() {
        let asked = Instant::now();
        let after = |lease: &Lease, ms| lease.check(asked + Duration::from_millis(ms)).is_ok();
        for said in [3000, 3001, i64::MAX] {
            let lease = lease(said, asked);
            assert!(after(&lease, 2999) && !after(&lease, 3000), "{said}");
        }
        let short = lease(700, asked);
        assert!(after(&short, 699) && !after(&short, 700));
        let over = short.check(asked + Duration::from_secs(1)).unwrap_err();
        assert_eq!(over.reason(), "UNAVAILABLE");
        assert!(allowed(-1, asked).is_err());
        for (one, other) in [(3000, 700), (700, 3000)] {
            let sooner = lease(one, asked).or_sooner(lease(other, asked));
            assert!(after(&sooner, 699) && !after(&sooner, 700), "{one} {other}");
        }
    }

    #[test]
    fn the_end_by_another_clock_is_never_too_late() {
        let (asked, shown) = (Instant::now(), datetime!(2026-11-23 0:00 UTC));
        let lease = lease(3000, asked);
        let at = |ms| lease.end_by(shown, asked + Duration::from_millis(ms)) - shown;
        assert_eq!(at(0), time::Duration::seconds(3));
        // The answer of that clock took a second and a half.
        assert_eq!(at(1500), time::Duration::milliseconds(1500));
        // It is long over.
        assert_eq!(at(9000), time::Duration::seconds(-6));
    }

    #[test]
    fn tells_by_whom_it_was_given() {
        let giver = Uuid::from_u128(8);
        let of = |granted_by: &str| {
            let grant = Some(Grant {
                id: Uuid::from_u128(7).to_string(),
                granted_by: granted_by.to_owned(),
                ..Grant::default()
            });
            let verdict = Verdict::Allowed.into();
            let answer = CheckResponse { verdict, grant, lease_ms: 1 };
            match Decision::of(&answer, Instant::now()) {
                Ok(Decision::Allowed(lease)) => Some(lease.granted_by),
                _ => None,
            }
        };
        assert_eq!(of(&giver.to_string()), Some(Some(giver)));
        assert_eq!(of(""), Some(None));
        assert_eq!(of("somebody"), None);
    }

    #[test]
    fn an_answer_against_the_contract_allows_nothing() {
        let asked = Instant::now();
        let verdict = Verdict::Allowed.into();
        assert!(
            Decision::of(&CheckResponse { verdict, ..CheckResponse::default() }, asked).is_err()
        );
        assert!(Decision::of(&CheckResponse::default(), asked).is_err());
        let unknown = CheckResponse { verdict: 9, ..CheckResponse::default() };
        assert!(Decision::of(&unknown, asked).is_err());
    }
}
