//! Computing a notice, and deleting one that was not issued.

use std::collections::BTreeMap;

use prost::Message as _;
use sqlx::PgConnection;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{DraftPeriodicNoticeRequest, DraftPeriodicNoticeResponse};
use zhiyuan_domain::{OrganizationCode, RequestId, Violation, new_id, shanghai_date};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::db::{self, Counted};
use super::grpc::{Notices, to_wire};
use super::{
    Fault, MOST_DRAFTS, Notice, People, Row, Table, USUAL_TARGET, WHOLE, order, records, rendition,
};
use crate::authority::{self, Permission};
use crate::counts;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// What is to be drafted, parsed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) code: OrganizationCode,
    /// The last cut without one.
    cut: Option<OffsetDateTime>,
    target: i32,
    /// The end of the year of the cut without one.
    deadline: Option<Date>,
}

impl Wanted {
    /// Parses a request.
    pub(super) fn parse(request: &DraftPeriodicNoticeRequest) -> Result<(RequestId, Self)> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let cut = fields.take_time("cut_time", request.cut_time.as_ref());
        let target =
            fields.take("target_per_ten_thousand", target(request.target_per_ten_thousand));
        let deadline = fields.take("deadline", deadline(&request.deadline));
        let (Some(request_id), Some(code), Some(cut), Some(target), Some(deadline)) =
            (request_id, code, cut, target, deadline)
        else {
            return Err(fields.into_error().into());
        };
        Ok((request_id, Self { code, cut, target, deadline }))
    }

    /// In one spelling.
    pub(super) fn says(&self) -> String {
        let cut = self.cut.map(OffsetDateTime::unix_timestamp_nanos);
        format!("{}\n{cut:?}\n{}\n{:?}", self.code.as_str(), self.target, self.deadline)
    }
}

fn target(told: i32) -> std::result::Result<i32, Violation> {
    match told {
        0 => Ok(USUAL_TARGET),
        1..=WHOLE => Ok(told),
        _ => Err(Violation {
            reason: "TARGET_RANGE",
            message: "目标应为 1 至 10000（万分比），如 90% 填 9000".to_owned(),
        }),
    }
}

fn deadline(told: &str) -> std::result::Result<Option<Date>, Violation> {
    if told.is_empty() {
        return Ok(None);
    }
    let parsed = Date::parse(told, format_description!("[year]-[month]-[day]"));
    let parsed = parsed.ok().filter(|day| (2000..=9999).contains(&day.year()));
    parsed.map(Some).ok_or_else(no_deadline)
}

fn no_deadline() -> Violation {
    let message = "请填写达标期限，格式如 2026-12-31，且不早于统计时点";
    Violation { reason: "DATE_FORM", message: message.to_owned() }
}

impl Notices {
    /// Computes and keeps a draft, once for each call.
    pub(super) async fn draft(
        &self,
        call: &Request,
        wanted: &Wanted,
    ) -> Result<DraftPeriodicNoticeResponse> {
        let (permission, now) = (Permission::ManageOrganization, self.clock.now());
        let code = wanted.code.as_str();
        let drafted = async {
            authority::admit(&self.pool, call, code, permission, now).await?;
            again(Error::is_lost, async || self.draft_once(call, wanted).await).await
        };
        let drafted = drafted.await;
        self.note(call, &drafted, records::DRAFTED, Some(code), None).await?;
        drafted
    }

    async fn draft_once(
        &self,
        call: &Request,
        wanted: &Wanted,
    ) -> Result<DraftPeriodicNoticeResponse> {
        let mut transaction = self.pool.begin().await?;
        // Whoever changes the tree has dated the change before it is complete: once the tree is
        // kept, all changes up to the cut are there.
        counts::db::keep_tree(&mut transaction).await?;
        let code = wanted.code.as_str();
        db::alone(&mut transaction, code).await?;
        // Not before: it may have waited.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return DraftPeriodicNoticeResponse::decode(before.as_slice())
                .map_err(|_form| Error::Inconsistent("orgtree.request"));
        }
        let permission = Permission::ManageOrganization;
        let held = authority::holding(&mut transaction, call.caller, code, permission, now).await?;
        let right = held.first().ok_or(Error::OrganizationNotFound)?.id;
        if db::drafts(&mut transaction, code).await? >= MOST_DRAFTS {
            return Err(Fault::TooManyDrafts.into());
        }
        let (notice, table) = compute(&mut transaction, wanted, self.new_id(), now).await?;
        db::insert(&mut transaction, &notice, &table, call.caller).await?;
        let record = records::done(call.caller, records::DRAFTED, &notice)
            .with("allowed_by", right)
            .with("as_of", notice.as_of.unix_timestamp());
        self.trail.append(&mut transaction, &record).await?;
        let answer = DraftPeriodicNoticeResponse { notice: Some(to_wire(&notice)) };
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    fn new_id(&self) -> Uuid {
        new_id(self.clock.as_ref())
    }

