//! Splitting an organization: parts of it become organizations beside it.
//!
//! Each part takes some of those right below along, with all that is below these; who is at the
//! organization itself stays, as nobody knows to which part somebody goes.

mod db;
mod form;
pub(crate) mod job;

pub(super) use db::{forget_contacts, insert, of_proposals};
pub(super) use form::to_wire;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::OrganizationCode;

use super::changes::{Along, Done, hang, node};
use super::founding::{self, Place};
use super::records::Act;
use super::{Details, MOST_CHILDREN, NewOrganization, Node};
use crate::error::{Error, Result};
use crate::organizations::Kind;

/// Parts of one organization.
const MOST_PARTS: usize = 20;
/// Organizations that go along with all of them.
const MOST_GOING: usize = 200;

/// What is to become an organization of its own.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) code: OrganizationCode,
    pub(super) kind: Kind,
    pub(super) details: Details,
    /// Those that come to lie right below it, in the order of their codes.
    pub(super) children: Vec<OrganizationCode>,
}

/// A split that nothing speaks against.
pub(super) struct Splitting {
    node: Node,
    /// The one above it, and above its parts.
    parent: Node,
    parts: Vec<(NewOrganization, Vec<Node>)>,
}

impl Splitting {
    /// Whether the tree takes it.
    ///
    /// # Errors
    /// [`Error::NotRightBelow`] when one goes along that is none of the organization's; of a part
    /// what is told of it is told with its code.
    pub(super) async fn new(
        transaction: &mut PgConnection,
        node: Node,
        parts: &[Part],
        now: OffsetDateTime,
    ) -> Result<Self> {
        let missing = || Error::Inconsistent("orgtree.proposal");
        let above = node.parent_code.as_deref().ok_or_else(missing)?;
        let parent = self::node(transaction, above).await?;
        let more = i64::try_from(parts.len()).unwrap_or(i64::MAX);
        let children = super::db::count_children(transaction, above).await?;
        if children.saturating_add(more) > MOST_CHILDREN {
            return Err(Error::TooManyChildren);
        }
        let mut prepared = Vec::with_capacity(parts.len());
        for part in parts {
            let place = Place { parent: above, field: "code", now };
            let of_part = |fault: Error| fault.of_part(part.code.as_str());
            founding::check_place(transaction, place, &part.details).await.map_err(of_part)?;
            founding::check_code(transaction, part.code.as_str()).await.map_err(of_part)?;
            let mut going = Vec::with_capacity(part.children.len());
            for child in &part.children {
                going.push(right_below(transaction, &node, child).await?);
            }
            let new = NewOrganization {
                code: part.code.clone(),
                parent: OrganizationCode::parse(above).map_err(|_invalid| missing())?,
                kind: part.kind,
                details: part.details.clone(),
            };
            prepared.push((new, going));
        }
        Ok(Self { node, parent, parts: prepared })
    }

    pub(super) async fn apply(
        self,
        transaction: &mut PgConnection,
        caller: Uuid,
        allowed_by: Uuid,
        now: OffsetDateTime,
    ) -> Result<Done> {
        let Self { node, parent, parts } = self;
        let (mut along, mut ends) = (Vec::new(), false);
        let count = parts.len();
        for (new, going) in parts {
            let code = new.code.as_str();
            founding::place(transaction, &new, &parent).await?;
            let record = Act::Created.done(caller, code, allowed_by);
            let record = record.with("parent", &parent.code).with("split_from", &node.code);
            along.push(Along { code: code.to_owned(), record });
            let part = self::node(transaction, code).await?;
            for child in going {
                ends |= hang(transaction, &child, &part, now).await?;
                super::db::raise(transaction, &child.code).await?;
                let record = Act::Moved.done(caller, &child.code, allowed_by);
                let record = record.with("from", &node.code).with("to", code);
                along.push(Along { code: child.code, record });
            }
        }
        // What was decided on it as it was before, is decided anew.
        super::db::raise(transaction, &node.code).await?;
        let record = Act::Split.done(caller, &node.code, allowed_by);
        let record = record.with("parts", count).with("moved", along.len().saturating_sub(count));
        Ok(Done { code: node.code, record, along, ends })
    }
}

/// An open organization right below another one.
async fn right_below(
    transaction: &mut PgConnection,
    above: &Node,
    code: &OrganizationCode,
) -> Result<Node> {
    let found = super::db::find(transaction, code.as_str()).await?;
    let is_there =
        |node: &Node| node.open().is_ok() && node.parent_code.as_ref() == Some(&above.code);
    found.filter(is_there).ok_or_else(|| Error::NotRightBelow { code: code.as_str().to_owned() })
}
