//! Wires registration together and runs it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use zhiyuan_audit::{InvalidKeys, Sealer, Trail};
use zhiyuan_auth::{Sessions, TrustedCallers};
use zhiyuan_contracts::policy::Policies;
use zhiyuan_contracts::registration::v1::claim_service_server::{
    ClaimServiceServer, SERVICE_NAME as CLAIMS,
};
use zhiyuan_contracts::registration::v1::feed_service_server::{
    FeedServiceServer, SERVICE_NAME as FEED,
};
use zhiyuan_contracts::registration::v1::phone_recovery_service_server::{
    PhoneRecoveryServiceServer, SERVICE_NAME as PHONE_RECOVERIES,
};
use zhiyuan_contracts::registration::v1::profile_service_server::{
    ProfileServiceServer, SERVICE_NAME as PROFILES,
};
use zhiyuan_contracts::registration::v1::registration_service_server::{
    RegistrationServiceServer, SERVICE_NAME as REGISTRATIONS,
};
use zhiyuan_contracts::registration::v1::review_service_server::{
    ReviewServiceServer, SERVICE_NAME as REVIEWS,
};
use zhiyuan_contracts::registration::v1::roster_service_server::{
    RosterServiceServer, SERVICE_NAME as ROSTERS,
};
use zhiyuan_contracts::registration::v1::volunteer_service_server::{
    SERVICE_NAME as VOLUNTEERS, VolunteerServiceServer,
};
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_feed::{Publisher, Reader, Source};
use zhiyuan_lifecycle::{Ready, ReadySignal, Stop, Tasks};
use zhiyuan_rpc::authority::Authority;
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Guard, SuiteChannel, Verifiers, revocations, server};
use zhiyuan_telemetry::TelemetryConfig;

use crate::claims::grpc::ClaimRpc;
use crate::claims::{self, Claims, Deciders, Sides};
use crate::config::{Config, ConfigError};
use crate::following::{FEED as FROM_IDENTITY, FromIdentity};
use crate::look_ups::VolunteerRpc;
use crate::phone_recoveries::grpc::RecoveryRpc;
use crate::phone_recoveries::{self, Administrators, Recoveries};
use crate::profiles::Profiles;
use crate::profiles::accounts::Accounts;
use crate::profiles::grpc::ProfileRpc;
use crate::registering::enrolments::Enrolments;
use crate::registering::grpc::Registrations;
use crate::registering::job;
use crate::registering::organizations::Organizations;
use crate::registering::saga::Registrar;
use crate::reviews::Reviews;
use crate::reviews::applicants::Applicants;
use crate::reviews::grpc::ReviewRpc;
use crate::rosters::grpc::RosterRpc;
use crate::rosters::{self, People, Rosters};
use crate::volunteers::grpc::Feed;
use crate::{DEFAULTS, MIGRATOR};

/// The name that other services know this one by.
pub(crate) const NAME: &str = "registration";

/// What registration is handed in.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// To identity.
    pub identity: SuiteChannel,
    /// To orgtree.
    pub orgtree: SuiteChannel,
}

