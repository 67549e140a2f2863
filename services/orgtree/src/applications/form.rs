//! What a request says, parsed: all faults at once.

use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ApplicationDecision, DecideApplicationRequest, OrganizationDetails, OrganizationKind,
    RevealApplicationRequest, SubmitApplicationRequest, UpdateApplicationRequest,
};
use zhiyuan_domain::{OrganizationCode, Remark, RequestId, Violation, holds_long_number};
use zhiyuan_rpc::Fields;

use super::{Said, Step};
use crate::authority::grpc::{key, violation};
use crate::error::Result;
use crate::organizations::Kind;
use crate::organizations::changing::{Details, kind, revision_of};

fn revision(fields: &mut Fields, etag: &str) -> Option<i64> {
    revision_of(fields, etag, "申请的版本标记无效，请刷新页面后重新操作")
}

/// What is applied for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) details: Details,
    pub(super) purpose: Remark,
}

impl Wanted {
    /// Parses `kind`, `details` and `purpose`; what is wrong is noted.
    fn parse(
        fields: &mut Fields,
        kind_says: OrganizationKind,
        details: Option<&OrganizationDetails>,
        purpose: &str,
    ) -> Option<Self> {
        let kind = kind(fields, kind_says);
        let details = Details::parse(fields, details);
        if details.as_ref().is_some_and(|details| details.contacts.phone.is_empty()) {
            let message = "请填写联系电话：上级组织审批时据此联系，组织设立后对外公开，请勿填写不愿公开的号码";
            fields.refuse("details.contacts.phone", "CONTACT_PHONE_MISSING", message);
        }
        // Whoever has signed in says this, and once it is accepted everybody reads it.
        if details.as_ref().is_some_and(|details| holds_long_number(&details.contacts.note)) {
            let message = "联系说明在组织设立后对外公开，请勿填写身份证号码、手机号码等长串数字";
            fields.refuse("details.contacts.note", "CONTACT_NOTE_PERSONAL", message);
        }
        let purpose = fields.take("purpose", Remark::parse(purpose));
        Some(Self { kind: kind?, details: details?, purpose: purpose? })
    }

    /// What is kept of the details.
    pub(super) fn said(&self) -> Said {
        let Details { name, region, contacts, credit_code } = &self.details;
        Said {
            name: name.as_str().to_owned(),
            region_code: region.as_ref().map(ToString::to_string),
            credit_code: credit_code.as_ref().map(ToString::to_string),
            contacts: contacts.clone(),
        }
    }
}

/// An application that is handed in.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) superior: OrganizationCode,
    pub(super) wanted: Wanted,
}

impl New {
    pub(super) fn parse(request: &SubmitApplicationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let id = fields.take("request_id", RequestId::parse(&request.request_id));
        let superior = OrganizationCode::parse(&request.superior_code);
        let superior = fields.take("superior_code", superior);
        let details = request.details.as_ref();
        let wanted = Wanted::parse(&mut fields, request.kind(), details, &request.purpose);
        let (Some(id), Some(superior), Some(wanted)) = (id, superior, wanted) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((id, Self { superior, wanted }))
    }

    /// What it says in one spelling.
    pub(super) fn says(&self) -> SubmitApplicationRequest {
        SubmitApplicationRequest {
            request_id: String::new(),
            superior_code: self.superior.as_str().to_owned(),
            kind: self.wanted.kind.number().into(),
            details: Some(self.wanted.details.says()),
            purpose: self.wanted.purpose.as_str().to_owned(),
        }
    }
}

/// An application that is handed in again.
#[derive(Debug, Clone)]
pub(super) struct Corrected {
    pub(super) id: Uuid,
    pub(super) revision: i64,
    pub(super) wanted: Wanted,
}

impl Corrected {
    pub(super) fn parse(request: &UpdateApplicationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("application_id", application(&request.application_id));
        let revision = revision(&mut fields, &request.etag);
        let details = request.details.as_ref();
        let wanted = Wanted::parse(&mut fields, request.kind(), details, &request.purpose);
        let (Some(request_id), Some(id), Some(revision), Some(wanted)) =
            (request_id, id, revision, wanted)
        else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        Ok((request_id, Self { id, revision, wanted }))
    }

