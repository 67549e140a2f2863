//! How recoveries stand: what was decided here, and what identity made of it.

use std::collections::HashMap;

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{PhoneRecovery as Told, PhoneRecoveryState};
use zhiyuan_contracts::registration::v1::PhoneRecovery;
use zhiyuan_domain::{OrganizationCode, VolunteerId};
use zhiyuan_rpc::wire::timestamp;

use super::{Fault, Recoveries, Recovery, Step, db};
use crate::error::{Error, Result};

impl Recoveries {
    /// A recovery, for an administrator of the volunteer's organization.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.GetPhoneRecovery`.
    pub(crate) async fn get(&self, me: Uuid, id: Uuid) -> Result<PhoneRecovery> {
        let found = self.find(id).await?;
        let volunteer_id = VolunteerId::from(found.volunteer_id);
        let volunteer = self.volunteer(volunteer_id, Fault::NotFound).await?;
        let organization = &volunteer.organization;
        self.administrators.manages(me, organization, Fault::NotFound).await?;
        self.render_in(&found, organization).await
    }

    /// The recoveries of the volunteers who are with an organization, the latest first.
    ///
    /// # Errors
    /// See `PhoneRecoveryService.ListPhoneRecoveries`.
    pub(crate) async fn list(
        &self,
        me: Uuid,
        organization: &OrganizationCode,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Recovery>> {
        let hidden = Fault::OrganizationNotFound;
        self.administrators.manages(me, organization, hidden).await?;
        db::of_organization(&self.pool, organization, before, limit).await
    }

    /// A recovery as it stands after a command.
    pub(crate) async fn render(&self, recovery: &Recovery) -> Result<PhoneRecovery> {
        let volunteer_id = VolunteerId::from(recovery.volunteer_id);
        let volunteer = self.volunteer(volunteer_id, Fault::NotFound).await?;
        self.render_in(recovery, &volunteer.organization).await
    }

    async fn render_in(
        &self,
        recovery: &Recovery,
        organization: &OrganizationCode,
    ) -> Result<PhoneRecovery> {
        let one = self.render_all(std::slice::from_ref(recovery), organization).await?;
        one.into_iter().next().ok_or(Error::Contract("a recovery is missing"))
    }

    /// Recoveries of one organization as they stand.
    pub(crate) async fn render_all(
        &self,
        recoveries: &[Recovery],
        organization: &OrganizationCode,
    ) -> Result<Vec<PhoneRecovery>> {
        let ids: Vec<Uuid> = recoveries.iter().map(|one| one.recovery_id).collect();
        let told = self.accounts.get(&ids).await?;
        let told: HashMap<String, Told> =
            told.into_iter().map(|one| (one.id.clone(), one)).collect();
        let render =
            |one: &Recovery| to_wire(one, told.get(&one.recovery_id.to_string()), organization);
        Ok(recoveries.iter().map(render).collect())
    }
}

/// The state; identity's, where it has the recovery.
fn state(recovery: &Recovery, told: Option<&Told>) -> PhoneRecoveryState {
    match (told, recovery.step) {
        (Some(told), _) => told.state(),
        (None, Step::Starting) => PhoneRecoveryState::Started,
        // Never begun; or of an account that is closed.
        (
            None,
            Step::Started
            | Step::Approving
            | Step::Approved
            | Step::Cancelling
            | Step::Cancelled
            | Step::Refused,
        ) => PhoneRecoveryState::Cancelled,
    }
}

fn to_wire(
    recovery: &Recovery,
    told: Option<&Told>,
    organization: &OrganizationCode,
) -> PhoneRecovery {
    PhoneRecovery {
        id: recovery.recovery_id.to_string(),
        volunteer_id: recovery.volunteer_id.to_string(),
        organization_code: organization.to_string(),
        state: state(recovery, told).into(),
        masked_new_phone: told.map(|told| told.masked_new_phone.clone()).unwrap_or_default(),
        reason: recovery.reason.clone(),
        started_by: recovery.started_by.to_string(),
        start_time: Some(timestamp(recovery.started_at)),
        approved_by: recovery.approved_by.map(|id| id.to_string()).unwrap_or_default(),
        approve_time: recovery.approved_at.map(timestamp),
        complete_after_time: told.and_then(|told| told.complete_after_time),
        expire_time: told.and_then(|told| told.expire_time),
        end_time: told
            .and_then(|told| told.end_time)
            .or_else(|| recovery.cancelled_at.map(timestamp)),
    }
}
