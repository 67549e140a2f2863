//! The tree as it was, and figures by it.

use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationRequest, GetOrganizationStatisticsRequest, ListOrganizationsRequest,
    Organization, OrganizationState,
};
use zhiyuan_domain::Partition;
use zhiyuan_rpc::wire::timestamp;

use crate::authority::{HEADER, PROVINCE, Suite};
use crate::harness::{Service, assert_field, assert_refused, empty, load};
use crate::organizations::{below, codes, walk};

/// The clock that dates the tree.
pub(crate) async fn now(pool: &PgPool) -> OffsetDateTime {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await.unwrap()
}

async fn get(
    service: &Service,
    code: &str,
    at: OffsetDateTime,
) -> Result<Organization, tonic::Status> {
    let request = GetOrganizationRequest { code: code.to_owned(), as_of_time: Some(timestamp(at)) };
    let answer = service.organizations().get_organization(request).await?;
    Ok(answer.into_inner().organization.unwrap())
}

fn below_at(parent: &str, at: OffsetDateTime) -> ListOrganizationsRequest {
    ListOrganizationsRequest { as_of_time: Some(timestamp(at)), ..below(parent) }
}

/// The tree before and after one city moved below the other, was renamed, and one of its
/// townships was closed; and the moments at which it was so.
async fn moved(pool: &PgPool, database: &zhiyuan_testkit::TestDatabase) -> [OffsetDateTime; 3] {
    let nothing = now(pool).await;
    load(database, &format!("{HEADER}\n{PROVINCE}\n")).await.unwrap();
    let before = now(pool).await;
    let text =
        format!("{HEADER}\nA-2,新市二,MUNICIPAL,A-1,,,\nA-2-1,镇二一,TOWNSHIP,A-2,,CLOSED,A-1-1\n");
    load(database, &text).await.unwrap();
    [nothing, before, now(pool).await]
}

