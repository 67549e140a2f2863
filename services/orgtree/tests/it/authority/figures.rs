//! What administrators read of figures, and what they state.

use tonic::transport::Channel;
use tonic::{Code, service::interceptor::InterceptedService};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationStatisticsRequest, ListOrganizationStatisticsResponse, MemberStatement,
    OrganizationFigures, StateMembersRequest,
};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;

use super::{Bearer, Suite, account, patiently, revokes};
use crate::harness::{assert_field, assert_refused, told};

pub(crate) type Figures = StatisticsServiceClient<InterceptedService<Channel, Bearer>>;

impl Suite {
    pub(crate) fn figures(&self, account_id: Uuid) -> Figures {
        let bearer = self.bearer(account_id, true);
        StatisticsServiceClient::with_interceptor(self.service.channel.clone(), bearer)
    }

    /// As if the feed had been read to its head.
    pub(crate) async fn complete(&self) {
        let pool = self.database.pool().await;
        sqlx::query("UPDATE orgtree.count_state SET as_of = $1")
            .bind(self.clock.now())
            .execute(&pool)
            .await
            .unwrap();
    }

    /// Until what was stated is folded.
    pub(crate) async fn read(
        &self,
        account_id: Uuid,
        code: &str,
        stated: i64,
    ) -> ListOrganizationStatisticsResponse {
        let mut client = self.figures(account_id);
        let waiting = async {
            loop {
                let page = client.list_organization_statistics(lists(code, 0, "")).await.unwrap();
                let page = page.into_inner();
                let subtree = page.organization.as_ref().unwrap().subtree.unwrap();
                if subtree.stated_members == stated {
                    break page;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.unwrap()
    }
}

pub(crate) fn lists(
    code: &str,
    page_size: i32,
    page_token: &str,
) -> ListOrganizationStatisticsRequest {
    ListOrganizationStatisticsRequest {
        organization_code: code.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    }
}

pub(crate) fn states(code: &str, members: i64) -> StateMembersRequest {
    StateMembersRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: code.to_owned(),
        statement: Some(MemberStatement {
            members,
            source: "智慧团建导出".to_owned(),
            stated_on: "2026-11-20".to_owned(),
        }),
    }
}

fn takes_back(code: &str) -> StateMembersRequest {
    StateMembersRequest { statement: None, ..states(code, 1) }
}

#[tokio::test]
async fn an_administrator_reads_the_own_level_and_below_and_nothing_else() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Viewer).await;
    let grant = suite.make(account(2), "A-1", TypedRole::Administrator).await;
    let mut viewer = suite.figures(account(1));
    let early = viewer.list_organization_statistics(lists("A", 0, "")).await.unwrap_err();
    assert_refused(&early, Code::Unavailable, "UNAVAILABLE");
    suite.complete().await;
    let page = viewer.list_organization_statistics(lists("A", 1, "")).await.unwrap().into_inner();
    let organization = page.organization.clone().unwrap();
    assert_eq!(
        (organization.organization_code.as_str(), organization.organization_name.as_str()),
        ("A", "省")
    );
    // Nobody has registered: no rate.
    assert_eq!(organization.subtree, Some(OrganizationFigures::default()));
    assert_eq!(organization.statement, None);
    assert!(page.as_of.is_some());
    let codes = |page: &ListOrganizationStatisticsResponse| -> Vec<String> {
        page.children.iter().map(|child| child.organization_code.clone()).collect()
    };
    assert_eq!(codes(&page), ["A-1"]);
    let request = lists("A", 1, &page.next_page_token);
    let next = viewer.list_organization_statistics(request).await.unwrap().into_inner();
    assert_eq!((codes(&next), next.next_page_token.as_str()), (vec!["A-2".to_owned()], ""));

