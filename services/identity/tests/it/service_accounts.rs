//! Service accounts: kept by an operator, known everywhere within seconds.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tonic::Code;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::identity::v1::look_up_service_client::LookUpServiceClient;
use zhiyuan_contracts::identity::v1::look_up_volunteer_request::Subject;
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_contracts::identity::v1::{
    ListRevocationsRequest, LookUpPurpose, LookUpVolunteerRequest, LookUpVolunteerResponse,
    ReportServiceAccountUsesRequest, ServiceAccountKeyUse, ServiceAccountUse,
};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::Clock as _;
use zhiyuan_identity::{Add, AddKey, Change, Kind, Operation, ServiceAccountCommand as Command};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};

use crate::codes::reason;
use crate::harness::Identity;

pub(crate) const LOOK_UPS: &str = "identity.look_ups";
pub(crate) const EXTERNAL_IDS: &str = "identity.external_ids";

/// A platform that has an account, and calls one process.
pub(crate) struct Platform {
    signer: Arc<AssertionSigner>,
    address: String,
}

impl Platform {
    pub(crate) fn channel(&self) -> SuiteChannel {
        let channel = connect_lazy(&self.address).unwrap();
        SuiteChannel::new(channel, "identity", Arc::clone(&self.signer))
    }

    pub(crate) fn client(&self) -> LookUpServiceClient<SuiteChannel> {
        LookUpServiceClient::new(self.channel())
    }

    pub(crate) async fn look_up(
        &self,
        subject: Subject,
    ) -> Result<LookUpVolunteerResponse, tonic::Status> {
        let purpose = LookUpPurpose::ActivityEnrolment.into();
        let request = LookUpVolunteerRequest { subject: Some(subject), purpose };
        Ok(self.client().look_up_volunteer(request).await?.into_inner())
    }

    /// A call that finds nobody and is no look-up by what is personal.
    async fn call(&self) -> Result<LookUpVolunteerResponse, tonic::Status> {
        self.look_up(Subject::ExternalId("nobody".into())).await
    }

    /// Calls until it is known, within the time in which it has to be.
    pub(crate) async fn until_known(&self) {
        self.until(|answer| answer.is_ok()).await;
    }