#[tokio::test]
async fn the_tree_of_an_earlier_moment_is_shown_as_it_was() {
    let database = empty().await;
    let pool = database.pool().await;
    let [nothing, before, after] = moved(&pool, &database).await;
    let service = Service::start(&database).await;

    let was = get(&service, "A-2-1", before).await.unwrap();
    assert_eq!((was.state(), was.takes_registrations), (OrganizationState::Active, true));
    assert_eq!(was.ancestor_names, ["省", "市二"]);
    assert_eq!((was.leaf, was.etag.as_str(), was.contacts), (true, "", Some(Default::default())));
    let is = get(&service, "A-2-1", after).await.unwrap();
    assert_eq!((is.state(), is.successor_code.as_str()), (OrganizationState::Closed, "A-1-1"));
    assert_eq!(is.ancestor_names, ["省", "市一", "新市二"]);

    assert_eq!(codes(&walk(&service, &below_at("A", before)).await), ["A-1", "A-2"]);
    assert_eq!(codes(&walk(&service, &below_at("A", after)).await), ["A-1"]);
    assert_eq!(codes(&walk(&service, &below_at("A-1", before)).await), ["A-1-1"]);
    assert_eq!(codes(&walk(&service, &below_at("A-1", after)).await), ["A-1-1", "A-2"]);
    assert_eq!(codes(&walk(&service, &below_at("", before)).await), ["A"]);
    assert!(walk(&service, &below_at("A-2-1", before)).await.is_empty());
    let open = ListOrganizationsRequest { registrable_only: true, ..below_at("A-2", before) };
    assert_eq!(codes(&walk(&service, &open).await), ["A-2-1"]);
    let open = ListOrganizationsRequest { registrable_only: true, ..below_at("A-2", after) };
    assert!(walk(&service, &open).await.is_empty());

    // Before there was one, there was none.
    for code in ["A", "A-2"] {
        let status = get(&service, code, nothing).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
        let request = below_at(code, nothing);
        let status = service.organizations().list_organizations(request).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    assert!(walk(&service, &below_at("", nothing)).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn the_future_a_search_in_the_past_and_the_page_of_another_moment_are_refused() {
    let database = empty().await;
    let pool = database.pool().await;
    let [_, before, after] = moved(&pool, &database).await;
    let service = Service::start(&database).await;
    let future = after + Duration::days(1);
    let status = get(&service, "A", future).await.unwrap_err();
    assert_field(&status, "as_of_time", "TIME_FUTURE");
    let list = async |request| service.organizations().list_organizations(request).await;
    let status = list(below_at("A", future)).await.unwrap_err();
    assert_field(&status, "as_of_time", "TIME_FUTURE");
    let request = ListOrganizationsRequest { query: "镇".into(), ..below_at("A", before) };
    assert_field(&list(request).await.unwrap_err(), "as_of_time", "TIME_WITH_QUERY");
    let mut wrong = below_at("A", before);
    wrong.as_of_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    assert_field(&list(wrong).await.unwrap_err(), "as_of_time", "TIME_FORM");
    let first = ListOrganizationsRequest { page_size: 1, ..below_at("A", before) };
    let token = list(first.clone()).await.unwrap().into_inner().next_page_token;
    assert_ne!(token, "");
    for time in [None, Some(timestamp(after))] {
        let page_token = token.clone();
        let other = ListOrganizationsRequest { page_token, as_of_time: time, ..first.clone() };
        let status = list(other).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    service.stop().await;
}

#[tokio::test]
async fn all_of_a_load_is_of_one_moment_and_what_was_is_never_changed() {
    let database = empty().await;
    let pool = database.pool().await;
    moved(&pool, &database).await;
    let moments: Vec<(OffsetDateTime, i64)> = sqlx::query_as(
        "SELECT valid_from, count(*) FROM orgtree.organization_version GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let counts: Vec<i64> = moments.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [6, 2]);
    // A load that changes nothing that is dated leaves nothing.
    load(&database, "code,name,kind,parent_code,region_code,contact_phone\nA,省,PROVINCIAL,,,1\n")
        .await
        .unwrap();
    let versions: i64 = sqlx::query_scalar("SELECT count(*) FROM orgtree.organization_version")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(versions, 8);
    for change in [
        "UPDATE orgtree.organization_version SET name = '改' WHERE valid_to IS NOT NULL",
        "UPDATE orgtree.organization_version SET valid_from = now()",
        "DELETE FROM orgtree.organization_version",
    ] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{change}");
    }
}

/// Volunteers of an organization more, as the feed of registration makes them.
pub(crate) async fn come(connection: &mut PgConnection, code: &str, count: usize) {
    for _ in 0..count {
        let id = Uuid::new_v4();
        sqlx::query(
            "INSERT INTO orgtree.volunteer (partition, volunteer_id, organization_code, active,
                 verified, league_member, revision)
             VALUES ($1, $2, $3, true, true, false, 1)",
        )
        .bind(Partition::of(id).get())
        .bind(id)
        .bind(code)
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    let count = i64::try_from(count).unwrap();
    sqlx::query(
        "INSERT INTO orgtree.count_delta
             (organization_code, after_cut, volunteers, verified_volunteers, league_members)
         VALUES ($1, (SELECT coalesce(max(cut_id), 0) FROM orgtree.feed_cut
                      WHERE taken_at IS NOT NULL), $2, $2, 0)",
    )
    .bind(code)
    .bind(count)
    .execute(connection)
    .await
    .unwrap();
}

/// Takes a cut, exactly now.
pub(crate) async fn cut(pool: &PgPool) -> OffsetDateTime {
    sqlx::query_scalar(
        "INSERT INTO orgtree.feed_cut (at, taken_at, exact)
         VALUES (clock_timestamp(), clock_timestamp(), true) RETURNING at",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Own volunteers and those of the subtree, as of a cut.
pub(crate) async fn figures(
    suite: &Suite,
    code: &str,
    cut: OffsetDateTime,
) -> Result<(i64, i64), tonic::Status> {
    let mut client = StatisticsServiceClient::new(suite.channel("platform", &suite.service));
    let organization_code = code.to_owned();
    let request =
        GetOrganizationStatisticsRequest { organization_code, cut_time: Some(timestamp(cut)) };
    let told = client.get_organization_statistics(request).await?.into_inner();
    Ok((told.own.unwrap().volunteers, told.subtree.unwrap().volunteers))
}

#[tokio::test]
async fn figures_as_of_a_cut_are_by_the_tree_at_the_cut() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    for (code, count) in [("A-1-1", 3), ("A-2-1", 4), ("A-2", 1)] {
        come(&mut connection, code, count).await;
    }
    let first = cut(&pool).await;
    come(&mut connection, "A-2-1", 10).await;
    let text = format!("{HEADER}\nA-2,市二,MUNICIPAL,A-1-1,,,\nA-3,市三,MUNICIPAL,A,,,\n");
    load(&suite.database, &text).await.unwrap();
    come(&mut connection, "A-2-1", 100).await;
    let second = cut(&pool).await;
    load(&suite.database, &format!("{HEADER}\nA-2,市二,MUNICIPAL,A-3,,,\n")).await.unwrap();
    come(&mut connection, "A-2", 1_000).await;
    come(&mut connection, "A-3", 1).await;
    // Folded or not: the figures as of a cut don't change any more.
    for _ in 0..20 {
        for (code, at, expected) in [
            ("A", first, (0, 8)),
            ("A-1", first, (0, 3)),
            ("A-1-1", first, (3, 3)),
            ("A-2", first, (1, 5)),
            ("A", second, (0, 118)),
            ("A-1", second, (0, 118)),
            ("A-1-1", second, (3, 118)),
            ("A-2", second, (1, 115)),
            ("A-3", second, (0, 0)),
        ] {
            assert_eq!(figures(&suite, code, at).await.unwrap(), expected, "{code} {at}");
        }
    }
    let status = figures(&suite, "A-3", first).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}
