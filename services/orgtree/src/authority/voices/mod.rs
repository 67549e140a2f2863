//! Whether two who decide something together are two, for whoever asks: changes of the tree here,
//! claims and lost phones elsewhere.
//!
//! The attack is one person who makes two. So nobody counts beside whom he has made, over however
//! many others; and two whom the same person has made count once both have been there for long,
//! so that this person had to plan it, and others had the time to see it. What the operator gave,
//! nobody made.

mod db;
pub(super) mod grpc;

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Grant, Permission};
use crate::error::Result;

/// That by which somebody may decide.
#[derive(Debug)]
pub(crate) struct Voice {
    account: Uuid,
    /// The grants of their own, for each right that it takes.
    held: Vec<Vec<Grant>>,
    /// Who stands behind each of these grants.
    behind: HashMap<Uuid, HashSet<Uuid>>,
}

/// How old the grants of two have to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ages {
    /// Given by then.
    given_by: OffsetDateTime,
    /// Given by then, where one person stands behind both.
    common_by: OffsetDateTime,
}

impl Ages {
    /// Given by a time; where one person stands behind both, for so long as well.
    pub(crate) fn new(given_by: OffsetDateTime, now: OffsetDateTime, common: Duration) -> Self {
        Self { given_by, common_by: (now - common).min(given_by) }
    }
}

/// What two voices are worth together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voices {
    /// That of two.
    Independent,
    /// The first one is none.
    None,
    /// The other one is none.
    NoneOfOther,
    /// That of one.
    Dependent,
}

impl Voice {
    /// Of somebody who holds these grants, for each right.
    pub(crate) async fn find(
        transaction: &mut PgConnection,
        account: Uuid,
        mut held: Vec<Vec<Grant>>,
    ) -> Result<Self> {
        // Whoever acts for somebody else has no voice beside that one.
        for grants in &mut held {
            grants.retain(|grant| grant.delegated_from.is_none());
        }
        let ids: Vec<Uuid> = held.iter().flatten().map(|grant| grant.id).collect();
        Ok(Self { account, behind: db::behind(transaction, &ids).await?, held })
    }

    /// The nearest grants at the first place.
    pub(crate) fn at_first(&self) -> &[Grant] {
        self.held.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Those without whom it would be none: for some right they stand behind every grant that will
    /// do. `None` when for some right no grant will, of those that were given by a time.
    fn makers(&self, given_by: Option<OffsetDateTime>) -> Option<HashSet<Uuid>> {
        let mut makers = HashSet::new();
        for grants in &self.held {
            let will_do = |grant: &&Grant| {
                grant.granted_by.is_none() || given_by.is_none_or(|by| grant.created_at <= by)
            };
            let behind = grants.iter().filter(will_do).map(|grant| self.behind(grant));
            makers.extend(behind.reduce(|some, others| &some & &others)?);
        }
        Some(makers)
    }

    /// Who stands behind a grant; nobody behind what the operator gave.
    fn behind(&self, grant: &Grant) -> HashSet<Uuid> {
        self.behind.get(&grant.id).cloned().unwrap_or_default()
    }

    /// Whether it is one, of grants that were given by a time.
    fn counts(&self, given_by: Option<OffsetDateTime>) -> bool {
        self.makers(given_by).is_some()
    }
}

/// What two voices are worth together. Without ages it is looked at alone whether one has made the
/// other: whoever was two before stays two with a grant that was given anew.
pub(crate) fn together(one: &Voice, other: &Voice, ages: Option<Ages>) -> Voices {
    let given_by = ages.map(|ages| ages.given_by);
    let Some(mine) = one.makers(given_by) else { return Voices::None };
    let Some(theirs) = other.makers(given_by) else { return Voices::NoneOfOther };
    let apart = |mine: &HashSet<Uuid>, theirs: &HashSet<Uuid>| {
        one.account != other.account
            && !mine.contains(&other.account)
            && !theirs.contains(&one.account)
    };
    if apart(&mine, &theirs) && (ages.is_none() || mine.is_disjoint(&theirs)) {
        return Voices::Independent;
    }
    // Somebody stands behind both, or behind what alone is not older.
    let common_by = ages.map(|ages| ages.common_by);
    match (one.makers(common_by), other.makers(common_by)) {
        (Some(mine), Some(theirs)) if apart(&mine, &theirs) => Voices::Independent,
        _ => Voices::Dependent,
    }
}

/// A right that a decision takes.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    code: String,
    permission: Permission,
}

/// The voice of an account where a decision takes some rights, as it is now.
async fn of_account(
    connection: &mut PgConnection,
    account: Uuid,
    rights: &[Right],
    now: OffsetDateTime,
) -> Result<Voice> {
    let mut held = Vec::with_capacity(rights.len());
    for right in rights {
        let mut grants = super::db::reaching(&mut *connection, account, &right.code, now).await?;
        grants.retain(|grant| grant.allows(right.permission));
        held.push(grants);
    }
    Voice::find(connection, account, held).await
}

#[cfg(test)]
mod tests;
