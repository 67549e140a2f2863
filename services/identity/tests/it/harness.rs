//! One identity for one test.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::identity::v1::enrolment_service_client::EnrolmentServiceClient;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    ActivateEnrolmentRequest, BeginEnrolmentRequest, Consent, ConsentPurpose,
    DiscardEnrolmentRequest, Enrolment, EnrolmentState, GetEnrolmentRequest, SendSmsCodeRequest,
    SendSmsCodeResponse, SmsPurpose,
};
use zhiyuan_crypto::password::Params;
use zhiyuan_crypto::{Key32, SigningKey};
use zhiyuan_domain::{ManualClock, SharedClock, SystemClock, new_id};
use zhiyuan_identity::{Config, DEFAULTS, Deps, MIGRATOR, key_migrator};
use zhiyuan_lifecycle::{Ready, Stop, Tasks};
use zhiyuan_rpc::{Remote, SuiteChannel, connect_lazy};
use zhiyuan_testkit::{Person, TestDatabase};

use crate::vendors::Vendors;

/// When a test begins.
pub(crate) const BEGIN: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// How many data keys there are but for those of the keys that sign access tokens.
pub(crate) const KEYS_OF_PEOPLE: &str = "SELECT count(*) FROM keys.data_key
     WHERE subject NOT IN (SELECT signing_key_id FROM identity.signing_key)";

/// For tests of thousands, which are not about passwords.
const CHEAP: Params = Params { memory_kib: 8, iterations: 1, lanes: 1 };

/// A running identity and everything around it.
pub(crate) struct Identity {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) vendors: Vendors,
    pub(crate) pool: PgPool,
    pub(crate) address: String,
    pub(crate) config: Config,
    pub(crate) signer: Arc<AssertionSigner>,
    costs: Params,
    _database: TestDatabase,
    _tasks: Tasks,
}

impl Identity {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts with more configuration, of sections that `config` does not name.
    /// `VENDORS` in it stands for the address of the vendors; with `NO_IDS` whoever delivers
    /// messages is not told their ids; with `CHEAP` passwords cost next to nothing.
    pub(crate) async fn start_with(more: &str) -> Self {
        let database =
            TestDatabase::create_many(&[("identity", &MIGRATOR), ("keys", key_migrator())]).await;
        let vendors = Vendors::default();
        let vendor_address = vendors.start().await;
        let more = more.replace("VENDORS", &vendor_address);
        let caller = SigningKey::generate();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let config = config(&database, &vendor_address, &caller, &more);
        let clock = Arc::new(ManualClock::new(BEGIN));
        let shared: SharedClock = clock.clone();
        let costs = if more.contains("CHEAP") { CHEAP } else { Params::default() };
        let tasks = serve(&config, costs, listener, &shared).await;
        let signer = Arc::new(AssertionSigner::new("registration", caller, shared));
        let pool = PgPool::connect(&database.admin_url()).await.unwrap();
        Self {
            clock,
            vendors,
            pool,
            address,
            config,
            signer,
            costs,
            _database: database,
            _tasks: tasks,
        }
    }

    /// Another process on the same database: its address, and what ends it.
    pub(crate) async fn replica(&self) -> (String, Tasks) {
        let clock: SharedClock = self.clock.clone();
        self.replica_with(&self.config, &clock).await
    }

