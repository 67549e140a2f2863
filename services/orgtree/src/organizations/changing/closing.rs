//! Closing organizations, and merging one into another.
//!
//! A merge hangs the closed organization below its successor: its people stay where they are
//! and count there once, with all that its history is; what lies below it comes along.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{Done, allowed_beside, hang, nearest, node, own_at, too_deep};
use super::form::Close;
use super::records::Act;
use super::{Mass, Node, Size, db};
use crate::applications;
use crate::counts::statements;
use crate::error::{Error, Result};

/// Closes an organization that nobody is at, by one alone.
pub(super) async fn close(
    transaction: &mut PgConnection,
    caller: Uuid,
    (new, mass): (&Close, Mass),
    now: OffsetDateTime,
) -> Result<Done> {
    let code = new.code.as_str();
    let held = own_at(transaction, caller, code, now).await?;
    let node = node(transaction, code).await?;
    allowed_beside(transaction, caller, node.parent_code.as_deref(), now).await?;
    node.open()?;
    node.seen(new.revision)?;
    let closing = Closing::new(transaction, node, None).await?;
    if mass.is_reached(closing.size) {
        return Err(Error::SecondPersonRequired);
    }
    closing.apply(transaction, caller, nearest(&held)?, now).await
}

/// A closing that nothing speaks against.
pub(super) struct Closing {
    node: Node,
    successor: Option<Node>,
    size: Size,
}

impl Closing {
    /// Whether the tree takes it.
    ///
    /// # Errors
    /// [`Error::OrganizationNotEmpty`] when nobody follows those who are there.
    pub(super) async fn new(
        transaction: &mut PgConnection,
        node: Node,
        successor: Option<Node>,
    ) -> Result<Self> {
        let size = db::size(transaction, &node).await?;
        match &successor {
            None if size.open_below > 0 || size.people > 0 => {
                return Err(Error::OrganizationNotEmpty);
            }
            None => {}
            Some(successor) => {
                successor.open()?;
                if successor.is_within(&node.code) {
                    return Err(Error::OrganizationCycle);
                }
                let stays = node.parent_code.as_deref() == Some(successor.code.as_str());
                if !stays && !successor.has_levels_for(size.height) {
                    return Err(too_deep("target_code"));
                }
            }
        }
        Ok(Self { node, successor, size })
    }

    pub(super) async fn apply(
        self,
        transaction: &mut PgConnection,
        caller: Uuid,
        allowed_by: Uuid,
        now: OffsetDateTime,
    ) -> Result<Done> {
        let Self { node, successor, size: _ } = self;
        let act = if successor.is_some() { Act::Merged } else { Act::Closed };
        let mut record = act.done(caller, &node.code, allowed_by);
        let mut ends = false;
        let to = successor.as_ref().map(|successor| successor.code.as_str());
        db::close(transaction, &node.code, to).await?;
        statements::end_of_closed(transaction, &node.code, now).await?;
        if let Some(successor) = &successor {
            let followed = applications::follow(transaction, Some(&node.code)).await?;
            record = record.with("successor", &successor.code).with("applications", followed);
            if node.parent_code.as_deref() != Some(successor.code.as_str()) {
                ends = hang(transaction, &node, successor, now).await?;
            }
        }
        db::raise(transaction, &node.code).await?;
        Ok(Done::alone(node.code, record, ends))
    }
}
