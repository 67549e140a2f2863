//! Orgtree in this process, on a database of the test server.

use std::io::Write as _;
use std::sync::Arc;

use time::macros::datetime;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::orgtree::v1::organization_service_client::OrganizationServiceClient;
use zhiyuan_contracts::orgtree::v1::region_service_client::RegionServiceClient;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{ManualClock, SharedClock};
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_orgtree::{Config, DEFAULTS, MIGRATOR, RunError, Seed};
use zhiyuan_testkit::TestDatabase;

/// The database with the demonstration province, which no test changes.
static ANHUI: OnceCell<TestDatabase> = OnceCell::const_new();

pub(crate) struct Service {
    pub(crate) channel: Channel,
    stop: Stop,
    running: JoinHandle<Result<(), RunError>>,
}

impl Service {
    /// Starts the service on the demonstration province.
    pub(crate) async fn on_anhui() -> Self {
        let load = || async {
            let database = empty().await;
            let config = config(&database, Seed::Anhui);
            zhiyuan_orgtree::migrate(&config).await.unwrap();
            database
        };
        Self::start(ANHUI.get_or_init(load).await).await
    }

    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(config(database, Seed::None), standing()).await
    }

    #[expect(clippy::disallowed_methods, reason = "the test awaits the task itself")]
    pub(crate) async fn start_with(config: Config, clock: SharedClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = Stop::new();
        let (ready, wait) = Ready::channel();
        let deps = config.deps(clock).unwrap();
        let running = zhiyuan_orgtree::run(config, deps, listener, stop.clone(), ready);
        let running = tokio::spawn(running);
        wait.wait().await.unwrap();
        Self { channel: zhiyuan_rpc::connect_lazy(&address).unwrap(), stop, running }
    }

    pub(crate) fn regions(&self) -> RegionServiceClient<Channel> {
        RegionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn organizations(&self) -> OrganizationServiceClient<Channel> {
        OrganizationServiceClient::new(self.channel.clone())
    }

    /// Stops the service, which must end well.
    pub(crate) async fn stop(self) {
        let Self { channel, stop, running } = self;
        drop(channel);
        stop.request();
        running.await.unwrap().unwrap();
    }
}

/// A clock that stands still.
pub(crate) fn standing() -> SharedClock {
    Arc::new(ManualClock::new(datetime!(2026-11-23 0:00 UTC)))
}

/// A database with the schema and no rows.
pub(crate) async fn empty() -> TestDatabase {
    TestDatabase::create("orgtree", &MIGRATOR).await
}

pub(crate) fn config(database: &TestDatabase, seed: Seed) -> Config {
    let settings = [
        ("ZHIYUAN_ORGTREE__DATABASE__URL", database.runtime_url()),
        ("ZHIYUAN_ORGTREE__DATABASE__MIGRATION_URL", database.owner_url()),
        ("ZHIYUAN_ORGTREE__SIGNING_KEY", SigningKey::generate().to_base64().to_string()),
        ("ZHIYUAN_ORGTREE__AUDIT__SIGNING_KEY", SigningKey::generate().to_base64().to_string()),
        ("ZHIYUAN_ORGTREE__NOTICES__SIGNING_KEY", SigningKey::generate().to_base64().to_string()),
        // Nobody is there, unless a test says who.
        ("ZHIYUAN_ORGTREE__REGISTRATION_ADDRESS", "http://127.0.0.1:1".to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let mut config: Config =
        zhiyuan_settings::load_from("orgtree", DEFAULTS, None, settings).unwrap();
    config.server.lame_duck_ms = 0;
    Config { seed_organizations: seed, database: database.config(), ..config }
}

/// Loads organizations from the text of a file.
pub(crate) async fn load(
    database: &TestDatabase,
    text: &str,
) -> Result<(), zhiyuan_orgtree::MigrateError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let seed = Seed::File(file.path().to_owned());
    zhiyuan_orgtree::migrate(&config(database, seed)).await
}

/// The code, the reason, and the fields with their reasons.
pub(crate) fn told(status: &Status) -> (tonic::Code, String, Vec<(String, String)>) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let fields = details.bad_request().map_or_else(Vec::new, |bad| {
        let violations = bad.field_violations.iter();
        violations.map(|one| (one.field.clone(), one.reason.clone())).collect()
    });
    assert!(!status.message().is_ascii(), "a message that people can read: {status:?}");
    (status.code(), reason, fields)
}

/// Asserts the code and the reason of a refusal without fields.
pub(crate) fn assert_refused(status: &Status, code: tonic::Code, reason: &str) {
    assert_eq!(told(status), (code, reason.to_owned(), Vec::new()));
}

/// Asserts which field was refused, and why.
pub(crate) fn assert_field(status: &Status, field: &str, reason: &str) {
    let fields = vec![(field.to_owned(), reason.to_owned())];
    assert_eq!(told(status), (tonic::Code::InvalidArgument, "INVALID_FIELDS".into(), fields));
}
