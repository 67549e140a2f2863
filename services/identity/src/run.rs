//! Wires identity together and runs it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use zhiyuan_audit::{InvalidKeys, Sealer, Trail};
use zhiyuan_auth::{Sessions, TrustedCallers};
use zhiyuan_contracts::identity::v1::account_service_server::{
    AccountServiceServer, SERVICE_NAME as ACCOUNTS,
};
use zhiyuan_contracts::identity::v1::activation_service_server::{
    ActivationServiceServer, SERVICE_NAME as ACTIVATIONS,
};
use zhiyuan_contracts::identity::v1::audit_service_server::{
    AuditServiceServer, SERVICE_NAME as AUDIT,
};
use zhiyuan_contracts::identity::v1::claim_service_server::{
    ClaimServiceServer, SERVICE_NAME as CLAIMS,
};
use zhiyuan_contracts::identity::v1::consent_service_server::{
    ConsentServiceServer, SERVICE_NAME as CONSENTS,
};
use zhiyuan_contracts::identity::v1::credential_service_server::{
    CredentialServiceServer, SERVICE_NAME as CREDENTIALS,
};
use zhiyuan_contracts::identity::v1::enrolment_service_server::{
    EnrolmentServiceServer, SERVICE_NAME as ENROLMENTS,
};
use zhiyuan_contracts::identity::v1::feed_service_server::{
    FeedServiceServer, SERVICE_NAME as FEED,
};
use zhiyuan_contracts::identity::v1::look_up_service_server::{
    LookUpServiceServer, SERVICE_NAME as LOOK_UPS,
};
use zhiyuan_contracts::identity::v1::notice_service_server::{
    NoticeServiceServer, SERVICE_NAME as NOTICES,
};
use zhiyuan_contracts::identity::v1::phone_recovery_service_server::{
    PhoneRecoveryServiceServer, SERVICE_NAME as PHONE_RECOVERIES,
};
use zhiyuan_contracts::identity::v1::roster_service_server::{
    RosterServiceServer, SERVICE_NAME as ROSTERS,
};
use zhiyuan_contracts::identity::v1::session_service_server::{
    SERVICE_NAME as SESSIONS, SessionServiceServer,
};
use zhiyuan_contracts::identity::v1::sign_in_service_server::{
    SERVICE_NAME as SIGN_IN, SignInServiceServer,
};
use zhiyuan_contracts::identity::v1::sms_code_service_server::{
    SERVICE_NAME as SMS_CODES, SmsCodeServiceServer,
};
use zhiyuan_contracts::policy::Policies;
use zhiyuan_crypto::password::{Params, PasswordHasher};
use zhiyuan_crypto::{FieldCipher, International, Suite};
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_feed::Publisher;
use zhiyuan_lifecycle::{ReadySignal, Stop, Tasks};
use zhiyuan_postgres::DatabaseConfig;
use zhiyuan_rpc::chain;
use zhiyuan_rpc::limits::ClassLimits;
use zhiyuan_rpc::{Guard, Verifiers, revocations, server};
use zhiyuan_telemetry::TelemetryConfig;

use crate::accounts::AccountRpc;
use crate::activations::{ActivationRpc, Activations};
use crate::audit::AuditRpc;
use crate::challenges::Challenges;
use crate::claims::{ClaimRpc, Claims};
use crate::clock::AgreedClock;
use crate::closing::Closing;
use crate::config::{ChallengeBitsError, Config, KeysError};
use crate::consents::{Consents, Ledger, Texts};
use crate::credentials::{CredentialRpc, Credentials};
use crate::enrolments::begin::Rules;
use crate::enrolments::{self, EnrolmentRpc, Enrolments};
use crate::feed::grpc::Feed;
use crate::keys::{self, PostgresKeyStore, Vault};
use crate::look_ups::{LookUpRpc, LookUps};
use crate::notices::job::Notices;
use crate::notices::{self, NoticeRpc};
use crate::recoveries::{Recoveries, RecoveryRpc};
use crate::rosters::{self, RosterRpc, Rosters};
use crate::service_accounts::{self, operator::Operation};
use crate::sessions;
use crate::sessions::grpc::SessionRpc;
use crate::sessions::issuer::Issuer;
use crate::sessions::word::OwnWord;
use crate::sign_in::{Gate, Owners, SignIn, SignInRpc};
use crate::signing_keys::{self, SigningKeys};
use crate::sms_codes::{self, Sender, SmsCodes};
use crate::vendors::{CaptchaVendor, ConfigError, RealNameRegister, SmsVendor};
use crate::{DEFAULTS, MIGRATOR};

