use std::sync::Arc;

use time::macros::datetime;
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhiyuan_contracts::orgtree::v1::{GetRegionRequest, GetRegionResponse};
use zhiyuan_domain::ManualClock;
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_orgtree::{Config, DEFAULTS, RunError, Seed};

use crate::harness::{Service, assert_refused, config, empty};

async fn call(service: &Service, path: &'static str) -> Result<GetRegionResponse, Status> {
    let mut client = Grpc::new(service.channel.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<GetRegionRequest, GetRegionResponse>::default();
    let request = Request::new(GetRegionRequest { code: "341882".into() });
    let answer = client.unary(request, PathAndQuery::from_static(path), codec).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_path_that_the_contracts_do_not_know_is_not_served() {
    let service = Service::on_anhui().await;
    assert!(call(&service, "/zhiyuan.orgtree.v1.RegionService/GetRegion").await.is_ok());
    for path in [
        "/zhiyuan.orgtree.v1.RegionService/DeleteRegion",
        "/zhiyuan.orgtree.v1.RegionService/getregion",
        "/zhiyuan.orgtree.v2.RegionService/GetRegion",
        "//zhiyuan.orgtree.v1.RegionService/GetRegion",
    ] {
        let status = call(&service, path).await.unwrap_err();
        assert_refused(&status, Code::Unimplemented, "METHOD_NOT_FOUND");
    }
    service.stop().await;
}

#[tokio::test]
async fn tells_that_it_is_healthy() {
    let service = Service::on_anhui().await;
    for name in ["", "zhiyuan.orgtree.v1.RegionService", "zhiyuan.orgtree.v1.OrganizationService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: name.into() };
        let answer = HealthClient::new(service.channel.clone()).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{name}");
    }
    service.stop().await;
}

#[tokio::test]
async fn the_runtime_role_can_change_no_schema() {
    let database = empty().await;
    let pool = database.pool().await;
    let refused = sqlx::query("DROP TABLE orgtree.organization").execute(&pool).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"));
}

#[tokio::test]
async fn does_not_start_before_the_migrations_are_applied() {
    let database = empty().await;
    let admin = sqlx::PgPool::connect(&database.admin_url()).await.unwrap();
    sqlx::query("DELETE FROM orgtree._sqlx_migrations").execute(&admin).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ready, wait) = Ready::channel();
    let clock = Arc::new(ManualClock::new(datetime!(2026-11-23 0:00 UTC)));
    let config = config(&database, Seed::None);
    let deps = config.deps(clock).unwrap();
    let ended = zhiyuan_orgtree::run(config, deps, listener, Stop::new(), ready).await;
    let Err(RunError::Database(error)) = ended else { panic!("{ended:?}") };
    assert!(matches!(error, zhiyuan_postgres::Error::MigrationsPending { .. }), "{error:?}");
    assert!(wait.wait().await.is_err());
}

#[test]
fn the_defaults_need_a_database_and_three_keys_and_nothing_else() {
    let load = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        zhiyuan_settings::load_from::<Config>("orgtree", DEFAULTS, None, variables)
    };
    let url = ("ZHIYUAN_ORGTREE__DATABASE__URL", "postgres://zhiyuan_orgtree@127.0.0.1/zhiyuan");
    let key = ("ZHIYUAN_ORGTREE__SIGNING_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let audit = ("ZHIYUAN_ORGTREE__AUDIT__SIGNING_KEY", key.1);
    let notices = ("ZHIYUAN_ORGTREE__NOTICES__SIGNING_KEY", key.1);
    let config =
        load(&[url, key, audit, notices, ("ZHIYUAN_ORGTREE__SEED_ORGANIZATIONS", "anhui")])
            .unwrap();
    assert_eq!(config.seed_organizations, Seed::Anhui);
    assert_eq!(load(&[url, key, audit, notices]).unwrap().seed_organizations, Seed::None);
    for missing in
        [[url, key, audit], [url, key, notices], [url, audit, notices], [key, audit, notices]]
    {
        assert!(load(&missing).is_err(), "{missing:?}");
    }
}
