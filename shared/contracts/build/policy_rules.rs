//! What every method of ours must declare. Used by the build, which fails where
//! it isn't so, and by the test that shows that the build would fail.

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// The extension that carries a method's policy.
pub const EXTENSION: &str = "zhiyuan.access.v1.policy";

/// The number of `LIMIT_CLASS_STREAM`.
const LONG_LIVED: i32 = 5;

/// Names every method whose access policy is missing or incomplete, and why.
pub fn faults(pool: &DescriptorPool) -> Vec<String> {
    pool.services()
        .filter(|service| service.package_name().starts_with("zhiyuan."))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter_map(|method| {
            fault(pool, &method).map(|why| format!("{}: {why}", method.full_name()))
        })
        .collect()
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
    None
}
