//! Proposing, approving and withdrawing.

use prost::Message as _;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{Organization as WireOrganization, Proposal as WireProposal};
use zhiyuan_domain::{OrganizationCode, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::db::{self, End, Listed};
use super::{Basis, ChangeKind, Ground, NewProposal, Proposal, WAITS};
use crate::authority::{self, Permission};
use crate::counts;
use crate::error::{Error, Result};
use crate::organizations::changing::changes::{
    Changing, Done, Moving, Work, allowed_at, nearest, node,
};
use crate::organizations::changing::closing::Closing;
use crate::organizations::changing::records::Act;
use crate::requests::{self, Request};

/// The grants of their own by which somebody may make a change: at the organization first, then
/// at each of the others that it concerns.
async fn held(
    transaction: &mut PgConnection,
    account: Uuid,
    code: &str,
    target: Option<&str>,
    now: OffsetDateTime,
) -> Result<Basis> {
    let permission = Permission::ManageOrganization;
    let mut held = vec![authority::holding_own(transaction, account, code, permission, now).await?];
    let parent = node(transaction, code).await?.parent_code;
    // Above the root nobody administers anything.
    let mut beside = vec![parent.ok_or(Error::PermissionMissing(permission))?];
    if let Some(target) = target {
        beside.push(node(transaction, target).await?.code);
    }
    for code in beside {
        let there = authority::holding_own(transaction, account, &code, permission, now).await;
        held.push(there.map_err(|error| match error {
            // Everybody knows that there is one.
            Error::OrganizationNotFound => Error::PermissionMissing(permission),
            other => other,
        })?);
    }
    let ids: Vec<Uuid> = held.iter().flatten().map(|grant| grant.id).collect();
    Ok(Basis { held, behind: db::behind(transaction, &ids).await? })
}

/// A change that nothing speaks against.
enum Prepared {
    Move(Moving),
    Close(Closing),
}

impl Prepared {
    async fn new(
        transaction: &mut PgConnection,
        (kind, code, target): (ChangeKind, &str, Option<&str>),
        revision: i64,
        allowed_by: Uuid,
    ) -> Result<Self> {
        let node = node(transaction, code).await?;
        node.open()?;
        node.seen(revision)?;
        let target = match target {
            Some(target) => Some(self::node(transaction, target).await?),
            None => None,
        };
        match (kind, target) {
            (ChangeKind::Close, successor) => {
                Ok(Self::Close(Closing::new(transaction, node, successor).await?))
            }
            (ChangeKind::Move, Some(parent)) => {
                let places = (node, parent);
                let moving = Moving::new(transaction, places, "target_code", allowed_by).await?;
                Ok(Self::Move(moving))
            }
            (ChangeKind::Move, None) => Err(Error::Inconsistent("orgtree.proposal")),
        }
    }

    async fn apply(
        self,
        transaction: &mut PgConnection,
        caller: Uuid,
        allowed_by: Uuid,
        now: OffsetDateTime,
    ) -> Result<Done> {
        match self {
            Self::Move(moving) => moving.apply(transaction, caller, now).await,
            Self::Close(closing) => closing.apply(transaction, caller, allowed_by, now).await,
        }
    }
}

impl Changing {
    /// Proposes a change, once for each call.
    pub(in crate::organizations::changing) async fn propose(
        &self,
        call: &Request,
        new: &NewProposal,
    ) -> Result<WireProposal> {
        let proposed = again(Error::is_lost, async || self.propose_once(call, new).await).await;
        self.note((Act::Proposed, new.code.as_str()), call, &proposed).await?;
        proposed
    }

    async fn propose_once(&self, call: &Request, new: &NewProposal) -> Result<WireProposal> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return WireProposal::decode(before.as_slice())
                .map_err(|_| Error::Inconsistent("orgtree.request"));
        }
        let (code, target) = (new.code.as_str(), new.target.as_ref().map(OrganizationCode::as_str));
        let held = held(&mut transaction, call.caller, code, target, now).await?;
        let allowed_by = nearest(held.at_first())?;
        let change = (new.kind, code, target);
        // What can't be done now is not proposed.
        Prepared::new(&mut transaction, change, new.revision, allowed_by).await?;
        let proposal = Proposal {
            id: new_id(self.clock.as_ref()),
            kind: new.kind,
            code: code.to_owned(),
            target_code: target.map(str::to_owned),
            revision: new.revision,
            purpose: new.purpose.as_str().to_owned(),
            proposed_by: call.caller,
            proposed_at: now,
            expires_at: now + WAITS,
            open: true,
        };
        db::insert(&mut transaction, &proposal).await?;
        let answer = to_wire(&proposal);
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        let record = Act::Proposed.done(call.caller, code, allowed_by);
        let record = record
            .because(proposal.purpose.as_str())
            .with("proposal", proposal.id)
            .with("change", proposal.kind.name())
            .with("target", proposal.target_code.as_deref().unwrap_or("-"));
        self.trail.append(&mut transaction, &record).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    /// Approves a proposal, which is done by it.
    pub(in crate::organizations::changing) async fn approve(
        &self,
        call: &Request,
        id: Uuid,
    ) -> Result<WireOrganization> {
        let about = self.organization_of(id).await?;
        self.change(call, Work::Approve(id, &about)).await
    }

    /// Ends a proposal without doing it, once for each call.
    pub(in crate::organizations::changing) async fn withdraw(
        &self,
        call: &Request,
        id: Uuid,
    ) -> Result<()> {
        let about = self.organization_of(id).await?;
        let withdrawn = again(Error::is_lost, async || self.withdraw_once(call, id).await).await;
        self.note((Act::Withdrawn, &about), call, &withdrawn).await?;
        withdrawn
    }

    async fn withdraw_once(&self, call: &Request, id: Uuid) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let proposal = db::lock(&mut transaction, id).await?;
        // Not before: the same call may have had the row.
        let (now, caller) = (self.clock.now(), call.caller);
        if requests::db::find_answer(&mut transaction, call).await?.is_some() {
            return Ok(());
        }
        let proposal = proposal.ok_or(Error::ProposalNotFound)?;
        let allowed_by = if proposal.proposed_by == caller {
            None
        } else {
            let held = allowed_at(&mut transaction, caller, &proposal.code, now).await;
            Some(nearest(&held.map_err(hidden)?)?)
        };
        proposal.waits(now)?;
        db::end(&mut transaction, id, End::Withdrawn, caller, now).await?;
        requests::db::insert(&mut transaction, call, &[], now).await?;
        let record = match allowed_by {
            Some(grant) => Act::Withdrawn.done(caller, &proposal.code, grant),
            None => Act::Withdrawn.done(caller, &proposal.code, "own"),
        };
        self.trail.append(&mut transaction, &record.with("proposal", id)).await?;
        Ok(transaction.commit().await?)
    }

    /// The proposals that wait where somebody may decide.
    pub(in crate::organizations::changing) async fn proposals(
        &self,
        reader: Uuid,
        below: Option<&OrganizationCode>,
        page: &Page,
    ) -> Result<(Vec<WireProposal>, String)> {
        let key = |text: &str| text.parse::<uuid::fmt::Hyphenated>().ok().map(Uuid::from);
        let (after, now) = (page.after_key(key)?, self.clock.now());
        let below = below.map(OrganizationCode::as_str);
        let mut transaction = self.pool.begin().await?;
        if let Some(below) = below {
            allowed_at(&mut transaction, reader, below, now).await?;
        }
        let roles = authority::Role::with(Permission::ManageOrganization);
        let listed = Listed { reader, roles: &roles, below, after, limit: page.fetch() };
        let proposals = db::list(&mut *transaction, listed, now).await?;
        transaction.commit().await?;
        let (proposals, next) = page.cut(proposals, |proposal| proposal.id.to_string());
        Ok((proposals.iter().map(to_wire).collect(), next))
    }

    /// Which organization a proposal is about; for the audit, and no answer.
    async fn organization_of(&self, id: Uuid) -> Result<String> {
        db::find_organization(&self.pool, id).await?.ok_or(Error::ProposalNotFound)
    }
}

