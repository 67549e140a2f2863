//! Administrators: the first one, whom the operator makes, gives a role to somebody else,
//! and ends it. Orgtree runs twice.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    CheckRequest, CreateGrantRequest, Grant, ListGrantsRequest, ListMyGrantsRequest, Permission,
    RevokeGrantRequest, Role, Verdict,
};
use zhiyuan_domain::{OrganizationCode, SystemClock};
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_orgtree::{Config, RunError};
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_rpc::authority::{Authority, Decision, Lease};

use crate::harness::caller::{Member, sign_in_with_both, signer, suite_key};
use crate::harness::processes::binary;
use crate::harness::{Own, Refusal, Site, shared};

/// 合肥, what lies below it, and what lies beside it.
const CITY: &str = "AH-340100";
const COUNTY: &str = "AH-340104";
const BELOW: &str = "AH-340104001";
const BESIDE: &str = "AH-340200";
const PROVINCE: &str = "AH";
const PATIENCE: Duration = Duration::from_secs(30);

type Person = AuthorityServiceClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
struct Bearer(tonic::metadata::MetadataValue<tonic::metadata::Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

fn person_at(address: SocketAddr, bearer: &str) -> Person {
    let bearer = Bearer(bearer.parse().unwrap());
    AuthorityServiceClient::with_interceptor(channel(address), bearer)
}

/// What registration asks with.
fn asking(site: &Site, address: SocketAddr) -> SuiteChannel {
    let signer = signer("registration", &suite_key(site), Arc::new(SystemClock));
    SuiteChannel::new(channel(address), "orgtree", Arc::new(signer))
}

/// Orgtree once more, on the same database.
struct Replica {
    address: SocketAddr,
    stop: Stop,
    running: JoinHandle<Result<(), RunError>>,
}

impl Replica {
    async fn start(site: &Site) -> Self {
        Self::start_as(site.orgtree()).await
    }

    #[expect(clippy::disallowed_methods, reason = "ended by `stop`")]
    async fn start_as(config: Config) -> Self {
        let deps = config.deps(Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, (signal, wait)) = (Stop::new(), Ready::channel());
        let running =
            tokio::spawn(zhiyuan_orgtree::run(config, deps, listener, stop.clone(), signal));
        if wait.wait().await.is_err() {
            panic!("{:?}", running.await);
        }
        Self { address, stop, running }
    }

    async fn stop(self) {
        self.stop.request();
        self.running.await.unwrap().unwrap();
    }
}

fn gives(account_id: Uuid, code: &str, role: Role) -> CreateGrantRequest {
    CreateGrantRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: account_id.to_string(),
        organization_code: code.to_owned(),
        role: role.into(),
        expire_time: None,
    }
}

async fn give(person: &mut Person, request: CreateGrantRequest) -> Result<Grant, Refusal> {
    let answer = person.create_grant(request).await.map_err(Refusal::from)?;
    Ok(answer.into_inner().grant.unwrap())
}

