//! From the start to the stop.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::net::TcpListener;
use zhiyuan_contracts::policy::{self, Policies};
use zhiyuan_domain::SharedClock;
use zhiyuan_lifecycle::{ReadySignal, Stop, Tasks};
use zhiyuan_rpc::limits::ClassLimits;

use crate::browser::{Browsers, OriginError};
use crate::config::Config;
use crate::connect::Refusals;
use crate::gateway::{Gateway, Parts};
use crate::h5::{PagesError, Site};
use crate::page::Pages;
use crate::upstream::{ConfigError, Upstreams};

/// What a gateway is given.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The contracts that it serves.
    pub policies: Policies,
    /// The clock by which cookies end.
    pub clock: SharedClock,
}

impl Deps {
    /// The contracts compiled in.
    ///
    /// # Errors
    /// When a method has no policy; never for what the build let pass.
    pub fn new(clock: SharedClock) -> Result<Self, policy::Error> {
        Ok(Self { policies: Policies::load()?, clock })
    }
}

/// Why a gateway could not start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration doesn't fit the contracts.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An origin of the configuration is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The folder of the configuration holds no pages.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The listener has no address.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
    /// Descriptors can't be read.
    #[error("descriptors can't be read")]
    Descriptors(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Serves until the stop. Services need not be there yet: they are connected to when
/// they are first called.
///
/// # Errors
/// See [`RunError`].
pub async fn run(
    config: Config,
    deps: Deps,
    listener: TcpListener,
    stop: Stop,
    ready: ReadySignal,
) -> Result<(), RunError> {
    let Deps { policies, clock } = deps;
    let browsers = Browsers::new(&config.cookies, clock)?;
    let site = Site::of(&config)?;
    match &site {
        Some(site) => site.log(),
        None => tracing::info!(
            "no pages are served: this build holds none, and [pages] folder names none"
        ),
    }
    let upstreams = Arc::new(Upstreams::new(&config.upstreams, &policies)?);
    let public = public_services(&policies);
    let public: Vec<&str> = public.iter().map(String::as_str).collect();
    let standard = zhiyuan_rpc::server::standard_routes(&public)
        .await
        .map_err(|error| RunError::Descriptors(error.into()))?;
    let refusals = Refusals::new().map_err(|error| RunError::Descriptors(error.into()))?;
    let port = listener.local_addr().map_err(RunError::Listener)?.port();
    let wait = config.readiness.wait();
    let pages = Pages::new(&policies, Arc::clone(&upstreams), wait, stop.soft(), site, port);
    let parts = Arc::new(Parts {
        policies,
        upstreams,
        limits: ClassLimits::new(&config.server.limits),
        bounds: config.server.bounds(),
        sizes: config.messages,
        refusals,
        browsers,
        pages,
        tasks: Tasks::new(stop.clone()),
    });
    ready.ready();
    let gateway = Gateway { parts, standard };
    zhiyuan_rpc::server::serve(listener, gateway, &config.server, &stop).await;
    Ok(())
}

/// The services that have a public method: what reflection lists.
fn public_services(policies: &Policies) -> BTreeSet<String> {
    policies
        .iter()
        .filter(|policy| policy.caller.at_gateway())
        .map(|policy| policy.method.parent_service().full_name().to_owned())
        .collect()
}