/// Why registration did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A key is configured wrongly.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys of the audit are wrong.
    #[error(transparent)]
    Audit(#[from] InvalidKeys),
    /// A caller is configured wrongly.
    #[error("callers")]
    Callers(#[from] zhiyuan_auth::InvalidCallers),
    /// The access policy can't be read.
    #[error("access policy")]
    Policy(#[from] zhiyuan_contracts::policy::Error),
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// The descriptor set can't be served.
    #[error("reflection: {0}")]
    Reflection(String),
    /// A background task ended.
    #[error("background task")]
    Task(#[from] zhiyuan_lifecycle::Failure),
}

/// Applies the migrations, as the owner of the schema.
///
/// # Errors
/// When the database can't be reached or a migration fails.
pub async fn migrate(config: &Config) -> Result<(), zhiyuan_postgres::Error> {
    let database = &config.database;
    let url = database.migration_url.as_deref().unwrap_or(&database.url);
    zhiyuan_postgres::migrate(url, &MIGRATOR).await
}

/// Runs registration until `stop`.
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
    let pool = zhiyuan_postgres::connect(&config.database, "zhiyuan-registration").await?;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let authority = Authority::new(deps.orgtree.clone());
    let publisher = Publisher::new(NAME, pool.clone(), deps.clock.clone(), config.feed.clone())
        .scoped_by(authority.clone());
    let sealer = Sealer::new(NAME, pool.clone(), deps.clock.clone(), &config.audit)?;
    let due = Arc::new(Notify::new());
    let reader = reader_of(&publisher, &deps, Arc::clone(&due));
    let registrar = Registrar {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        enrolments: Enrolments::new(deps.identity.clone()),
        organizations: Organizations::new(deps.orgtree.clone()),
        digests: config.digests.parse()?,
        age_rule: config.rules.age.into(),
        outbox: publisher.outbox(),
        due,
    };
    let profiles = Profiles {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        accounts: Accounts::new(deps.identity.clone()),
        organizations: registrar.organizations.clone(),
        digests: registrar.digests.clone(),
        outbox: publisher.outbox(),
        trail: Trail::new(NAME, deps.clock.clone()),
    };
    let reviews = Reviews {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        applicants: Applicants::new(deps.identity.clone()),
        authority: authority.clone(),
        digests: registrar.digests.clone(),
        trail: Trail::new(NAME, deps.clock.clone()),
        due: Arc::clone(&registrar.due),
    };
    let rosters = Rosters {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        people: People::new(deps.identity.clone()),
        organizations: registrar.organizations.clone(),
        authority: authority.clone(),
        digests: registrar.digests.clone(),
        trail: Trail::new(NAME, deps.clock.clone()),
        outbox: publisher.outbox(),
        due: Arc::default(),
        reading: Arc::new(Semaphore::new(1)),
        showing: Arc::new(Semaphore::new(1)),
        limits: config.rosters.limits(),
    };
    let recoveries = Recoveries {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        digests: registrar.digests.clone(),
        trail: Trail::new(NAME, deps.clock.clone()),
        accounts: phone_recoveries::Accounts::new(deps.identity.clone()),
        administrators: Administrators::new(authority.clone(), deps.orgtree.clone()),
        limits: config.phone_recoveries.limits(),
    };
    let claims = Claims {
        pool: pool.clone(),
        clock: deps.clock.clone(),
        sides: Sides::new(deps.identity.clone()),
        deciders: Deciders {
            authority,
            organizations: registrar.organizations.clone(),
            administrators: recoveries.administrators.clone(),
        },
        digests: registrar.digests.clone(),
        trail: Trail::new(NAME, deps.clock.clone()),
        grant_age: config.claims.grant_age(),
        due: Arc::clone(&registrar.due),
    };
    let names =
        [REGISTRATIONS, PROFILES, REVIEWS, CLAIMS, VOLUNTEERS, PHONE_RECOVERIES, ROSTERS, FEED];
    let routes = server::standard_routes(&names)
        .await
        .map_err(|error| RunError::Reflection(error.to_string()))?
        .add_service(RegistrationServiceServer::new(Registrations::new(registrar.clone())))
        .add_service(ProfileServiceServer::new(ProfileRpc::new(profiles)))
        .add_service(ReviewServiceServer::new(ReviewRpc::new(reviews)))
        .add_service(ClaimServiceServer::new(ClaimRpc::new(claims.clone())))
        .add_service(VolunteerServiceServer::new(VolunteerRpc::new(
            pool.clone(),
            deps.clock.clone(),
            Trail::new(NAME, deps.clock.clone()),
        )))
        .add_service(PhoneRecoveryServiceServer::new(RecoveryRpc::new(recoveries.clone())))
        .add_service(RosterServiceServer::new(RosterRpc::new(rosters.clone())))
        .add_service(FeedServiceServer::new(Feed::new(publisher.clone())));
    let sessions = Sessions::new();
    let callers = TrustedCallers::new(&config.callers)?;
    let service = Guard::new(
        routes.prepare(),
        NAME,
        Policies::load()?,
        Verifiers::new(NAME, callers, sessions.clone(), deps.clock),
        ClassLimits::new(&config.server.limits),
        config.server.bounds(),
    );

    let tasks = Tasks::new(stop.clone());
    let every = Duration::from_millis;
    let recovery = config.recovery;
    tasks.start(
        "recovery",
        job::recover(registrar.clone(), every(recovery.interval_ms), stop.soft()),
    );
    tasks.start(
        "recoveries of phones",
        phone_recoveries::job::tell(recoveries, every(recovery.interval_ms), stop.soft()),
    );
    tasks.start("claims", claims::job::carry_on(claims, every(recovery.interval_ms), stop.soft()));
    tasks.start(
        "rosters",
        rosters::job::run(rosters, every(config.rosters.interval_ms), stop.soft()),
    );
    publisher.start(&tasks);
    sealer.start(&tasks);
    reader.start(&tasks);
    let ended = revocations::FromIdentity::new(deps.identity);
    // Asked for as long as there are calls, or strict ones would be refused while it drains.
    let served = CancellationToken::new();
    tasks.start("revocations", revocations::watch(ended, sessions, served.clone()));
    tasks.start("sweep", job::sweep(registrar, every(recovery.sweep_ms), stop.soft()));

    ready.ready();
    server::serve(listener, service, &config.server, &stop).await;
    served.cancel();
    let ended = tasks.finish(config.server.rest()).await;
    zhiyuan_postgres::close(&pool).await;
    ended?;
    Ok(())
}

/// Follows identity.
fn reader_of(publisher: &Publisher, deps: &Deps, due: Arc<Notify>) -> Reader {
    let (clock, outbox) = (deps.clock.clone(), publisher.outbox());
    let trail = Trail::new(NAME, clock.clone());
    let projection = FromIdentity { clock, outbox, trail, due, found: AtomicBool::new(false) };
    let source = Source::new(deps.identity.clone(), "zhiyuan.identity.v1.FeedService");
    Reader::new(NAME, FROM_IDENTITY, publisher.pool().clone(), source, &deps.clock, projection)
}

/// Registration as a binary.
#[derive(Debug)]
pub struct Program;

impl zhiyuan_process::Program for Program {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;
    type Config = Config;
    type Operation = zhiyuan_process::NoOperation;

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        config.digests.parse()?;
        config.audit.trusted()?;
        TrustedCallers::new(&config.callers)?;
        zhiyuan_crypto::SigningKey::from_base64(config.signing_key.expose())
            .map_err(|_form| ConfigError::SigningKey)?;
        Ok(())
    }

    async fn verify(config: Config, head: Option<String>) -> anyhow::Result<Vec<String>> {
        let head = head.as_deref().map(str::parse).transpose()?;
        let name = "zhiyuan-registration-verify";
        let pool = zhiyuan_postgres::connect(&config.database, name).await?;
        zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
        let found = zhiyuan_audit::verify(&pool, NAME, &config.audit.trusted()?, head).await;
        zhiyuan_postgres::close(&pool).await;
        Ok(found?)
    }

    async fn migrate(config: Config) -> anyhow::Result<()> {
        Ok(migrate(&config).await?)
    }

    async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
        let deps = config.deps(Arc::new(SystemClock))?;
        let listener = TcpListener::bind(&config.server.listen).await?;
        tracing::info!(address = %listener.local_addr()?, "registration listens");
        let (ready, _nobody_waits) = Ready::channel();
        Ok(run(config, deps, listener, stop, ready).await?)
    }
}
