//! What the superior does: accepting, returning, rejecting.
//!
//! Accepting is one transaction, alone with the tree and the grants: the organization, the role
//! of the applicant and the end of the application are there together, or none of them.

use prost::Message as _;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    DecideApplicationResponse, OrganizationContacts, OrganizationDetails,
};
use zhiyuan_domain::{OrganizationCode, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;

use super::form::{Decision, Verdict};
use super::grpc::Applications;
use super::{Application, BROKEN, Fault, Made, Said, db, records};
use crate::authority::giving::{self, NewGrant};
use crate::authority::grpc::to_wire as grant_to_wire;
use crate::authority::{self, Grant, Permission, Role};
use crate::counts;
use crate::error::{Error, Result};
use crate::organizations::changing::{Details, NewOrganization, found, tell};
use crate::organizations::{self, to_wire};
use crate::requests::{self, Request};

impl Applications {
    /// Decides about an application, once for each call.
    pub(super) async fn decide(
        &self,
        call: &Request,
        decision: &Decision,
    ) -> Result<DecideApplicationResponse> {
        let decided = async {
            let there = db::find(&self.0.pool, decision.id).await?.ok_or(Fault::NotFound)?;
            let (superior, now) = (there.superior_code.as_str(), self.0.clock.now());
            let permission = Permission::ManageOrganization;
            let admitted = authority::admit(&self.0.pool, call, superior, permission, now).await;
            admitted.map_err(hidden)?;
            if matches!(decision.verdict, Verdict::Accept(_)) {
                self.may_be_alone(call, decision, there, now).await?;
            }
            again(Error::is_lost, async || self.decide_once(call, decision).await).await
        };
        let decided = decided.await;
        self.noted(call, (decision.id, decision.verdict.step()), decided).await
    }

    /// Whether somebody who accepts may come to where the tree and the grants wait for it: nobody
    /// does for what is refused in any case. All of it is looked at again there.
    async fn may_be_alone(
        &self,
        call: &Request,
        decision: &Decision,
        mut there: Application,
        now: OffsetDateTime,
    ) -> Result<()> {
        // After the application: who has ended it has its answer by now.
        let mut connection = self.0.pool.acquire().await?;
        if requests::db::find_answer(&mut connection, call).await?.is_some() {
            return Ok(());
        }
        if there.applicant == call.caller {
            return Err(Fault::Own.into());
        }
        let seen = there.seen(decision.revision);
        there.step(decision.verdict.step(), now)?;
        seen?;
        let (superior, permission) = (there.superior_code.as_str(), Permission::Grant);
        authority::require(&mut *connection, call.caller, superior, permission, now).await
    }

    async fn decide_once(
        &self,
        call: &Request,
        decision: &Decision,
    ) -> Result<DecideApplicationResponse> {
        let mut transaction = self.0.pool.begin().await?;
        let accepts = matches!(decision.verdict, Verdict::Accept(_));
        if accepts {
            counts::db::hold_cuts(&mut transaction, self.0.clock.now()).await?;
            organizations::alone(&mut transaction).await?;
            giving::alone_on_own_tree(&mut transaction).await?;
        } else {
            counts::db::keep_tree(&mut transaction).await?;
        }
        let application = db::hold(&mut transaction, decision.id).await?;
        // Not before: a grant may end while somebody else changes the tree, and the same call may
        // have had the row.
        let (now, caller) = (self.0.clock.now(), call.caller);
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return DecideApplicationResponse::decode(before.as_slice()).map_err(|_form| BROKEN);
        }
        let mut application = application.ok_or(Fault::NotFound)?;
        let allowed_by = may_decide(&mut transaction, caller, &application, now).await?;
        let (before, seen) = (application.clone(), application.seen(decision.revision));
        application.step(decision.verdict.step(), now)?;
        seen?;
        decision.note.clone_into(&mut application.note);
        application.decided_by = Some(caller);
        let mut answer = DecideApplicationResponse::default();
        if let Verdict::Accept(code) = &decision.verdict {
            let grant = self.accept(&mut transaction, caller, (&before, code), now).await?;
            let (organization_code, grant_id) = (code.as_str().to_owned(), grant.id);
            application.made = Some(Made { organization_code, grant_id });
            answer.grant = Some(grant_to_wire(&grant));
            let organization = organizations::find(&mut transaction, code.as_str()).await?;
            answer.organization = organization.map(to_wire);
        }
        db::store(&mut transaction, &application).await?;
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        let action = decision.verdict.step().action();
        let record = records::done(caller, action, &application, allowed_by);
        self.0.trail.append(&mut transaction, &record).await?;
        if let Verdict::Accept(code) = &decision.verdict {
            tell(&mut transaction, &self.0.outbox, &[code.as_str()]).await?;
        }
        transaction.commit().await?;
        self.0.outbox.wake();
        tracing::info!(
            application.id = %application.id,
            caller.id = %caller,
            state = application.state.name(),
            "an application is decided"
        );
        Ok(answer)
    }

    /// Makes the organization, and the applicant its administrator.
    async fn accept(
        &self,
        transaction: &mut PgConnection,
        caller: Uuid,
        (application, code): (&Application, &OrganizationCode),
        now: OffsetDateTime,
    ) -> Result<Grant> {
        let superior = application.superior_code.as_str();
        let permission = Permission::Grant;
        let own = authority::holding_own(transaction, caller, superior, permission, now).await?;
        let new = to_found(application, code)?;
        let record = found(transaction, caller, (&new, "application_id"), now).await;
        let record = record.map_err(to_return)?;
        self.0.trail.append(transaction, &record.with("application", application.id)).await?;
        let new = NewGrant {
            account_id: application.applicant,
            organization: code.clone(),
            role: Role::Administrator,
            expires_at: lasts(&own),
            delegated_from: None,
            invited_by: None,
        };
        let to = Some(application.applicant);
        let held = giving::may_give(transaction, caller, to, new.place(), now).await?;
        let id = new_id(self.0.clock.as_ref());
        let given = giving::insert(transaction, &new, Some(caller), id, now).await?;
        let actor = authority::records::person(caller);
        given.record(transaction, &self.0.trail, &actor, held.right).await?;
        Ok(given.made)
    }
}

