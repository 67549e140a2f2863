//! What every method of ours must declare. Used by the build, which fails where
//! it isn't so, and by the test that shows that the build would fail.

use prost_reflect::{DescriptorPool, Kind, MethodDescriptor, Value};

/// The extension that carries a method's policy.
pub const EXTENSION: &str = "zhiyuan.access.v1.policy";

/// The number of `LIMIT_CLASS_STREAM`.
const LONG_LIVED: i32 = 5;

/// The numbers of `SESSION_EFFECT_BEGINS`, `…_RENEWS` and `…_ENDS_WHEN_DONE`.
const BEGINS: i32 = 1;
const RENEWS: i32 = 2;
const ENDS_WHEN_DONE: i32 = 4;

/// What such methods answer, in a field of this name: the gateway moves it into cookies.
const TOKENS: (&str, &str) = ("tokens", "zhiyuan.identity.v1.Tokens");

/// Names every method whose access policy is missing or incomplete, and why.
pub fn faults(pool: &DescriptorPool) -> Vec<String> {
    let methods = || {
        let ours = pool.services().filter(|one| one.package_name().starts_with("zhiyuan."));
        ours.flat_map(|service| service.methods().collect::<Vec<_>>())
    };
    let told = |method: &MethodDescriptor, why| format!("{}: {why}", method.full_name());
    let alone = methods().filter_map(|method| Some(told(&method, fault(pool, &method)?)));
    // The refresh token of a browser goes to one path.
    let renewing = methods().filter(|method| session(pool, method) == RENEWS);
    let second = renewing.skip(1).map(|method| told(&method, "a second way to renew a session"));
    alone.chain(second).collect()
}

fn fault(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<&'static str> {
    let Some(extension) = pool.get_extension_by_name(EXTENSION) else {
        return Some("the policy extension is not part of the contracts");
    };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Some("no access policy");
    }
    let value = options.get_extension(&extension);
    let Value::Message(policy) = value.as_ref() else {
        return Some("the policy is no message");
    };
    let service_scope = policy.has_field_by_name("service").then(|| {
        policy
            .get_field_by_name("service")
            .and_then(|service| {
                let scope = service.as_message()?.get_field_by_name("scope")?;
                Some(scope.as_str()?.to_owned())
            })
            .unwrap_or_default()
    });
    match service_scope {
        Some(scope) if scope.is_empty() => return Some("a service caller without a scope"),
        None if !["any", "signed_in"].iter().any(|name| policy.has_field_by_name(name)) => {
            return Some("no caller");
        }
        _ => {}
    }
    let class = policy.get_field_by_name("limit_class").and_then(|class| class.as_enum_number());
    match class.unwrap_or_default() {
        0 => return Some("no limit class"),
        // Such a call has no deadline: one answer that never comes would keep its place.
        LONG_LIVED if !method.is_server_streaming() => {
            return Some("the class of long-lived streams, and no stream");
        }
        _ => {}
    }
    match session(pool, method) {
        0 => {}
        _ if method.is_client_streaming() || method.is_server_streaming() => {
            return Some("a session, by a stream");
        }
        ENDS_WHEN_DONE if !policy.has_field_by_name("signed_in") => {
            return Some("the end of a session, for who may have none");
        }
        BEGINS | RENEWS if !answers_tokens(method) => return Some("a session without `tokens`"),
        _ => {}
    }
    None
}

/// The number of what a method does to a session.
fn session(pool: &DescriptorPool, method: &MethodDescriptor) -> i32 {
    let Some(extension) = pool.get_extension_by_name(EXTENSION) else { return 0 };
    let options = method.options();
    let value = options.get_extension(&extension);
    let effect = value.as_message().and_then(|policy| policy.get_field_by_name("session"));
    effect.and_then(|effect| effect.as_enum_number()).unwrap_or_default()
}

fn answers_tokens(method: &MethodDescriptor) -> bool {
    let (name, message) = TOKENS;
    let field = method.output().get_field_by_name(name).filter(|field| !field.is_list());
    let kind = field.map(|field| field.kind());
    kind.as_ref().and_then(Kind::as_message).is_some_and(|kind| kind.full_name() == message)
}
