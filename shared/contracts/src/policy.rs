//! The access policy of every method, read from the descriptor.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::access::v1::{LimitClass, Policy, SessionEffect, policy::Caller as WireCaller};

#[path = "../build/policy_rules.rs"]
mod policy_rules;

/// Who may call a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, through the gateway.
    Any,
    /// A service of the suite, or a service account, with this scope.
    Service {
        /// The scope that the called service must have granted.
        scope: String,
        /// Whether service accounts reach it through the gateway.
        at_gateway: bool,
        /// Whether service accounts are refused while it is not known which there are.
        strict: bool,
    },
    /// A person who has signed in, through the gateway.
    SignedIn {
        /// Whether it is refused while it is not known which sessions ended.
        strict: bool,
        /// Whether the session must have been begun with a second factor.
        second_factor: bool,
    },
}

impl Caller {
    /// Whether the gateway lets such callers through.
    pub fn at_gateway(&self) -> bool {
        match self {
            Self::Any | Self::SignedIn { .. } => true,
            Self::Service { at_gateway, .. } => *at_gateway,
        }
    }
}

/// The policy of one method.
#[derive(Debug, Clone)]
pub struct MethodPolicy {
    /// `/package.Service/Method`.
    pub path: String,
    /// Who may call.
    pub caller: Caller,
    /// How calls are limited.
    pub limit_class: LimitClass,
    /// Whether the call may be retried.
    pub idempotent: bool,
    /// What the method does to the session of a browser.
    pub session: SessionEffect,
    /// The method itself, for transcoding.
    pub method: MethodDescriptor,
}

/// What is wrong with a descriptor set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A method has no policy, or an incomplete one.
    #[error("access policy: {0}")]
    Incomplete(String),
    /// The policy of a method can't be read.
    #[error("the access policy of {0} can't be read")]
    Unreadable(String),
}

/// The policies of all methods, by path.
#[derive(Debug, Clone)]
pub struct Policies {
    by_path: Arc<HashMap<String, Arc<MethodPolicy>>>,
}

impl Policies {
    /// Reads the policies of all our methods.
    ///
    /// # Errors
    /// When a method has no policy: default deny, so that nothing is served that
    /// nobody thought about.
    pub fn from_pool(pool: &DescriptorPool) -> Result<Self, Error> {
        let faults = policy_rules::faults(pool);
        if !faults.is_empty() {
            return Err(Error::Incomplete(faults.join("; ")));
        }
        let mut by_path = HashMap::new();
        for service in pool.services().filter(|s| s.package_name().starts_with("zhiyuan.")) {
            for method in service.methods() {
                let policy = read(pool, &method)
                    .ok_or_else(|| Error::Unreadable(method.full_name().to_owned()))?;
                by_path.insert(policy.path.clone(), Arc::new(policy));
            }
        }
        Ok(Self { by_path: Arc::new(by_path) })
    }

    /// The policies of the contracts of this crate.
    ///
    /// # Errors
    /// As [`Policies::from_pool`]; never for what the build let pass.
    pub fn load() -> Result<Self, Error> {
        Self::from_pool(&crate::descriptor_pool())
    }

    /// Finds the policy of a path, which must match to the letter.
    pub fn find(&self, path: &str) -> Option<&Arc<MethodPolicy>> {
        self.by_path.get(path)
    }

    /// All policies, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MethodPolicy>> {
        self.by_path.values()
    }
}