    pub(super) fn says(&self) -> UpdateApplicationRequest {
        UpdateApplicationRequest {
            request_id: String::new(),
            application_id: self.id.to_string(),
            etag: self.revision.to_string(),
            kind: self.wanted.kind.number().into(),
            details: Some(self.wanted.details.says()),
            purpose: self.wanted.purpose.as_str().to_owned(),
        }
    }
}

/// What becomes of an application.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub(super) id: Uuid,
    pub(super) revision: i64,
    pub(super) verdict: Verdict,
    /// May be empty of one that is accepted.
    pub(super) note: String,
}

#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// The organization is made, under this code.
    Accept(OrganizationCode),
    Return,
    Reject,
}

impl Verdict {
    pub(super) fn step(&self) -> Step {
        match self {
            Self::Accept(_) => Step::Accept,
            Self::Return => Step::Return,
            Self::Reject => Step::Reject,
        }
    }
}

impl Decision {
    pub(super) fn parse(request: &DecideApplicationRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let id = fields.take("application_id", application(&request.application_id));
        let revision = revision(&mut fields, &request.etag);
        let verdict = verdict(&mut fields, request);
        let note = match verdict {
            Some(Verdict::Return | Verdict::Reject) => Remark::parse(&request.note).map(Some),
            Some(Verdict::Accept(_)) | None => Remark::parse_optional(&request.note),
        };
        let note = fields.take("note", note);
        let (Some(request_id), Some(id), Some(revision), Some(verdict), Some(note)) =
            (request_id, id, revision, verdict, note)
        else {
            return Err(fields.into_error().into());
        };
        let note = note.as_ref().map(Remark::as_str).unwrap_or_default().to_owned();
        Ok((request_id, Self { id, revision, verdict, note }))
    }

    pub(super) fn says(&self) -> DecideApplicationRequest {
        let (decision, code) = match &self.verdict {
            Verdict::Accept(code) => (ApplicationDecision::Accept, code.as_str()),
            Verdict::Return => (ApplicationDecision::Return, ""),
            Verdict::Reject => (ApplicationDecision::Reject, ""),
        };
        DecideApplicationRequest {
            request_id: String::new(),
            application_id: self.id.to_string(),
            etag: self.revision.to_string(),
            decision: decision.into(),
            note: self.note.clone(),
            organization_code: code.to_owned(),
        }
    }
}

fn verdict(fields: &mut Fields, request: &DecideApplicationRequest) -> Option<Verdict> {
    match request.decision() {
        ApplicationDecision::Accept => {
            let code = OrganizationCode::parse(&request.organization_code);
            fields.take("organization_code", code).map(Verdict::Accept)
        }
        ApplicationDecision::Return => Some(Verdict::Return),
        ApplicationDecision::Reject => Some(Verdict::Reject),
        ApplicationDecision::Unspecified => {
            let message = "请选择办理结果：同意、退回修改或不同意";
            fields.refuse("decision", "DECISION_UNKNOWN", message);
            None
        }
    }
}

/// The id of an application.
pub(super) fn application(id: &str) -> std::result::Result<Uuid, Violation> {
    let message = "设立申请的标识格式不正确，应为带连字符的 36 位 UUID";
    key(id).ok_or_else(|| violation("ID_FORMAT", message))
}

/// Which application somebody looks at, and why.
pub(super) fn look(request: &RevealApplicationRequest) -> Result<(Uuid, Remark)> {
    let mut fields = Fields::new();
    let id = fields.take("application_id", application(&request.application_id));
    let purpose = fields.take("purpose", Remark::parse(&request.purpose));
    let (Some(id), Some(purpose)) = (id, purpose) else {
        return Err(fields.into_error().into());
    };
    Ok((id, purpose))
}

/// The id of the call, and that of an application.
pub(super) fn withdrawal(request_id: &str, id: &str) -> Result<(RequestId, Uuid)> {
    let mut fields = Fields::new();
    let request_id = fields.take("request_id", RequestId::parse(request_id));
    let id = fields.take("application_id", application(id));
    let (Some(request_id), Some(id)) = (request_id, id) else {
        return Err(fields.into_error().into());
    };
    Ok((request_id, id))
}
