//! `zhiyuan.orgtree.v1.NewsService`.

use prost::Message as _;
use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::Trail;
use zhiyuan_contracts::orgtree::v1::news_service_server::NewsService;
use zhiyuan_contracts::orgtree::v1::{
    Article as WireArticle, CreateArticleRequest, CreateArticleResponse, GetArticleRequest,
    GetArticleResponse, GetOwnArticleRequest, GetOwnArticleResponse, ListArticlesRequest,
    ListArticlesResponse, ListOwnArticlesRequest, ListOwnArticlesResponse, PublishArticleRequest,
    PublishArticleResponse, UpdateArticleRequest, UpdateArticleResponse, WithdrawArticleRequest,
    WithdrawArticleResponse,
};
use zhiyuan_domain::{OrganizationCode, SharedClock};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::db::{self, Published};
use super::form::{self, Change, New};
use super::writing::{Writing, hidden};
use super::{Article, Fault, State};
use crate::authority::grpc::key;
use crate::authority::refusals::Refusals;
use crate::authority::{Permission, require};
use crate::error::{Error, Result};
use crate::requests;

/// Pinned articles on a first page, at most.
const MOST_PINNED: i64 = 5;

/// `NewsService`.
#[derive(Debug)]
pub(crate) struct News(Writing);

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl NewsService for News {
    async fn list_articles(
        &self,
        request: Request<ListArticlesRequest>,
    ) -> Answer<ListArticlesResponse> {
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn get_article(&self, request: Request<GetArticleRequest>) -> Answer<GetArticleResponse> {
        let id = article(&request.get_ref().article_id)?;
        let found = db::find(&self.0.pool, id).await?;
        let found = found.filter(|one| one.state == State::Published).ok_or(Fault::NotFound);
        let article = found.map_err(Error::from)?;
        Ok(Response::new(GetArticleResponse { article: Some(for_everybody(article)) }))
    }

    async fn list_own_articles(
        &self,
        request: Request<ListOwnArticlesRequest>,
    ) -> Answer<ListOwnArticlesResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list_own(me, request.get_ref()).await?))
    }

    async fn get_own_article(
        &self,
        request: Request<GetOwnArticleRequest>,
    ) -> Answer<GetOwnArticleResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let id = article(&request.get_ref().article_id)?;
        let article = self.get_own(me, id).await?;
        Ok(Response::new(GetOwnArticleResponse { article: Some(to_wire(article)) }))
    }

    async fn create_article(
        &self,
        request: Request<CreateArticleRequest>,
    ) -> Answer<CreateArticleResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, new) = New::parse(request.get_ref())?;
        let says = new.says().encode_to_vec();
        let call = requests::Request::new(me, "CreateArticle", id, &says);
        Ok(Response::new(self.0.create(&call, &new).await?))
    }

    async fn update_article(
        &self,
        request: Request<UpdateArticleRequest>,
    ) -> Answer<UpdateArticleResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, change) = Change::update(request.get_ref())?;
        let says = change.says().encode_to_vec();
        let call = requests::Request::new(me, "UpdateArticle", id, &says);
        Ok(Response::new(self.0.update(&call, &change).await?))
    }

    async fn publish_article(
        &self,
        request: Request<PublishArticleRequest>,
    ) -> Answer<PublishArticleResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, change) = Change::publish(request.get_ref())?;
        let says = change.says().encode_to_vec();
        let call = requests::Request::new(me, "PublishArticle", id, &says);
        Ok(Response::new(self.0.publish(&call, &change).await?))
    }

    async fn withdraw_article(
        &self,
        request: Request<WithdrawArticleRequest>,
    ) -> Answer<WithdrawArticleResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let (id, change) = Change::withdraw(request.get_ref())?;
        let says = change.says().encode_to_vec();
        let call = requests::Request::new(me, "WithdrawArticle", id, &says);
        self.0.withdraw(&call, &change).await?;
        Ok(Response::new(WithdrawArticleResponse {}))
    }
}

impl News {
    pub(crate) fn new(pool: PgPool, clock: SharedClock, trail: Trail) -> Self {
        let refusals = Refusals::new(pool.clone(), clock.clone(), trail.clone());
        Self(Writing { pool, clock, trail, refusals })
    }

    async fn list(&self, request: &ListArticlesRequest) -> Result<ListArticlesResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let kinds = form::wanted_kinds(&mut fields, &request.kinds);
        let Some(code) = code else { return Err(fields.into_error().into()) };
        fields.finish()?;
        let of: String = kinds.iter().map(|kind| kind.number().to_string()).collect();
        let filter = ["articles", code.as_str(), &of];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let wanted = Published {
            organization_code: code.as_str(),
            kinds: &kinds,
            pinned_only: false,
            after: page.after_key(key)?,
            limit: page.fetch(),
        };
        let mut connection = self.0.pool.acquire().await?;
        let found = db::list_published(&mut *connection, wanted).await?;
        if found.is_empty() && !db::organization_exists(&mut *connection, code.as_str()).await? {
            return Err(Error::OrganizationNotFound);
        }
        let pinned = match wanted.after {
            None => {
                let first = Published { pinned_only: true, limit: MOST_PINNED, ..wanted };
                db::list_published(&mut *connection, first).await?
            }
            Some(_) => Vec::new(),
        };
        let publication = |one: &Article| one.publication.map(|one| one.id).unwrap_or_default();
        let (found, next_page_token) = page.cut(found, |one| publication(one).to_string());
        Ok(ListArticlesResponse {
            pinned: pinned.into_iter().map(for_everybody).collect(),
            articles: found.into_iter().map(for_everybody).collect(),
            next_page_token,
        })
    }

    async fn list_own(
        &self,
        me: Uuid,
        request: &ListOwnArticlesRequest,
    ) -> Result<ListOwnArticlesResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let Some(code) = code else { return Err(fields.into_error().into()) };
        let filter = ["own_articles", &me.to_string(), code.as_str()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (after, now) = (page.after_key(key)?, self.0.clock.now());
        require(&self.0.pool, me, code.as_str(), Permission::View, now).await?;
        let found = db::list_own(&self.0.pool, code.as_str(), after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        let articles = found.into_iter().map(to_wire).collect();
        Ok(ListOwnArticlesResponse { articles, next_page_token })
    }

    async fn get_own(&self, me: Uuid, id: Uuid) -> Result<Article> {
        let found = db::find(&self.0.pool, id).await?.ok_or(Fault::NotFound)?;
        let (code, now) = (found.organization_code.as_str(), self.0.clock.now());
        require(&self.0.pool, me, code, Permission::View, now).await.map_err(hidden)?;
        Ok(found)
    }
}

fn article(text: &str) -> Result<Uuid> {
    let mut fields = Fields::new();
    let id = fields.take("article_id", form::article(text));
    id.ok_or_else(|| fields.into_error().into())
}

fn to_wire(one: Article) -> WireArticle {
    WireArticle {
        id: one.id.to_string(),
        content: Some(form::on_wire(&one.content)),
        organization_code: one.organization_code,
        organization_name: one.organization_name,
        state: one.state.number().into(),
        publish_time: one.publication.map(|publication| timestamp(publication.at)),
        update_time: Some(timestamp(one.changed_at)),
        etag: one.revision.to_string(),
    }
}

fn for_everybody(one: Article) -> WireArticle {
    WireArticle { etag: String::new(), ..to_wire(one) }
}
