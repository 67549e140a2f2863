//! Making an organization: by a call, or by accepting an application.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::Record;
use zhiyuan_domain::{CreditCode, RegionCode, shanghai_date};
use zhiyuan_feed::Outbox;

use super::changes::{allowed_at, nearest, node, too_deep};
use super::records::Act;
use super::{Details, MOST_CHILDREN, NewOrganization, Node, db};
use crate::counts::db::moving;
use crate::error::{Error, Result};
use crate::organizations::{feed, search};
use crate::regions;

/// Where an organization is to be; `field` is where the request names the one above.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) parent: &'a str,
    pub(crate) field: &'a str,
    /// When.
    pub(crate) now: OffsetDateTime,
}

/// Makes an organization right below another one, for who is alone with the tree; `field` is
/// where the request names that one.
pub(crate) async fn found(
    transaction: &mut PgConnection,
    caller: Uuid,
    (new, field): (&NewOrganization, &str),
    now: OffsetDateTime,
) -> Result<Record> {
    let (code, above) = (new.code.as_str(), new.parent.as_str());
    let held = allowed_at(transaction, caller, above, now).await?;
    let place = Place { parent: above, field, now };
    let parent = place.check(transaction, &new.details).await?;
    check_code(transaction, code).await?;
    self::place(transaction, new, &parent).await?;
    Ok(Act::Created.done(caller, code, nearest(&held)?).with("parent", above))
}

/// Whether a code was never used.
pub(super) async fn check_code(transaction: &mut PgConnection, code: &str) -> Result<()> {
    match db::find(transaction, code).await? {
        Some(taken) => Err(Error::OrganizationCodeTaken { closed: taken.open().is_err() }),
        None => Ok(()),
    }
}

/// Puts an organization right below another one, where the tree takes it.
pub(super) async fn place(
    transaction: &mut PgConnection,
    new: &NewOrganization,
    parent: &Node,
) -> Result<()> {
    let ancestors = parent.ancestors_below();
    db::insert(transaction, new, &ancestors).await?;
    db::set_leaf(transaction, &[&parent.code]).await?;
    // Whoever is said to be there already counts above from now on.
    Ok(moving::move_subtree(transaction, new.code.as_str(), &[], &ancestors).await?)
}

/// Whether the tree takes something new that says this of itself.
pub(crate) async fn check_place(
    transaction: &mut PgConnection,
    place: Place<'_>,
    details: &Details,
) -> Result<()> {
    place.check(transaction, details).await.map(drop)
}

impl Place<'_> {
    /// Whether the tree takes something new here; the one above.
    async fn check(self, transaction: &mut PgConnection, details: &Details) -> Result<Node> {
        let parent = node(transaction, self.parent).await?;
        parent.open()?;
        check_region(transaction, details.region.as_ref(), self.now).await?;
        check_credit_code(transaction, details.credit_code.as_ref(), "").await?;
        let folded = search::fold(details.name.as_str());
        check_free(transaction, &parent, self.field, ("", &folded, 0)).await?;
        Ok(parent)
    }
}

/// Tells of organizations as they are now; the last thing to do before the commit.
pub(crate) async fn tell(
    transaction: &mut PgConnection,
    outbox: &Outbox,
    codes: &[&str],
) -> Result<()> {
    let told = feed::db::told(transaction, codes).await?;
    let events: Vec<_> = told.iter().map(feed::changed).collect();
    Ok(outbox.append(transaction, &events).await?)
}

/// Whether something so high, of this name, has its place below another organization.
pub(super) async fn check_free(
    transaction: &mut PgConnection,
    parent: &Node,
    field: &str,
    (code, folded_name, height): (&str, &str, i32),
) -> Result<()> {
    if !parent.has_levels_for(height) {
        return Err(too_deep(field));
    }
    if db::count_children(transaction, &parent.code).await? >= MOST_CHILDREN {
        return Err(Error::TooManyChildren);
    }
    if db::is_named(transaction, Some(&parent.code), folded_name, code).await? {
        return Err(Error::OrganizationNameTaken);
    }
    Ok(())
}

pub(super) async fn check_region(
    transaction: &mut PgConnection,
    region: Option<&RegionCode>,
    now: OffsetDateTime,
) -> Result<()> {
    let (Some(code), today) = (region, shanghai_date(now)) else { return Ok(()) };
    let found = regions::find(transaction, code.as_str(), today).await?;
    let found = found.ok_or(Error::RegionNotFound)?;
    if !found.is_abolished(today) {
        return Ok(());
    }
    let successors = regions::successors(transaction, code.as_str(), today).await?;
    Err(Error::RegionAbolished { name: found.name, successors })
}

/// Whether no open organization other than `except` has a credit code.
pub(super) async fn check_credit_code(
    transaction: &mut PgConnection,
    code: Option<&CreditCode>,
    except: &str,
) -> Result<()> {
    let Some(code) = code else { return Ok(()) };
    match db::of_credit_code(transaction, code.as_str(), except).await? {
        Some(by) => Err(Error::CreditCodeTaken { by }),
        None => Ok(()),
    }
}
