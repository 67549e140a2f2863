//! Making, changing and moving organizations.
//!
//! Each is one transaction, alone with the tree: what it rests on can't change before it is
//! committed, and neither can the grants that allow it.

use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_audit::{Record, Trail};
use zhiyuan_contracts::orgtree::v1::Organization as WireOrganization;
use zhiyuan_domain::SharedClock;
use zhiyuan_feed::Outbox;
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::form::{Close, Move, Update};
use super::founding::{check_credit_code, check_free, check_region};
use super::records::Act;
use super::{Mass, NewOrganization, Node, Size, closing, db, founding, proposals};
use crate::applications;
use crate::authority::ending::Endings;
use crate::authority::refusals::Refusals;
use crate::authority::{self, Grant, Permission};
use crate::counts::{self, db::moving};
use crate::error::{Error, Result};
use crate::organizations::{self, grpc, search};
use crate::requests::{self, Request};

/// What it takes to change the tree.
#[derive(Debug, Clone)]
pub(crate) struct Changing {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) trail: Trail,
    pub(crate) outbox: Outbox,
    pub(crate) refusals: Refusals,
    pub(crate) mass: Mass,
    pub(crate) endings: Endings,
    /// How old the grants of two are behind which the same person stands.
    pub(crate) common_giver: Duration,
}

/// What a change did.
pub(super) struct Done {
    /// The organization, which is told of.
    pub(super) code: String,
    pub(super) record: Record,
    /// What changed along with it.
    pub(super) along: Vec<Along>,
    /// Whether somebody may have lost what was allowed there.
    pub(super) ends: bool,
}

/// Another organization that a change changed, which is told of too.
pub(super) struct Along {
    pub(super) code: String,
    pub(super) record: Record,
}

impl Done {
    /// Of one that changed alone.
    pub(super) fn alone(code: String, record: Record, ends: bool) -> Self {
        Self { code, record, along: Vec::new(), ends }
    }
}