fn read(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<MethodPolicy> {
    let extension = pool.get_extension_by_name(policy_rules::EXTENSION)?;
    let options = method.options();
    let value = options.get_extension(&extension);
    let bytes = value.as_message()?.encode_to_vec();
    let policy = Policy::decode(bytes.as_slice()).ok()?;
    let (limit_class, session) = (policy.limit_class(), policy.session());
    let caller = match policy.caller? {
        WireCaller::Any(_) => Caller::Any,
        WireCaller::Service(service) => Caller::Service {
            scope: service.scope,
            at_gateway: service.at_gateway,
            strict: service.strict,
        },
        WireCaller::SignedIn(person) => {
            Caller::SignedIn { strict: person.strict, second_factor: person.second_factor }
        }
    };
    Some(MethodPolicy {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        caller,
        limit_class,
        idempotent: policy.idempotent,
        session,
        method: method.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Tests run side by side.
    static NEXT: AtomicU32 = AtomicU32::new(0);

    fn pool_of(body: &str) -> DescriptorPool {
        let folder = std::env::temp_dir().join(format!("zhiyuan-policy-{}", std::process::id()));
        let name = format!("fixture{}.proto", NEXT.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "syntax = \"proto3\"; package zhiyuan.fixture.v1;
             import \"zhiyuan/access/v1/access.proto\";
             import \"zhiyuan/identity/v1/sign_in.proto\";
             message M {{}} service FixtureService {{ {body} }}"
        );
        std::fs::write(folder.join(&name), text).unwrap();
        let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
        let mut compiler = protox::Compiler::new([folder.as_path(), proto.as_ref()]).unwrap();
        compiler.include_imports(true).open_files([name.as_str()]).unwrap();
        DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
    }

    #[test]
    fn every_method_of_the_contracts_has_a_policy() {
        let policies = Policies::load().unwrap();
        let register = policies.find("/zhiyuan.registration.v1.RegistrationService/Register");
        assert_eq!(register.unwrap().caller, Caller::Any);
        let begin = policies.find("/zhiyuan.identity.v1.EnrolmentService/BeginEnrolment").unwrap();
        assert_eq!(
            begin.caller,
            Caller::Service {
                scope: "identity.enrolments".into(),
                at_gateway: false,
                strict: false
            }
        );
        assert!(policies.find("//zhiyuan.registration.v1.RegistrationService/Register").is_none());
    }

    #[test]
    fn a_method_without_policy_is_refused() {
        let error = Policies::from_pool(&pool_of("rpc Do(M) returns (M);")).unwrap_err();
        assert!(error.to_string().contains("FixtureService.Do: no access policy"), "{error}");
    }

    #[test]
    fn a_policy_without_caller_scope_or_class_is_refused() {
        for (policy, why) in [
            ("limit_class: LIMIT_CLASS_READ", "no caller"),
            ("service: {} limit_class: LIMIT_CLASS_READ", "without a scope"),
            ("any: {}", "no limit class"),
            ("any: {} limit_class: LIMIT_CLASS_STREAM", "no stream"),
        ] {
            let rpc = format!(
                "rpc Do(M) returns (M) {{ option (zhiyuan.access.v1.policy) = {{ {policy} }}; }}"
            );
            let error = Policies::from_pool(&pool_of(&rpc)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_session_is_begun_or_renewed_in_one_answer_and_renewed_by_one_method() {
        for (answer, session, why) in [
            ("M", "BEGINS", "`tokens`"),
            ("M", "RENEWS", "`tokens`"),
            ("zhiyuan.identity.v1.Tokens", "BEGINS", "`tokens`"),
            ("stream zhiyuan.identity.v1.SignInResponse", "BEGINS", "by a stream"),
            ("stream M", "ENDS", "by a stream"),
            ("M", "ENDS_WHEN_DONE", "who may have none"),
            ("zhiyuan.identity.v1.RefreshSessionResponse", "RENEWS", "a second way"),
        ] {
            let rpc = format!(
                "rpc Do(M) returns ({answer}) {{ option (zhiyuan.access.v1.policy) = {{
                   any: {{}} limit_class: LIMIT_CLASS_READ session: SESSION_EFFECT_{session}
                 }}; }}"
            );
            let error = Policies::from_pool(&pool_of(&rpc)).unwrap_err();
            assert!(error.to_string().contains(why), "{answer} {session}: {error}");
        }
    }
}
