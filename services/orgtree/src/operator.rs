//! What an operator does with orgtree by commands of their own.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use zhiyuan_domain::SystemClock;

use crate::authority::{self, OperatorGrant};
use crate::config::{Config, Seed};
use crate::migrate;

/// What an operator may do with orgtree.
#[derive(Debug, Subcommand)]
#[command(about = None::<&str>)]
pub enum Operation {
    /// Give an account a role at an organization: for the first administrator.
    Grant(OperatorGrant),
    /// Load organizations from a CSV file, all or none, or tell what that would change.
    Load(OperatorLoad),
}

/// A file of organizations.
#[derive(Debug, Clone, Args)]
pub struct OperatorLoad {
    /// The CSV file.
    pub file: PathBuf,
    /// Tell what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Does what an operator typed; the lines are for who typed it.
pub(crate) async fn operate(config: &Config, operation: Operation) -> anyhow::Result<Vec<String>> {
    match operation {
        Operation::Grant(wanted) => {
            let id = authority::grant(config, Arc::new(SystemClock), &wanted).await?;
            let OperatorGrant { account_id, organization, role, again: _ } = wanted;
            let (code, role) = (organization.as_str(), role.name());
            Ok(vec![format!("{account_id} is {role} of {code} now, by the grant {id}")])
        }
        Operation::Load(wanted) => {
            let loaded = migrate::load(config, Seed::File(wanted.file), wanted.dry_run).await?;
            let begin = if wanted.dry_run { "nothing was changed; it would be" } else { "loaded" };
            let mut lines = vec![format!("{begin}: {}", loaded.summary())];
            lines.extend(loaded.lists());
            Ok(lines)
        }
    }
}
