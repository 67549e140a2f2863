//! What a call asks of targets, parsed, and how they are told.

use prost::Message as _;
use time::macros::format_description;
use time::{Date, Duration};
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::orgtree::v1::{
    ListTargetsRequest, ListTargetsResponse, SetTargetRequest, SetTargetResponse, StandingTarget,
    Target as WireTarget, TargetProgress,
};
use zhiyuan_domain::{OrganizationCode, RequestId, Violation, shanghai_date};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;

use super::{Progress, Target, Targets, db};
use crate::authority::grpc::violation;
use crate::authority::{self, Permission};
use crate::error::Result;
use crate::organizations::Kind;
use crate::organizations::changing::kind;
use crate::requests::Request;

/// Nothing is asked for later than that.
const LATEST: Duration = Duration::days(3_653);

/// What is to be set.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) organization: OrganizationCode,
    pub(super) kind: Kind,
    pub(super) target: Option<Target>,
}

impl Targets {
    pub(in crate::counts) async fn set_target(
        &self,
        person: SignedIn,
        request: &SetTargetRequest,
    ) -> Result<SetTargetResponse> {
        let today = shanghai_date(self.clock.now());
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let kind = kind(&mut fields, request.kind());
        let target = request.target.as_ref().map(|target| parse(&mut fields, target, today));
        let (Some(request_id), Some(organization), Some(kind)) = (request_id, code, kind) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        let target = target.flatten();
        let says = SetTargetRequest {
            request_id: String::new(),
            organization_code: organization.as_str().to_owned(),
            kind: kind.number().into(),
            target: target.map(on_wire),
        };
        let says = says.encode_to_vec();
        let call = Request::new(person.account_id, "SetTarget", request_id, &says);
        self.set(&call, &Wanted { organization, kind, target }).await?;
        Ok(SetTargetResponse {})
    }

    pub(in crate::counts) async fn list_targets(
        &self,
        person: SignedIn,
        request: &ListTargetsRequest,
    ) -> Result<ListTargetsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let Some(code) = fields.take("organization_code", code) else {
            return Err(fields.into_error().into());
        };
        let (code, me) = (code.as_str(), person.account_id);
        let page = Page::parse(
            request.page_size,
            &request.page_token,
            &["targets", &me.to_string(), code],
        )?;
        let (after, now) = (page.after_key(Kind::parse)?, self.clock.now());
        authority::require(&self.pool, me, code, Permission::View, now).await?;
        let found = db::list(&self.pool, code, after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |one| one.kind.name().to_owned());
        let targets = found.into_iter().map(|one| StandingTarget {
            kind: one.kind.number().into(),
            target: Some(on_wire(one.target)),
            set_by_organization_code: one.set_by,
        });
        Ok(ListTargetsResponse { targets: targets.collect(), next_page_token })
    }
}

fn parse(fields: &mut Fields, wire: &WireTarget, today: Date) -> Option<Target> {
    let share = wire.registered_per_ten_thousand;
    let share = (1..=10_000).contains(&share).then_some(share).ok_or_else(no_share);
    let share = fields.take("target.registered_per_ten_thousand", share);
    let deadline = Date::parse(&wire.deadline, format_description!("[year]-[month]-[day]"));
    let within = |day: &Date| (today..=today.saturating_add(LATEST)).contains(day);
    let deadline = deadline.ok().filter(within).ok_or_else(no_day);
    let deadline = fields.take("target.deadline", deadline);
    Some(Target { per_ten_thousand: share?, deadline: deadline? })
}

fn no_share() -> Violation {
    violation("TARGET_RANGE", "目标注册率应在 0.01% 至 100% 之间（万分比 1 至 10000），请重新填写")
}

fn no_day() -> Violation {
    violation("DATE_FORM", "请填写完成期限，格式如 2026-12-31，不早于今天，且在十年以内")
}

fn on_wire(target: Target) -> WireTarget {
    WireTarget {
        registered_per_ten_thousand: target.per_ten_thousand,
        deadline: target.deadline.to_string(),
    }
}

/// What is lacking, as the contract has it.
pub(in crate::counts) fn progress_on_wire(
    target: Target,
    set_by: String,
    progress: Progress,
) -> TargetProgress {
    TargetProgress {
        target: Some(on_wire(target)),
        set_by_organization_code: set_by,
        met: progress.met,
        lacking: progress.lacking,
        days_left: progress.days_left,
        lacking_per_day: progress.lacking_per_day,
    }
}