    /// As [`Self::replica`], with a configuration and a clock of its own.
    pub(crate) async fn replica_with(
        &self,
        config: &Config,
        clock: &SharedClock,
    ) -> (String, Tasks) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (address, serve(config, self.costs, listener, clock).await)
    }

    pub(crate) fn channel(&self) -> Channel {
        connect_lazy(&self.address).unwrap()
    }

    pub(crate) fn enrolments(&self) -> EnrolmentServiceClient<SuiteChannel> {
        EnrolmentServiceClient::new(self.suite())
    }

    /// As registration calls.
    pub(crate) fn suite(&self) -> SuiteChannel {
        SuiteChannel::new(self.channel(), "identity", Arc::clone(&self.signer))
    }

    pub(crate) fn pass(&self, time: time::Duration) {
        self.clock.advance(time.unsigned_abs());
    }

    pub(crate) async fn try_send_code(
        &self,
        phone: &str,
    ) -> Result<SendSmsCodeResponse, tonic::Status> {
        self.try_send_code_for(phone, SmsPurpose::Register).await
    }

    pub(crate) async fn try_send_code_for(
        &self,
        phone: &str,
        purpose: SmsPurpose,
    ) -> Result<SendSmsCodeResponse, tonic::Status> {
        self.ask_for_code(SendSmsCodeRequest {
            phone: phone.to_owned(),
            purpose: purpose.into(),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn ask_for_code(
        &self,
        request: SendSmsCodeRequest,
    ) -> Result<SendSmsCodeResponse, tonic::Status> {
        let mut client = SmsCodeServiceClient::new(self.channel());
        Ok(client.send_sms_code(request).await?.into_inner())
    }

    /// An application of a person with a code that is right.
    pub(crate) async fn application(&self, person: &Person) -> BeginEnrolmentRequest {
        let phone = person.mobile.as_str();
        let sent = self.try_send_code(phone).await.unwrap();
        BeginEnrolmentRequest {
            enrolment_id: new_enrolment_id(),
            name: person.name.as_str().to_owned(),
            id_number: person.id_number.as_str().to_owned(),
            phone: phone.to_owned(),
            sms_challenge_id: sent.challenge_id,
            sms_code: self.vendors.code(phone),
            password: "green-tea-42".into(),
            consents: vec![registration_consent()],
            ..Default::default()
        }
    }

    /// Begins an enrolment, and sends it again as a caller would that was told to
    /// come again: a retry has no second effect.
    pub(crate) async fn begin(&self, application: &BeginEnrolmentRequest) -> Enrolment {
        for _ in 0..100 {
            match self.enrolments().begin_enrolment(application.clone()).await {
                Ok(response) => return response.into_inner().enrolment.unwrap(),
                Err(status) if Remote::from(status.clone()).is_transient() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(status) => panic!("{status:?}"),
            }
        }
        panic!("the service did not come back");
    }

    pub(crate) async fn get(&self, enrolment_id: &str) -> Result<Enrolment, tonic::Status> {
        let request = GetEnrolmentRequest { enrolment_id: enrolment_id.to_owned() };
        Ok(self.enrolments().get_enrolment(request).await?.into_inner().enrolment.unwrap())
    }

    pub(crate) async fn activate(&self, enrolment_id: &str) -> Result<Enrolment, tonic::Status> {
        let request = ActivateEnrolmentRequest { enrolment_id: enrolment_id.to_owned() };
        Ok(self.enrolments().activate_enrolment(request).await?.into_inner().enrolment.unwrap())
    }

    pub(crate) async fn discard(&self, enrolment_id: &str) -> Result<Enrolment, tonic::Status> {
        let request = DiscardEnrolmentRequest { enrolment_id: enrolment_id.to_owned() };
        Ok(self.enrolments().discard_enrolment(request).await?.into_inner().enrolment.unwrap())
    }

    /// Waits until an enrolment is in a state; background work runs in real time.
    pub(crate) async fn until(&self, enrolment_id: &str, state: EnrolmentState) -> Enrolment {
        for _ in 0..500 {
            let enrolment = self.get(enrolment_id).await.unwrap();
            if enrolment.state() == state {
                return enrolment;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{enrolment_id} did not become {state:?}");
    }

    /// Waits until there is a verdict on an enrolment.
    pub(crate) async fn settled(&self, enrolment_id: &str) -> Enrolment {
        for _ in 0..500 {
            let enrolment = self.get(enrolment_id).await.unwrap();
            if !matches!(enrolment.state(), EnrolmentState::Accepted | EnrolmentState::Pending) {
                return enrolment;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there was no verdict on {enrolment_id}");
    }

    /// Waits until the register was asked so often.
    pub(crate) async fn until_checks(&self, count: usize) {
        for _ in 0..500 {
            if self.vendors.checks() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the register was not asked {count} times");
    }

    /// Waits until a phone has got so many texts.
    pub(crate) async fn until_texts(&self, phone: &str, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let texts = self.vendors.texts(phone);
            if texts.len() >= count {
                return texts;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there were not {count} texts");
    }

    /// The enrolment that holds a number without an active account.
    pub(crate) async fn first_claimed(&self) -> String {
        let sql = "SELECT enrolment_id::text FROM identity.enrolment WHERE state = 'CLAIMED'";
        for _ in 0..500 {
            if let Some(id) = sqlx::query_scalar(sql).fetch_optional(&self.pool).await.unwrap() {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody got the number");
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

async fn serve(
    config: &Config,
    password_costs: Params,
    listener: tokio::net::TcpListener,
    clock: &SharedClock,
) -> Tasks {
    let stop = Stop::new();
    let tasks = Tasks::new(stop.clone());
    let (signal, ready) = Ready::channel();
    let deps = Deps { password_costs, ..Deps::new(clock.clone()) };
    tasks.start("identity", zhiyuan_identity::run(config.clone(), deps, listener, stop, signal));
    tokio::select! {
        failure = tasks.failed() => panic!("{failure:?}"),
        ready = ready.wait() => ready.unwrap(),
    }
    tasks
}

pub(crate) fn new_enrolment_id() -> String {
    new_id(&SystemClock).to_string()
}

pub(crate) fn registration_consent() -> Consent {
    Consent { purpose: ConsentPurpose::Registration.into(), version: "2026-11-01".into() }
}

/// The account id of an enrolment that holds one.
pub(crate) fn account(enrolment: &Enrolment) -> Uuid {
    enrolment.account_id.parse().unwrap()
}

fn config(database: &TestDatabase, vendors: &str, caller: &SigningKey, more: &str) -> Config {
    let key = || Key32::generate().to_base64().to_string();
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
lame_duck_ms = 0
[server.limits]
total = 2048
read = 256
write = 256
message = 256
suite = 1024
[hashing]
concurrency = 2
queue = 1024
[feed]
# The clock of a test is its own.
max_skew_ms = 9000000000000
[jobs]
checks_ms = 20
notices_ms = 20
signing_keys_ms = 20
rosters_ms = 20
[database]
url = "{url}"
allow_unsafe_durability = true
[key_database]
url = "{keys}"
allow_unsafe_durability = true
[callers.registration]
public_keys = ["{caller}"]
scopes = ["identity.accounts", "identity.enrolments", "identity.phone_recoveries", "identity.revocations", "identity.rosters"]
[callers.stranger]
public_keys = ["{stranger}"]
scopes = []
[audit]
signing_key = "{audit}"
[keys.key_encryption]
1 = "{kek}"
[keys.blind_index]
1 = "{index}"
[keys.code]
1 = "{code}"
[sms.vendor.request]
url = "{vendors}/sms"
content_type = "json"
body = {{ mobile = "{{national_phone}}", content = "{{text}}"{id} }}
[sms.vendor.response]
code_pointer = "/code"
codes = {{ 0 = "sent" }}
[sms.vendor.breaker]
failures = 1000000
[real_name.request]
url = "{vendors}/check"
content_type = "json"
body = {{ name = "{{name}}", id_number = "{{id_number}}" }}
[real_name.response]
code_pointer = "/result"
codes = {{ 01 = "match", 02 = "mismatch", 03 = "not_found", 04 = "cannot_tell" }}
[real_name.breaker]
failures = 1000000
{more}"#,
        url = database.runtime_url_of("identity"),
        keys = database.runtime_url_of("keys"),
        caller = caller.verifying_key().to_base64(),
        stranger = SigningKey::generate().verifying_key().to_base64(),
        audit = key(),
        kek = key(),
        index = key(),
        code = key(),
        id = if more.contains("NO_IDS") { "" } else { ", id = \"{request_id}\"" },
    );
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let none: [(String, String); 0] = [];
    zhiyuan_settings::load_from("identity", DEFAULTS, Some(file.path()), none).unwrap()
}
