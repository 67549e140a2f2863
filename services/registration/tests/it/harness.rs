//! The service in this process, and what stands around it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use time::macros::datetime;
use time::{OffsetDateTime, UtcOffset};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::transport::{Channel, Server};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_auth::CallerConfig;
use zhiyuan_contracts::identity::v1::account_service_server::AccountServiceServer;
use zhiyuan_contracts::identity::v1::claim_service_server::ClaimServiceServer;
use zhiyuan_contracts::identity::v1::enrolment_service_server::EnrolmentServiceServer;
use zhiyuan_contracts::identity::v1::feed_service_server::FeedServiceServer;
use zhiyuan_contracts::identity::v1::phone_recovery_service_server::PhoneRecoveryServiceServer;
use zhiyuan_contracts::identity::v1::roster_service_server::RosterServiceServer;
use zhiyuan_contracts::identity::v1::session_service_server::SessionServiceServer;
use zhiyuan_contracts::identity::v1::{Consent, Guardian, GuardianRelation};
use zhiyuan_contracts::orgtree::v1::authority_service_server::AuthorityServiceServer;
use zhiyuan_contracts::orgtree::v1::organization_service_server::OrganizationServiceServer;
use zhiyuan_contracts::orgtree::v1::region_service_server::RegionServiceServer;
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::{
    GetRegistrationRequest, GetRegistrationResponse, RegisterRequest, RegisterResponse,
    RegistrationState,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{Clock as _, ManualClock};
use zhiyuan_lifecycle::{Ready, Stop, Tasks};
use zhiyuan_registration::{Config, DEFAULTS, MIGRATOR};
use zhiyuan_testkit::{TestDatabase, person};

use crate::fake_accounts::FakeAccounts;
use crate::fake_authority::FakeAuthority;
use crate::fake_claims::FakeClaims;
use crate::fake_feed::FakeFeed;
use crate::fake_identity::FakeIdentity;
use crate::fake_orgtree::{FakeOrgtree, RESIDENCE, TOWNSHIP};
use crate::fake_recoveries::FakeRecoveries;
use crate::fake_rosters::FakeRosters;

const START: OffsetDateTime = datetime!(2026-11-23 4:00 UTC);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Of a platform that may call.
pub(crate) const PLATFORM_KEY: &str = "IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Longer than anything takes here, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the recovery task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    On,
    Off,
}

pub(crate) struct Service {
    pub(crate) identity: FakeIdentity,
    pub(crate) accounts: FakeAccounts,
    pub(crate) orgtree: FakeOrgtree,
    pub(crate) authority: FakeAuthority,
    pub(crate) recoveries: FakeRecoveries,
    pub(crate) claims: FakeClaims,
    pub(crate) rosters: FakeRosters,
    pub(crate) feed: FakeFeed,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) database: TestDatabase,
    client: RegistrationServiceClient<Channel>,
    address: String,
    fakes: String,
    tasks: Tasks,
    /// Of the service alone, not of what stands around it.
    stop: Stop,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
}

impl Service {
    pub(crate) async fn start(recovery: Recovery) -> Self {
        Self::start_on(TestDatabase::create("registration", &MIGRATOR).await, recovery).await
    }

    /// Starts on a database that another one may have used, with fakes of its own.
    pub(crate) async fn start_on(database: TestDatabase, recovery: Recovery) -> Self {
        let tasks = Tasks::new(Stop::new());
        let (identity, orgtree) = (FakeIdentity::default(), FakeOrgtree::default());
        let accounts = FakeAccounts::default();
        let (authority, recoveries) = (FakeAuthority::default(), FakeRecoveries::default());
        let claims = FakeClaims::default();
        let (rosters, feed) = (FakeRosters::default(), FakeFeed::default());
        let clock = Arc::new(ManualClock::new(START));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fakes = format!("http://{}", listener.local_addr().unwrap());
        let serving = Server::builder()
            .add_service(EnrolmentServiceServer::new(identity.clone()))
            .add_service(AccountServiceServer::new(accounts.clone()))
            .add_service(SessionServiceServer::new(accounts.clone()))
            .add_service(PhoneRecoveryServiceServer::new(recoveries.clone()))
            .add_service(ClaimServiceServer::new(claims.clone()))
            .add_service(RosterServiceServer::new(rosters.clone()))
            .add_service(FeedServiceServer::new(feed.clone()))
            .add_service(AuthorityServiceServer::new(authority.clone()))
            .add_service(OrganizationServiceServer::new(orgtree.clone()))
            .add_service(RegionServiceServer::new(orgtree.clone()))
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                tasks.stop().soft().cancelled_owned(),
            );
        tasks.start("fakes", serving);

