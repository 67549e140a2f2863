//! `zhiyuan.registration.v1.ProfileService`.

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::registration::v1::profile_service_server::ProfileService;
use zhiyuan_contracts::registration::v1::{
    GetMyProfileRequest, GetMyProfileResponse, Profile, ProfileDetails, UpdateMyProfileRequest,
    UpdateMyProfileResponse,
};
use zhiyuan_domain::VolunteerId;
use zhiyuan_rpc::PersonIdentity;
use zhiyuan_rpc::wire::timestamp;

use super::form::{Update, etag};
use super::{Details, Profiles, numbers};
use crate::error::Result;

/// `ProfileService`.
#[derive(Debug)]
pub(crate) struct ProfileRpc {
    profiles: Profiles,
}

impl ProfileRpc {
    pub(crate) fn new(profiles: Profiles) -> Self {
        Self { profiles }
    }

    /// Renders a record as it stands. Name and phone are identity's to tell, each time anew.
    async fn render(&self, id: VolunteerId) -> Result<Profile> {
        let record = self.profiles.get(id).await?;
        let account = self.profiles.accounts.get(id).await?;
        Ok(Profile {
            id: id.to_string(),
            volunteer_number: record.number.to_string(),
            name: account.masked_name,
            phone: account.masked_phone,
            organization_code: record.organization.to_string(),
            level: record.level.into(),
            register_time: Some(timestamp(record.registered_at)),
            details: Some(to_wire(&record.details)),
            etag: etag(record.revision),
        })
    }

    async fn update(
        &self,
        id: VolunteerId,
        request: &UpdateMyProfileRequest,
    ) -> Result<UpdateMyProfileResponse> {
        let update = Update::parse(request)?;
        self.profiles.update(id, &update).await?;
        Ok(UpdateMyProfileResponse { profile: Some(self.render(id).await?) })
    }
}

fn to_wire(details: &Details) -> ProfileDetails {
    ProfileDetails {
        region_code: details.region.to_string(),
        league_member: details.league_member,
        political_status: details.political_status.map(Into::into),
        education: details.education.map(Into::into),
        employment: details.employment.map(Into::into),
        skills: numbers(&details.skills),
        service_categories: numbers(&details.service_categories),
    }
}

/// The volunteer who calls.
fn caller<T>(request: &Request<T>) -> std::result::Result<VolunteerId, Status> {
    Ok(VolunteerId::from(PersonIdentity::of(request)?.account_id))
}

#[async_trait]
impl ProfileService for ProfileRpc {
    async fn get_my_profile(
        &self,
        request: Request<GetMyProfileRequest>,
    ) -> std::result::Result<Response<GetMyProfileResponse>, Status> {
        let profile = Some(self.render(caller(&request)?).await?);
        Ok(Response::new(GetMyProfileResponse { profile }))
    }

    async fn update_my_profile(
        &self,
        request: Request<UpdateMyProfileRequest>,
    ) -> std::result::Result<Response<UpdateMyProfileResponse>, Status> {
        let id = caller(&request)?;
        Ok(Response::new(self.update(id, request.get_ref()).await?))
    }
}
