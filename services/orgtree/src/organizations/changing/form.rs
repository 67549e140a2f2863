//! What a request says, parsed: all faults at once.

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    CloseOrganizationRequest, CreateOrganizationRequest, MoveOrganizationRequest,
    OrganizationContacts, OrganizationDetails, OrganizationKind, ProposeChangeRequest,
    UpdateOrganizationRequest,
};
use zhiyuan_domain::{
    OrganizationCode, OrganizationName, RegionCode, Remark, RequestId, turns_direction,
};
use zhiyuan_rpc::Fields;

use super::proposals::{ChangeKind, NewProposal};
use super::{NewDetails, NewOrganization};
use crate::error::Result;
use crate::organizations::{Contacts, Kind};

/// Longest telephone and group number, and longest note, in characters.
const MAX_NUMBER: usize = 50;
const MAX_NOTE: usize = 200;
/// Paths of a mask that are looked at.
const MOST_PATHS: usize = 10;

impl NewOrganization {
    pub(super) fn parse(request: &CreateOrganizationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let parent = fields.take("parent_code", OrganizationCode::parse(&request.parent_code));
        let kind = kind(request.kind());
        if kind.is_none() {
            fields.refuse("kind", "KIND_UNKNOWN", "请选择组织的类型");
        }
        let details = request.details.clone().unwrap_or_default();
        let name = name(&mut fields, &details);
        let region = region(&mut fields, &details);
        let contacts = contacts(&mut fields, details.contacts.as_ref());
        let (Some(id), Some(code), Some(parent), Some(kind), Some(name), Some(region)) =
            (id, code, parent, kind, name, region)
        else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { code, parent, kind, name, region, contacts }))
    }

    /// What it says in one spelling.
    pub(super) fn says(&self) -> CreateOrganizationRequest {
        CreateOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            parent_code: self.parent.as_str().to_owned(),
            kind: self.kind.number().into(),
            details: Some(OrganizationDetails {
                name: self.name.as_str().to_owned(),
                region_code: self.region.as_ref().map(ToString::to_string).unwrap_or_default(),
                contacts: Some(said(&self.contacts)),
            }),
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
        let NewDetails { name, region, contacts } = &self.details;
        let named = [
            ("name", name.is_some()),
            ("region_code", region.is_some()),
            ("contacts", contacts.is_some()),
        ];
        let paths = named.iter().filter(|(_, is)| *is).map(|(path, _)| (*path).to_owned());
        let region = region.as_ref().and_then(Option::as_ref);
        UpdateOrganizationRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
            update_mask: Some(prost_types::FieldMask { paths: paths.collect() }),
            details: Some(OrganizationDetails {
                name: name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
                region_code: region.map(ToString::to_string).unwrap_or_default(),
                contacts: contacts.as_ref().map(said),
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
        let kind = ChangeKind::of_number(request.kind);
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
        Ok((id, Self { kind, code, revision, target, purpose }))
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

fn kind(wire: OrganizationKind) -> Option<Kind> {
    i16::try_from(wire as i32).ok().and_then(Kind::of_number)
}

/// As the etag of an organization is rendered; nobody types it, so nothing is trimmed.
pub(super) fn revision(fields: &mut Fields, etag: &str) -> Option<i64> {
    let revision: Option<i64> = etag.parse().ok().filter(|revision| *revision > 0);
    let revision = revision.filter(|revision| revision.to_string() == etag);
    if revision.is_none() {
        fields.refuse("etag", "ETAG_INVALID", "组织的版本标记无效，请刷新页面后重新操作");
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
    if paths.iter().any(|path| !["name", "region_code", "contacts"].contains(&path.as_str())) {
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
    new
}

fn name(fields: &mut Fields, details: &OrganizationDetails) -> Option<OrganizationName> {
    fields.take("details.name", OrganizationName::parse(&details.name))
}

fn region(fields: &mut Fields, details: &OrganizationDetails) -> Option<Option<RegionCode>> {
    match details.region_code.as_str() {
        "" => Some(None),
        code => fields.take("details.region_code", RegionCode::parse(code)).map(Some),
    }
}

fn contacts(fields: &mut Fields, contacts: Option<&OrganizationContacts>) -> Contacts {
    let OrganizationContacts { phone, group_number, note } = contacts.cloned().unwrap_or_default();
    let (phone, group_number, note) = (phone.trim(), group_number.trim(), note.trim());
    let dialled = |c: char| c.is_ascii_digit() || " +-()（）/、,，;；转".contains(c);
    if phone.chars().count() > MAX_NUMBER || !phone.chars().all(dialled) {
        let message = "联系电话最多 50 个字符，只能包含数字、空格、“+”“-”“/”、括号、顿号和“转”";
        fields.refuse("details.contacts.phone", "CONTACT_PHONE_FORM", message);
    }
    let typed = |c: char| c.is_ascii_alphanumeric() || " -_、,，".contains(c);
    if group_number.chars().count() > MAX_NUMBER || !group_number.chars().all(typed) {
        let message = "群号最多 50 个字符，只能包含字母、数字、空格、“-”“_”和顿号";
        fields.refuse("details.contacts.group_number", "CONTACT_GROUP_FORM", message);
    }
    let no_text = |c: char| c.is_control() || turns_direction(c);
    if note.chars().count() > MAX_NOTE || note.chars().any(no_text) {
        let message = "联系说明最多 200 个字，不能换行或包含控制字符";
        fields.refuse("details.contacts.note", "CONTACT_NOTE_FORM", message);
    }
    let [phone, group_number, note] = [phone, group_number, note].map(str::to_owned);
    Contacts { phone, group_number, note }
}

fn said(contacts: &Contacts) -> OrganizationContacts {
    let Contacts { phone, group_number, note } = contacts.clone();
    OrganizationContacts { phone, group_number, note }
}
