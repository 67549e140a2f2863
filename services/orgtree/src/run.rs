//! Wires orgtree together and runs it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zhiyuan_audit::{Head, InvalidKeys, Sealer, Trail};
use zhiyuan_auth::{InvalidCallers, Sessions, TrustedCallers};
use zhiyuan_contracts::orgtree::v1::authority_service_server::{
    AuthorityServiceServer, SERVICE_NAME as AUTHORITY,
};
use zhiyuan_contracts::orgtree::v1::feed_service_server::{
    FeedServiceServer, SERVICE_NAME as FEED,
};
use zhiyuan_contracts::orgtree::v1::invitation_service_server::{
    InvitationServiceServer, SERVICE_NAME as INVITATIONS,
};
use zhiyuan_contracts::orgtree::v1::news_service_server::{
    NewsServiceServer, SERVICE_NAME as NEWS,
};
use zhiyuan_contracts::orgtree::v1::organization_admin_service_server::{
    OrganizationAdminServiceServer, SERVICE_NAME as ORGANIZATION_ADMIN,
};
use zhiyuan_contracts::orgtree::v1::organization_application_service_server::{
    OrganizationApplicationServiceServer, SERVICE_NAME as APPLICATIONS,
};
use zhiyuan_contracts::orgtree::v1::organization_service_server::{
    OrganizationServiceServer, SERVICE_NAME as ORGANIZATIONS,
};
use zhiyuan_contracts::orgtree::v1::periodic_notice_service_server::{
    PeriodicNoticeServiceServer, SERVICE_NAME as NOTICES,
};
use zhiyuan_contracts::orgtree::v1::region_service_server::{
    RegionServiceServer, SERVICE_NAME as REGIONS,
};
use zhiyuan_contracts::orgtree::v1::statistics_service_server::{
    SERVICE_NAME as STATISTICS, StatisticsServiceServer,
};
use zhiyuan_contracts::policy::{self, Policies};
use zhiyuan_crypto::Key32;
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_feed::{Cuts, Publisher, Reader, Source};
use zhiyuan_lifecycle::{Ready, ReadySignal, Stop, Tasks};
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Guard, SuiteChannel, Verifiers, revocations, server};
use zhiyuan_telemetry::TelemetryConfig;

use crate::applications::Applications;
use crate::authority::Authority;
use crate::authority::ending::Endings;
use crate::authority::refusals::Refusals;
use crate::authority::scopes::OwnTree;
use crate::config::{Config, ConfigError};
use crate::counts::grpc::Statistics;
use crate::counts::{self, FEED as FROM_REGISTRATION, FromRegistration};
use crate::invitations::{Codes, Invitations};
use crate::news::News;
use crate::notices::{InvalidKey, Keys, Notices};
use crate::operator::{self, Operation};
use crate::organizations::changing::{Changing, Mass, OrganizationAdmin};
use crate::organizations::{Feed, Organizations};
use crate::regions::Regions;
use crate::requests::DigestKey;
use crate::{DEFAULTS, MIGRATOR, forgetting, migrate};

/// The name that other services call orgtree by.
pub(crate) const NAME: &str = "orgtree";

/// What orgtree is handed in.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// To registration.
    pub registration: SuiteChannel,
    /// To identity.
    pub identity: SuiteChannel,
}

