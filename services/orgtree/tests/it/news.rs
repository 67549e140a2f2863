//! What organizations tell their people.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::news_service_client::NewsServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    Article, ArticleContent, ArticleKind, ArticleState, CreateArticleRequest,
    CreateArticleResponse, GetArticleRequest, GetOwnArticleRequest, ListArticlesRequest,
    ListArticlesResponse, ListOwnArticlesRequest, PublishArticleRequest, UpdateArticleRequest,
    WithdrawArticleRequest,
};
use zhiyuan_orgtree::Role;

use crate::authority::{Bearer, Suite, account};
use crate::harness::{assert_field, assert_refused, told};

type Writer = NewsServiceClient<InterceptedService<Channel, Bearer>>;

/// Somebody with a role at an organization, signed in with a second factor.
async fn writer(suite: &Suite, n: u128, code: &str, role: Role) -> Writer {
    suite.make(account(n), code, role).await;
    let bearer = suite.bearer(account(n), true);
    NewsServiceClient::with_interceptor(suite.service.channel.clone(), bearer)
}

fn reader(suite: &Suite) -> NewsServiceClient<Channel> {
    NewsServiceClient::new(suite.service.channel.clone())
}

fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn content(title: &str) -> ArticleContent {
    ArticleContent {
        kind: ArticleKind::Guide.into(),
        title: title.to_owned(),
        summary: "三步完成".to_owned(),
        body: "# 怎样注册\n\n1. 关注公众号".to_owned(),
        pinned: false,
    }
}

fn writes(code: &str, content: ArticleContent) -> CreateArticleRequest {
    CreateArticleRequest {
        request_id: request_id(),
        organization_code: code.to_owned(),
        content: Some(content),
    }
}

fn publishes(article_id: &str, etag: &str) -> PublishArticleRequest {
    PublishArticleRequest {
        request_id: request_id(),
        article_id: article_id.to_owned(),
        etag: etag.to_owned(),
    }
}

fn updates(article_id: &str, etag: &str, content: ArticleContent) -> UpdateArticleRequest {
    UpdateArticleRequest {
        request_id: request_id(),
        article_id: article_id.to_owned(),
        etag: etag.to_owned(),
        content: Some(content),
    }
}

fn withdraws(article_id: &str) -> WithdrawArticleRequest {
    WithdrawArticleRequest { request_id: request_id(), article_id: article_id.to_owned() }
}

/// Writes an article and publishes it; a second later than all before.
async fn publish(
    suite: &Suite,
    writer: &mut Writer,
    code: &str,
    content: ArticleContent,
) -> String {
    suite.clock.advance(Duration::from_secs(1));
    let made = writer.create_article(writes(code, content)).await.unwrap().into_inner();
    writer.publish_article(publishes(&made.article_id, &made.etag)).await.unwrap();
    made.article_id
}

async fn read(suite: &Suite, id: &str) -> Result<Article, Status> {
    let request = GetArticleRequest { article_id: id.to_owned() };
    Ok(reader(suite).get_article(request).await?.into_inner().article.unwrap())
}

async fn page(
    suite: &Suite,
    code: &str,
    kinds: &[ArticleKind],
    page_token: &str,
) -> ListArticlesResponse {
    let request = ListArticlesRequest {
        organization_code: code.to_owned(),
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        page_size: 2,
        page_token: page_token.to_owned(),
    };
    reader(suite).list_articles(request).await.unwrap().into_inner()
}

/// The titles of every page.
async fn titles(suite: &Suite, code: &str, kinds: &[ArticleKind]) -> Vec<String> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = page(suite, code, kinds, &page_token).await;
        assert!(page.articles.iter().all(|one| one.content.as_ref().unwrap().body.is_empty()));
        all.extend(page.articles.into_iter().map(|one| one.content.unwrap().title));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

