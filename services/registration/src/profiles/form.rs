//! What somebody wants changed, every field parsed.

use prost_types::FieldMask;
use zhiyuan_contracts::registration::v1::{ChangeMyOrganizationRequest, UpdateMyProfileRequest};
use zhiyuan_domain::{OrganizationCode, RegionCode, RequestId};
use zhiyuan_rpc::Fields;

use super::Change;
use crate::error::Result;

/// More than there will ever be fields, skills or fields of service.
const MOST: usize = 64;
const CHOOSE: &str = "所选内容不在可选范围内，请刷新页面后重新选择";

/// A change without faults.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) request_id: RequestId,
    /// The revision of the record that it was made on.
    pub(crate) revision: i64,
    pub(crate) change: Change,
}

impl Update {
    /// Parses all fields.
    ///
    /// # Errors
    /// `INVALID_FIELDS` with all faults at once.
    pub(crate) fn parse(request: &UpdateMyProfileRequest) -> Result<Self> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let revision = revision(&request.etag);
        if revision.is_none() {
            refuse_etag(&mut fields);
        }
        let change = change(&mut fields, request);
        let (Some(request_id), Some(revision)) = (request_id, revision) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok(Self { request_id, revision, change })
    }
}

/// Another organization, chosen on a record.
#[derive(Debug)]
pub(crate) struct NewOrganization {
    pub(crate) request_id: RequestId,
    pub(crate) organization: OrganizationCode,
    /// The revision of the record, if whoever chose says so.
    pub(crate) revision: Option<i64>,
}

impl NewOrganization {
    /// Parses all fields.
    ///
    /// # Errors
    /// `INVALID_FIELDS` with all faults at once.
    pub(crate) fn parse(request: &ChangeMyOrganizationRequest) -> Result<Self> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let organization =
            fields.take("organization_code", OrganizationCode::parse(&request.organization_code));
        let revision = Some(&*request.etag).filter(|etag| !etag.is_empty()).map(revision);
        if revision == Some(None) {
            refuse_etag(&mut fields);
        }
        let (Some(request_id), Some(organization)) = (request_id, organization) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok(Self { request_id, organization, revision: revision.flatten() })
    }
}

fn refuse_etag(fields: &mut Fields) {
    fields.refuse("etag", "ETAG_INVALID", "资料的版本标记无效，请刷新页面后重新修改");
}

/// As `etag` renders it; nobody types it, so nothing is trimmed.
fn revision(etag: &str) -> Option<i64> {
    etag.parse().ok().filter(|revision: &i64| *revision > 0 && self::etag(*revision) == etag)
}

/// How a revision is handed out.
pub(crate) fn etag(revision: i64) -> String {
    revision.to_string()
}

fn change(fields: &mut Fields, request: &UpdateMyProfileRequest) -> Change {
    let (mut change, mut unknown) = (Change::default(), false);
    // What is named and not there is taken back.
    let details = request.details.clone().unwrap_or_default();
    for path in paths(fields, request.update_mask.as_ref()) {
        match path.as_str() {
            "region_code" => {
                let parsed = RegionCode::parse(&details.region_code);
                change.region = fields.take("details.region_code", parsed);
            }
            "league_member" => change.league_member = Some(details.league_member),
            "political_status" => {
                let field = "details.political_status";
                change.political_status = Some(stated(fields, field, details.political_status));
            }
            "education" => {
                change.education = Some(stated(fields, "details.education", details.education));
            }
            "employment" => {
                change.employment = Some(stated(fields, "details.employment", details.employment));
            }
            "skills" => change.skills = Some(chosen(fields, "details.skills", &details.skills)),
            "service_categories" => {
                let field = "details.service_categories";
                change.service_categories =
                    Some(chosen(fields, field, &details.service_categories));
            }
            _ => unknown = true,
        }
    }
    if unknown {
        fields.refuse(
            "update_mask",
            "UPDATE_MASK_UNKNOWN",
            "要修改的项目中有不能修改或不存在的，请刷新页面后重新修改",
        );
    }
    change
}