/// A change that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work<'a> {
    /// To make an organization.
    Create(&'a NewOrganization),
    /// To change what one says of itself.
    Update(&'a Update),
    /// To move one with everything below it.
    Move(&'a Move),
    /// To close one that nobody is at.
    Close(&'a Close),
    /// To do what was proposed, about an organization.
    Approve(Uuid, &'a str),
}

impl Work<'_> {
    /// How it is recorded when it is refused, and of which organization.
    fn act(&self) -> (Act, &str) {
        match self {
            Self::Create(new) => (Act::Created, new.parent.as_str()),
            Self::Update(new) => (Act::Updated, new.code.as_str()),
            Self::Move(new) => (Act::Moved, new.code.as_str()),
            Self::Close(new) => (Act::Closed, new.code.as_str()),
            Self::Approve(_, code) => (Act::Approved, code),
        }
    }
}

impl Changing {
    /// Does something once for each call, and returns when nothing can take effect any more
    /// that was allowed before and is not now.
    pub(super) async fn change(&self, call: &Request, work: Work<'_>) -> Result<WireOrganization> {
        let (act, about) = work.act();
        let changed = async {
            let (permission, now) = (Permission::ManageOrganization, self.clock.now());
            let admitted = authority::admit(&self.pool, call, about, permission, now).await;
            admitted.map_err(|refused| match (work, refused) {
                (Work::Approve(..), Error::OrganizationNotFound) => Error::ProposalNotFound,
                (_, other) => other,
            })?;
            again(Error::is_lost, async || self.change_once(call, work).await).await
        };
        let changed = changed.await;
        self.note((act, about), call, &changed).await?;
        let (organization, ends) = changed?;
        if ends {
            self.endings.wait(ending(call)).await?;
        }
        Ok(organization)
    }

    /// Records that it was refused to somebody who may not.
    pub(super) async fn note<T>(
        &self,
        (act, about): (Act, &str),
        call: &Request,
        result: &Result<T>,
    ) -> Result<()> {
        let Some(reason) = result.as_ref().err().and_then(Error::refusal) else { return Ok(()) };
        let record = act.refused(call.caller, about, reason);
        self.refusals.note(call, reason, &record).await
    }

    async fn change_once(
        &self,
        call: &Request,
        work: Work<'_>,
    ) -> Result<(WireOrganization, bool)> {
        let mut transaction = self.pool.begin().await?;
        counts::db::hold_cuts(&mut transaction, self.clock.now()).await?;
        organizations::alone(&mut transaction).await?;
        // Not before: a grant may end while somebody else changes the tree.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            let before = Answer::decode(before.as_slice());
            let before = before.map_err(|_| Error::Inconsistent("orgtree.request"))?;
            return Ok((before.organization.unwrap_or_default(), before.ends));
        }
        let done = self.work(&mut transaction, call.caller, work, now).await?;
        let Done { code, record, along, ends } = done;
        if matches!(work, Work::Close(_) | Work::Approve(..)) {
            applications::lapse(&mut transaction, &self.trail, Some(&code), now).await?;
        }
        let organization = organizations::find(&mut transaction, &code).await?;
        let organization = grpc::to_wire(organization.ok_or(Error::OrganizationNotFound)?);
        let answer = Answer { organization: Some(organization.clone()), ends };
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        for record in std::iter::once(&record).chain(along.iter().map(|along| &along.record)) {
            self.trail.append(&mut transaction, record).await?;
        }
        let along = along.iter().map(|along| along.code.as_str());
        let told: Vec<&str> = std::iter::once(code.as_str()).chain(along).collect();
        founding::tell(&mut transaction, &self.outbox, &told).await?;
        transaction.commit().await?;
        self.outbox.wake();
        tracing::info!(
            organization.code = code,
            caller.id = %call.caller,
            method = call.method,
            "the tree is changed"
        );
        Ok((organization, ends))
    }

    async fn work(
        &self,
        transaction: &mut PgConnection,
        caller: Uuid,
        work: Work<'_>,
        now: OffsetDateTime,
    ) -> Result<Done> {
        match work {
            Work::Create(new) => {
                let what = (new, "parent_code");
                let record = founding::found(transaction, caller, what, now).await?;
                Ok(Done::alone(new.code.as_str().to_owned(), record, false))
            }
            Work::Update(new) => update(transaction, caller, new, now).await,
            Work::Move(new) => {
                let moving = prepare_move(transaction, caller, new, now).await?;
                if self.mass.is_reached(moving.size) {
                    return Err(Error::SecondPersonRequired);
                }
                moving.apply(transaction, caller, now).await
            }
            Work::Close(new) => closing::close(transaction, caller, (new, self.mass), now).await,
            Work::Approve(id, _) => {
                let when = (now, self.common_giver);
                proposals::approve(transaction, caller, id, when).await
            }
        }
    }
}

/// What is kept of a change, for who sends the call again.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    organization: Option<WireOrganization>,
    /// Whether its answer waits.
    #[prost(bool, tag = "2")]
    ends: bool,
}

/// By what the waiting of one call is known.
fn ending(call: &Request) -> Uuid {
    Uuid::from_u128(call.request_id.as_uuid().as_u128() ^ call.caller.as_u128())
}

/// The grants that allow somebody to change an organization itself.
pub(super) async fn allowed_at(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let permission = Permission::ManageOrganization;
    authority::holding(transaction, caller, code, permission, now).await
}

/// The same, of those who do not act for somebody else: what is moved or closed stays so when
/// they do not any more.
pub(super) async fn own_at(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let permission = Permission::ManageOrganization;
    authority::holding_own(transaction, caller, code, permission, now).await
}

/// The same at another one, which everybody knows that there is.
pub(super) async fn allowed_beside(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: Option<&str>,
    now: OffsetDateTime,
) -> Result<Vec<Grant>> {
    let missing = Error::PermissionMissing(Permission::ManageOrganization);
    // Above the root nobody administers anything.
    let Some(code) = code else { return Err(missing) };
    match own_at(transaction, caller, code, now).await {
        Err(Error::OrganizationNotFound) => Err(missing),
        held => held,
    }
}

/// The nearest grant is the one that is recorded.
pub(super) fn nearest(held: &[Grant]) -> Result<Uuid> {
    held.first().map(|grant| grant.id).ok_or(Error::Inconsistent("orgtree.authority_grant"))
}

/// An organization that is there, and known to be.
pub(super) async fn node(transaction: &mut PgConnection, code: &str) -> Result<Node> {
    db::find(transaction, code).await?.ok_or(Error::OrganizationNotFound)
}

pub(super) fn too_deep(field: &str) -> Error {
    let mut fields = Fields::new();
    let message = "组织层级不能超过 12 级，请选择更高一级的上级组织";
    fields.refuse(field, "PARENT_TOO_DEEP", message);
    fields.into_error().into()
}

async fn update(
    transaction: &mut PgConnection,
    caller: Uuid,
    new: &Update,
    now: OffsetDateTime,
) -> Result<Done> {
    let (code, details) = (new.code.as_str(), &new.details);
    let held = allowed_at(transaction, caller, code, now).await?;
    let node = node(transaction, code).await?;
    node.open()?;
    node.seen(new.revision)?;
    let region = details.region.as_ref().and_then(Option::as_ref);
    check_region(transaction, region, now).await?;
    let credit_code = details.credit_code.as_ref().and_then(Option::as_ref);
    check_credit_code(transaction, credit_code, code).await?;
    if let Some(name) = &details.name {
        let (folded, parent) = (search::fold(name.as_str()), node.parent_code.as_deref());
        if db::is_named(transaction, parent, &folded, code).await? {
            return Err(Error::OrganizationNameTaken);
        }
    }
    db::update(transaction, code, details).await?;
    let named = [
        ("name", details.name.is_some()),
        ("region_code", details.region.is_some()),
        ("contacts", details.contacts.is_some()),
        ("credit_code", details.credit_code.is_some()),
    ];
    let named: Vec<&str> = named.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    let record = Act::Updated.done(caller, code, nearest(&held)?).with("fields", named.join(","));
    Ok(Done::alone(code.to_owned(), record, false))
}

/// A move that nothing speaks against.
pub(super) struct Moving {
    node: Node,
    parent: Node,
    size: Size,
    allowed_by: Uuid,
}

/// Whether somebody may move an organization, and the tree takes it.
async fn prepare_move(
    transaction: &mut PgConnection,
    caller: Uuid,
    new: &Move,
    now: OffsetDateTime,
) -> Result<Moving> {
    let held = own_at(transaction, caller, new.code.as_str(), now).await?;
    let node = node(transaction, new.code.as_str()).await?;
    allowed_beside(transaction, caller, node.parent_code.as_deref(), now).await?;
    let parent = self::node(transaction, new.parent.as_str()).await?;
    allowed_beside(transaction, caller, Some(&parent.code), now).await?;
    node.open()?;
    node.seen(new.revision)?;
    Moving::new(transaction, (node, parent), "parent_code", nearest(&held)?).await
}

impl Moving {
    /// Whether the tree takes it; `field` is where the request names the one above.
    pub(super) async fn new(
        transaction: &mut PgConnection,
        (node, parent): (Node, Node),
        field: &str,
        allowed_by: Uuid,
    ) -> Result<Self> {
        parent.open()?;
        if parent.is_within(&node.code) {
            return Err(Error::OrganizationCycle);
        }
        if node.parent_code.as_deref() == Some(parent.code.as_str()) {
            let mut fields = Fields::new();
            let message = "该组织已在这个上级组织之下，无需移动";
            fields.refuse(field, "PARENT_UNCHANGED", message);
            return Err(fields.into_error().into());
        }
        let size = db::size(transaction, &node).await?;
        let what = (node.code.as_str(), node.folded_name.as_str(), size.height);
        check_free(transaction, &parent, field, what).await?;
        Ok(Self { node, parent, size, allowed_by })
    }

    pub(super) async fn apply(
        self,
        transaction: &mut PgConnection,
        caller: Uuid,
        now: OffsetDateTime,
    ) -> Result<Done> {
        let Self { node, parent, size: _, allowed_by } = self;
        let ends = hang(transaction, &node, &parent, now).await?;
        db::raise(transaction, &node.code).await?;
        let from = node.parent_code.as_deref().unwrap_or_default();
        let record = Act::Moved.done(caller, &node.code, allowed_by);
        let record = record.with("from", from).with("to", &parent.code);
        Ok(Done::alone(node.code, record, ends))
    }
}

/// Hangs an organization below another one, with its figures; tells whether somebody has a role
/// at one that was above it and is not any more.
pub(super) async fn hang(
    transaction: &mut PgConnection,
    node: &Node,
    parent: &Node,
    now: OffsetDateTime,
) -> Result<bool> {
    let above = parent.ancestors_below();
    db::relocate(transaction, node, &parent.code, &above).await?;
    let left = node.parent_code.as_deref().unwrap_or_default();
    db::set_leaf(transaction, &[left, &parent.code]).await?;
    moving::move_subtree(transaction, &node.code, &node.ancestors, &above).await?;
    let lost: Vec<&str> =
        node.ancestors.iter().filter(|code| !above.contains(code)).map(String::as_str).collect();
    authority::is_held(transaction, &lost, now).await
}
