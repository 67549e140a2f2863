//! Wires orgtree together and runs it.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::net::TcpListener;
use zhiyuan_auth::{AssertionVerifier, InvalidCallers, TrustedCallers};
use zhiyuan_contracts::orgtree::v1::organization_service_server::{
    OrganizationServiceServer, SERVICE_NAME as ORGANIZATIONS,
};
use zhiyuan_contracts::orgtree::v1::region_service_server::{
    RegionServiceServer, SERVICE_NAME as REGIONS,
};
use zhiyuan_contracts::policy::{self, Policies};
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_lifecycle::{Ready, ReadySignal, Stop};
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Guard, server};
use zhiyuan_telemetry::TelemetryConfig;

use crate::config::Config;
use crate::organizations::Organizations;
use crate::regions::Regions;
use crate::{DEFAULTS, MIGRATOR, migrate};

/// The name that other services call orgtree by.
const NAME: &str = "orgtree";

/// What orgtree is handed in.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
}

/// Why orgtree did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// A caller is configured wrongly.
    #[error("callers")]
    Callers(#[from] InvalidCallers),
    /// The contracts.
    #[error("contracts")]
    Policies(#[from] policy::Error),
    /// Health and reflection, or the transport.
    #[error("failed to serve")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs orgtree until `stop`.
///
/// # Errors
/// When it can't start, or the transport fails.
pub async fn run(
    config: Config,
    deps: Deps,
    listener: TcpListener,
    stop: Stop,
    ready: ReadySignal,
) -> Result<(), RunError> {
    let pool =
        planned_each_time(zhiyuan_postgres::connect(&config.database, "zhiyuan-orgtree").await?)
            .await;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let routes = server::standard_routes(&[REGIONS, ORGANIZATIONS])
        .await
        .map_err(|error| RunError::Serve(error.into()))?
        .add_service(RegionServiceServer::new(Regions::new(pool.clone())))
        .add_service(OrganizationServiceServer::new(Organizations::new(pool.clone())));
    let callers = TrustedCallers::new(&config.callers)?;
    let service = Guard::new(
        routes.prepare(),
        NAME,
        Policies::load()?,
        AssertionVerifier::new(NAME, callers, deps.clock),
        ClassLimits::new(&config.server.limits),
        config.server.bounds(),
    );
    ready.ready();
    let served = server::serve(listener, service, &config.server, stop.soft().clone()).await;
    pool.close().await;
    served.map_err(|error| RunError::Serve(error.into()))
}

/// What a search costs depends on what is searched, by a factor of thousands: one
/// plan for all of them, which PostgreSQL would settle on after five, reads half
/// the table for the first page of a common character.
async fn planned_each_time(pool: PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    let planned = pool
        .options()
        .clone()
        .connect_lazy_with(options.options([("plan_cache_mode", "force_custom_plan")]));
    pool.close().await;
    planned
}

/// Orgtree as a binary.
#[derive(Debug)]
pub struct Program;

impl zhiyuan_process::Program for Program {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;
    type Config = Config;

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        TrustedCallers::new(&config.callers)?;
        Ok(())
    }

    async fn migrate(config: Config) -> anyhow::Result<()> {
        Ok(migrate(&config).await?)
    }

    async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
        let listener = TcpListener::bind(&config.server.listen).await?;
        tracing::info!(address = %listener.local_addr()?, "orgtree listens");
        let deps = Deps { clock: Arc::new(SystemClock) };
        let (nobody_waits, _) = Ready::channel();
        Ok(run(config, deps, listener, stop, nobody_waits).await?)
    }
}