#[tokio::test]
async fn an_article_is_written_published_corrected_and_withdrawn() {
    let suite = Suite::on_province().await;
    let mut city = writer(&suite, 1, "A-1", Role::Administrator).await;
    let request = writes("a-1", content(" 怎样注册 "));
    let made = city.create_article(request.clone()).await.unwrap().into_inner();
    assert_eq!(city.create_article(request.clone()).await.unwrap().into_inner(), made);
    let other = CreateArticleRequest { content: Some(content("别的")), ..request };
    let status = city.create_article(other).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let CreateArticleResponse { article_id: id, etag } = made;

    // Nobody reads a draft but who may.
    let status = read(&suite, &id).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ARTICLE_NOT_FOUND");
    assert!(titles(&suite, "A-1", &[]).await.is_empty());
    let mine = GetOwnArticleRequest { article_id: id.clone() };
    let seen = city.get_own_article(mine.clone()).await.unwrap().into_inner().article.unwrap();
    assert_eq!((seen.state(), &seen.etag, seen.publish_time), (ArticleState::Draft, &etag, None));
    assert_eq!(seen.content, Some(content("怎样注册")));

    suite.clock.advance(Duration::from_secs(60));
    let publishing = publishes(&id, &etag);
    let published = city.publish_article(publishing.clone()).await.unwrap().into_inner();
    assert_eq!(city.publish_article(publishing).await.unwrap().into_inner(), published);
    let article = read(&suite, &id).await.unwrap();
    assert_eq!((article.state(), article.etag.as_str()), (ArticleState::Published, ""));
    assert_eq!(
        (article.publish_time, article.update_time),
        (published.publish_time, published.publish_time)
    );
    assert_eq!(article.organization_name, "市一");
    assert_eq!(article.content.unwrap().body, content("").body);
    let status = city.publish_article(publishes(&id, &published.etag)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ARTICLE_PUBLISHED");

    // Corrected, it keeps its place; a stale one is not overwritten.
    suite.clock.advance(Duration::from_secs(60));
    let status = city.update_article(updates(&id, &etag, content("旧"))).await.unwrap_err();
    assert_refused(&status, Code::Aborted, "ETAG_STALE");
    let changed = city.update_article(updates(&id, &published.etag, content("新"))).await.unwrap();
    let article = read(&suite, &id).await.unwrap();
    assert_eq!(article.content.unwrap().title, "新");
    assert_eq!(article.publish_time, published.publish_time);
    assert_ne!(article.update_time, published.publish_time);

    let taking = withdraws(&id);
    city.withdraw_article(taking.clone()).await.unwrap();
    city.withdraw_article(taking).await.unwrap();
    let status = read(&suite, &id).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ARTICLE_NOT_FOUND");
    let etag = changed.into_inner().etag;
    let status = city.update_article(updates(&id, &etag, content("又"))).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ARTICLE_WITHDRAWN");
    let seen = city.get_own_article(mine).await.unwrap().into_inner().article.unwrap();
    assert_eq!(seen.state(), ArticleState::Withdrawn);

    let recorded: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT action, outcome, organization_code FROM
             (SELECT NULL::bigint AS index, seq, action, outcome, organization_code
              FROM orgtree.audit_pending
              UNION ALL
              SELECT index, NULL, action, outcome, organization_code FROM orgtree.audit_entry) r
         WHERE action LIKE 'orgtree.article.%' ORDER BY index, seq",
    )
    .fetch_all(&suite.database.pool().await)
    .await
    .unwrap();
    let done = |step: &str| (format!("orgtree.article.{step}"), "DONE".into(), "A-1".into());
    assert_eq!(recorded, ["created", "published", "updated", "withdrawn"].map(done));
    suite.stop().await;
}

#[tokio::test]
async fn people_read_what_their_organization_and_those_above_published_and_nothing_else() {
    let suite = Suite::on_province().await;
    let mut top = writer(&suite, 1, "A", Role::Administrator).await;
    let news = |title: &str| ArticleContent { kind: ArticleKind::News.into(), ..content(title) };
    let pinned = |title: &str| ArticleContent { pinned: true, ..content(title) };
    publish(&suite, &mut top, "A", content("省一")).await;
    publish(&suite, &mut top, "A-1", pinned("市一")).await;
    publish(&suite, &mut top, "A-2", content("市二")).await;
    publish(&suite, &mut top, "A", news("省二")).await;
    publish(&suite, &mut top, "A-1-1", news("镇")).await;
    let all = &[];
    assert_eq!(titles(&suite, "A-1-1", all).await, ["镇", "省二", "市一", "省一"]);
    assert_eq!(titles(&suite, "A-2-1", all).await, ["省二", "市二", "省一"]);
    assert_eq!(titles(&suite, "A", all).await, ["省二", "省一"]);
    assert_eq!(titles(&suite, "A-1-1", &[ArticleKind::Guide]).await, ["市一", "省一"]);
    // What is pinned is on the first page, and in its place.
    let first = page(&suite, "A-1-1", all, "").await;
    let title = |one: &Article| one.content.clone().unwrap().title;
    assert_eq!(first.pinned.iter().map(title).collect::<Vec<_>>(), ["市一"]);
    assert!(page(&suite, "A-1-1", all, &first.next_page_token).await.pinned.is_empty());

    // What is published meanwhile moves no page; what is withdrawn is gone.
    let newest = publish(&suite, &mut top, "A", content("省三")).await;
    let second = page(&suite, "A-1-1", all, &first.next_page_token).await;
    assert_eq!(second.articles.iter().map(title).collect::<Vec<_>>(), ["市一", "省一"]);
    top.withdraw_article(withdraws(&newest)).await.unwrap();
    assert_eq!(titles(&suite, "A", all).await, ["省二", "省一"]);

    let request = ListArticlesRequest { organization_code: "A-7".into(), ..Default::default() };
    let status = reader(&suite).list_articles(request).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let token = ListArticlesRequest {
        organization_code: "A-1-1".into(),
        kinds: vec![ArticleKind::Guide.into()],
        page_token: first.next_page_token,
        ..Default::default()
    };
    let status = reader(&suite).list_articles(token).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    suite.stop().await;
}

