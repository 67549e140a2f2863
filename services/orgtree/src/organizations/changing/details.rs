//! What an organization says of itself, parsed.

use zhiyuan_contracts::orgtree::v1::{OrganizationContacts, OrganizationDetails, OrganizationKind};
use zhiyuan_domain::{CreditCode, OrganizationName, RegionCode, turns_direction};
use zhiyuan_rpc::Fields;

use crate::organizations::{Contacts, Kind};

/// Longest telephone and group number, and longest note, in characters.
const MAX_NUMBER: usize = 50;
const MAX_NOTE: usize = 200;

/// All that an organization says of itself from the first.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) name: OrganizationName,
    pub(crate) region: Option<RegionCode>,
    pub(crate) contacts: Contacts,
    pub(crate) credit_code: Option<CreditCode>,
}

impl Details {
    /// Parses the field `details`; what is wrong is noted.
    pub(crate) fn parse(
        fields: &mut Fields,
        details: Option<&OrganizationDetails>,
    ) -> Option<Self> {
        let details = details.cloned().unwrap_or_default();
        let name = name(fields, &details);
        let region = region(fields, &details);
        let contacts = contacts(fields, details.contacts.as_ref());
        let credit_code = credit_code(fields, &details);
        Some(Self { name: name?, region: region?, contacts, credit_code: credit_code? })
    }

    /// What they say in one spelling.
    pub(crate) fn says(&self) -> OrganizationDetails {
        OrganizationDetails {
            name: self.name.as_str().to_owned(),
            region_code: self.region.as_ref().map(ToString::to_string).unwrap_or_default(),
            contacts: Some(said(&self.contacts)),
            credit_code: self.credit_code.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

/// The field `kind`; what is wrong is noted.
pub(crate) fn kind(fields: &mut Fields, wire: OrganizationKind) -> Option<Kind> {
    let kind = i16::try_from(wire as i32).ok().and_then(Kind::of_number);
    if kind.is_none() {
        fields.refuse("kind", "KIND_UNKNOWN", "请选择组织的类型");
    }
    kind
}

pub(super) fn name(fields: &mut Fields, details: &OrganizationDetails) -> Option<OrganizationName> {
    fields.take("details.name", OrganizationName::parse(&details.name))
}

pub(super) fn region(
    fields: &mut Fields,
    details: &OrganizationDetails,
) -> Option<Option<RegionCode>> {
    match details.region_code.as_str() {
        "" => Some(None),
        code => fields.take("details.region_code", RegionCode::parse(code)).map(Some),
    }
}

pub(super) fn credit_code(
    fields: &mut Fields,
    details: &OrganizationDetails,
) -> Option<Option<CreditCode>> {
    match details.credit_code.trim() {
        "" => Some(None),
        code => fields.take("details.credit_code", CreditCode::parse(code)).map(Some),
    }
}

pub(super) fn contacts(fields: &mut Fields, contacts: Option<&OrganizationContacts>) -> Contacts {
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

pub(super) fn said(contacts: &Contacts) -> OrganizationContacts {
    let Contacts { phone, group_number, note } = contacts.clone();
    OrganizationContacts { phone, group_number, note }
}