    async fn until(&self, good: impl Fn(&Result<LookUpVolunteerResponse, tonic::Status>) -> bool) {
        let begin = std::time::Instant::now();
        loop {
            let answer = self.call().await;
            if good(&answer) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(5), "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn add(name: &str, scopes: &[&str]) -> Add {
    Add {
        name: name.to_owned(),
        title: "合肥志愿平台".to_owned(),
        kind: Kind::Platform,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        calls_per_minute: 1000,
        calls_per_day: 1000,
        look_ups_per_day: 1000,
        within: Vec::new(),
    }
}

impl Identity {
    pub(crate) async fn operate(&self, command: Command) -> anyhow::Result<Vec<String>> {
        let operation = Operation::ServiceAccount(command);
        zhiyuan_identity::operate(&self.config, self.clock.clone(), operation).await
    }

    async fn give_key(&self, name: &str, key: &SigningKey) -> anyhow::Result<String> {
        self.operate(Command::AddKey(AddKey {
            name: name.to_owned(),
            public_key: key.verifying_key(),
            use_from: None,
            expires: None,
        }))
        .await?;
        Ok(key.key_id())
    }

    fn calling(&self, name: &str, key: &SigningKey, address: &str) -> Platform {
        let key = SigningKey::from_base64(&key.to_base64()).unwrap();
        let signer = Arc::new(AssertionSigner::new(name, key, self.clock.clone()));
        Platform { signer, address: address.to_owned() }
    }

    /// An account with a key, known to the process.
    pub(crate) async fn platform(&self, new: Add) -> Platform {
        let (name, key) = (new.name.clone(), SigningKey::generate());
        self.operate(Command::Add(new)).await.unwrap();
        self.give_key(&name, &key).await.unwrap();
        let platform = self.calling(&name, &key, &self.address);
        platform.until(|answer| !unknown(answer)).await;
        platform
    }

    async fn list(&self) -> String {
        self.operate(Command::List).await.unwrap().join("\n")
    }

    fn sessions(&self) -> SessionServiceClient<SuiteChannel> {
        let channel = SuiteChannel::new(self.channel(), "identity", Arc::clone(&self.signer));
        SessionServiceClient::new(channel)
    }
}

fn unknown<T>(answer: &Result<T, tonic::Status>) -> bool {
    answer.as_ref().is_err_and(|status| status.code() == Code::Unauthenticated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_refused_by_every_process_within_5_s_once_it_is_disabled() {
    let identity = Identity::start().await;
    let (other, _tasks) = identity.replica().await;
    let key = SigningKey::generate();
    identity.operate(Command::Add(add("platform", &[LOOK_UPS]))).await.unwrap();
    let everywhere = [&identity.address, &other];
    let everywhere = everywhere.map(|address| identity.calling("platform", &key, address));
    assert!(unknown(&everywhere[0].call().await), "it has no key");
    identity.give_key("platform", &key).await.unwrap();
    for platform in &everywhere {
        platform.until_known().await;
    }
    let name = || "platform".to_owned();
    identity.operate(Command::Disable { name: name() }).await.unwrap();
    for platform in &everywhere {
        platform.until(unknown).await;
    }
    assert!(identity.list().await.contains("platform (合肥志愿平台, PLATFORM, disabled)"));
    identity.operate(Command::Enable { name: name() }).await.unwrap();
    for platform in &everywhere {
        platform.until_known().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_overlap_and_one_that_is_taken_away_counts_no_more() {
    let identity = Identity::start().await;
    identity.operate(Command::Add(add("platform", &[LOOK_UPS]))).await.unwrap();
    let keys = [(); 3].map(|()| SigningKey::generate());
    let [old, new, _] = &keys;
    let old_id = identity.give_key("platform", old).await.unwrap();
    identity.give_key("platform", new).await.unwrap();
    let by = |key| identity.calling("platform", key, &identity.address);
    by(old).until_known().await;
    by(new).until_known().await;
    let refused = identity.give_key("platform", &keys[2]).await.unwrap_err();
    assert!(refused.to_string().contains("has two keys"), "{refused}");
    let remove = Command::RemoveKey { name: "platform".into(), key_id: old_id.clone() };
    identity.operate(remove.clone()).await.unwrap();
    by(old).until(unknown).await;
    by(new).call().await.unwrap();
    let refused = identity.operate(remove).await.unwrap_err();
    assert!(refused.to_string().contains("has no key"), "{refused}");
    // One that comes into use later is refused until then.
    identity
        .operate(Command::AddKey(AddKey {
            name: "platform".into(),
            public_key: keys[2].verifying_key(),
            use_from: Some(identity.clock.now() + time::Duration::HOUR),
            expires: Some(identity.clock.now() + time::Duration::hours(2)),
        }))
        .await
        .unwrap();
    // Told of in one word with what was added before it, so nobody has to wait.
    by(new).until_known().await;
    assert!(unknown(&by(&keys[2]).call().await));
    identity.pass(time::Duration::HOUR);
    by(&keys[2]).until_known().await;
    identity.pass(time::Duration::HOUR);
    by(&keys[2]).until(unknown).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sees_when_a_key_was_used_last() {
    let identity = Identity::start().await;
    let _platform = identity.platform(add("platform", &[LOOK_UPS])).await;
    let begin = std::time::Instant::now();
    while identity.list().await.contains("used last: never") {
        assert!(begin.elapsed() < Duration::from_secs(20), "nobody tells");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let listed = identity.list().await;
    assert!(listed.contains("used last: 2026-11-23T12:00:00Z"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_that_of_all_processes_together() {
    let identity = Identity::start().await;
    let quota = Add { calls_per_minute: 3, ..add("platform", &[LOOK_UPS]) };
    let platform = identity.platform(quota).await;
    // One call was made to see that it is known.
    platform.call().await.unwrap();
    platform.call().await.unwrap();
    let spent = platform.call().await.unwrap_err();
    assert_eq!((spent.code(), &*reason(&spent)), (Code::ResourceExhausted, "QUOTA_EXHAUSTED"));
    let calls = "SELECT coalesce(sum(calls_in_minute), 0)::bigint
                 FROM identity.service_account_count";
    let begin = std::time::Instant::now();
    while identity.count(calls).await < 3 {
        assert!(begin.elapsed() < Duration::from_secs(20), "nobody tells");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Another process hears of it with its first word.
    let (address, _tasks) = identity.replica().await;
    let elsewhere = Platform { signer: Arc::clone(&platform.signer), address };
    let first = loop {
        match elsewhere.call().await {
            Err(status) if reason(&status) == "REVOCATIONS_STALE" => {}
            other => break other,
        }
    };
    assert_eq!(reason(&first.unwrap_err()), "QUOTA_EXHAUSTED");
    identity.pass(time::Duration::MINUTE);
    elsewhere.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_told_of_accounts_once_and_of_their_calls_as_they_are_reported() {
    let identity = Identity::start().await;
    identity.operate(Command::Add(add("platform", &[LOOK_UPS]))).await.unwrap();
    let key_id = identity.give_key("platform", &SigningKey::generate()).await.unwrap();
    let ask = |service_accounts_version: Vec<u8>| {
        let request = ListRevocationsRequest { service_accounts_version, ..Default::default() };
        let mut client = identity.sessions();
        async move { client.list_revocations(request).await.unwrap().into_inner() }
    };
    let first = ask(Vec::new()).await;
    assert_eq!(first.service_accounts.len(), 1);
    assert_eq!(first.service_accounts[0].keys.len(), 1);
    let again = ask(first.service_accounts_version.clone()).await;
    assert!(again.service_accounts.is_empty());
    assert_eq!(again.service_accounts_version, first.service_accounts_version);

    let used = |account: &str, calls, at: OffsetDateTime| ServiceAccountUse {
        account: account.into(),
        calls,
        keys: vec![ServiceAccountKeyUse {
            key_id: key_id.clone(),
            last_use_time: Some(timestamp(at)),
        }],
    };
    let report = |uses: Vec<ServiceAccountUse>| {
        let mut client = identity.sessions();
        async move {
            let request = ReportServiceAccountUsesRequest { uses };
            client.report_service_account_uses(request).await
        }
    };
    let now = identity.clock.now();
    report(vec![used("platform", 4, now), used("gone", 9, now)]).await.unwrap();
    // The clock of another process is late, or runs ahead: neither is taken for a later use.
    report(vec![used("platform", 1, now - time::Duration::HOUR)]).await.unwrap();
    let told = ask(Vec::new()).await.service_account_counts;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].calls_in_minute, told[0].calls_in_day), (5, 5));
    assert!(identity.list().await.contains("used last: 2026-11-23T12:00:00Z"));
    report(vec![used("platform", 1, now + time::Duration::HOUR)]).await.unwrap();
    assert!(identity.list().await.contains("used last: 2026-11-23T12:00:00Z"));
    identity.pass(time::Duration::MINUTE);
    report(vec![used("platform", 1, now)]).await.unwrap();
    let told = ask(Vec::new()).await.service_account_counts;
    assert_eq!((told[0].calls_in_minute, told[0].calls_in_day), (1, 7));
    identity.pass(time::Duration::DAY);
    assert!(ask(Vec::new()).await.service_account_counts.is_empty());

    for uses in [
        vec![used("plat form", 1, now)],
        vec![used("platform", 1, now), used("platform", 1, now)],
        vec![ServiceAccountUse {
            keys: vec![ServiceAccountKeyUse { key_id: "1".into(), last_use_time: None }],
            ..used("platform", 1, now)
        }],
    ] {
        let refused = report(uses).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELDS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_what_can_not_be_done_and_what_was_done_is_recorded() {
    let identity = Identity::start().await;
    let good = || add("platform", &[LOOK_UPS]);
    let name = || "nobody".to_owned();
    let key = SigningKey::generate();
    let now = identity.clock.now();
    identity.operate(Command::Add(good())).await.unwrap();
    identity.give_key("platform", &key).await.unwrap();
    identity.operate(Command::Add(add("another", &[]))).await.unwrap();
    let change = |name: &str, scopes: &[&str]| Change {
        name: name.to_owned(),
        title: None,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        calls_per_minute: Some(7),
        calls_per_day: None,
        look_ups_per_day: None,
        within: Vec::new(),
        everywhere: false,
    };
    let many: Vec<String> = (0..10).map(|n| format!("AH-{n}")).collect();
    let key_of = |name: &str, from: OffsetDateTime, to: OffsetDateTime| AddKey {
        name: name.to_owned(),
        public_key: key.verifying_key(),
        use_from: Some(from),
        expires: Some(to),
    };
    let (hour, day) = (time::Duration::HOUR, time::Duration::DAY);
    for (command, told) in [
        (Command::Add(good()), "there is a service account \"platform\""),
        (Command::Add(add("third", &["identity.enrolments"])), "no method for service accounts"),
        (Command::Change(change("platform", &["identity.revocations"])), "no method for service"),
        (Command::Change(change("nobody", &[])), "there is no service account"),
        (
            Command::Add(Add { within: many.clone(), ..add("third", &[LOOK_UPS]) }),
            "restricted to 9 organizations at most",
        ),
        (
            Command::Change(Change { within: many.clone(), ..change("platform", &[]) }),
            "restricted to 9 organizations at most",
        ),
        (Command::Disable { name: name() }, "there is no service account"),
        (Command::Enable { name: name() }, "there is no service account"),
        (Command::RemoveKey { name: name(), key_id: "1".into() }, "there is no service account"),
        (Command::AddKey(key_of("nobody", now, now + day)), "there is no service account"),
        (Command::AddKey(key_of("another", now - day, now - hour)), "must expire after"),
        (Command::AddKey(key_of("another", now + day + hour, now + day)), "must expire after"),
        (Command::AddKey(key_of("another", now, now + 365 * day)), "is known already"),
    ] {
        let refused = identity.operate(command.clone()).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{command:?}: {refused}");
    }
    identity.operate(Command::Change(change("platform", &[]))).await.unwrap();
    let listed = identity.list().await;
    let line = "platform (合肥志愿平台, PLATFORM): identity.look_ups; 7 calls a minute, 1000 a day";
    assert!(listed.contains(line), "{listed}");
    let recorded = "SELECT count(*) FROM (
            SELECT action, actor_kind FROM identity.audit_pending
            UNION ALL SELECT action, actor_kind FROM identity.audit_entry) acts
        WHERE action LIKE 'identity.service\\_account.%' AND actor_kind = 'OPERATOR'";
    assert_eq!(identity.count(recorded).await, 4);
}

/// What it sees is told with it, apart from the others, so that a process of before restrictions
/// refuses it; and is changed and lifted at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_restricted_to_organizations_and_not_any_more() {
    let identity = Identity::start().await;
    let codes = |codes: &[&str]| codes.iter().map(|&code| code.to_owned()).collect::<Vec<_>>();
    let within = codes(&["AH-340200", "AH-340100", "AH-340100"]);
    identity
        .operate(Command::Add(Add { within, ..add("city", &["registration.feed"]) }))
        .await
        .unwrap();
    identity.operate(Command::Add(add("platform", &[LOOK_UPS]))).await.unwrap();
    let told = async || {
        let request = ListRevocationsRequest::default();
        let told = identity.sessions().list_revocations(request).await.unwrap().into_inner();
        let names = told.service_accounts.iter().map(|account| account.name.clone()).collect();
        let restricted = told.restricted_service_accounts.into_iter();
        let restricted = restricted.map(|account| (account.name, account.within)).collect();
        (names, restricted, told.service_accounts_version)
    };
    type Told = (Vec<String>, Vec<(String, Vec<String>)>, Vec<u8>);
    let (names, restricted, first): Told = told().await;
    assert_eq!(names, ["platform"]);
    assert_eq!(restricted, [("city".to_owned(), codes(&["AH-340100", "AH-340200"]))]);
    assert!(identity.list().await.contains("registration.feed within AH-340100 AH-340200; 1000"));
    let change = |within: &[&str], everywhere| Change {
        name: "city".to_owned(),
        title: None,
        scopes: Vec::new(),
        calls_per_minute: None,
        calls_per_day: None,
        look_ups_per_day: None,
        within: codes(within),
        everywhere,
    };
    identity.operate(Command::Change(change(&["AH-340300"], false))).await.unwrap();
    let (_, restricted, second): Told = told().await;
    assert_eq!(restricted, [("city".to_owned(), codes(&["AH-340300"]))]);
    // Another change leaves it as it is.
    let quota = Change { calls_per_minute: Some(9), ..change(&[], false) };
    identity.operate(Command::Change(quota)).await.unwrap();
    assert_eq!(told().await.1, restricted);
    identity.operate(Command::Change(change(&[], true))).await.unwrap();
    let (names, restricted, third): Told = told().await;
    assert_eq!((names, restricted.len()), (codes(&["city", "platform"]), 0));
    assert!(first != second && second != third);
    let recorded = "SELECT count(*) FROM (
            SELECT action FROM identity.audit_pending
            UNION ALL SELECT action FROM identity.audit_entry) acts
        WHERE action = 'identity.service_account.restricted'";
    assert_eq!(identity.count(recorded).await, 3);
}
