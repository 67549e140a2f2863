//! Using codes.

use time::OffsetDateTime;
use zhiyuan_postgres::again;

use super::changes::{Changes, still_good};
use super::codes::Code;
use super::{Acceptance, Fault, Invitation, Standing, db, records, wrong_codes};
use crate::authority::giving;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

impl Changes {
    /// Accepts the invitation of a code, once for each call; returns the answer, which `answer`
    /// renders and which holds no number. A code that is not good is counted.
    pub(super) async fn accept(
        &self,
        call: &Request,
        code: &Code,
        answer: impl Fn(&Invitation) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        // Who has accepted hears so again, however many other codes were wrong since.
        let mut connection = self.pool.acquire().await?;
        if let Some(before) = requests::db::find_answer(&mut connection, call).await? {
            return Ok(before);
        }
        drop(connection);
        let now = self.clock.now();
        let accepted = match wrong_codes::db::count(&self.pool, call.caller, now).await {
            Ok(()) => {
                let accepted =
                    again(Error::is_lost, async || self.accept_once(call, code, &answer).await)
                        .await;
                if !matches!(accepted, Err(Error::Invitation(Fault::NotFound))) {
                    wrong_codes::db::take_back(&self.pool, call.caller, now).await?;
                }
                accepted
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &accepted {
            let action = records::ACCEPTED;
            let record = |reason| records::refused(call.caller, action, None, reason);
            self.note(call, error, record).await?;
        }
        accepted
    }

    async fn accept_once(
        &self,
        call: &Request,
        code: &Code,
        answer: impl Fn(&Invitation) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let mut transaction = self.pool.begin().await?;
        giving::alone(&mut transaction).await?;
        // Not before: it may have waited.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return Ok(before);
        }
        let found = db::hold_by_code(&mut transaction, &self.codes.digest(code)).await?;
        let open = |invitation: &Invitation| invitation.standing(now) == Standing::Open;
        let mut invitation = found.filter(open).ok_or(Error::Invitation(Fault::NotFound))?;
        if invitation.invited_by == call.caller {
            return Err(Error::GrantToSelf);
        }
        still_good(&mut transaction, &invitation, call.caller, now).await.map_err(hidden)?;
        let acceptance = Acceptance { account_id: call.caller, at: now };
        db::accept(&mut transaction, invitation.id, acceptance).await?;
        invitation.accepted = Some(acceptance);
        self.finish_accepting(call, transaction, &invitation, answer(&invitation), now).await
    }

    async fn finish_accepting(
        &self,
        call: &Request,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        invitation: &Invitation,
        rendered: Vec<u8>,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>> {
        let record = records::done(call.caller, records::ACCEPTED, invitation, None);
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &rendered, now).await?;
        transaction.commit().await?;
        tracing::info!(
            invitation.id = %invitation.id,
            caller.id = %call.caller,
            "an invitation is accepted"
        );
        Ok(rendered)
    }
}

/// Why who made an invitation could not give the role any more is nobody's business who has the
/// code: it is not good.
fn hidden(error: Error) -> Error {
    match error {
        Error::OrganizationNotFound
        | Error::PermissionMissing(_)
        | Error::GrantNotFound
        | Error::GrantDelegated
        | Error::RoleAboveOwn
        | Error::OrganizationClosed { .. } => Error::Invitation(Fault::NotFound),
        other => other,
    }
}
