//! Who may call a method, and how they prove it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::access::v1::SessionEffect;
use zhiyuan_contracts::identity::v1::{
    SendSmsCodeRequest, SendSmsCodeResponse, SignInRequest, SignInResponse, SmsPurpose,
};
use zhiyuan_contracts::policy::{Caller, MethodPolicy};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{OrganizationCode, SharedClock, SystemClock};
use zhiyuan_orgtree::{OperatorGrant, Role};
use zhiyuan_standalone::ACCOUNT;
use zhiyuan_testkit::{Person, person};

use super::client::{PASSWORD, SEND_SMS_CODE, SIGN_IN, patiently};
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

pub(crate) fn signer(caller: &str, key: &SigningKey, clock: SharedClock) -> AssertionSigner {
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
    Member::registered(site).await.person
}

/// Signs somebody in at the gateway, by password alone: `Bearer …`.
pub(crate) async fn sign_in(site: &Site, person: &Person) -> String {
    begin_session(site, by_password(&person.mobile, PASSWORD)).await
}

/// Signs somebody in at the gateway by password and code, for whom a code can be sent now:
/// `Bearer …`, and what the code was sent by.
pub(crate) async fn sign_in_with_both(site: &Site, phone: &str, password: &str) -> (String, Uuid) {
    let client = Client::of(site);
    let ask = SendSmsCodeRequest {
        phone: phone.to_owned(),
        purpose: SmsPurpose::SignIn.into(),
        ..Default::default()
    };
    let sent = patiently(|| client.json.call::<_, SendSmsCodeResponse>(SEND_SMS_CODE, &ask)).await;
    let sms_challenge_id = sent.unwrap().challenge_id;
    let challenge_id = sms_challenge_id.parse().unwrap();
    let sms_code = client.simulators.code(phone).await;
    let both = SignInRequest { sms_challenge_id, sms_code, ..by_password(phone, password) };
    (begin_session(site, both).await, challenge_id)
}

fn by_password(phone: &str, password: &str) -> SignInRequest {
    SignInRequest {
        identifier: phone.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    }
}

async fn begin_session(site: &Site, request: SignInRequest) -> String {
    let client = Client::of(site);
    let answer = patiently(|| client.json.call::<_, SignInResponse>(SIGN_IN, &request)).await;
    format!("Bearer {}", answer.unwrap().tokens.unwrap().access_token)
}

/// Somebody who has registered.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) person: Person,
    pub(crate) account_id: Uuid,
    password: String,
    /// What the last code was sent by.
    challenge_id: Uuid,
}

impl Member {
    /// Somebody new, registered at the gateway.
    pub(crate) async fn registered(site: &Site) -> Self {
        let client = Client::of(site);
        let person = person(NEXT.fetch_add(1, Ordering::Relaxed));
        let form = client.apply(&client.json, &person).await;
        let volunteer = client.register_to_the_end(&client.json, &form).await.unwrap();
        Self {
            person,
            account_id: volunteer.id.parse().unwrap(),
            password: form.password,
            challenge_id: form.sms_challenge_id.parse().unwrap(),
        }
    }

    /// Signs in with both factors: `Bearer …`.
    pub(crate) async fn sign_in_with_both(&mut self, site: &Site) -> String {
        self.forget_the_last_code(site).await;
        let (bearer, challenge_id) =
            sign_in_with_both(site, &self.person.mobile, &self.password).await;
        self.challenge_id = challenge_id;
        bearer
    }

    /// Lets the minute pass that a phone waits for its next code.
    pub(crate) async fn forget_the_last_code(&self, site: &Site) {
        let forgotten = sqlx::query(
            "UPDATE identity.sms_phone SET sent_at = '{}' WHERE phone_index =
                 (SELECT phone_index FROM identity.sms_challenge WHERE challenge_id = $1)",
        )
        .bind(self.challenge_id)
        .execute(&mut site.main_database().await)
        .await
        .unwrap();
        assert_eq!(forgotten.rows_affected(), 1);
    }

    /// Gives them the province, as the operator does.
    pub(crate) async fn make_administrator(&self, site: &Site) {
        let wanted = OperatorGrant {
            account_id: self.account_id,
            organization: OrganizationCode::parse("AH").unwrap(),
            role: Role::Administrator,
            again: true,
        };
        let clock = Arc::new(SystemClock);
        zhiyuan_orgtree::grant(&site.orgtree(), clock, &wanted).await.unwrap();
    }
}

/// Somebody who calls one method.
struct CallerOfOne {
    member: Member,
    bearer: Option<(Instant, String)>,
}

/// `Bearer …` of somebody who may call a method, and calls no other: what a method does to
/// the sessions of its caller is done to nobody else.
pub(crate) async fn bearer(site: &Site, policy: &MethodPolicy) -> String {
    type Callers = BTreeMap<(SocketAddr, String), CallerOfOne>;
    static CALLERS: LazyLock<Mutex<Callers>> = LazyLock::new(Mutex::default);
    let mut callers = CALLERS.lock().await;
    let key = (site.addresses.gateway, policy.path.clone());
    let administrates = matches!(policy.caller, Caller::SignedIn { second_factor: true, .. });
    if !callers.contains_key(&key) {
        let member = Member::registered(site).await;
        if administrates {
            member.make_administrator(site).await;
        }
        callers.insert(key.clone(), CallerOfOne { member, bearer: None });
    }
    let caller = callers.get_mut(&key).unwrap();
    if let Some((at, bearer)) = &caller.bearer
        && at.elapsed() < FRESH
    {
        return bearer.clone();
    }
    let bearer = if administrates {
        caller.member.sign_in_with_both(site).await
    } else {
        sign_in(site, &caller.member.person).await
    };
    // Where the session ends with the call, the next one needs another.
    if policy.session != SessionEffect::Ends {
        caller.bearer = Some((Instant::now(), bearer.clone()));
    }
    bearer
}

/// The account of whoever a `Bearer …` is.
pub(crate) fn account_of(bearer: &str) -> String {
    let claims = bearer.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}
