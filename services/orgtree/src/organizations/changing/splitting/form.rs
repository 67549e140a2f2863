//! What a request to split says, parsed: all faults at once.

use std::collections::HashSet;

use zhiyuan_contracts::orgtree::v1::{OrganizationPart, ProposeSplitRequest};
use zhiyuan_domain::{OrganizationCode, Remark, RequestId};
use zhiyuan_rpc::Fields;

use super::{MOST_GOING, MOST_PARTS, Part};
use crate::error::Result;
use crate::organizations::changing::Details;
use crate::organizations::changing::details::kind;
use crate::organizations::changing::form::revision;
use crate::organizations::changing::proposals::{ChangeKind, NewProposal};
use crate::organizations::search;

impl NewProposal {
    pub(in crate::organizations::changing) fn parse_split(
        request: &ProposeSplitRequest,
    ) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = fields.take("code", OrganizationCode::parse(&request.code));
        let revision = revision(&mut fields, &request.etag);
        let parts = parts(&mut fields, &request.parts);
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(code), Some(revision), Some(parts), Some(purpose)) =
            (id, code, revision, parts, purpose)
        else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { kind: ChangeKind::Split, code, revision, target: None, parts, purpose }))
    }

    /// What it says in one spelling.
    pub(in crate::organizations::changing) fn says_split(&self) -> ProposeSplitRequest {
        ProposeSplitRequest {
            request_id: String::new(),
            code: self.code.as_str().to_owned(),
            etag: self.revision.to_string(),
            parts: self.parts.iter().map(to_wire).collect(),
            purpose: self.purpose.as_str().to_owned(),
        }
    }
}

/// A part as the contract has it.
pub(in crate::organizations::changing) fn to_wire(part: &Part) -> OrganizationPart {
    OrganizationPart {
        code: part.code.as_str().to_owned(),
        kind: part.kind.number().into(),
        details: Some(part.details.says()),
        child_codes: part.children.iter().map(|code| code.as_str().to_owned()).collect(),
    }
}

fn parts(fields: &mut Fields, wire: &[OrganizationPart]) -> Option<Vec<Part>> {
    if !(1..=MOST_PARTS).contains(&wire.len()) {
        fields.refuse("parts", "PARTS_COUNT", "请填写 1 至 20 个分设的组织");
        return None;
    }
    if wire.iter().map(|part| part.child_codes.len()).sum::<usize>() > MOST_GOING {
        let message = "一次最多划转 200 个下级组织，请分次办理";
        fields.refuse("parts", "CHILDREN_TOO_MANY", message);
        return None;
    }
    let mut parsed = Vec::with_capacity(wire.len());
    for (index, part) in wire.iter().enumerate() {
        let mut own = Fields::new();
        parsed.push(Part::parse(&mut own, part));
        fields.absorb(&format!("parts[{index}]."), own);
    }
    let parts: Vec<Part> = parsed.into_iter().collect::<Option<_>>()?;
    refuse_what_is_there_twice(fields, &parts);
    Some(parts)
}

/// No two parts have the same code, name or credit code, and nothing goes to two of them.
fn refuse_what_is_there_twice(fields: &mut Fields, parts: &[Part]) {
    let mut seen = HashSet::new();
    for (index, part) in parts.iter().enumerate() {
        let Part { code, kind: _, details, children } = part;
        let credit_code = details.credit_code.as_ref().map(ToString::to_string);
        let named = [
            ("code", "PART_CODE_TWICE", "组织代码", Some(code.as_str().to_owned())),
            ("details.name", "PART_NAME_TWICE", "名称", Some(search::fold(details.name.as_str()))),
            ("details.credit_code", "PART_CREDIT_CODE_TWICE", "统一社会信用代码", credit_code),
        ];
        for (field, reason, what, value) in named {
            if value.is_some_and(|value| !seen.insert((field, value))) {
                let message = format!("分设的组织之间{what}不能相同，请修改其中一个");
                fields.refuse(&format!("parts[{index}].{field}"), reason, message);
            }
        }
        for child in children {
            if !seen.insert(("child_codes", child.as_str().to_owned())) {
                let message = "同一个下级组织只能划入一个分设的组织一次，请删去重复的";
                fields.refuse(&format!("parts[{index}].child_codes"), "CHILD_TWICE", message);
            }
        }
    }
}

impl Part {
    fn parse(fields: &mut Fields, part: &OrganizationPart) -> Option<Self> {
        let code = fields.take("code", OrganizationCode::parse(&part.code));
        let kind = kind(fields, part.kind());
        let details = Details::parse(fields, part.details.as_ref());
        let children: Vec<Option<OrganizationCode>> = part
            .child_codes
            .iter()
            .enumerate()
            .map(|(index, code)| {
                fields.take(&format!("child_codes[{index}]"), OrganizationCode::parse(code))
            })
            .collect();
        let mut children: Vec<OrganizationCode> = children.into_iter().collect::<Option<_>>()?;
        // Always in the same order, whoever names them.
        children.sort_unstable();
        Some(Self { code: code?, kind: kind?, details: details?, children })
    }
}