/// Why orgtree did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// The keys of the audit are wrong.
    #[error(transparent)]
    Audit(#[from] InvalidKeys),
    /// The signing key has the wrong form.
    #[error("signing_key: expected 32 bytes in base64")]
    SigningKey,
    /// The key of notices has the wrong form.
    #[error(transparent)]
    Notices(#[from] InvalidKey),
    /// A caller is configured wrongly.
    #[error("callers")]
    Callers(#[from] InvalidCallers),
    /// The contracts.
    #[error("contracts")]
    Policies(#[from] policy::Error),
    /// Health and reflection, or the transport.
    #[error("failed to serve")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A background task ended.
    #[error("background task")]
    Task(#[from] zhiyuan_lifecycle::Failure),
}

/// Why the figures could not be recounted, or the audit not recomputed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// The recount.
    #[error("failed to recount: {0}")]
    Recount(String),
    /// The keys of the audit are wrong.
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
    /// The audit can't be read.
    #[error("failed to recompute the audit")]
    Audit(#[from] sqlx::Error),
}

/// Recounts the figures of all organizations from the rows of volunteers, and recomputes
/// the audit: a line for every figure that is not what was found, and for what was done to
/// the audit. Nothing is changed. `head` is a head of the audit that was kept elsewhere.
///
/// # Errors
/// When the database can't be reached or read.
pub async fn verify(config: &Config, head: Option<Head>) -> Result<Vec<String>, VerifyError> {
    let trusted = config.audit.trusted()?;
    let pool = zhiyuan_postgres::connect(&config.database, "zhiyuan-orgtree-verify").await?;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let differences = counts::job::differences(&pool).await;
    let findings = zhiyuan_audit::verify(&pool, NAME, &trusted, head).await;
    pool.close().await;
    let mut lines =
        differences.map_err(|error| VerifyError::Recount(zhiyuan_rpc::chain(&error)))?;
    lines.extend(findings?);
    Ok(lines)
}

/// Runs orgtree until `stop`.
///
/// # Errors
/// When it can't start, or a background task dies.
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
    let publisher = Publisher::new(NAME, pool.clone(), deps.clock.clone(), config.feed.clone())
        .scoped_by(OwnTree(pool.clone()));
    let trail = Trail::new(NAME, deps.clock.clone());
    // Rung when there is something to fold.
    let fold = Arc::new(Notify::new());
    let seed: Key32 = config.signing_key.expose().parse().map_err(|_form| RunError::SigningKey)?;
    let (codes, digests) = (Codes::new(&seed), DigestKey::new(&seed));
    // One for all: what one service has waited for, no other waits for again.
    let endings = Endings::default();
    let keys = Keys::new(&config.notices)?;
    let sealer = Sealer::new(NAME, pool.clone(), deps.clock.clone(), &config.audit)?;
    let changing = Changing {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        trail: trail.clone(),
        outbox: publisher.outbox(),
        refusals: Refusals::new(pool.clone(), deps.clock.clone(), trail.clone()),
        mass: Mass {
            people: config.changes.mass_people,
            organizations: config.changes.mass_organizations,
        },
        endings: endings.clone(),
        common_giver: config.voices.common_giver(),
    };
    let served = [
        REGIONS,
        ORGANIZATIONS,
        ORGANIZATION_ADMIN,
        APPLICATIONS,
        NEWS,
        STATISTICS,
        AUTHORITY,
        INVITATIONS,
        NOTICES,
        FEED,
    ];
    let applications = Applications(changing.clone(), digests);
    let applications = OrganizationApplicationServiceServer::new(applications);
    let routes = server::standard_routes(&served)
        .await
        .map_err(|error| RunError::Serve(error.into()))?
        .add_service(RegionServiceServer::new(Regions::new(pool.clone(), deps.clock.clone())))
        .add_service(OrganizationServiceServer::new(Organizations::new(pool.clone())))
        .add_service(OrganizationAdminServiceServer::new(OrganizationAdmin(changing)))
        .add_service(applications)
        .add_service(NewsServiceServer::new(News::new(
            pool.clone(),
            deps.clock.clone(),
            trail.clone(),
        )))
        .add_service(StatisticsServiceServer::new(Statistics::new(
            pool.clone(),
            deps.clock.clone(),
            trail.clone(),
            Arc::clone(&fold),
        )))
        .add_service(AuthorityServiceServer::new(Authority::new(
            pool.clone(),
            deps.clock.clone(),
            trail.clone(),
            endings.clone(),
            config.voices.common_giver(),
        )))
        .add_service(InvitationServiceServer::new(Invitations::new(
            pool.clone(),
            deps.clock.clone(),
            trail.clone(),
            codes,
            endings,
        )))
        .add_service(PeriodicNoticeServiceServer::new(Notices::new(
            pool.clone(),
            deps.clock.clone(),
            trail.clone(),
            keys,
        )))
        .add_service(FeedServiceServer::new(Feed::new(publisher.clone())));
    let callers = TrustedCallers::new(&config.callers)?;
    let sessions = Sessions::new();
    let service = Guard::new(
        routes.prepare(),
        NAME,
        Policies::load()?,
        Verifiers::new(NAME, callers, sessions.clone(), deps.clock.clone()),
        ClassLimits::new(&config.server.limits),
        config.server.bounds(),
    );
    let tasks = Tasks::new(stop.clone());
    publisher.start(&tasks);
    let ended = revocations::FromIdentity::new(deps.identity.clone());
    // Asked for as long as there are calls, or strict ones would be refused while it drains.
    let while_served = CancellationToken::new();
    tasks.start("revocations", revocations::watch(ended, sessions, while_served.clone()));
    sealer.start(&tasks);
    start_counts(&tasks, &config, &deps, &pool, fold);
    let old = forgetting::forget(pool.clone(), deps.clock.clone(), trail, stop.soft());
    tasks.start("forgetting", old);
    ready.ready();
    server::serve(listener, service, &config.server, &stop).await;
    while_served.cancel();
    let ended = tasks.finish(config.server.rest()).await;
    zhiyuan_postgres::close(&pool).await;
    Ok(ended?)
}

/// Follows registration, and takes what changes up the tree.
fn start_counts(tasks: &Tasks, config: &Config, deps: &Deps, pool: &PgPool, woken: Arc<Notify>) {
    let (clock, every) = (|| deps.clock.clone(), Duration::from_millis);
    let trail = Trail::new(NAME, clock());
    let projection = FromRegistration { clock: clock(), trail, fold: Arc::clone(&woken) };
    let source = Source::new(deps.registration.clone(), "zhiyuan.registration.v1.FeedService");
    Reader::new(NAME, FROM_REGISTRATION, pool.clone(), source, &clock(), projection).start(tasks);
    let stop = || tasks.stop().soft();
    let cuts = Cuts::new(NAME, &[FROM_REGISTRATION], pool.clone());
    tasks.start("cuts", cuts.daily(stop()));
    let fold = counts::job::fold(pool.clone(), every(config.counts.fold_ms), woken, stop());
    tasks.start("fold", fold);
    let verify = counts::job::verify(pool.clone(), clock(), every(config.counts.verify_ms), stop());
    tasks.start("verify", verify);
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
    type Operation = Operation;

    async fn operate(config: Config, operation: Operation) -> anyhow::Result<Vec<String>> {
        operator::operate(&config, operation).await
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        TrustedCallers::new(&config.callers)?;
        zhiyuan_crypto::SigningKey::from_base64(config.signing_key.expose())
            .map_err(|_form| ConfigError::SigningKey)?;
        config.audit.trusted()?;
        Keys::new(&config.notices)?;
        Ok(())
    }

    async fn verify(config: Config, head: Option<String>) -> anyhow::Result<Vec<String>> {
        let head = head.as_deref().map(str::parse).transpose()?;
        Ok(verify(&config, head).await?)
    }

    async fn migrate(config: Config) -> anyhow::Result<()> {
        Ok(migrate(&config).await?)
    }

    async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
        let listener = TcpListener::bind(&config.server.listen).await?;
        tracing::info!(address = %listener.local_addr()?, "orgtree listens");
        let deps = config.deps(Arc::new(SystemClock))?;
        let (nobody_waits, _) = Ready::channel();
        Ok(run(config, deps, listener, stop, nobody_waits).await?)
    }
}
