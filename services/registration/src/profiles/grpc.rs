//! `zhiyuan.registration.v1.ProfileService`.

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::registration::v1::profile_service_server::ProfileService;
use zhiyuan_contracts::registration::v1::{
    ChangeMyOrganizationRequest, ChangeMyOrganizationResponse, GetMyProfileRequest,
    GetMyProfileResponse, ListMyLooksRequest, ListMyLooksResponse, ListMyOrganizationsRequest,
    ListMyOrganizationsResponse, Look as WireLook, Membership, Profile, ProfileDetails,
    UpdateMyProfileRequest, UpdateMyProfileResponse,
};
use zhiyuan_domain::VolunteerId;
use zhiyuan_rpc::PersonIdentity;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::form::{NewOrganization, Update, etag};
use super::{Details, Profiles, db, numbers};
use crate::error::{Error, Result};
use crate::look_ups::{self, After, Looked};

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
            guardian_consent: account.guardian_consent,
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

    async fn change_organization(
        &self,
        id: VolunteerId,
        request: &ChangeMyOrganizationRequest,
    ) -> Result<ChangeMyOrganizationResponse> {
        let new = NewOrganization::parse(request)?;
        self.profiles.change_organization(id, &new).await?;
        Ok(ChangeMyOrganizationResponse { profile: Some(self.render(id).await?) })
    }

    async fn organizations(
        &self,
        id: VolunteerId,
        request: &ListMyOrganizationsRequest,
    ) -> Result<ListMyOrganizationsResponse> {
        let page = Page::parse(request.page_size, &request.page_token, &["my_organizations"])?;
        let before = page.after_key(|key| key.parse::<i64>().ok().filter(|it| *it > 0))?;
        let rows = db::memberships(&self.profiles.pool, id, before, page.fetch()).await?;
        if before.is_none() && rows.is_empty() {
            return Err(Error::VolunteerNotFound);
        }
        let (rows, next_page_token) = page.cut(rows, |membership| membership.revision.to_string());
        let memberships = rows.into_iter().map(|row| Membership {
            organization_code: row.organization_code,
            join_time: Some(timestamp(row.joined_at)),
            leave_time: row.left_at.map(timestamp),
        });
        Ok(ListMyOrganizationsResponse { memberships: memberships.collect(), next_page_token })
    }

    async fn looks(
        &self,
        id: VolunteerId,
        request: &ListMyLooksRequest,
    ) -> Result<ListMyLooksResponse> {
        let page = Page::parse(request.page_size, &request.page_token, &["my_looks"])?;
        let after = page.after_key(After::parse)?;
        let (pool, id) = (&self.profiles.pool, id.as_uuid());
        let rows = look_ups::db::list(pool, id, after.as_ref(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, look_ups::key_of);
        let looks = rows.into_iter().map(look_to_wire).collect();
        Ok(ListMyLooksResponse { looks, next_page_token })
    }
}

fn look_to_wire(looked: Looked) -> WireLook {
    WireLook {
        platform: looked.platform,
        purpose: looked.purpose.into(),
        times: looked.times,
        last_time: Some(timestamp(looked.last_at)),
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

    async fn change_my_organization(
        &self,
        request: Request<ChangeMyOrganizationRequest>,
    ) -> std::result::Result<Response<ChangeMyOrganizationResponse>, Status> {
        let id = caller(&request)?;
        Ok(Response::new(self.change_organization(id, request.get_ref()).await?))
    }

    async fn list_my_organizations(
        &self,
        request: Request<ListMyOrganizationsRequest>,
    ) -> std::result::Result<Response<ListMyOrganizationsResponse>, Status> {
        let id = caller(&request)?;
        Ok(Response::new(self.organizations(id, request.get_ref()).await?))
    }

    async fn list_my_looks(
        &self,
        request: Request<ListMyLooksRequest>,
    ) -> std::result::Result<Response<ListMyLooksResponse>, Status> {
        let id = caller(&request)?;
        Ok(Response::new(self.looks(id, request.get_ref()).await?))
    }
}
