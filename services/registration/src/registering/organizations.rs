//! orgtree, as this service asks it.

use zhiyuan_contracts::orgtree::v1::organization_service_client::OrganizationServiceClient;
use zhiyuan_contracts::orgtree::v1::region_service_client::RegionServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    ErrorReason, GetOrganizationRequest, GetRegionRequest, OrganizationState, Region,
};
use zhiyuan_domain::{OrganizationCode, RegionCode};
use zhiyuan_rpc::{Fields, Remote, SuiteChannel};

use super::Refusal;
use crate::error::{Error, Result};

/// A client of orgtree.
#[derive(Debug, Clone)]
pub(crate) struct Organizations {
    organizations: OrganizationServiceClient<SuiteChannel>,
    regions: RegionServiceClient<SuiteChannel>,
}

impl Organizations {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self {
            organizations: OrganizationServiceClient::new(channel.clone()),
            regions: RegionServiceClient::new(channel),
        }
    }

    /// Why an organization takes nobody; `None` if it does.
    pub(crate) async fn refusal(&self, code: &OrganizationCode) -> Result<Option<Refusal>> {
        let request = GetOrganizationRequest { code: code.as_str().to_owned(), as_of_time: None };
        let organization = match self.organizations.clone().get_organization(request).await {
            Ok(answer) => answer.into_inner().organization,
            Err(status) => {
                Remote::from(status).unless(ErrorReason::OrganizationNotFound)?;
                return Ok(Some(Refusal::OrganizationNotFound));
            }
        };
        let organization = organization.ok_or(Error::Contract("organization"))?;
        Ok(match organization.state() {
            OrganizationState::Unspecified => return Err(Error::Contract("organization.state")),
            OrganizationState::Closed => {
                let successor = OrganizationCode::parse(&organization.successor_code).ok();
                Some(Refusal::OrganizationClosed { successor })
            }
            OrganizationState::Active if organization.takes_registrations => None,
            OrganizationState::Active => Some(Refusal::OrganizationTakesNoRegistrations),
        })
    }

    /// The organization above one; `None` of a root, and of one that there is not.
    pub(crate) async fn parent(&self, code: &OrganizationCode) -> Result<Option<OrganizationCode>> {
        let request = GetOrganizationRequest { code: code.as_str().to_owned(), as_of_time: None };
        let organization = match self.organizations.clone().get_organization(request).await {
            Ok(answer) => answer.into_inner().organization,
            Err(status) => {
                Remote::from(status).unless(ErrorReason::OrganizationNotFound)?;
                return Ok(None);
            }
        };
        match &*organization.ok_or(Error::Contract("organization"))?.parent_code {
            "" => Ok(None),
            parent => {
                let parent = OrganizationCode::parse(parent);
                parent.map(Some).map_err(|_invalid| Error::Contract("organization.parent_code"))
            }
        }
    }

    /// Checks that somebody can live in a region, which stands in this field: a leaf of
    /// today's regions.
    ///
    /// # Errors
    /// `INVALID_FIELDS` with `REGION_UNKNOWN`, `REGION_ABOLISHED` or `REGION_NOT_LEAF`.
    pub(crate) async fn check_residence(&self, field: &str, region: RegionCode) -> Result<()> {
        let request = GetRegionRequest { code: region.as_str().to_owned() };
        let (reason, message) = match self.regions.clone().get_region(request).await {
            Ok(answer) => {
                let region = answer.into_inner().region.ok_or(Error::Contract("region"))?;
                if region.abolished {
                    ("REGION_ABOLISHED", abolished(&region))
                } else if region.leaf {
                    return Ok(());
                } else {
                    ("REGION_NOT_LEAF", "请选择到最下一级的所属地区（县、市、区）".to_owned())
                }
            }
            Err(status) => {
                Remote::from(status).unless(ErrorReason::RegionNotFound)?;
                ("REGION_UNKNOWN", "没有这个地区，请重新选择所属地区".to_owned())
            }
        };
        let mut fields = Fields::new();
        fields.refuse(field, reason, message);
        Err(fields.into_error().into())
    }
}

/// What to choose instead of a region that is no more. What came in its place may have others
/// below it, where people live.
fn abolished(region: &Region) -> String {
    let (name, day) = (&region.name, &region.abolish_date);
    let names: Vec<&str> = region.successors.iter().map(|one| one.name.as_str()).collect();
    if names.is_empty() {
        return format!("{name}已于 {day} 撤销，请重新选择所属地区");
    }
    format!("{name}已于 {day} 撤销，请在{}范围内改选", names.join("或"))
}

#[cfg(test)]
mod tests {
    use zhiyuan_contracts::orgtree::v1::RegionSuccessor;

    use super::*;

    #[test]
    fn who_chose_a_region_that_is_no_more_is_told_what_is_there_today() {
        let successor = |name: &str| RegionSuccessor { name: name.into(), ..Default::default() };
        let mut region = Region {
            name: "广德县".into(),
            abolish_date: "2019-08-10".into(),
            ..Default::default()
        };
        assert_eq!(abolished(&region), "广德县已于 2019-08-10 撤销，请重新选择所属地区");
        region.successors = vec![successor("广德市"), successor("宣州区")];
        assert_eq!(abolished(&region), "广德县已于 2019-08-10 撤销，请在广德市或宣州区范围内改选");
    }
}
