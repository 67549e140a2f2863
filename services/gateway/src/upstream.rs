//! The services behind the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{Request, Response, Uri};
use tonic::body::Body;
use tonic::transport::Channel;
use zhiyuan_contracts::policy::{MethodPolicy, Policies};
use zhiyuan_rpc::Error;
use zhiyuan_rpc::retry::Retries;

/// Why the services can't be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The address is none.
    #[error("the address of upstream `{name}` is not of the form http://host:port")]
    Address {
        /// The name in the configuration.
        name: String,
    },
    /// A service with public methods has no address.
    #[error("no upstream is configured for `{package}`, which has the public method {method}")]
    Missing {
        /// The segment of the package that names the service.
        package: String,
        /// A method of the service.
        method: String,
    },
}

/// Checks addresses without connecting: each is one, and no public method is without.
///
/// # Errors
/// The first that is wrong.
pub(crate) fn check(
    addresses: &BTreeMap<String, String>,
    policies: &Policies,
) -> Result<(), ConfigError> {
    for (name, address) in addresses {
        let uri = address.parse::<Uri>().ok();
        let complete = uri.is_some_and(|uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !complete {
            return Err(ConfigError::Address { name: name.clone() });
        }
    }
    let known: BTreeSet<String> = addresses.keys().map(|name| package_named(name)).collect();
    let missing = policies
        .iter()
        .find(|policy| policy.caller.at_gateway() && !known.contains(package_of(policy)));
    match missing {
        None => Ok(()),
        Some(policy) => Err(ConfigError::Missing {
            package: package_of(policy).to_owned(),
            method: policy.path.clone(),
        }),
    }
}

/// One service and the channels to it. Streams have their own: they stay, and the window
/// of a connection is filled by answers that nobody reads.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    /// For calls that are answered once.
    pub(crate) calls: Channel,
    streams: Channel,
    retries: Arc<Retries>,
}

/// All services, by the segment of the package that names them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    by_package: BTreeMap<String, Upstream>,
}

impl Upstreams {
    /// Makes channels, which connect when they are first used.
    pub(crate) fn new(
        addresses: &BTreeMap<String, String>,
        policies: &Policies,
    ) -> Result<Self, ConfigError> {
        check(addresses, policies)?;
        let mut by_package = BTreeMap::new();
        for (name, address) in addresses {
            let channel = || {
                zhiyuan_rpc::connect_lazy(address)
                    .map_err(|_invalid| ConfigError::Address { name: name.clone() })
            };
            let (calls, streams) = (channel()?, channel()?);
            let upstream = Upstream { name: name.clone(), calls, streams, retries: Arc::default() };
            by_package.insert(package_named(name), upstream);
        }
        Ok(Self { by_package })
    }

    /// The service of a method: the second segment of its package.
    pub(crate) fn of(&self, policy: &MethodPolicy) -> Option<&Upstream> {
        self.by_package.get(package_of(policy))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.by_package.values()
    }
}

/// Packages have no hyphens, and names in the environment have underscores instead.
fn package_named(name: &str) -> String {
    name.replace(['-', '_'], "")
}

fn package_of(policy: &MethodPolicy) -> &str {
    policy.path.split('.').nth(1).unwrap_or_default()
}

impl Upstream {
    /// Sends a request, again where its policy allows; ends when the head of the answer
    /// is there.
    pub(crate) async fn call(
        &self,
        policy: &MethodPolicy,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let method = &policy.method;
        let streams = method.is_client_streaming() || method.is_server_streaming();
        let channel = if streams { &self.streams } else { &self.calls };
        let answer = self.retries.call(channel, Some(policy), request).await;
        let response = answer.map_err(failed)?;
        if response.status() != http::StatusCode::OK {
            return Err(Error::unavailable(UnexpectedStatus(response.status())));
        }
        Ok(response)
    }
}

/// A bare error of the transport tells a caller nothing, and something of our
/// insides to who should not know it.
fn failed(error: tonic::transport::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.is::<tonic::TimeoutExpired>() {
            return Error::deadline_exceeded();
        }
        cause = inner.source();
    }
    Error::unavailable(error)
}

#[derive(Debug, thiserror::Error)]
#[error("the upstream answered with HTTP status {0}")]
struct UnexpectedStatus(http::StatusCode);

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), "http://127.0.0.1:1".to_owned())).collect()
    }

    #[test]
    fn refuses_to_start_without_the_address_of_a_public_service() {
        let policies = Policies::load().unwrap();
        let error = check(&addresses(&["identity", "orgtree"]), &policies).unwrap_err();
        assert!(error.to_string().contains("`registration`"), "{error}");
    }

    #[tokio::test]
    async fn names_may_have_hyphens_where_packages_have_none() {
        let policies = Policies::load().unwrap();
        let all = addresses(&["identity", "org-tree", "registration"]);
        let upstreams = Upstreams::new(&all, &policies).unwrap();
        let list = policies.find("/zhiyuan.orgtree.v1.RegionService/ListRegions").unwrap();
        assert_eq!(upstreams.of(list).unwrap().name, "org-tree");
    }

    #[test]
    fn refuses_an_address_that_is_none() {
        for bad in ["", "identity:9001", "not an address", "ftp://identity:9001", "/identity"] {
            let mut all = addresses(&["orgtree", "registration"]);
            all.insert("identity".into(), bad.into());
            let error = check(&all, &Policies::load().unwrap()).unwrap_err();
            assert!(matches!(error, ConfigError::Address { name } if name == "identity"), "{bad}");
        }
    }
}