/// By which grant somebody decides about an application: never about the own one.
async fn may_decide(
    transaction: &mut PgConnection,
    caller: Uuid,
    application: &Application,
    now: OffsetDateTime,
) -> Result<Uuid> {
    let (superior, permission) = (&application.superior_code, Permission::ManageOrganization);
    let held = authority::holding(transaction, caller, superior, permission, now).await;
    let held = held.map_err(hidden)?;
    if application.applicant == caller {
        return Err(Fault::Own.into());
    }
    let nearest = held.first().ok_or(Error::Inconsistent("orgtree.authority_grant"))?;
    Ok(nearest.id)
}

/// Who does not administer the superior is told that there is no application.
pub(super) fn hidden(error: Error) -> Error {
    match error {
        Error::OrganizationNotFound => Fault::NotFound.into(),
        other => other,
    }
}

/// Who accepts can change nothing of what the application says.
fn to_return(error: Error) -> Error {
    match error {
        Error::OrganizationNameTaken
        | Error::RegionNotFound
        | Error::RegionAbolished { .. }
        | Error::CreditCodeTaken { .. } => Error::ToReturn(Box::new(error)),
        other => other,
    }
}

/// Until when somebody may give a role by one of these grants: that of the one that lasts
/// longest, `None` if that has no end.
fn lasts(own: &[Grant]) -> Option<OffsetDateTime> {
    let ends: Option<Vec<OffsetDateTime>> = own.iter().map(|grant| grant.expires_at).collect();
    ends.and_then(|ends| ends.into_iter().max())
}

/// What is made of an application. The rules for what it says may be others by now.
fn to_found(application: &Application, code: &OrganizationCode) -> Result<NewOrganization> {
    let parent = OrganizationCode::parse(&application.superior_code);
    let parent = parent.map_err(|_form| Error::Inconsistent("orgtree.application"))?;
    let mut fields = Fields::new();
    let details = Details::parse(&mut fields, Some(&said_on_wire(&application.said)));
    let Some(details) = details else { return Err(fields.into_error().into()) };
    fields.finish()?;
    Ok(NewOrganization { code: code.clone(), parent, kind: application.kind, details })
}

/// What an application says of the organization.
pub(super) fn said_on_wire(said: &Said) -> OrganizationDetails {
    let contacts = said.contacts.clone();
    OrganizationDetails {
        name: said.name.clone(),
        region_code: said.region_code.clone().unwrap_or_default(),
        contacts: Some(OrganizationContacts {
            phone: contacts.phone,
            group_number: contacts.group_number,
            note: contacts.note,
        }),
        credit_code: said.credit_code.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn grant(expires_at: Option<OffsetDateTime>) -> Grant {
        Grant {
            id: Uuid::nil(),
            account_id: Uuid::nil(),
            organization_code: "A".into(),
            role: Role::Administrator,
            created_at: datetime!(2026-11-23 0:00 UTC),
            expires_at,
            granted_by: None,
            delegated_from: None,
        }
    }

    #[test]
    fn the_role_lasts_as_long_as_who_gives_it_could_give_it() {
        let (soon, late) = (datetime!(2026-12-01 0:00 UTC), datetime!(2027-12-01 0:00 UTC));
        assert_eq!(lasts(&[grant(Some(soon)), grant(None)]), None);
        assert_eq!(lasts(&[grant(Some(late)), grant(Some(soon))]), Some(late));
    }
}
