//! What the client is told about a registration.

use time::OffsetDateTime;
use zhiyuan_contracts::registration::v1::{
    GetRegistrationResponse, RegisterOnBehalfResponse, RegisterResponse, RegistrationState,
    Volunteer as WireVolunteer, VolunteerState,
};

use super::{Saga, Step, schedule};
use crate::error::{Error, Result};
use crate::volunteers::Volunteer;
use zhiyuan_rpc::wire::timestamp;

/// The current state; both methods answer it.
#[derive(Debug)]
pub(crate) struct Answer {
    state: RegistrationState,
    retry_at: Option<OffsetDateTime>,
    volunteer: Option<WireVolunteer>,
}

impl Answer {
    /// The answer while a registration is under way.
    ///
    /// # Errors
    /// The refusal of one that is refused; a volunteer is missing where it is done.
    pub(crate) fn waiting(saga: Saga, now: OffsetDateTime) -> Result<Self> {
        let state = match saga.step {
            Step::Review => RegistrationState::Review,
            Step::Started | Step::Pending | Step::Claimed | Step::Registered | Step::Undoing => {
                RegistrationState::Pending
            }
            Step::Refused => {
                let refusal = saga.refusal.ok_or(Error::Inconsistent("registration"))?;
                return Err(Error::Refused(refusal));
            }
            Step::Done => return Err(Error::Inconsistent("volunteer")),
        };
        let retry_at = saga.retry_at.or(saga.next_step_at).unwrap_or(now);
        Ok(Self {
            state,
            retry_at: Some(schedule::told(saga.step, retry_at, now)),
            volunteer: None,
        })
    }

    /// The answer for one that is done.
    pub(crate) fn done(volunteer: Volunteer, masked_name: String) -> Self {
        let state = if volunteer.closed { VolunteerState::Closed } else { VolunteerState::Active };
        Self {
            state: RegistrationState::Active,
            retry_at: None,
            volunteer: Some(WireVolunteer {
                id: volunteer.id.to_string(),
                volunteer_number: volunteer.number.to_string(),
                name: masked_name,
                region_code: volunteer.region.to_string(),
                organization_code: volunteer.organization.to_string(),
                state: state.into(),
                registered_at: Some(timestamp(volunteer.registered_at)),
            }),
        }
    }
}

impl From<Answer> for RegisterResponse {
    fn from(answer: Answer) -> Self {
        Self {
            state: answer.state.into(),
            next_retry_time: answer.retry_at.map(timestamp),
            volunteer: answer.volunteer,
        }
    }
}

impl From<Answer> for RegisterOnBehalfResponse {
    fn from(answer: Answer) -> Self {
        Self {
            state: answer.state.into(),
            next_retry_time: answer.retry_at.map(timestamp),
            volunteer: answer.volunteer,
        }
    }
}

impl From<Answer> for GetRegistrationResponse {
    fn from(answer: Answer) -> Self {
        Self {
            state: answer.state.into(),
            next_retry_time: answer.retry_at.map(timestamp),
            volunteer: answer.volunteer,
        }
    }
}
