//! What organizations without a roster state: how many members they have.
//!
//! What is stated counts beside the rosters, and with it those volunteers of the organization
//! who say that they are members, so that numerator and denominator of a rate are of the same
//! organizations. It ends with the first member on a roster. So the figures of a statement
//! depend on other rows than one volunteer's: whoever changes what is stated is alone, and
//! whoever counts volunteers keeps it as it is meanwhile.

mod grpc;
mod stating;

pub(super) use grpc::on_wire;
pub(super) use stating::Stating;

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_feed::reader::EffectError;

use super::{Figures, Part, Roster, db};
use crate::error::Result;

/// How many members an organization says to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) members: i64,
    /// Where the number is from.
    pub(crate) source: String,
    /// The day that it is of.
    pub(crate) stated_on: Date,
}

/// Keeps what is stated as it is for who stores these parts; alone, if a roster begins where
/// something is stated.
///
/// # Errors
/// Those of the database; also when something was stated this very moment: then all comes
/// again.
pub(super) async fn keep(
    transaction: &mut PgConnection,
    told: &[(Uuid, Part)],
) -> std::result::Result<(), EffectError> {
    let mut codes: Vec<&str> = told.iter().filter_map(|(_id, part)| joined(part)).collect();
    codes.sort_unstable();
    codes.dedup();
    if codes.is_empty() {
        return Ok(db::statements::keep(transaction).await?);
    }
    if !db::statements::standing(&mut *transaction, &codes).await?.is_empty() {
        return Ok(db::statements::alone(transaction).await?);
    }
    db::statements::keep(transaction).await?;
    if db::statements::standing(&mut *transaction, &codes).await?.is_empty() {
        Ok(())
    } else {
        Err("an organization stated its members just now".into())
    }
}

/// The organization whose roster somebody is on.
fn joined(part: &Part) -> Option<&str> {
    match part {
        Part::Roster(Roster { organization_code, .. }) => organization_code.as_deref(),
        Part::Chosen(_) => None,
    }
}

/// Lets what is stated follow from differences: volunteers who say to be members count with
/// it, and a roster ends it.
pub(super) async fn follow(
    transaction: &mut PgConnection,
    differences: &mut BTreeMap<String, Figures>,
    now: OffsetDateTime,
) -> Result<()> {
    let concerned = |figures: &Figures| figures.league_members != 0 || figures.members > 0;
    let codes: Vec<&str> = differences
        .iter()
        .filter(|(_code, figures)| concerned(figures))
        .map(|(code, _figures)| code.as_str())
        .collect();
    if codes.is_empty() {
        return Ok(());
    }
    for code in db::statements::standing(&mut *transaction, &codes).await? {
        let figures = differences.entry(code.clone()).or_default();
        if figures.members > 0 {
            let over = ended(transaction, &code, now).await?;
            *figures += over;
        } else {
            figures.stated_registered += figures.league_members;
        }
    }
    Ok(())
}

/// Ends what an organization states that is closed; for who is alone with the tree and holds
/// the cuts.
///
/// # Errors
/// Those of the database.
pub(crate) async fn end_of_closed(
    transaction: &mut PgConnection,
    code: &str,
    now: OffsetDateTime,
) -> Result<()> {
    db::statements::alone(&mut *transaction).await?;
    let difference = ended(&mut *transaction, code, now).await?;
    if difference == Figures::default() {
        return Ok(());
    }
    db::append_deltas(transaction, &[(code.to_owned(), difference)].into()).await
}

/// Ends what an organization states, if it does; the difference that follows. What is not
/// stored yet of the organization was not counted with the statement either.
async fn ended(transaction: &mut PgConnection, code: &str, now: OffsetDateTime) -> Result<Figures> {
    let Some(members) = db::statements::end(&mut *transaction, code, now).await? else {
        return Ok(Figures::default());
    };
    let own = db::statements::own(transaction, code).await?;
    Ok(Figures {
        stated_members: -members,
        stated_registered: -own.league_members,
        ..Figures::default()
    })
}
