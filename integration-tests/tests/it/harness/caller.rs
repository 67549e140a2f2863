//! Who may call a method, and how they prove it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::access::v1::SessionEffect;
use zhiyuan_contracts::identity::v1::{SignInRequest, SignInResponse};
use zhiyuan_contracts::policy::{Caller, MethodPolicy};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_standalone::ACCOUNT;
use zhiyuan_testkit::{Person, person};

use super::client::{PASSWORD, SIGN_IN, patiently};
use super::{Client, Site};

/// The header that proves which service calls.
pub(crate) const ASSERTION: &str = "zhiyuan-assertion";
/// The header that proves which person calls.
pub(crate) const AUTHORIZATION: &str = "authorization";

/// Nobody else's: each of these people registers to sign in.
static NEXT: AtomicU32 = AtomicU32::new(720_000);
/// Half of the time that a token is good for.
const FRESH: Duration = Duration::from_secs(300);

/// The service that serves a method, such as `identity`.
pub(crate) fn service_of(policy: &MethodPolicy) -> String {
    policy.path.split('.').nth(1).unwrap().to_owned()
}

/// Signs as somebody, for a service.
pub(crate) fn sign(caller: &str, key: &SigningKey, clock: SharedClock, audience: &str) -> String {
    signer(caller, key, clock).sign(audience)
}

fn signer(caller: &str, key: &SigningKey, clock: SharedClock) -> AssertionSigner {
    let copy = SigningKey::from_base64(&key.to_base64()).unwrap();
    AssertionSigner::new(caller, copy, clock)
}

/// The key of registration, which may call identity.
pub(crate) fn suite_key(site: &Site) -> SigningKey {
    let key = site.config("registration")["signing_key"].as_str().unwrap().to_owned();
    SigningKey::from_base64(&key).unwrap()
}

/// The service account of the demonstration.
pub(crate) fn account(site: &Site) -> SigningKey {
    SigningKey::from_base64(&std::fs::read_to_string(site.files.key()).unwrap()).unwrap()
}

/// A service that may call a method, if any service may: a name, and the key that proves
/// it.
pub(crate) fn rightful(site: &Site, policy: &MethodPolicy) -> (&'static str, SigningKey) {
    match &policy.caller {
        Caller::Service { at_gateway: true, .. } => (ACCOUNT, account(site)),
        Caller::Service { .. } | Caller::Any | Caller::SignedIn { .. } => {
            ("registration", suite_key(site))
        }
    }
}

/// How somebody who may call a method proves it.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Anybody may, or whoever tries may not.
    Nothing,
    /// A service.
    Signer(Arc<AssertionSigner>),
    /// A person, at this site.
    Person(Box<Site>),
}

impl Proof {
    /// That of somebody who may call a method.
    pub(crate) fn rightful(site: &Site, policy: &MethodPolicy) -> Self {
        match &policy.caller {
            Caller::Any => Self::Nothing,
            Caller::SignedIn { .. } => Self::Person(Box::new(site.clone())),
            Caller::Service { .. } => {
                let (name, key) = rightful(site, policy);
                Self::Signer(Arc::new(signer(name, &key, Arc::new(SystemClock))))
            }
        }
    }

    /// The header that proves it for this method; good for a minute.
    pub(crate) async fn header(&self, policy: &MethodPolicy) -> Option<(&'static str, String)> {
        match self {
            Self::Nothing => None,
            Self::Signer(signer) => Some((ASSERTION, signer.sign(&service_of(policy)))),
            Self::Person(site) => Some((AUTHORIZATION, bearer(site, policy).await)),
        }
    }
}

/// Registers somebody and signs in: `Bearer …`.
pub(crate) async fn signed_in(site: &Site) -> String {
    sign_in(site, &registered(site).await).await
}

/// Somebody new, registered at the gateway.
pub(crate) async fn registered(site: &Site) -> Person {
    let client = Client::of(site);
    let person = person(NEXT.fetch_add(1, Ordering::Relaxed));
    let form = client.apply(&client.json, &person).await;
    client.register_to_the_end(&client.json, &form).await.unwrap();
    person
}

/// Signs somebody in at the gateway: `Bearer …`.
pub(crate) async fn sign_in(site: &Site, person: &Person) -> String {
    let client = Client::of(site);
    let request = SignInRequest {
        identifier: person.mobile.clone(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    let answer = patiently(|| client.json.call::<_, SignInResponse>(SIGN_IN, &request)).await;
    format!("Bearer {}", answer.unwrap().tokens.unwrap().access_token)
}

/// Somebody who calls one method.
struct Member {
    person: Person,
    bearer: Option<(Instant, String)>,
}

/// `Bearer …` of somebody who may call a method, and calls no other: what a method does to
/// the sessions of its caller is done to nobody else.
pub(crate) async fn bearer(site: &Site, policy: &MethodPolicy) -> String {
    type Members = BTreeMap<(SocketAddr, String), Member>;
    static MEMBERS: LazyLock<Mutex<Members>> = LazyLock::new(Mutex::default);
    let mut members = MEMBERS.lock().await;
    let key = (site.addresses.gateway, policy.path.clone());
    if !members.contains_key(&key) {
        members.insert(key.clone(), Member { person: registered(site).await, bearer: None });
    }
    let member = members.get_mut(&key).unwrap();
    if let Some((at, bearer)) = &member.bearer
        && at.elapsed() < FRESH
    {
        return bearer.clone();
    }
    let bearer = sign_in(site, &member.person).await;
    // Where the session ends with the call, the next one needs another.
    if policy.session != SessionEffect::Ends {
        member.bearer = Some((Instant::now(), bearer.clone()));
    }
    bearer
}