/// The name that other services call identity by.
const NAME: &str = "identity";

/// The migrations of the schema `keys`, in a database of its own.
pub fn key_migrator() -> &'static Migrator {
    static KEYS: LazyLock<Migrator> = LazyLock::new(|| {
        let mut migrator = sqlx::migrate!("./key_migrations");
        migrator.dangerous_set_table_name("keys._sqlx_migrations");
        migrator
    });
    &KEYS
}

/// What identity is handed in.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// What the hash of a password costs. No configuration: no operator is to save on it.
    pub password_costs: Params,
}

impl Deps {
    /// What a suite has that serves people.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, password_costs: Params::default() }
    }
}

/// Why identity did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configured keys are wrong.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The keys of the audit are wrong.
    #[error(transparent)]
    Audit(#[from] InvalidKeys),
    /// A vendor is configured wrongly.
    #[error("vendor")]
    Vendor(#[from] ConfigError),
    /// Challenges are configured wrongly.
    #[error(transparent)]
    Challenge(#[from] ChallengeBitsError),
    /// A caller is configured wrongly.
    #[error("callers")]
    Callers(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An active index key was not handed in.
    #[error("blind index key {0} is active and not configured")]
    IndexKey(i16),
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// A query at start.
    #[error("database")]
    Query(#[from] sqlx::Error),
    /// Something else at start.
    #[error("failed to start: {0}")]
    Start(String),
    /// A background task ended.
    #[error("background task")]
    Task(#[from] zhiyuan_lifecycle::Failure),
}

/// Applies the migrations of both databases, each as its owner.
///
/// # Errors
/// When a database can't be reached or a migration fails.
pub async fn migrate(config: &Config) -> Result<(), zhiyuan_postgres::Error> {
    zhiyuan_postgres::migrate(owner_url(&config.database), &MIGRATOR).await?;
    zhiyuan_postgres::migrate(owner_url(&config.key_database), key_migrator()).await
}

fn owner_url(config: &DatabaseConfig) -> &str {
    config.migration_url.as_deref().unwrap_or(&config.url)
}

/// Runs identity until `stop`.
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
    let pool = zhiyuan_postgres::connect(&config.database, "zhiyuan-identity").await?;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let key_pool = zhiyuan_postgres::connect(&config.key_database, "zhiyuan-identity-keys").await?;
    zhiyuan_postgres::ensure_up_to_date(&key_pool, key_migrator()).await?;

    let suite: Arc<dyn Suite> = Arc::new(International);
    let ring = config.keys.ring(Arc::clone(&suite))?;
    let store = Arc::new(PostgresKeyStore::new(key_pool.clone(), ring, deps.clock.clone()));
    let vault = Vault::new(
        Arc::clone(&store) as Arc<dyn zhiyuan_crypto::KeyStore>,
        FieldCipher::new(Arc::clone(&suite)),
        config.keys.index(Arc::clone(&suite))?,
        config.keys.codes(suite)?,
    );
    begin_index_keys(&pool, &vault, &deps.clock).await?;

    let publisher = Publisher::new(NAME, pool.clone(), deps.clock.clone(), config.feed.clone());
    let sealer = Sealer::new(NAME, pool.clone(), deps.clock.clone(), &config.audit)?;
    let vendor = Arc::new(SmsVendor::new(&config.sms.vendor, deps.clock.clone())?);
    let enrolments = enrolments_of(&config, &deps, &vault, &publisher)?;
    let sessions = Sessions::new();
    let challenges = Challenges {
        rules: config.challenge.rules()?,
        vault: vault.clone(),
        captcha: captcha(&config, &deps.clock)?,
    };
    let sign_in = sign_in_of(&config, &deps, &challenges, &enrolments, &sessions);
    let signing_keys = sign_in.issuer.keys.clone();
    let agreed = signing_keys.agreed.clone();
    // Nobody can be signed in without a key.
    signing_keys.rotate().await.map_err(|error| RunError::Start(chain(&error)))?;
    let rosters = rosters_of(&config, &deps, &vault, &publisher);
    let (codes_later, queue) = mpsc::channel(sms_codes::later::QUEUE);
    let services =
        Services { enrolments: enrolments.clone(), sign_in, rosters: rosters.clone(), codes_later };
    let routes = routes(&config, &deps, &vault, &vendor, services, &publisher).await?;
    let callers =
        TrustedCallers::new(&config.callers).map_err(|error| RunError::Callers(Box::new(error)))?;
    let service = Guard::new(
        routes.prepare(),
        NAME,
        Policies::load().map_err(|error| RunError::Start(error.to_string()))?,
        Verifiers::new(NAME, callers, sessions.clone(), deps.clock.clone()),
        ClassLimits::new(&config.server.limits),
        config.server.bounds(),
    );

    let tasks = Tasks::new(stop.clone());
    let soft = || stop.soft();
    let checks_every = Duration::from_millis(config.jobs.checks_ms);
    let notices_every = Duration::from_millis(config.jobs.notices_ms);
    let codes = sms_codes::later::send(Arc::clone(&vendor), queue, soft());
    tasks.start("codes of activations", codes);
    let notices = Notices {
        pool: pool.clone(),
        vault,
        vendor,
        clock: deps.clock.clone(),
        minute_budget: config.sms.notice_minute_budget,
    };
    tasks.start("checks", enrolments::job::checks(enrolments.clone(), checks_every, soft()));
    tasks.start("purge", enrolments::job::purge(enrolments, agreed.clone(), soft()));
    let rosters_every = Duration::from_millis(config.jobs.rosters_ms);
    tasks.start("rosters", rosters::job::purge(rosters, agreed.clone(), rosters_every, soft()));
    tasks.start("notices", notices::job::send(notices, notices_every, soft()));
    publisher.start(&tasks);
    let own_word = OwnWord::new(signing_keys.clone());
    // Asked for as long as there are calls, or strict ones would be refused while it drains.
    let served = CancellationToken::new();
    tasks.start("revocations", revocations::watch(own_word, sessions, served.clone()));
    let keys_every = Duration::from_millis(config.jobs.signing_keys_ms);
    tasks.start("signing keys", signing_keys::job::rotate(signing_keys, keys_every, soft()));
    tasks.start("purge of sessions", sessions::job::purge(pool.clone(), agreed, soft()));
    sealer.start(&tasks);
    tasks.start("keys", keys::job::sweep(pool.clone(), store, deps.clock, soft()));

    ready.ready();
    server::serve(listener, service, &config.server, &stop).await;
    served.cancel();
    stop.request();
    let ended = tasks.finish(config.server.rest()).await;
    zhiyuan_postgres::close(&pool).await;
    zhiyuan_postgres::close(&key_pool).await;
    ended?;
    Ok(())
}

/// Does what an operator typed, and tells what was done, a line each.
///
/// # Errors
/// When the database can't be reached, is behind, or it can't be done.
pub async fn operate(
    config: &Config,
    clock: SharedClock,
    operation: Operation,
) -> anyhow::Result<Vec<String>> {
    let Operation::ServiceAccount(command) = operation;
    // As the owner, whom the audit names, and not as the role of the service.
    let url = owner_url(&config.database).to_owned();
    let database = DatabaseConfig { url, ..config.database.clone() };
    let pool = zhiyuan_postgres::connect(&database, "zhiyuan-identity-operator").await?;
    let done = async {
        zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
        Ok(service_accounts::operate(&pool, &clock, &command).await?)
    };
    let done = done.await;
    zhiyuan_postgres::close(&pool).await;
    done
}

/// Refuses to start without a key that is active: it would let a number in twice.
async fn begin_index_keys(
    pool: &PgPool,
    vault: &Vault,
    clock: &SharedClock,
) -> Result<(), RunError> {
    let configured = vault.index_versions();
    let newest = configured.iter().copied().max().unwrap_or_default();
    let mut tx = pool.begin().await?;
    let active = keys::db::begin_index_keys(&mut tx, newest, clock.now())
        .await
        .map_err(|error| RunError::Start(error.to_string()))?;
    tx.commit().await?;
    match active.into_iter().find(|version| !configured.contains(version)) {
        Some(version) => Err(RunError::IndexKey(version)),
        None => Ok(()),
    }
}

fn enrolments_of(
    config: &Config,
    deps: &Deps,
    vault: &Vault,
    publisher: &Publisher,
) -> Result<Enrolments, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let concurrency = match config.hashing.concurrency {
        0 => cores,
        set => set,
    };
    let hasher = PasswordHasher::new(deps.password_costs, concurrency, config.hashing.queue)
        .map_err(|error| RunError::Start(error.to_string()))?;
    let register = RealNameRegister::new(&config.real_name, deps.clock.clone())?;
    Ok(Enrolments {
        pool: publisher.pool().clone(),
        outbox: publisher.outbox(),
        vault: vault.clone(),
        hasher: Arc::new(hasher),
        register: Arc::new(register),
        texts: texts()?,
        clock: deps.clock.clone(),
        rules: Rules {
            age_rule: config.rules.age.into(),
            failed_checks_per_phone: config.rules.failed_checks_per_phone,
            failed_checks_per_number: config.rules.failed_checks_per_number,
            claims: config.claims.limits(),
        },
        trail: Trail::new(NAME, deps.clock.clone()),
    })
}

fn rosters_of(config: &Config, deps: &Deps, vault: &Vault, publisher: &Publisher) -> Rosters {
    Rosters {
        pool: publisher.pool().clone(),
        vault: vault.clone(),
        clock: deps.clock.clone(),
        outbox: publisher.outbox(),
        trail: Trail::new(NAME, deps.clock.clone()),
        age_rule: config.rules.age.into(),
    }
}

/// Signs people in, with the hasher that registering uses: one pool bounds both.
fn sign_in_of(
    config: &Config,
    deps: &Deps,
    challenges: &Challenges,
    enrolments: &Enrolments,
    known: &Sessions,
) -> SignIn {
    let vault = &challenges.vault;
    let (pool, clock) = (enrolments.pool.clone(), deps.clock.clone());
    let life = config.sessions.key_life();
    let most_skew = Duration::from_millis(config.feed.max_skew_ms);
    let clocks = (clock.clone(), AgreedClock::new(clock.clone(), most_skew));
    let keys = SigningKeys::new(pool.clone(), vault.clone(), clocks, life, known.clone());
    let issuer = Issuer {
        pool: pool.clone(),
        vault: vault.clone(),
        keys,
        clock: clock.clone(),
        lifetimes: config.sessions.lifetimes(),
        short_lifetimes: config.sessions.short_lifetimes(),
        known: known.clone(),
        trail: Trail::new(NAME, clock.clone()),
    };
    let owners = Owners { pool, vault: vault.clone() };
    let gate = Gate { challenges: challenges.clone() };
    SignIn { owners, hasher: Arc::clone(&enrolments.hasher), issuer, gate, clock }
}

fn texts() -> Result<Texts, RunError> {
    Texts::load().map_err(|error| RunError::Start(error.to_string()))
}

/// What the methods are made of.
struct Services {
    enrolments: Enrolments,
    sign_in: SignIn,
    rosters: Rosters,
    codes_later: mpsc::Sender<sms_codes::later::Message>,
}

async fn routes(
    config: &Config,
    deps: &Deps,
    vault: &Vault,
    vendor: &Arc<SmsVendor>,
    services: Services,
    publisher: &Publisher,
) -> Result<Routes, RunError> {
    let sender = Sender {
        pool: publisher.pool().clone(),
        vault: vault.clone(),
        vendor: Arc::clone(vendor),
        clock: deps.clock.clone(),
        minute_budget: config.sms.minute_budget,
        challenges: services.sign_in.gate.challenges.clone(),
        later: services.codes_later,
    };
    let sender = Arc::new(sender);
    let enabled = config.default_password.enabled;
    let activations = Activations { sender: Arc::clone(&sender), enabled };
    let names = [
        SMS_CODES,
        ACTIVATIONS,
        CONSENTS,
        ENROLMENTS,
        SIGN_IN,
        SESSIONS,
        CREDENTIALS,
        ACCOUNTS,
        AUDIT,
        NOTICES,
        LOOK_UPS,
        PHONE_RECOVERIES,
        CLAIMS,
        ROSTERS,
        FEED,
    ];
    let standard = server::standard_routes(&names)
        .await
        .map_err(|error| RunError::Start(error.to_string()))?;
    let Services { enrolments, sign_in, rosters, .. } = services;
    let credentials = Credentials { sign_in: sign_in.clone() };
    let recoveries =
        Recoveries { credentials: credentials.clone(), times: config.recoveries.times() };
    let claims = Claims {
        enrolments: enrolments.clone(),
        agreed: sign_in.issuer.keys.agreed.clone(),
        delay: config.claims.delay(),
    };
    let ledger = Ledger {
        pool: publisher.pool().clone(),
        clock: deps.clock.clone(),
        outbox: publisher.outbox(),
        trail: sign_in.issuer.trail.clone(),
        texts: texts()?,
    };
    let look_ups = LookUps {
        pool: publisher.pool().clone(),
        vault: vault.clone(),
        clock: deps.clock.clone(),
        trail: sign_in.issuer.trail.clone(),
        per_day: config.look_ups.per_day,
    };
    Ok(standard
        .add_service(SmsCodeServiceServer::new(SmsCodes::new(sender)))
        .add_service(ActivationServiceServer::new(ActivationRpc::new(activations)))
        .add_service(ConsentServiceServer::new(Consents::new(ledger)))
        .add_service(EnrolmentServiceServer::new(EnrolmentRpc::new(enrolments)))
        .add_service(AccountServiceServer::new(AccountRpc::new(
            publisher.pool().clone(),
            vault.clone(),
            deps.clock.clone(),
            Closing { sign_in: sign_in.clone(), outbox: publisher.outbox() },
        )))
        .add_service(AuditServiceServer::new(AuditRpc::new(
            sign_in.issuer.pool.clone(),
            sign_in.issuer.trail.clone(),
        )))
        .add_service(NoticeServiceServer::new(NoticeRpc::new(publisher.pool().clone())))
        .add_service(LookUpServiceServer::new(LookUpRpc::new(look_ups)))
        .add_service(PhoneRecoveryServiceServer::new(RecoveryRpc::new(recoveries)))
        .add_service(ClaimServiceServer::new(ClaimRpc::new(claims)))
        .add_service(RosterServiceServer::new(RosterRpc::new(rosters)))
        .add_service(SessionServiceServer::new(SessionRpc::new(sign_in.issuer.clone())))
        .add_service(SignInServiceServer::new(SignInRpc::new(sign_in)))
        .add_service(CredentialServiceServer::new(CredentialRpc::new(credentials)))
        .add_service(FeedServiceServer::new(Feed::new(publisher.clone()))))
}

fn captcha(
    config: &Config,
    clock: &SharedClock,
) -> Result<Option<Arc<CaptchaVendor>>, ConfigError> {
    let vendor = config.challenge.captcha.as_ref();
    vendor.map(|vendor| CaptchaVendor::new(vendor, clock.clone()).map(Arc::new)).transpose()
}

/// Identity as a binary.
#[derive(Debug)]
pub struct Program;

impl zhiyuan_process::Program for Program {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;
    type Config = Config;
    type Operation = Operation;

    async fn operate(config: Config, operation: Operation) -> anyhow::Result<Vec<String>> {
        operate(&config, Arc::new(SystemClock), operation).await
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        let suite: Arc<dyn Suite> = Arc::new(International);
        config.keys.ring(Arc::clone(&suite))?;
        config.keys.index(Arc::clone(&suite))?;
        config.keys.codes(suite)?;
        config.challenge.rules()?;
        let clock: SharedClock = Arc::new(SystemClock);
        SmsVendor::new(&config.sms.vendor, clock.clone())?;
        captcha(config, &clock)?;
        RealNameRegister::new(&config.real_name, clock)?;
        TrustedCallers::new(&config.callers)?;
        config.audit.trusted()?;
        Ok(())
    }

    async fn verify(config: Config, head: Option<String>) -> anyhow::Result<Vec<String>> {
        let head = head.as_deref().map(str::parse).transpose()?;
        let pool = zhiyuan_postgres::connect(&config.database, "zhiyuan-identity-verify").await?;
        zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
        let found = zhiyuan_audit::verify(&pool, NAME, &config.audit.trusted()?, head).await;
        zhiyuan_postgres::close(&pool).await;
        Ok(found?)
    }

    async fn migrate(config: Config) -> anyhow::Result<()> {
        Ok(migrate(&config).await?)
    }

    async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
        let listener = TcpListener::bind(&config.server.listen).await?;
        tracing::info!(address = %listener.local_addr()?, "identity listens");
        let deps = Deps::new(Arc::new(SystemClock));
        Ok(run(config, deps, listener, stop, ReadySignal::unobserved()).await?)
    }
}
