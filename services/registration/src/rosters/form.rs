//! What requests say of rosters, parsed.

use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{
    CreateRosterImportRequest, RemoveRosterMembersRequest, RosterLeavingReason,
};
use zhiyuan_crypto::digest::from_hex;
use zhiyuan_domain::{AccountId, OrganizationCode, RequestId, VolunteerId, turns_direction};
use zhiyuan_rpc::{Error as RpcError, Fields};

use super::{Fault, file};
use crate::error::Result;
use crate::requests::Command;

/// Members that are taken off at once.
const AT_ONCE: usize = 500;
/// Characters of the name of a file.
const FILE_NAME: usize = 100;
const ENDINGS: [&str; 3] = [".csv", ".txt", ".xlsx"];

/// A file that will be uploaded.
#[derive(Debug)]
pub(super) struct NewImport {
    pub(super) request_id: RequestId,
    pub(super) organization: OrganizationCode,
    pub(super) file_name: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: [u8; 32],
}

impl NewImport {
    /// # Errors
    /// `INVALID_FIELDS`; `FileTooLarge`.
    pub(super) fn parse(request: &CreateRosterImportRequest) -> Result<Self> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let organization =
            fields.take("organization_code", OrganizationCode::parse(&request.organization_code));
        let file_name = file_name(&request.file_name);
        if file_name.is_none() {
            let message = "请选择 .xlsx、.csv 或 .txt 文件，文件名不超过 100 个字";
            fields.refuse("file_name", "FILE_NAME_INVALID", message);
        }
        let size = u64::try_from(request.size_bytes).ok().filter(|size| *size > 0);
        if size.is_none() {
            fields.refuse("size_bytes", "FILE_EMPTY", "文件是空的，请重新选择文件");
        }
        let sha256 = from_hex(&request.sha256);
        if sha256.is_none() {
            let message = "文件校验值应为 64 位十六进制数字，请重新选择文件";
            fields.refuse("sha256", "SHA256_INVALID", message);
        }
        let (Some(request_id), Some(organization), Some(file_name), Some(size_bytes), Some(sha256)) =
            (request_id, organization, file_name, size, sha256)
        else {
            return Err(fields.into_error().into());
        };
        if size_bytes > file::LARGEST {
            return Err(Fault::FileTooLarge.into());
        }
        Ok(Self { request_id, organization, file_name, size_bytes, sha256 })
    }

    pub(super) fn command(&self, me: AccountId) -> Command {
        Command {
            caller: me,
            method: "registration.CreateRosterImport",
            request_id: self.request_id,
            says: vec![
                ("organization_code", self.organization.as_str().into()),
                ("file_name", self.file_name.as_str().into()),
                ("size_bytes", self.size_bytes.to_be_bytes().to_vec()),
                ("sha256", self.sha256.to_vec()),
            ],
        }
    }
}

/// One line of at most 100 characters that names no folder, and ends as a roster does.
fn file_name(text: &str) -> Option<String> {
    let text = text.trim();
    let odd = |c: char| c.is_control() || turns_direction(c) || "/\\<>".contains(c);
    let (length, lower) = (text.chars().count(), text.to_ascii_lowercase());
    let ends = ENDINGS.iter().any(|end| lower.len() > end.len() && lower.ends_with(end));
    (length <= FILE_NAME && ends && !text.contains(odd)).then(|| text.to_owned())
}

/// An import that is started or cancelled.
pub(super) fn command_about(
    request_id: &str,
    import_id: &str,
    me: AccountId,
    method: &'static str,
) -> std::result::Result<(Command, Uuid), RpcError> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(request_id));
    let id = import_of(&mut fields, import_id);
    let (Some(request_id), Some(id)) = (request_id, id) else { return Err(fields.into_error()) };
    let says = vec![("import_id", id.as_bytes().to_vec())];
    Ok((Command { caller: me, method, request_id, says }, id))
}

/// The id of an import, of which nobody but this service makes one.
pub(super) fn import_of(fields: &mut Fields, import_id: &str) -> Option<Uuid> {
    // In the same form as the id of anybody.
    fields.take("import_id", AccountId::parse(import_id)).map(|id| id.as_uuid())
}

/// Members who are taken off.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) request_id: RequestId,
    pub(super) organization: OrganizationCode,
    /// Each once, in the order of their ids.
    pub(super) people: Vec<Uuid>,
    /// As in the column `reason`.
    pub(super) reason: &'static str,
}

impl Removal {
    /// # Errors
    /// `INVALID_FIELDS`.
    pub(super) fn parse(
        request: &RemoveRosterMembersRequest,
    ) -> std::result::Result<Self, RpcError> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let organization =
            fields.take("organization_code", OrganizationCode::parse(&request.organization_code));
        let count = request.person_ids.len();
        if !(1..=AT_ONCE).contains(&count) {
            fields.refuse("person_ids", "PEOPLE_COUNT", "请选择 1 至 500 名团员");
        }
        let mut people = Vec::with_capacity(count.min(AT_ONCE));
        for (n, id) in request.person_ids.iter().take(AT_ONCE).enumerate() {
            let id = fields.take(&format!("person_ids[{n}]"), VolunteerId::parse(id));
            people.extend(id.map(|id| id.as_uuid()));
        }
        let reason = match request.reason() {
            RosterLeavingReason::Unspecified => None,
            RosterLeavingReason::Left => Some("LEFT"),
            RosterLeavingReason::AgedOut => Some("AGED_OUT"),
            RosterLeavingReason::Mistake => Some("MISTAKE"),
        };
        if reason.is_none() {
            fields.refuse("reason", "REASON_UNKNOWN", "请选择移出名册的原因");
        }
        let (Some(request_id), Some(organization), Some(reason)) =
            (request_id, organization, reason)
        else {
            return Err(fields.into_error());
        };
        fields.finish()?;
        people.sort_unstable();
        people.dedup();
        Ok(Self { request_id, organization, people, reason })
    }

    pub(super) fn command(&self, me: AccountId) -> Command {
        let people = self.people.iter().flat_map(|id| id.as_bytes().to_vec()).collect();
        Command {
            caller: me,
            method: "registration.RemoveRosterMembers",
            request_id: self.request_id,
            says: vec![
                ("organization_code", self.organization.as_str().into()),
                ("person_ids", people),
                ("reason", self.reason.into()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_one_line_and_end_as_rosters_do() {
        let longest = format!("{}.csv", "名".repeat(96));
        for name in ["名册.xlsx", " a.CSV ", "2026 团员（一）.txt", &longest] {
            assert_eq!(file_name(name).as_deref(), Some(name.trim()), "{name}");
        }
        let longer = format!("名{longest}");
        for name in [
            "",
            ".csv",
            "a.xls",
            "a.csv.exe",
            "../a.csv",
            "a\\b.csv",
            "a\n.csv",
            "a\u{202e}.csv",
            &longer,
        ] {
            assert_eq!(file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_digest_has_64_hexadecimal_digits() {
        assert_eq!(from_hex(&"0aF1".repeat(16)).unwrap()[..2], [0x0a, 0xf1]);
        for text in ["", "00", &"g".repeat(64), &"0".repeat(63), &"+1".repeat(32), &"团".repeat(64)]
        {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