        let config = config(&fakes, recovery, &database);
        let deps = config.deps(clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (ready, wait) = Ready::channel();
        let stop = tasks.stop().child();
        let running = zhiyuan_registration::run(config, deps, listener, stop.clone(), ready);
        tasks.start("service", running);
        wait.wait().await.unwrap();
        let client = RegistrationServiceClient::connect(address.clone()).await.unwrap();
        Self {
            identity,
            accounts,
            orgtree,
            authority,
            recoveries,
            claims,
            rosters,
            feed,
            clock,
            database,
            client,
            address,
            fakes,
            tasks,
            stop,
        }
    }

    /// Starts another process of the service, with the same database and the same around it.
    pub(crate) async fn start_another(&self) {
        let config = config(&self.fakes, Recovery::On, &self.database);
        let deps = config.deps(self.clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (ready, wait) = Ready::channel();
        let stop = self.tasks.stop().child();
        let running = zhiyuan_registration::run(config, deps, listener, stop, ready);
        self.tasks.start("another service", running);
        wait.wait().await.unwrap();
    }

    /// Ends the process, whatever it is doing, and leaves the others.
    pub(crate) fn kill(&self) {
        self.stop.request();
        self.stop.force();
    }

    pub(crate) async fn register(
        &self,
        form: &RegisterRequest,
    ) -> Result<RegisterResponse, Status> {
        self.client.clone().register(form.clone()).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&self, request_id: &str) -> Result<GetRegistrationResponse, Status> {
        let request = GetRegistrationRequest { request_id: request_id.to_owned() };
        self.client.clone().get_registration(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now().to_offset(UtcOffset::UTC)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        self.database.pool().await
    }

    pub(crate) fn config(&self) -> Config {
        config(&self.address, Recovery::Off, &self.database)
    }

    /// One value of the database, as text.
    pub(crate) async fn sql(&self, query: &str) -> String {
        let query = format!("SELECT ({query})::text");
        let value: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.pool().await).await.unwrap();
        value.unwrap_or_default()
    }

    pub(crate) async fn step(&self) -> String {
        self.sql("SELECT string_agg(step, ',') FROM registration.registration").await
    }

    /// Asks until the registration is done or refused; a second passes each time, as
    /// what failed meanwhile is tried again only later.
    pub(crate) async fn end(&self, request_id: &str) -> Result<GetRegistrationResponse, Status> {
        let asking = async {
            loop {
                match self.get(request_id).await {
                    Ok(answer) if answer.state() == RegistrationState::Active => return Ok(answer),
                    Ok(_) => {}
                    Err(status) => return Err(status),
                }
                self.clock.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("an end of the registration")
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let asking = async {
            while !holds(self).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

fn config(fakes: &str, recovery: Recovery, database: &TestDatabase) -> Config {
    let every = match recovery {
        Recovery::On => "20",
        Recovery::Off => "3600000",
    };
    let environment = [
        ("IDENTITY_ADDRESS", fakes),
        ("ORGTREE_ADDRESS", fakes),
        ("SIGNING_KEY", KEY),
        ("DIGESTS__KEYS__1", KEY),
        ("AUDIT__SIGNING_KEY", KEY),
        ("DATABASE__URL", "postgres://set/below"),
        ("RECOVERY__INTERVAL_MS", every),
        ("RECOVERY__SWEEP_MS", every),
        ("ROSTERS__INTERVAL_MS", every),
        ("SERVER__LAME_DUCK_MS", "0"),
        ("SERVER__DRAIN_MS", "1000"),
    ];
    let environment =
        environment.map(|(key, value)| (format!("ZHIYUAN_REGISTRATION__{key}"), value.to_owned()));
    let mut config: Config =
        zhiyuan_settings::load_from("registration", DEFAULTS, None, environment).unwrap();
    config.database = database.config();
    let key = SigningKey::from_base64(PLATFORM_KEY).unwrap();
    let platform = CallerConfig {
        public_keys: vec![key.verifying_key().to_base64()],
        scopes: ["registration.volunteers", "registration.on_behalf", "registration.feed"]
            .map(str::to_owned)
            .to_vec(),
    };
    config.callers.insert("platform".to_owned(), platform);
    config
}

/// The form of the `n`-th person.
pub(crate) fn form(n: u32) -> RegisterRequest {
    let person = person(n);
    RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        name: person.name,
        id_number: person.id_number,
        region_code: RESIDENCE.into(),
        organization_code: TOWNSHIP.into(),
        phone: person.mobile,
        sms_challenge_id: Uuid::new_v4().to_string(),
        sms_code: "135246".into(),
        password: "kz7-qm#canary".into(),
        league_member: true,
        consents: vec![Consent { purpose: 1, version: "2026-11-01".into() }],
        ..Default::default()
    }
}

/// The `n`-th person as somebody's guardian.
pub(crate) fn guardian(n: u32) -> Guardian {
    let person = person(n);
    Guardian {
        name: person.name,
        id_number: person.id_number,
        relation: GuardianRelation::Mother.into(),
        phone: person.mobile,
        sms_challenge_id: Uuid::new_v4().to_string(),
        sms_code: "246135".into(),
    }
}

/// The reason of an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

pub(crate) fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_error_details().error_info()?.metadata.get(key).cloned()
}
