//! Writing articles, publishing and withdrawing them.

use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::orgtree::v1::{
    CreateArticleResponse, PublishArticleResponse, UpdateArticleResponse,
};
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::wire::timestamp;

use super::form::{Change, New};
use super::{Article, Fault, Publication, State, Step, db, records};
use crate::authority::giving::require_open;
use crate::authority::refusals::Refusals;
use crate::authority::{self, Permission};
use crate::counts;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

/// An answer that was kept is none.
const BROKEN: Error = Error::Inconsistent("orgtree.request");

/// Changes articles, in the name of people who have signed in.
#[derive(Debug, Clone)]
pub(super) struct Writing {
    pub(super) pool: PgPool,
    pub(super) clock: SharedClock,
    pub(super) trail: Trail,
    pub(super) refusals: Refusals,
}

impl Writing {
    /// Writes an article, once for each call.
    pub(super) async fn create(&self, call: &Request, new: &New) -> Result<CreateArticleResponse> {
        let done = again(Error::is_lost, async || self.create_once(call, new).await).await;
        let code = Some(new.organization.as_str());
        self.noted(call, records::CREATED, code, done).await
    }

    async fn create_once(&self, call: &Request, new: &New) -> Result<CreateArticleResponse> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return CreateArticleResponse::decode(before.as_slice()).map_err(|_form| BROKEN);
        }
        let code = new.organization.as_str();
        let allowed_by = may_write(&mut transaction, call.caller, code, now).await?;
        require_open(&mut transaction, code).await?;
        let id = new_id(self.clock.as_ref());
        db::insert(&mut transaction, (id, code), &new.content, now).await?;
        let made = db::find(&mut *transaction, id).await?;
        let made = made.ok_or(Error::Inconsistent("orgtree.article"))?;
        let answer =
            CreateArticleResponse { article_id: id.to_string(), etag: made.revision.to_string() };
        let record = records::done(call.caller, records::CREATED, &made, allowed_by);
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        transaction.commit().await?;
        tracing::info!(article.id = %id, caller.id = %call.caller, "an article is written");
        Ok(answer)
    }

    /// Changes an article, once for each call.
    pub(super) async fn update(
        &self,
        call: &Request,
        change: &Change,
    ) -> Result<UpdateArticleResponse> {
        let render = |one: &Article| {
            UpdateArticleResponse { etag: one.revision.to_string() }.encode_to_vec()
        };
        let answer = self.change(call, change, Step::Update, render).await?;
        UpdateArticleResponse::decode(answer.as_slice()).map_err(|_form| BROKEN)
    }

    /// Publishes an article, once for each call.
    pub(super) async fn publish(
        &self,
        call: &Request,
        change: &Change,
    ) -> Result<PublishArticleResponse> {
        let render = |one: &Article| {
            let publish_time = one.publication.map(|publication| timestamp(publication.at));
            PublishArticleResponse { etag: one.revision.to_string(), publish_time }.encode_to_vec()
        };
        let answer = self.change(call, change, Step::Publish, render).await?;
        PublishArticleResponse::decode(answer.as_slice()).map_err(|_form| BROKEN)
    }

    /// Withdraws an article, once for each call.
    pub(super) async fn withdraw(&self, call: &Request, change: &Change) -> Result<()> {
        let render = |_one: &Article| Vec::new();
        self.change(call, change, Step::Withdraw, render).await.map(|_nothing| ())
    }

    /// Takes a step with an article; the answer, as `render` has it, or as it was.
    async fn change(
        &self,
        call: &Request,
        change: &Change,
        step: Step,
        render: impl Fn(&Article) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let work = async || self.change_once(call, change, step, &render).await;
        let done = again(Error::is_lost, work).await;
        let code = match &done {
            Err(error) if error.refusal().is_some() => {
                db::find(&self.pool, change.id).await?.map(|one| one.organization_code)
            }
            Ok(_) | Err(_) => None,
        };
        self.noted(call, step.action(), code.as_deref(), done).await
    }

    async fn change_once(
        &self,
        call: &Request,
        change: &Change,
        step: Step,
        render: impl Fn(&Article) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        let found = db::hold(&mut transaction, change.id).await?;
        // Not before: the same call may have had the row.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return Ok(before);
        }
        let mut article = found.ok_or(Fault::NotFound)?;
        let code = article.organization_code.clone();
        let allowed_by = may_write(&mut transaction, call.caller, &code, now).await;
        let allowed_by = allowed_by.map_err(hidden)?;
        if step == Step::Publish {
            require_open(&mut transaction, &code).await?;
        }
        let seen = change.revision.is_none_or(|revision| revision == article.revision);
        article.step(step, now)?;
        if !seen {
            return Err(Error::EtagStale);
        }
        if let Some(content) = &change.content {
            article.content = content.clone();
        }
        if article.state == State::Published && article.publication.is_none() {
            article.publication = Some(Publication { id: new_id(self.clock.as_ref()), at: now });
        }
        db::store(&mut transaction, &article).await?;
        let answer = render(&article);
        let record = records::done(call.caller, step.action(), &article, allowed_by);
        self.trail.append(&mut transaction, &record).await?;
        requests::db::insert(&mut transaction, call, &answer, now).await?;
        transaction.commit().await?;
        tracing::info!(
            article.id = %article.id,
            caller.id = %call.caller,
            method = call.method,
            "an article goes on"
        );
        Ok(answer)
    }

    /// Records what was refused to somebody who may not.
    async fn noted<T>(
        &self,
        call: &Request,
        action: &'static str,
        code: Option<&str>,
        done: Result<T>,
    ) -> Result<T> {
        if let Some(reason) = done.as_ref().err().and_then(Error::refusal) {
            let record = records::refused(call.caller, action, code, reason);
            self.refusals.note(call, reason, &record).await?;
        }
        done
    }
}

/// The grant by which somebody writes for an organization, which counts until the transaction
/// ends.
async fn may_write(
    transaction: &mut PgConnection,
    caller: Uuid,
    code: &str,
    now: OffsetDateTime,
) -> Result<Uuid> {
    let permission = Permission::ManageOrganization;
    let held = authority::holding(transaction, caller, code, permission, now).await?;
    Ok(held.first().ok_or(Error::Inconsistent("orgtree.authority_grant"))?.id)
}

/// Where no grant reaches, it is not told that there is an article.
pub(super) fn hidden(refused: Error) -> Error {
    match refused {
        Error::OrganizationNotFound => Fault::NotFound.into(),
        other => other,
    }
}
