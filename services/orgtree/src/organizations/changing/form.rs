//! What a request says, parsed: all faults at once.

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    CloseOrganizationRequest, CreateOrganizationRequest, MoveOrganizationRequest,
    OrganizationDetails, ProposeChangeRequest, UpdateOrganizationRequest,
};
use zhiyuan_domain::{CreditCode, OrganizationCode, Remark, RequestId};
use zhiyuan_rpc::Fields;

use super::details::{Details, contacts, credit_code, kind, name, region, said};
use super::proposals::{ChangeKind, NewProposal};
use super::{NewDetails, NewOrganization};
use crate::error::Result;

/// Paths of a mask that are looked at.
const MOST_PATHS: usize = 10;
/// What one can name.
const CHANGEABLE: [&str; 4] = ["name", "region_code", "contacts", "credit_code"];

impl NewOrganization {
    pub(super) fn parse(request: &CreateOrganizationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let parent = fields.take("parent_code", OrganizationCode::parse(&request.parent_code));
        let kind = kind(&mut fields, request.kind());
        let details = Details::parse(&mut fields, request.details.as_ref());
        let (Some(id), Some(code), Some(parent), Some(kind), Some(details)) =
            (id, code, parent, kind, details)
        else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { code, parent, kind, details }))
    }

    /// What it says in one spelling.
    pub(super) fn says(&self) -> CreateOrganizationRequest {
        CreateOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            parent_code: self.parent.as_str().to_owned(),
            kind: self.kind.number().into(),
            details: Some(self.details.says()),
        }
    }
}

/// A change of what an organization says of itself.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) code: OrganizationCode,
    pub(super) revision: i64,
    pub(super) details: NewDetails,
}

impl Update {
    pub(super) fn parse(request: &UpdateOrganizationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let revision = revision(&mut fields, &request.etag);
        let details = details(&mut fields, request);
        let (Some(id), Some(code), Some(revision)) = (id, code, revision) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { code, revision, details }))
    }

    pub(super) fn says(&self) -> UpdateOrganizationRequest {
        let NewDetails { name, region, contacts, credit_code } = &self.details;
        let named = [
            ("name", name.is_some()),
            ("region_code", region.is_some()),
            ("contacts", contacts.is_some()),
            ("credit_code", credit_code.is_some()),
        ];
        let paths = named.iter().filter(|(_, is)| *is).map(|(path, _)| (*path).to_owned());
        let region = region.as_ref().and_then(Option::as_ref);
        let credit_code = credit_code.as_ref().and_then(Option::as_ref);
        UpdateOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
            update_mask: Some(prost_types::FieldMask { paths: paths.collect() }),
            details: Some(OrganizationDetails {
                name: name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
                region_code: region.map(ToString::to_string).unwrap_or_default(),
                contacts: contacts.as_ref().map(said),
                credit_code: credit_code.map(CreditCode::to_string).unwrap_or_default(),
            }),
        }
    }
}

/// Where an organization is to be moved.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) code: OrganizationCode,
    pub(super) revision: i64,
    pub(super) parent: OrganizationCode,
}

impl Move {
    pub(super) fn parse(request: &MoveOrganizationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let revision = revision(&mut fields, &request.etag);
        let parent = fields.take("parent_code", OrganizationCode::parse(&request.parent_code));
        let (Some(id), Some(code), Some(revision), Some(parent)) = (id, code, revision, parent)
        else {
            return Err(fields.into_error().into());
        };
        Ok((id, Self { code, revision, parent }))
    }

    pub(super) fn says(&self) -> MoveOrganizationRequest {
        MoveOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
            parent_code: self.parent.as_str().to_owned(),
        }
    }
}

/// Which organization is to be closed.
#[derive(Debug, Clone)]
pub(super) struct Close {
    pub(super) code: OrganizationCode,
    pub(super) revision: i64,
}

impl Close {
    pub(super) fn parse(request: &CloseOrganizationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let revision = revision(&mut fields, &request.etag);
        let (Some(id), Some(code), Some(revision)) = (id, code, revision) else {
            return Err(fields.into_error().into());
        };
        Ok((id, Self { code, revision }))
    }

