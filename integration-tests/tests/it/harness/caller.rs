//! Who may call a method, and how they prove it.

use std::sync::Arc;

use zhiyuan_auth::AssertionSigner;
use zhiyuan_contracts::policy::{Caller, MethodPolicy};
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{SharedClock, SystemClock};
use zhiyuan_standalone::ACCOUNT;

use super::Site;

/// The header that proves which service calls.
pub(crate) const ASSERTION: &str = "zhiyuan-assertion";

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

/// Somebody who may call a method: a name, and the key that proves it.
pub(crate) fn rightful(site: &Site, policy: &MethodPolicy) -> (&'static str, SigningKey) {
    match &policy.caller {
        Caller::Service { at_gateway: true, .. } => (ACCOUNT, account(site)),
        Caller::Service { .. } | Caller::Any => ("registration", suite_key(site)),
    }
}

/// Signs as somebody who may call a method; nobody where anybody may.
pub(crate) fn rightful_signer(site: &Site, policy: &MethodPolicy) -> Option<Arc<AssertionSigner>> {
    if policy.caller == Caller::Any {
        return None;
    }
    let (name, key) = rightful(site, policy);
    Some(Arc::new(signer(name, &key, Arc::new(SystemClock))))
}