async fn mine(person: &mut Person) -> Vec<Grant> {
    // Until a process that has just started has heard whose tokens count.
    let until = Instant::now() + PATIENCE;
    loop {
        match person.list_my_grants(ListMyGrantsRequest::default()).await {
            Ok(page) => return page.into_inner().grants,
            Err(status) if Instant::now() > until => panic!("{status:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: Code, reason: &str) {
    let refusal = answer.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (code, reason), "{refusal:?}");
}

async fn verdict(site: &Site, address: SocketAddr, account_id: Uuid, code: &str) -> Verdict {
    let request = CheckRequest {
        account_id: account_id.to_string(),
        organization_code: code.to_owned(),
        permission: Permission::Review.into(),
    };
    let mut client = AuthorityServiceClient::new(asking(site, address));
    client.check(request).await.unwrap().into_inner().verdict()
}

/// The first administrator, at the gateway.
async fn first_administrator(suite: &Own) -> (Person, Uuid) {
    let site = &suite.site;
    let administrator = suite.administrator().await;
    // Another start tells of the same, and makes nobody.
    let again = suite.administrator().await;
    assert_eq!(
        (&again.phone, &again.password, &*again.organization),
        (&administrator.phone, &administrator.password, PROVINCE)
    );
    // The minute that the phone waits after the code of its registration.
    sqlx::query("UPDATE identity.sms_phone SET sent_at = '{}'")
        .execute(&mut site.main_database().await)
        .await
        .unwrap();
    let (bearer, _) = sign_in_with_both(site, &administrator.phone, &administrator.password).await;
    let mut person = person_at(site.addresses.gateway, &bearer);
    let grants = mine(&mut person).await;
    let [grant] = grants.as_slice() else { panic!("{grants:?}") };
    assert_eq!((&*grant.organization_code, grant.role()), (PROVINCE, Role::Administrator));
    assert_eq!(grant.granted_by, "");
    (person, grant.account_id.parse().unwrap())
}

/// Asks at one replica all the time: straight, by a cache, and as the person; when each
/// success began, and every lease.
async fn asked_all_the_time(
    site: &Site,
    address: SocketAddr,
    account_id: Uuid,
    bearer: &str,
    over: &AtomicBool,
) -> (Vec<Instant>, Vec<Lease>) {
    let authority = Authority::new(asking(site, address));
    let mut person = person_at(address, bearer);
    let code = OrganizationCode::parse(BELOW).unwrap();
    let (mut allowed, mut leases) = (Vec::new(), Vec::new());
    while !over.load(Ordering::SeqCst) {
        let at = Instant::now();
        if verdict(site, address, account_id, BELOW).await == Verdict::Allowed {
            allowed.push(at);
        }
        let at = Instant::now();
        let decision = authority.ask(account_id, &code, Permission::Review).await.unwrap();
        if let Decision::Allowed(lease) = decision {
            allowed.push(at);
            leases.push(lease);
        }
        let at = Instant::now();
        if give(&mut person, gives(Uuid::new_v4(), COUNTY, Role::Viewer)).await.is_ok() {
            allowed.push(at);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (allowed, leases)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_reaches_what_lies_below_and_once_its_end_is_answered_it_counts_nowhere() {
    let suite = Own::start("administrators").await;
    let site = &suite.site;
    let replica = Replica::start(site).await;
    let both = [site.addresses.orgtree, replica.address];
    let (mut first, first_id) = first_administrator(&suite).await;

    let mut other = Member::registered(site).await;
    let id = other.account_id;
    let bearer = other.sign_in_with_both(site).await;
    let made = give(&mut first, gives(id, CITY, Role::Administrator)).await.unwrap();
    assert_eq!(made.granted_by, first_id.to_string());
    for address in both.into_iter().chain([site.addresses.gateway]) {
        let mut other = person_at(address, &bearer);
        assert_eq!(mine(&mut other).await, std::slice::from_ref(&made));
        give(&mut other, gives(Uuid::new_v4(), COUNTY, Role::Manager)).await.unwrap();
        for code in [PROVINCE, BESIDE] {
            let refused = give(&mut other, gives(Uuid::new_v4(), code, Role::Viewer)).await;
            assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
            let request =
                ListGrantsRequest { organization_code: code.into(), ..Default::default() };
            let refused = other.list_grants(request).await.map_err(Refusal::from);
            assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
        }
        let refused = give(&mut other, gives(id, BELOW, Role::Viewer)).await;
        assert_refused(refused, Code::PermissionDenied, "GRANT_TO_SELF");
    }
    for address in both {
        for (code, expected) in [
            (CITY, Verdict::Allowed),
            (BELOW, Verdict::Allowed),
            (PROVINCE, Verdict::OutOfScope),
            (BESIDE, Verdict::OutOfScope),
        ] {
            assert_eq!(verdict(site, address, id, code).await, expected, "{code}");
        }
    }

    let (over, request_id) = (AtomicBool::new(false), Uuid::new_v4().to_string());
    let revoke = RevokeGrantRequest { request_id, grant_id: made.id.clone() };
    let patiently = || {
        let mut request = Request::new(revoke.clone());
        request.set_timeout(Duration::from_secs(15));
        request
    };
    let revoking = async {
        // Some way into the load.
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.revoke_grant(patiently()).await.unwrap();
        let answered = Instant::now();
        tokio::time::sleep(Duration::from_millis(500)).await;
        over.store(true, Ordering::SeqCst);
        answered
    };
    let load = both.map(|address| asked_all_the_time(site, address, id, &bearer, &over));
    let (answered, asked) = tokio::join!(revoking, join_all(load));
    for (allowed, leases) in asked {
        assert!(allowed.len() > 6 && leases.len() > 2, "{} {}", allowed.len(), leases.len());
        assert!(allowed.iter().all(|at| *at < answered), "allowed after the answer");
        // And whoever was allowed has had the two seconds of a commit.
        let commit = answered.checked_sub(Duration::from_secs(2)).unwrap();
        assert!(leases.iter().all(|lease| lease.check(commit).is_err()), "a lease too long");
    }

    for address in both {
        let mut other = person_at(address, &bearer);
        assert!(mine(&mut other).await.is_empty());
        let refused = give(&mut other, gives(Uuid::new_v4(), COUNTY, Role::Viewer)).await;
        assert_refused(refused, Code::NotFound, "ORGANIZATION_NOT_FOUND");
        assert_eq!(verdict(site, address, id, BELOW).await, Verdict::OutOfScope);
    }
    // Sent again, the same call has the same answer, at once.
    let begin = Instant::now();
    first.revoke_grant(patiently()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_recorded(site, id, first_id).await;
    replica.stop().await;
    suite.stop().await;
}

/// A way to somewhere, cut when the task is aborted.
#[expect(clippy::disallowed_methods, reason = "aborted by the test")]
async fn way_to(there: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut to = TcpStream::connect(there).await.unwrap();
                // Whoever ends it, it is over.
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (address, task)
}

/// A process that doesn't hear any more which sessions ended closes what is strict, and
/// nothing else; others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_from_identity_closes_strict_methods_within_five_seconds() {
    let suite = Own::start("cut-off").await;
    let site = &suite.site;
    let (address, way) = way_to(site.addresses.identity).await;
    let config = Config { identity_address: format!("http://{address}"), ..site.orgtree() };
    let replica = Replica::start_as(config).await;
    let mut member = Member::registered(site).await;
    member.make_administrator(site).await;
    let bearer = member.sign_in_with_both(site).await;
    let mut there = person_at(replica.address, &bearer);
    let mut here = person_at(site.addresses.orgtree, &bearer);
    mine(&mut there).await;
    let all = || ListGrantsRequest { organization_code: PROVINCE.into(), ..Default::default() };
    there.list_grants(all()).await.unwrap();

    way.abort();
    let cut = Instant::now();
    let refused = loop {
        let at = Instant::now();
        match there.list_grants(all()).await {
            Ok(_) => assert!(at - cut < Duration::from_millis(5_100), "still open"),
            Err(status) => break Refusal::from(status),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((refused.code, &*refused.reason), (Code::Unavailable, "REVOCATIONS_STALE"));
    assert!(cut.elapsed() > Duration::from_secs(3), "closed too soon");
    // What is not strict goes on there, and everything where identity is heard.
    there.list_my_grants(ListMyGrantsRequest::default()).await.unwrap();
    here.list_grants(all()).await.unwrap();
    replica.stop().await;
    suite.stop().await;
}

/// The audit has who gave and ended the role, and is whole.
async fn assert_recorded(site: &Site, about: Uuid, by: Uuid) {
    let found: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT actor, action, outcome FROM
             (SELECT NULL::bigint AS index, seq, subject_account_id, actor, action, outcome
              FROM orgtree.audit_pending
              UNION ALL
              SELECT index, NULL, subject_account_id, actor, action, outcome
              FROM orgtree.audit_entry) AS recorded
         WHERE subject_account_id = $1 AND actor = $2 ORDER BY index, seq",
    )
    .bind(about)
    .bind(by.to_string())
    .fetch_all(&mut site.main_database().await)
    .await
    .unwrap();
    let expected = ["orgtree.grant.given", "orgtree.grant.revoked"]
        .map(|action| (by.to_string(), action.to_owned(), "DONE".to_owned()));
    assert_eq!(found, expected);
    assert!(zhiyuan_orgtree::verify(&site.orgtree(), None).await.unwrap().is_empty());
}

/// `zhiyuan-orgtree grant`, with this configuration.
async fn granted(site: &Site, account_id: Uuid, more: &[&str]) -> Output {
    let mut grant = Command::new(binary("orgtree"));
    grant.arg("grant").arg("--config").arg(site.files.of("orgtree"));
    grant.args(["--account", &account_id.to_string(), "--organization", "ah-341200"]);
    grant.args(more);
    tokio::task::spawn_blocking(move || grant.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_makes_the_first_administrator_by_a_command() {
    let site = shared();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let administrator = ["--role", "administrator"];
    let done = granted(&site, one, &administrator).await;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{done:?}");
    assert!(told.contains(&format!("{one} is administrator of AH-341200 now")), "{told}");
    assert_eq!(verdict(&site, site.addresses.orgtree, one, "AH-341200").await, Verdict::Allowed);

    let refused = granted(&site, other, &administrator).await;
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("AH-341200 has an administrator"), "{told}");
    let out_of_scope = verdict(&site, site.addresses.orgtree, other, "AH-341200").await;
    assert_eq!(out_of_scope, Verdict::OutOfScope);
    assert_eq!(granted(&site, other, &["--role", "king"]).await.status.code(), Some(2));

    let again = granted(&site, other, &["--role", "administrator", "--again"]).await;
    assert!(again.status.success(), "{again:?}");
    assert_eq!(verdict(&site, site.addresses.orgtree, other, "AH-341200").await, Verdict::Allowed);
}
