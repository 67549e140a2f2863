//! The first administrator, whom nobody within the suite can make.

use clap::Args;
use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_audit::{Trail, operator};
use zhiyuan_domain::{OrganizationCode, SharedClock, new_id};
use zhiyuan_postgres::{DatabaseConfig, again};

use super::giving::{self, NewGrant};
use super::records::{self, Right};
use super::{Role, db};
use crate::MIGRATOR;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::NAME;

/// Why the operator may not: there is somebody who can.
const ADMINISTERED: &str = "ADMINISTERED";

/// A role that the operator of the suite gives.
#[derive(Debug, Clone, Args)]
pub struct OperatorGrant {
    /// The account, a UUID.
    #[arg(long = "account")]
    pub account_id: Uuid,
    /// The code of the organization, such as `AH`.
    #[arg(long, value_parser = organization)]
    pub organization: OrganizationCode,
    /// `administrator`, `manager`, `viewer` or `auditor`.
    #[arg(long, value_parser = role)]
    pub role: Role,
    /// Also where an administrator of the organization could give it; in place of one that
    /// ends, too.
    #[arg(long)]
    pub again: bool,
}

fn organization(text: &str) -> std::result::Result<OrganizationCode, &'static str> {
    OrganizationCode::parse(text).map_err(|_form| "not a code of an organization")
}

fn role(text: &str) -> std::result::Result<Role, &'static str> {
    Role::parse(text).ok_or("expected administrator, manager, viewer or auditor")
}

/// Why the operator could not give a role.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The database.
    #[error("database")]
    Database(#[from] zhiyuan_postgres::Error),
    /// Somebody administers the organization, and can give the role.
    #[error("{organization} has an administrator, who can give roles; --again to do it here")]
    Administered {
        /// Where.
        organization: String,
    },
    /// There is no such organization, it is closed, or the account has the role there.
    #[error("refused: {0}")]
    Refused(String),
}

/// Gives a role without anybody's permission but that of who has the configuration; returns
/// the id of the grant.
///
/// # Errors
/// [`GrantError`]; nothing was changed then.
pub async fn grant(
    config: &Config,
    clock: SharedClock,
    wanted: &OperatorGrant,
) -> std::result::Result<Uuid, GrantError> {
    // As the owner, whom the audit names, and not as the role of the service.
    let owner = config.database.migration_url.as_deref().unwrap_or(&config.database.url);
    let database = DatabaseConfig { url: owner.to_owned(), ..config.database.clone() };
    let pool = zhiyuan_postgres::connect(&database, "zhiyuan-orgtree-grant").await?;
    zhiyuan_postgres::ensure_up_to_date(&pool, &MIGRATOR).await?;
    let id = new_id(clock.as_ref());
    let trail = Trail::new(NAME, clock.clone());
    let given = again(Error::is_lost, || give(&pool, &trail, wanted, id, &clock)).await;
    pool.close().await;
    match given {
        Ok(true) => Ok(id),
        Ok(false) => {
            Err(GrantError::Administered { organization: wanted.organization.as_str().to_owned() })
        }
        Err(error) => Err(GrantError::Refused(zhiyuan_rpc::chain(&error))),
    }
}

/// Tells whether it was given: not where somebody else can. Either is recorded.
async fn give(
    pool: &PgPool,
    trail: &Trail,
    wanted: &OperatorGrant,
    id: Uuid,
    clock: &SharedClock,
) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    giving::alone(&mut transaction).await?;
    // Not before: it may have waited.
    let now = clock.now();
    let actor = operator(&mut transaction).await?;
    let code = wanted.organization.as_str();
    let administered = db::at(&mut transaction, code, Role::Administrator, now).await?;
    if !administered.is_empty() && !wanted.again {
        let (account_id, role) = (wanted.account_id, wanted.role);
        let record = records::not_given(actor, account_id, code, role, ADMINISTERED);
        trail.append(&mut transaction, &record).await?;
        transaction.commit().await?;
        return Ok(false);
    }
    let new = NewGrant {
        account_id: wanted.account_id,
        organization: wanted.organization.clone(),
        role: wanted.role,
        expires_at: None,
        delegated_from: None,
        invited_by: None,
    };
    let given = giving::insert(&mut transaction, &new, None, id, now).await?;
    given.record(&mut transaction, trail, &actor, Right::Operator).await?;
    transaction.commit().await?;
    Ok(true)
}