#[tokio::test]
async fn who_does_not_manage_the_organization_writes_nothing_there_and_sees_no_draft() {
    let suite = Suite::on_province().await;
    let mut city = writer(&suite, 1, "A-1", Role::Administrator).await;
    let mut beside = writer(&suite, 2, "A-2", Role::Administrator).await;
    let mut viewer = writer(&suite, 3, "A-1", Role::Viewer).await;
    let made = city.create_article(writes("A-1", content("稿"))).await.unwrap().into_inner();
    let (id, etag) = (made.article_id.as_str(), made.etag.as_str());
    let own = || GetOwnArticleRequest { article_id: id.to_owned() };
    for status in [
        beside.get_own_article(own()).await.unwrap_err(),
        beside.update_article(updates(id, etag, content("改"))).await.unwrap_err(),
        beside.publish_article(publishes(id, etag)).await.unwrap_err(),
        beside.withdraw_article(withdraws(id)).await.unwrap_err(),
        city.withdraw_article(withdraws(&request_id())).await.unwrap_err(),
    ] {
        assert_refused(&status, Code::NotFound, "ARTICLE_NOT_FOUND");
    }
    let status = beside.create_article(writes("A-1", content("冒"))).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let list = |code: &str| ListOwnArticlesRequest {
        organization_code: code.to_owned(),
        ..Default::default()
    };
    let status = beside.list_own_articles(list("A-1")).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");

    // A viewer reads what is being written, and writes nothing.
    viewer.get_own_article(own()).await.unwrap();
    let found = viewer.list_own_articles(list("A-1")).await.unwrap().into_inner();
    assert_eq!(found.articles.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [id]);
    for status in [
        viewer.create_article(writes("A-1", content("写"))).await.unwrap_err(),
        viewer.update_article(updates(id, etag, content("改"))).await.unwrap_err(),
        viewer.publish_article(publishes(id, etag)).await.unwrap_err(),
        viewer.withdraw_article(withdraws(id)).await.unwrap_err(),
    ] {
        assert_refused(&status, Code::PermissionDenied, "PERMISSION_MISSING");
    }
    let weak = suite.bearer(account(1), false);
    let mut weak = NewsServiceClient::with_interceptor(suite.service.channel.clone(), weak);
    let status = weak.publish_article(publishes(id, etag)).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED");

    // A closed organization says nothing new, and can still take back what it said.
    let mut top = writer(&suite, 4, "A", Role::Administrator).await;
    let status = top.create_article(writes("A-1-9", content("关"))).await.unwrap_err();
    assert_refused(&status, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let refused: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM
             (SELECT action, outcome FROM orgtree.audit_pending
              UNION ALL SELECT action, outcome FROM orgtree.audit_entry) r
         WHERE action LIKE 'orgtree.article.%' AND outcome = 'REFUSED'",
    )
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert_eq!(refused, 9);
    suite.stop().await;
}

#[tokio::test]
async fn fields_are_refused_all_at_once_and_each_for_its_reason() {
    let suite = Suite::on_province().await;
    let mut city = writer(&suite, 1, "A-1", Role::Administrator).await;
    let nothing = CreateArticleRequest { request_id: request_id(), ..Default::default() };
    let (code, reason, fields) = told(&city.create_article(nothing).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let fields: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    let expected = ["organization_code", "content.kind", "content.title", "content.body"];
    assert_eq!(fields, expected);
    for (wrong, field, reason) in [
        (ArticleContent { kind: 9, ..content("一") }, "content.kind", "ARTICLE_KIND"),
        (content(&"字".repeat(61)), "content.title", "TEXT_LENGTH"),
        (
            ArticleContent { body: "字".repeat(20_001), ..content("一") },
            "content.body",
            "TEXT_LENGTH",
        ),
        (
            ArticleContent { summary: "一\n二".into(), ..content("一") },
            "content.summary",
            "TEXT_CHARACTERS",
        ),
    ] {
        let status = city.create_article(writes("A-1", wrong)).await.unwrap_err();
        assert_field(&status, field, reason);
    }
    let with = |kinds: Vec<i32>| ListArticlesRequest {
        organization_code: "A".to_owned(),
        kinds,
        ..Default::default()
    };
    let status = reader(&suite).list_articles(with(vec![1, 9])).await.unwrap_err();
    assert_field(&status, "kinds[1]", "ARTICLE_KIND");
    let status = reader(&suite).list_articles(with(vec![1; 4])).await.unwrap_err();
    assert_field(&status, "kinds", "ARTICLE_KINDS");
    suite.stop().await;
}
