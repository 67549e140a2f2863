//! Proposing, approving and withdrawing.

use prost::Message as _;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_audit::Record;
use zhiyuan_contracts::orgtree::v1::{Organization as WireOrganization, Proposal as WireProposal};
use zhiyuan_domain::{OrganizationCode, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::db::{self, End, Listed};
use super::{ChangeKind, NewProposal, Proposal, WAITS};
use crate::authority::voices::{self, Ages, Voice, Voices};
use crate::authority::{self, Permission};
use crate::counts;
use crate::error::{Error, Result};
use crate::organizations::changing::changes::{
    Along, Changing, Done, Moving, Work, allowed_at, nearest, node,
};
use crate::organizations::changing::closing::Closing;
use crate::organizations::changing::records::Act;
use crate::organizations::changing::splitting::{self, Part, Splitting};
use crate::requests::{self, Request};

/// The grants of their own by which somebody may make a change: at the organization first, then
/// at each of the others that it concerns.
async fn held(
    transaction: &mut PgConnection,
    account: Uuid,
    code: &str,
    target: Option<&str>,
    now: OffsetDateTime,
) -> Result<Voice> {
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
    Voice::find(transaction, account, held).await
}

/// A change that nothing speaks against.
enum Prepared {
    Move(Moving),
    Close(Closing),
    Split(Splitting),
}

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
struct Change<'a> {
    kind: ChangeKind,
    code: &'a str,
    target: Option<&'a str>,
    parts: &'a [Part],
    /// As it was seen.
    revision: i64,
}

impl Prepared {
    async fn new(
        transaction: &mut PgConnection,
        change: Change<'_>,
        allowed_by: Uuid,
        now: OffsetDateTime,
    ) -> Result<Self> {
        let Change { kind, code, target, parts, revision } = change;
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
            (ChangeKind::Split, None) => {
                Ok(Self::Split(Splitting::new(transaction, node, parts, now).await?))
            }
            (ChangeKind::Move, None) | (ChangeKind::Split, Some(_)) => {
                Err(Error::Inconsistent("orgtree.proposal"))
            }
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
            Self::Split(splitting) => splitting.apply(transaction, caller, allowed_by, now).await,
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
            let before = WireProposal::decode(before.as_slice());
            let before = before.map_err(|_| Error::Inconsistent("orgtree.request"))?;
            return Ok(with_parts(before, &new.parts));
        }
        let (code, target) = (new.code.as_str(), new.target.as_ref().map(OrganizationCode::as_str));
        let held = held(&mut transaction, call.caller, code, target, now).await?;
        let allowed_by = nearest(held.at_first())?;
        let change =
            Change { kind: new.kind, code, target, parts: &new.parts, revision: new.revision };
        // What can't be done now is not proposed.
        Prepared::new(&mut transaction, change, allowed_by, now).await?;
        let proposal = Proposal {
            id: new_id(self.clock.as_ref()),
            kind: new.kind,
            code: code.to_owned(),
            target_code: target.map(str::to_owned),
            // What is kept of the call has none of them: it says them itself.
            parts: Vec::new(),
            revision: new.revision,
            purpose: new.purpose.as_str().to_owned(),
            proposed_by: call.caller,
            proposed_at: now,
            expires_at: now + WAITS,
            open: true,
        };
        db::insert(&mut transaction, &proposal).await?;
        splitting::insert(&mut transaction, proposal.id, &new.parts).await?;
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
        Ok(with_parts(answer, &new.parts))
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
        splitting::forget_contacts(&mut transaction, id).await?;
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
        let mut proposals = db::list(&mut *transaction, listed, now).await?;
        let ids: Vec<Uuid> = proposals.iter().map(|proposal| proposal.id).collect();
        let mut parts = splitting::of_proposals(&mut transaction, &ids).await?;
        transaction.commit().await?;
        for proposal in &mut proposals {
            proposal.parts = parts.remove(&proposal.id).unwrap_or_default();
        }
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
    (now, common_giver): (OffsetDateTime, Duration),
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
    let ages = Ages::new(proposal.proposed_at, now, common_giver);
    match voices::together(&mine, &theirs, Some(ages)) {
        Voices::Independent => {}
        Voices::None | Voices::NoneOfOther | Voices::Dependent => {
            return Err(Error::AnotherPersonRequired);
        }
    }
    let allowed_by = nearest(mine.at_first())?;
    let parts = splitting::of_proposals(transaction, &[id]).await?.remove(&id).unwrap_or_default();
    let revision = proposal.revision;
    let change = Change { kind: proposal.kind, code, target, parts: &parts, revision };
    let prepared = Prepared::new(transaction, change, allowed_by, now).await?;
    let Done { code, record, along, ends } =
        prepared.apply(transaction, caller, allowed_by, now).await?;
    db::end(transaction, id, End::Approved, caller, now).await?;
    splitting::forget_contacts(transaction, id).await?;
    let record = record.because(proposal.purpose.as_str());
    let of_both =
        |record: Record| record.with("proposal", id).with("proposed_by", proposal.proposed_by);
    let along = along.into_iter();
    let along = along.map(|Along { code, record }| Along { code, record: of_both(record) });
    Ok(Done { code, record: of_both(record), along: along.collect(), ends })
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
        parts: proposal.parts.iter().map(splitting::to_wire).collect(),
    }
}

/// With what a call says of parts.
fn with_parts(proposal: WireProposal, parts: &[Part]) -> WireProposal {
    WireProposal { parts: parts.iter().map(splitting::to_wire).collect(), ..proposal }
}
