#![doc = include_str!("../README.md")]

mod bounded;
mod browser;
mod call;
mod config;
mod connect;
mod gateway;
mod grpc;
mod h5;
mod keys;
mod metadata;
mod page;
mod passage;
mod place;
mod protocol;
mod run;
mod upstream;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use zhiyuan_domain::SystemClock;
use zhiyuan_lifecycle::{Ready, Stop};
use zhiyuan_telemetry::TelemetryConfig;

pub use browser::OriginError;
pub use config::{Config, Cookies, MessageSizes, Pages, Readiness};
pub use h5::{PagesError, has_pages};
pub use run::{Deps, RunError, run};
pub use upstream::ConfigError;

/// The defaults of the configuration, as TOML.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The gateway as a binary.
#[derive(Debug, Clone, Copy)]
pub struct Program;

impl zhiyuan_process::Program for Program {
    const NAME: &'static str = "gateway";
    const DEFAULTS: &'static str = DEFAULTS;
    type Config = Config;
    type Operation = zhiyuan_process::NoOperation;

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        let Deps { policies, clock } = Deps::new(Arc::new(SystemClock))?;
        upstream::check(&config.upstreams, &policies).context("upstreams")?;
        browser::Browsers::new(&config.cookies, clock).context("cookies")?;
        h5::Site::of(config).context("pages")?;
        Ok(())
    }

    async fn migrate(_config: Config) -> anyhow::Result<()> {
        tracing::info!("the gateway has no database, so there is nothing to migrate");
        Ok(())
    }

    async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
        let address = config.server.listen.clone();
        let listener = TcpListener::bind(&address)
            .await
            .with_context(|| format!("failed to listen on {address}"))?;
        tracing::info!(address, "the gateway listens");
        let (ready, _nobody_waits) = Ready::channel();
        run(config, Deps::new(Arc::new(SystemClock))?, listener, stop, ready).await?;
        Ok(())
    }
}
