//! Who calls from the command line: a service account, through the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use zhiyuan_auth::AssertionSigner;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SystemClock;
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_standalone::ACCOUNT;

/// As whom to call, and where.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The gateway; the one of the running suite if it is not said.
    #[arg(long)]
    gateway: Option<String>,
    /// The name of the service account.
    #[arg(long, default_value = ACCOUNT)]
    account: String,
    /// Its key: an Ed25519 seed in base64.
    #[arg(long)]
    key: Option<PathBuf>,
}

impl Account {
    /// A channel to a service, by its name, through the gateway.
    pub(crate) fn channel(
        &self,
        service: &str,
        data_dir: &Path,
        port: u16,
    ) -> anyhow::Result<SuiteChannel> {
        let path = self
            .key
            .clone()
            .unwrap_or_else(|| data_dir.join("accounts").join(format!("{}.key", self.account)));
        let key = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: start the suite first: cargo run", path.display()))?;
        let key = SigningKey::from_base64(key.trim()).context("the key")?;
        let signer = AssertionSigner::new(&self.account, key, Arc::new(SystemClock));
        let gateway = self.gateway.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        Ok(SuiteChannel::new(connect_lazy(&gateway)?, service, Arc::new(signer)))
    }
}
