//! The list of bad inputs and attacks, each row a test by its number. `BAD_INPUTS.md` has
//! all rows, those that are proven elsewhere and those that wait for their capability.

mod every_service;
mod gateway;
mod registration;
mod samples;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use tonic::Code;
use zhiyuan_contracts::policy::{MethodPolicy, Policies};

use crate::harness::caller::{Proof, service_of};
use crate::harness::wire::{Broken, Headers, Protocol, Told, Wire, frame};
use crate::harness::{Refusal, Site};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Json];

/// A way to a method: somebody who may call it, by a protocol, at the gateway or at the
/// service itself.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    policy: Arc<MethodPolicy>,
    at: String,
    address: SocketAddr,
    protocol: Protocol,
    proof: Proof,
    wire: Wire,
}

/// Every way to every method of the contracts: at the services by gRPC, and at the gateway
/// by gRPC and by JSON, where it lets such callers through.
pub(crate) fn ways(site: &Site) -> Vec<Way> {
    let (wire, mut ways) = (Wire::new(), Vec::new());
    let policies = Policies::load().unwrap();
    let mut all: Vec<_> = policies.iter().collect();
    all.sort_by(|one, other| one.path.cmp(&other.path));
    for policy in all {
        let mut add = |at: String, protocol| {
            ways.push(Way {
                policy: Arc::clone(policy),
                address: site.address_of(&at),
                at,
                protocol,
                proof: Proof::rightful(site, policy),
                wire: wire.clone(),
            });
        };
        add(service_of(policy), Protocol::Grpc);
        for protocol in BOTH.into_iter().filter(|_| policy.caller.at_gateway()) {
            if protocol == Protocol::Grpc || !policy.method.is_server_streaming() {
                add("gateway".to_owned(), protocol);
            }
        }
    }
    assert!(
        ["gateway", "identity", "orgtree", "registration"]
            .iter()
            .all(|service| ways.iter().any(|way| way.at == *service))
    );
    ways
}

/// Those of one protocol.
pub(crate) fn ways_by(site: &Site, protocol: Protocol) -> Vec<Way> {
    ways(site).into_iter().filter(|way| way.protocol == protocol).collect()
}

/// Those to one method.
pub(crate) fn ways_to(site: &Site, path: &str) -> Vec<Way> {
    let ways: Vec<_> = ways(site).into_iter().filter(|way| way.policy.path == path).collect();
    assert!(!ways.is_empty(), "there is no {path}");
    ways
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} by {:?}", self.policy.path, self.at, self.protocol)
    }
}

impl Way {
    /// Makes what proves who calls, where it isn't there yet: a person registers.
    pub(crate) async fn prove(&self) {
        drop(self.proof.header(&self.policy).await);
    }

    /// Sends bytes as they are, once.
    pub(crate) async fn send_once(&self, headers: &Headers<'_>, body: impl Into<Bytes>) -> Told {
        self.try_send(headers, body.into()).await.unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    async fn try_send(&self, headers: &Headers<'_>, body: Bytes) -> Result<Told, Broken> {
        let mut all = headers.to_vec();
        let proof = self.proof.header(&self.policy).await;
        all.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
        self.wire.send(self.protocol, self.address, &self.policy.path, &all, body).await
    }

    /// Sends bytes as they are; again, if the machine is too busy for an answer.
    pub(crate) async fn send(&self, headers: &Headers<'_>, body: impl Into<Bytes>) -> Told {
        let body = body.into();
        for _ in 0..20 {
            match self.try_send(headers, body.clone()).await {
                Ok(told) if told.refusal.as_ref().is_some_and(Refusal::is_transient) => {}
                Ok(told) => return told,
                // Refused before all was sent, and the connection closed: HTTP/1.1 has no
                // other way to say that it is enough, and the answer may be lost over it.
                Err(_) if self.protocol == Protocol::Json => {}
                Err(error) => panic!("{self}: {error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("{self}: too busy");
    }

    /// How a message is written.
    pub(crate) fn write(&self, message: &DynamicMessage) -> Bytes {
        match self.protocol {
            Protocol::Grpc => frame(&message.encode_to_vec()),
            Protocol::Json => serde_json::to_vec(message).unwrap().into(),
        }
    }

    /// Sends a message.
    pub(crate) async fn ask(&self, message: &DynamicMessage) -> Told {
        self.send(&[], self.write(message)).await
    }

    /// A message that this method takes.
    pub(crate) fn sample(&self) -> DynamicMessage {
        let mut message = samples::sample(&self.policy.method.input());
        if let Some(kind) = message.descriptor().get_field_by_name("type") {
            message.set_field(&kind, Value::String(self.kind_of_snapshot()));
        }
        message
    }

    /// What the service of this method has snapshots of.
    fn kind_of_snapshot(&self) -> String {
        let file = self.policy.method.parent_file();
        let package = file.package_name();
        let pool = file.parent_pool().clone();
        let kinds: Vec<String> = pool
            .all_messages()
            .filter(|message| message.package_name() == package)
            .map(|message| message.full_name().to_owned())
            // An enrolment is asked for by its id.
            .filter(|name| name.ends_with("Changed") && !name.ends_with(".EnrolmentChanged"))
            // One kind is enough.
            .filter(|name| !name.ends_with(".ConsentsChanged"))
            .filter(|name| !name.ends_with(".RosterMemberChanged"))
            .collect();
        assert_eq!(kinds.len(), 1, "say which of these {package} has snapshots of: {kinds:?}");
        kinds.into_iter().next().unwrap()
    }
}

/// Asserts that a call was refused with a code and a stable reason, and that a person is
/// told why, in Chinese.
#[track_caller]
pub(crate) fn assert_refused(told: &Told, code: Code, reason: &str, what: &impl std::fmt::Display) {
    let Some(refusal) = &told.refusal else { panic!("{what}: was taken") };
    assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{what}: {refusal:?}");
    assert!(refusal.domain.ends_with("zhiyuan"), "{what}: {:?}", refusal.domain);
    let chinese = refusal.message.chars().any(|c| ('\u{4E00}'..='\u{9FFF}').contains(&c));
    assert!(chinese, "{what}: {:?}", refusal.message);
}

/// Asserts that a field is named as wrong.
#[track_caller]
pub(crate) fn assert_field_refused(told: &Told, field: &str, what: &impl std::fmt::Display) {
    assert_refused(told, Code::InvalidArgument, "INVALID_FIELDS", what);
    let violations = told.refusal.as_ref().map(|refusal| &refusal.violations).unwrap();
    let named = violations.iter().any(|(name, reason)| name == field && !reason.is_empty());
    assert!(named, "{what}: {violations:?}");
}