    pub(super) fn says(&self) -> CloseOrganizationRequest {
        CloseOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
        }
    }
}

impl NewProposal {
    pub(super) fn parse(request: &ProposeChangeRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        // A split says more.
        let kind = ChangeKind::of_number(request.kind).filter(|kind| *kind != ChangeKind::Split);
        if kind.is_none() {
            fields.refuse("kind", "KIND_UNKNOWN", "请选择变动的类型");
        }
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let revision = revision(&mut fields, &request.etag);
        let target = match request.target_code.as_str() {
            // Only who is closed may have nobody to follow.
            "" if kind == Some(ChangeKind::Close) => Some(None),
            text => fields.take("target_code", OrganizationCode::parse(text)).map(Some),
        };
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(kind), Some(code), Some(revision), Some(target), Some(purpose)) =
            (id, kind, code, revision, target, purpose)
        else {
            return Err(fields.into_error().into());
        };
        Ok((id, Self { kind, code, revision, target, parts: Vec::new(), purpose }))
    }

    pub(super) fn says(&self) -> ProposeChangeRequest {
        let target = self.target.as_ref().map(OrganizationCode::as_str);
        ProposeChangeRequest {
            request_id: String::new(),
            kind: self.kind.number().into(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
            target_code: target.unwrap_or_default().to_owned(),
            purpose: self.purpose.as_str().to_owned(),
        }
    }
}

/// The id of the call, and that of a proposal.
pub(super) fn decision(request_id: &str, proposal_id: &str) -> Result<(RequestId, Uuid)> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(request_id));
    let id = proposal_id.parse::<uuid::fmt::Hyphenated>().ok().map(Uuid::from);
    if id.is_none() {
        let message = "变动申请的标识格式不正确，应为带连字符的 36 位 UUID";
        fields.refuse("proposal_id", "ID_FORMAT", message);
    }
    let (Some(request_id), Some(id)) = (request_id, id) else {
        return Err(fields.into_error().into());
    };
    Ok((request_id, id))
}

/// As the etag of an organization is rendered; nobody types it, so nothing is trimmed.
pub(super) fn revision(fields: &mut Fields, etag: &str) -> Option<i64> {
    revision_of(fields, etag, "组织的版本标记无效，请刷新页面后重新操作")
}

/// The same of something else; `message` tells people of what.
pub(crate) fn revision_of(fields: &mut Fields, etag: &str, message: &str) -> Option<i64> {
    let revision: Option<i64> = etag.parse().ok().filter(|revision| *revision > 0);
    let revision = revision.filter(|revision| revision.to_string() == etag);
    if revision.is_none() {
        fields.refuse("etag", "ETAG_INVALID", message);
    }
    revision
}

fn details(fields: &mut Fields, request: &UpdateOrganizationRequest) -> NewDetails {
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        fields.refuse("update_mask", "UPDATE_MASK_EMPTY", "请至少选择一项要修改的内容");
    }
    if paths.len() > MOST_PATHS {
        let message = "要修改的项目过多，请刷新页面后重试";
        fields.refuse("update_mask", "UPDATE_MASK_TOO_LONG", message);
        return NewDetails::default();
    }
    let stated = request.details.clone().unwrap_or_default();
    let named = |path: &str| paths.iter().any(|named| named == path);
    if paths.iter().any(|path| !CHANGEABLE.contains(&path.as_str())) {
        let message = "要修改的项目中有不能修改或不存在的，请刷新页面后重新修改";
        fields.refuse("update_mask", "UPDATE_MASK_UNKNOWN", message);
    }
    let mut new = NewDetails::default();
    if named("name") {
        new.name = name(fields, &stated);
    }
    if named("region_code") {
        new.region = region(fields, &stated);
    }
    if named("contacts") {
        new.contacts = Some(contacts(fields, stated.contacts.as_ref()));
    }
    if named("credit_code") {
        new.credit_code = credit_code(fields, &stated);
    }
    new
}