/// What is to be changed, each once.
fn paths(fields: &mut Fields, mask: Option<&FieldMask>) -> Vec<String> {
    let mut paths = mask.map(|mask| mask.paths.clone()).unwrap_or_default();
    if paths.is_empty() {
        fields.refuse("update_mask", "UPDATE_MASK_EMPTY", "请至少选择一项要修改的资料");
    }
    if paths.len() > MOST {
        fields.refuse("update_mask", "UPDATE_MASK_TOO_LONG", "要修改的项目过多，请刷新页面后重试");
        return Vec::new();
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// One of a list of codes, if one is stated.
fn stated<T: TryFrom<i32>>(fields: &mut Fields, field: &str, number: Option<i32>) -> Option<T> {
    let number = number?;
    let known = T::try_from(number).ok().filter(|_| number != 0);
    if known.is_none() {
        fields.refuse(field, "CHOICE_UNKNOWN", CHOOSE);
    }
    known
}

/// Several of a list of codes, each once.
fn chosen<T>(fields: &mut Fields, field: &str, numbers: &[i32]) -> Vec<T>
where
    T: TryFrom<i32> + Ord,
{
    if numbers.len() > MOST {
        fields.refuse(field, "CHOICES_TOO_MANY", "选择的项目过多，请刷新页面后重新选择");
        return Vec::new();
    }
    let mut chosen: Vec<T> = numbers
        .iter()
        .enumerate()
        .filter_map(|(index, number)| stated(fields, &format!("{field}[{index}]"), Some(*number)))
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt as _;
    use zhiyuan_contracts::registration::v1::{
        Education, PoliticalStatus, ProfileDetails, ServiceCategory, Skill,
    };

    const PATHS: [&str; 7] = [
        "region_code",
        "league_member",
        "political_status",
        "education",
        "employment",
        "skills",
        "service_categories",
    ];

    fn request(paths: &[&str], details: ProfileDetails) -> UpdateMyProfileRequest {
        UpdateMyProfileRequest {
            request_id: "7f1c0d3e-4b5a-4c6d-8e9f-0a1b2c3d4e5f".into(),
            etag: "3".into(),
            update_mask: Some(FieldMask {
                paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            }),
            details: Some(details),
        }
    }

    fn details() -> ProfileDetails {
        ProfileDetails {
            region_code: "341822".into(),
            league_member: true,
            political_status: Some(3),
            education: Some(20),
            employment: Some(31),
            skills: vec![6, 1, 6],
            service_categories: vec![2],
        }
    }

    /// The fields that are refused, each with its reason.
    fn faults(request: &UpdateMyProfileRequest) -> Vec<(String, String)> {
        let status = tonic::Status::from(Update::parse(request).unwrap_err());
        let details = status.get_error_details();
        let violations = details.bad_request().unwrap().field_violations.iter();
        violations.map(|fault| (fault.field.clone(), fault.reason.clone())).collect()
    }

    #[test]
    fn takes_what_the_mask_names_and_passes_over_the_rest() {
        let update = Update::parse(&request(&PATHS, details())).unwrap();
        assert_eq!(update.revision, 3);
        assert_eq!(update.change.says().len(), PATHS.len());
        assert_eq!(update.change.education, Some(Some(Education::Undergraduate)));
        // In one order, each once.
        assert_eq!(update.change.skills, Some(vec![Skill::Translation, Skill::Law]));
        assert_eq!(update.change.service_categories, Some(vec![ServiceCategory::Care]));
        let wrong_elsewhere = ProfileDetails { region_code: "?".into(), ..details() };
        let update = Update::parse(&request(&["education", "education"], wrong_elsewhere)).unwrap();
        let expected =
            Change { education: Some(Some(Education::Undergraduate)), ..Change::default() };
        assert_eq!(update.change, expected);
    }

    #[test]
    fn what_is_named_and_absent_is_taken_back() {
        let named = ["political_status", "skills", "league_member"];
        let absent = UpdateMyProfileRequest { details: None, ..request(&named, details()) };
        let expected = Change {
            political_status: Some(None::<PoliticalStatus>),
            skills: Some(Vec::new()),
            league_member: Some(false),
            ..Change::default()
        };
        assert_eq!(Update::parse(&absent).unwrap().change, expected);
    }

    #[test]
    fn refuses_what_it_does_not_know_and_says_where() {
        let wrong = ProfileDetails {
            region_code: "3418".into(),
            political_status: Some(0),
            education: Some(21),
            employment: Some(-1),
            skills: vec![1, 99],
            service_categories: vec![0],
            ..details()
        };
        let told: Vec<String> =
            faults(&request(&PATHS, wrong)).into_iter().map(|(field, _)| field).collect();
        let expected = [
            "details.education",
            "details.employment",
            "details.political_status",
            "details.region_code",
            "details.service_categories[0]",
            "details.skills[1]",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn refuses_masks_that_name_nothing_or_what_nobody_changes() {
        let one = |reason: &str| vec![("update_mask".to_owned(), reason.to_owned())];
        assert_eq!(faults(&request(&[], details())), one("UPDATE_MASK_EMPTY"));
        let none = UpdateMyProfileRequest { update_mask: None, ..request(&[], details()) };
        assert_eq!(faults(&none), one("UPDATE_MASK_EMPTY"));
        for path in ["*", "volunteer_number", "details.skills", "skills[0]", "regionCode", ""] {
            assert_eq!(faults(&request(&[path], details())), one("UPDATE_MASK_UNKNOWN"), "{path}");
        }
        let long = vec!["skills"; MOST + 1];
        assert_eq!(faults(&request(&long, details())), one("UPDATE_MASK_TOO_LONG"));
        let many = ProfileDetails { skills: vec![1; MOST + 1], ..details() };
        let told = faults(&request(&["skills"], many));
        assert_eq!(told, [("details.skills".to_owned(), "CHOICES_TOO_MANY".to_owned())]);
    }

    #[test]
    fn an_etag_has_one_spelling() {
        for etag in ["", "0", "-1", "03", " 3", "+3", "3.0", "x", "99999999999999999999"] {
            let request =
                UpdateMyProfileRequest { etag: etag.into(), ..request(&["skills"], details()) };
            assert_eq!(faults(&request), [("etag".to_owned(), "ETAG_INVALID".to_owned())]);
        }
    }
}
