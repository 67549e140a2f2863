//! The SQL of the parts of proposals.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::{CreditCode, OrganizationCode, OrganizationName, RegionCode};

use super::Part;
use crate::error::{Error, Result};
use crate::organizations::changing::Details;
use crate::organizations::{Contacts, Kind};

struct Row {
    proposal_id: Uuid,
    code: String,
    kind: i16,
    name: String,
    region_code: Option<String>,
    credit_code: Option<String>,
    contact_phone: String,
    contact_group_number: String,
    contact_note: String,
    child_codes: Vec<String>,
}

impl Row {
    fn part(self) -> Option<Part> {
        let code = |code: &str| OrganizationCode::parse(code).ok();
        let region = self.region_code.as_deref().map(RegionCode::parse).transpose();
        let credit_code = self.credit_code.as_deref().map(CreditCode::parse).transpose();
        Some(Part {
            code: code(&self.code)?,
            kind: Kind::of_number(self.kind)?,
            details: Details {
                name: OrganizationName::parse(&self.name).ok()?,
                region: region.ok()?,
                contacts: Contacts {
                    phone: self.contact_phone,
                    group_number: self.contact_group_number,
                    note: self.contact_note,
                },
                credit_code: credit_code.ok()?,
            },
            children: self.child_codes.iter().map(|child| code(child)).collect::<Option<_>>()?,
        })
    }
}

/// Inserts the parts of a proposal.
#[tracing::instrument(name = "db.proposal_part.insert", skip_all)]
pub(in crate::organizations::changing) async fn insert(
    transaction: &mut PgConnection,
    proposal_id: Uuid,
    parts: &[Part],
) -> Result<()> {
    for (place, part) in (0_i16..).zip(parts) {
        let details = &part.details;
        let children: Vec<&str> = part.children.iter().map(OrganizationCode::as_str).collect();
        sqlx::query!(
            "INSERT INTO orgtree.proposal_part
                 (proposal_id, place, code, kind, name, region_code, credit_code, contact_phone,
                  contact_group_number, contact_note, child_codes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            proposal_id,
            place,
            part.code.as_str(),
            part.kind.number(),
            details.name.as_str(),
            details.region.as_ref().map(ToString::to_string),
            details.credit_code.as_ref().map(CreditCode::as_str),
            details.contacts.phone,
            details.contacts.group_number,
            details.contacts.note,
            &children as &[&str],
        )
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// The parts of some proposals, in the order in which they were named.
#[tracing::instrument(name = "db.proposal_part.of_proposals", skip_all)]
pub(in crate::organizations::changing) async fn of_proposals(
    transaction: &mut PgConnection,
    proposals: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Part>>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT proposal_id, code, kind, name, region_code, credit_code, contact_phone,
                contact_group_number, contact_note, child_codes
         FROM orgtree.proposal_part WHERE proposal_id = ANY($1) ORDER BY proposal_id, place",
        proposals,
    )
    .fetch_all(transaction)
    .await?;
    let mut parts: HashMap<Uuid, Vec<Part>> = HashMap::new();
    for row in rows {
        let id = row.proposal_id;
        let part = row.part().ok_or(Error::Inconsistent("orgtree.proposal_part"))?;
        parts.entry(id).or_default().push(part);
    }
    Ok(parts)
}

/// Forgets whom to ask at the parts of a proposal that has ended.
#[tracing::instrument(name = "db.proposal_part.forget_contacts", skip_all)]
pub(in crate::organizations::changing) async fn forget_contacts(
    transaction: &mut PgConnection,
    proposal_id: Uuid,
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.proposal_part
         SET contact_phone = '', contact_group_number = '', contact_note = ''
         WHERE proposal_id = $1",
        proposal_id,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The same, of all proposals whose time is over.
#[tracing::instrument(name = "db.proposal_part.forget_over", skip_all)]
pub(super) async fn forget_over(pool: &PgPool, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.proposal_part t
         SET contact_phone = '', contact_group_number = '', contact_note = ''
         FROM orgtree.proposal p
         WHERE p.proposal_id = t.proposal_id AND p.expires_at <= $1
           AND (t.contact_phone <> '' OR t.contact_group_number <> '' OR t.contact_note <> '')",
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}
