//! What a call states, parsed.

use time::Date;
use time::macros::format_description;
use zhiyuan_auth::SignedIn;
use zhiyuan_contracts::orgtree::v1::{MemberStatement, StateMembersRequest, StateMembersResponse};
use zhiyuan_domain::{OrganizationCode, Remark, RequestId, Violation, shanghai_date};
use zhiyuan_rpc::Fields;

use super::{Statement, Stating};
use crate::error::Result;
use crate::requests::Request;

/// More than there are members in the whole country is a slip.
const MOST_MEMBERS: i64 = 10_000_000;

impl Stating {
    pub(in crate::counts) async fn call(
        &self,
        person: SignedIn,
        request: &StateMembersRequest,
    ) -> Result<StateMembersResponse> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let today = shanghai_date(self.clock.now());
        let statement = match &request.statement {
            None => None,
            Some(statement) => parse(&mut fields, statement, today),
        };
        let (Some(request_id), Some(code)) = (request_id, code) else {
            return Err(fields.into_error().into());
        };
        fields.finish()?;
        let stated = statement.as_ref().map(|statement| {
            let Statement { members, source, stated_on } = statement;
            format!("{members}\n{stated_on}\n{source}")
        });
        let says = format!("{}\n{}", code.as_str(), stated.unwrap_or_default());
        let call = Request::new(person.account_id, "StateMembers", request_id, says.as_bytes());
        self.state(&call, &code, statement.as_ref()).await?;
        Ok(StateMembersResponse {})
    }
}

fn parse(fields: &mut Fields, wire: &MemberStatement, today: Date) -> Option<Statement> {
    let members = (1..=MOST_MEMBERS).contains(&wire.members).then_some(wire.members);
    let members = fields.take("statement.members", members.ok_or_else(members_range));
    let source = fields.take("statement.source", Remark::parse(&wire.source));
    let stated_on = Date::parse(&wire.stated_on, format_description!("[year]-[month]-[day]"));
    let stated_on = stated_on.ok().filter(|day| *day <= today && day.year() >= 2000);
    let stated_on = fields.take("statement.stated_on", stated_on.ok_or_else(no_day));
    Some(Statement {
        members: members?,
        source: source?.as_str().to_owned(),
        stated_on: stated_on?,
    })
}

fn members_range() -> Violation {
    let message = "团员数应为 1 至 10000000 之间的整数，请核对后重新填写".to_owned();
    Violation { reason: "MEMBERS_RANGE", message }
}

fn no_day() -> Violation {
    let message = "请填写数据截止日期，格式如 2026-11-30，且不晚于今天".to_owned();
    Violation { reason: "DATE_FORM", message }
}

/// What is stated, as the contract has it.
pub(in crate::counts) fn on_wire(statement: Statement) -> MemberStatement {
    MemberStatement {
        members: statement.members,
        source: statement.source,
        stated_on: statement.stated_on.to_string(),
    }
}