    let mut below = suite.figures(account(2));
    let own = below.list_organization_statistics(lists("A-1", 1, "")).await.unwrap().into_inner();
    assert_eq!(codes(&own), ["A-1-1"]);
    // Row 4.4.8: what is beside and above is not there, as what does not exist.
    for code in ["A", "A-2", "A-2-1", "A-7"] {
        let refused = below.list_organization_statistics(lists(code, 0, "")).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    // Row 4.4.15: a token of another scope, or another reader.
    for (code, token) in [("A-1-1", &next.next_page_token), ("A-1", &page.next_page_token)] {
        let token = if token.is_empty() { "bm8" } else { token.as_str() };
        let refused = below.list_organization_statistics(lists(code, 1, token)).await.unwrap_err();
        assert_eq!(told(&refused).1, "PAGE_TOKEN_INVALID");
    }
    // Row 4.4.16: who has lost it meanwhile reads no further page.
    suite.make(account(3), "A", TypedRole::Administrator).await;
    suite.person(account(3)).revoke_grant(patiently(revokes(grant))).await.unwrap();
    let lost = below.list_organization_statistics(lists("A-1", 1, "")).await.unwrap_err();
    assert_refused(&lost, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let wrong = viewer.list_organization_statistics(lists("A", -1, "")).await.unwrap_err();
    assert_field(&wrong, "page_size", "PAGE_SIZE_NEGATIVE");
    suite.stop().await;
}

#[tokio::test]
async fn what_is_stated_counts_up_the_tree_until_it_is_taken_back() {
    let suite = Suite::on_province().await;
    suite.complete().await;
    suite.make(account(1), "A", TypedRole::Manager).await;
    let mut manager = suite.figures(account(1));
    let request = states("A-1-1", 40);
    manager.state_members(request.clone()).await.unwrap();
    // Sent again, it is known; another one takes its place.
    manager.state_members(request.clone()).await.unwrap();
    manager.state_members(states("A-2-1", 60)).await.unwrap();
    let page = suite.read(account(1), "A", 100).await;
    let root = page.organization.unwrap();
    assert_eq!((root.own.unwrap().stated_members, root.statement), (0, None));
    assert_eq!(root.subtree.unwrap().registered_per_ten_thousand, Some(0));
    let of: Vec<i64> =
        page.children.iter().map(|child| child.subtree.unwrap().stated_members).collect();
    assert_eq!(of, [40, 60]);
    manager.state_members(states("A-1-1", 50)).await.unwrap();
    let page = suite.read(account(1), "A-1-1", 50).await;
    let statement = page.organization.unwrap().statement.unwrap();
    assert_eq!((statement.members, statement.source.as_str()), (50, "智慧团建导出"));
    assert_eq!(statement.stated_on, "2026-11-20");
    let reused = StateMembersRequest { request_id: request.request_id, ..states("A-1-1", 41) };
    let reused = manager.state_members(reused).await.unwrap_err();
    assert_refused(&reused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    manager.state_members(takes_back("A-1-1")).await.unwrap();
    suite.read(account(1), "A", 60).await;
    // Nothing is stated there: nothing is taken back.
    manager.state_members(takes_back("A-1-1")).await.unwrap();
    suite.read(account(1), "A", 60).await;
    assert_eq!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap(), Vec::<String>::new());
    suite.stop().await;
}

#[tokio::test]
async fn a_number_is_stated_by_who_manages_members_for_an_open_organization_without_a_roster() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A-1", TypedRole::Manager).await;
    suite.make(account(2), "A-1", TypedRole::Viewer).await;
    let (mut manager, mut viewer) = (suite.figures(account(1)), suite.figures(account(2)));
    let refused = viewer.state_members(states("A-1-1", 1)).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PERMISSION_MISSING");
    let refused = manager.state_members(states("A-2-1", 1)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let refused = manager.state_members(states("A-1-9", 1)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "ORGANIZATION_CLOSED");
    let pool = suite.database.pool().await;
    sqlx::query(
        "INSERT INTO orgtree.organization_count (organization_code, own_members)
         VALUES ('A-1-1', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let refused = manager.state_members(states("A-1-1", 1)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "ROSTER_EXISTS");
    let with = |change: fn(&mut MemberStatement)| {
        let mut request = states("A-1", 7);
        change(request.statement.as_mut().unwrap());
        request
    };
    for (request, field, reason) in [
        (states("A-1", 0), "statement.members", "MEMBERS_RANGE"),
        (states("A-1", 10_000_001), "statement.members", "MEMBERS_RANGE"),
        (with(|s| s.source.clear()), "statement.source", "REMARK_EMPTY"),
        (with(|s| s.stated_on = "2026-02-30".into()), "statement.stated_on", "DATE_FORM"),
        (with(|s| s.stated_on = "2026-11-24".into()), "statement.stated_on", "DATE_FORM"),
        (with(|s| s.stated_on = "26-1-1".into()), "statement.stated_on", "DATE_FORM"),
    ] {
        assert_field(&manager.state_members(request).await.unwrap_err(), field, reason);
    }
    suite.stop().await;
}