/// Who does not administer the organization is told that there is no proposal.
fn hidden(error: Error) -> Error {
    match error {
        Error::OrganizationNotFound => Error::ProposalNotFound,
        other => other,
    }
}

/// Does what was proposed, in the name of both.
pub(in crate::organizations::changing) async fn approve(
    transaction: &mut PgConnection,
    caller: Uuid,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Done> {
    let proposal = db::lock(transaction, id).await?.ok_or(Error::ProposalNotFound)?;
    let (code, target) = (proposal.code.as_str(), proposal.target_code.as_deref());
    let mine = held(transaction, caller, code, target, now).await.map_err(hidden)?;
    proposal.waits(now)?;
    let first = proposal.proposed_by;
    // Who proposed it may have lost the right since.
    let theirs = held(transaction, first, code, target, now).await;
    let theirs = theirs.map_err(|error| match error {
        Error::OrganizationNotFound | Error::PermissionMissing(_) => Error::ProposalEnded,
        other => other,
    })?;
    let given_by = proposal.proposed_at;
    let second_of = |other| Ground { other, given_by };
    let two = caller != first && second_of(first).holds(&mine) && second_of(caller).holds(&theirs);
    if !two {
        return Err(Error::AnotherPersonRequired);
    }
    let allowed_by = nearest(mine.at_first())?;
    let change = (proposal.kind, code, target);
    let prepared = Prepared::new(transaction, change, proposal.revision, allowed_by).await?;
    let mut done = prepared.apply(transaction, caller, allowed_by, now).await?;
    db::end(transaction, id, End::Approved, caller, now).await?;
    done.record = done
        .record
        .because(proposal.purpose.as_str())
        .with("proposal", id)
        .with("proposed_by", first);
    Ok(done)
}

fn to_wire(proposal: &Proposal) -> WireProposal {
    WireProposal {
        id: proposal.id.to_string(),
        kind: proposal.kind.number().into(),
        organization_code: proposal.code.clone(),
        target_code: proposal.target_code.clone().unwrap_or_default(),
        purpose: proposal.purpose.clone(),
        proposed_by: proposal.proposed_by.to_string(),
        create_time: Some(timestamp(proposal.proposed_at)),
        expire_time: Some(timestamp(proposal.expires_at)),
    }
}