    /// Deletes a draft, once for each call.
    pub(super) async fn delete(&self, call: &Request, id: Uuid) -> Result<()> {
        let deleted = again(Error::is_lost, async || self.delete_once(call, id).await).await;
        self.note(call, &deleted, records::DELETED, None, Some(id)).await?;
        deleted
    }

    async fn delete_once(&self, call: &Request, id: Uuid) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        // The place where the changes of a notice wait, unless it is gone already.
        if let Some(found) = db::find(&mut *transaction, id).await? {
            db::alone(&mut transaction, &found.issuer_code).await?;
        }
        let now = self.clock.now();
        if requests::db::find_answer(&mut transaction, call).await?.is_some() {
            return Ok(());
        }
        let (notice, right) = self.hold(&mut transaction, call.caller, id, now).await?;
        if notice.issued.is_some() {
            return Err(Fault::Issued.into());
        }
        db::delete(&mut transaction, id).await?;
        let record =
            records::done(call.caller, records::DELETED, &notice).with("allowed_by", right);
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &[], now).await?;
        Ok(transaction.commit().await?)
    }
}

/// Computes a notice as of a cut, for who keeps the tree as it is.
async fn compute(
    transaction: &mut PgConnection,
    wanted: &Wanted,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(Notice, Table)> {
    let told = |at| now - at <= counts::grpc::TOLD;
    let cut = db::find_cut(&mut *transaction, wanted.cut).await?;
    let cut = cut.filter(|cut| told(cut.at)).ok_or(Error::CutNotFound)?;
    if !cut.exact {
        return Err(Error::CutNotExact);
    }
    let day = shanghai_date(cut.at);
    let end = Date::from_calendar_date(day.year(), Month::December, 31).unwrap_or(day);
    let deadline = wanted.deadline.unwrap_or(end);
    if deadline < day {
        let mut fields = Fields::new();
        let Violation { reason, message } = no_deadline();
        fields.refuse("deadline", reason, message);
        return Err(fields.into_error().into());
    }
    let code = wanted.code.as_str();
    let place = db::place(&mut *transaction, code, cut.at).await?;
    let place = place.ok_or(Error::OrganizationNotFound)?;
    let counted = db::count(&mut *transaction, code, cut).await?;
    let mut table = arrange(code, &place.name, counted);
    if table.rows.is_empty() {
        return Err(Fault::WithoutRows.into());
    }
    let codes: Vec<String> =
        table.rows.iter().chain([&table.total]).map(|row| row.code.clone()).collect();
    let mut stated = db::stated(&mut *transaction, &codes, cut.at).await?;
    let before = db::before(&mut *transaction, code, cut.at).await?;
    let previous = match &before {
        Some(before) => Some(db::table(&mut *transaction, before.id).await?),
        None => None,
    };
    for row in table.rows.iter_mut().chain([&mut table.total]) {
        row.stated = stated.remove(&row.code);
    }
    if let Some(previous) = &previous {
        compare(&mut table, previous);
    }
    let notice = Notice {
        id,
        issuer_code: code.to_owned(),
        issuer_name: place.name,
        cut_id: cut.id,
        as_of: cut.at,
        tree_at: place.tree_at,
        target: wanted.target,
        deadline,
        drafted_at: now,
        previous: before.map(|before| before.id),
        previous_is_open: previous.as_ref().is_none_or(rendition::is_open),
        rows: i32::try_from(table.rows.len()).unwrap_or(i32::MAX),
        issued: None,
    };
    Ok((notice, table))
}

/// Puts what was counted in its order, with the sum of all.
pub(super) fn arrange(code: &str, name: &str, counted: Vec<Counted>) -> Table {
    let number = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let row = |code: String, name: String, people, without_administrator| Row {
        code,
        name,
        people,
        without_administrator: number(without_administrator),
        stated: None,
        before: None,
    };
    let mut people = [0_i64; 5];
    for part in &counted {
        people.iter_mut().zip(part.people.columns()).for_each(|(sum, part)| *sum += part);
    }
    let without = counted.iter().map(|part| part.without_administrator).sum();
    let total = row(code.to_owned(), name.to_owned(), People::of(people), without);
    let mut rows: Vec<Row> = counted
        .into_iter()
        .filter_map(|part| {
            let (code, name) = part.child?;
            Some(row(code, name, part.people, part.without_administrator))
        })
        .collect();
    rows.sort_by(order);
    Table { total, rows }
}

/// Tells each row what it was in the notice before.
fn compare(table: &mut Table, previous: &Table) {
    let was: BTreeMap<&str, People> =
        previous.rows.iter().map(|row| (row.code.as_str(), row.people)).collect();
    for row in &mut table.rows {
        row.before = was.get(row.code.as_str()).copied();
    }
    table.total.before = Some(previous.total.people);
}
