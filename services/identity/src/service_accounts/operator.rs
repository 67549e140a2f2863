//! What an operator does with service accounts. There is no method for it: who may decide
//! which systems call is who has the configuration.

use clap::{Args, Subcommand};
use sqlx::{PgConnection, PgPool};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use zhiyuan_audit::{Record, Trail};
use zhiyuan_contracts::policy::{Caller, Policies};
use zhiyuan_crypto::VerifyingKey;
use zhiyuan_domain::{OrganizationCode, SharedClock};
use zhiyuan_postgres::again;

use super::db::{Changes, Terms};
use super::{Key, Kind, MOST_KEYS, db, name, title};
use crate::error::Error;

/// How long a key serves unless the operator says until when.
const LIFE: Duration = Duration::days(365);
/// Scopes of one account.
const MOST_SCOPES: usize = 12;
/// Organizations that one account is restricted to; fewer than orgtree takes as a scope.
const MOST_WITHIN: usize = 9;

/// What an operator may do with identity.
#[derive(Debug, Subcommand)]
#[command(about = None::<&str>)]
pub enum Operation {
    /// Keep the accounts of systems of others that may call.
    #[command(subcommand)]
    ServiceAccount(Command),
}

/// What an operator may do with service accounts.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make an account, without a key.
    Add(Add),
    /// Change what an account may do; what is not named stays.
    Change(Change),
    /// Give an account a public key: two at most at a time.
    AddKey(AddKey),
    /// Take a key away: within 5 s nothing takes it any more.
    RemoveKey {
        /// The name of the account.
        name: String,
        /// The id of the key, as `list` shows it.
        key_id: String,
    },
    /// Refuse an account everywhere, within 5 s.
    Disable {
        /// The name of the account.
        name: String,
    },
    /// Let an account that was disabled call again.
    Enable {
        /// The name of the account.
        name: String,
    },
    /// Show all accounts, their keys, and when each was used last.
    List,
}

/// A new account.
#[derive(Debug, Clone, Args)]
pub struct Add {
    /// The `iss` of its assertions: small letters, digits and `-`. It stays for ever.
    #[arg(value_parser = name)]
    pub name: String,
    /// What people read, such as in a text message.
    #[arg(long, value_parser = title)]
    pub title: String,
    /// `platform`, `credit-system` or `gateway`.
    #[arg(long, value_parser = Kind::parse)]
    pub kind: Kind,
    /// A scope; once for each.
    #[arg(long = "scope")]
    pub scopes: Vec<String>,
    /// The code of an organization, once for each: in feeds the account sees these and what is
    /// below them alone. Everything, if left out.
    #[arg(long = "within", value_parser = organization)]
    pub within: Vec<String>,
    /// Calls a minute.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(i32).range(1..))]
    pub calls_per_minute: i32,
    /// Calls a day.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i32).range(1..))]
    pub calls_per_day: i32,
    /// Look-ups of persons by ID number or phone a day.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i32).range(0..))]
    pub look_ups_per_day: i32,
}

/// What changes of an account.
#[derive(Debug, Clone, Args)]
pub struct Change {
    /// The name of the account.
    pub name: String,
    /// What people read.
    #[arg(long, value_parser = title)]
    pub title: Option<String>,
    /// A scope, once for each: all that it has from then on.
    #[arg(long = "scope")]
    pub scopes: Vec<String>,
    /// The code of an organization, once for each: all that it sees in feeds from then on, with
    /// what is below them. Who follows reads everything again.
    #[arg(long = "within", value_parser = organization)]
    pub within: Vec<String>,
    /// It sees all organizations in feeds from then on.
    #[arg(long, conflicts_with = "within")]
    pub everywhere: bool,
    /// Calls a minute.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub calls_per_minute: Option<i32>,
    /// Calls a day.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub calls_per_day: Option<i32>,
    /// Look-ups of persons by ID number or phone a day.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    pub look_ups_per_day: Option<i32>,
}

/// A new key.
#[derive(Debug, Clone, Args)]
pub struct AddKey {
    /// The name of the account.
    pub name: String,
    /// Ed25519, 32 bytes in base64.
    #[arg(long, value_parser = public_key)]
    pub public_key: VerifyingKey,
    /// Not before then (RFC 3339); now, if left out.
    #[arg(long, value_parser = moment)]
    pub use_from: Option<OffsetDateTime>,
    /// Not from then on (RFC 3339); a year later, if left out.
    #[arg(long, value_parser = moment)]
    pub expires: Option<OffsetDateTime>,
}

fn public_key(text: &str) -> Result<VerifyingKey, String> {
    VerifyingKey::from_base64(text).map_err(|invalid| invalid.to_string())
}

fn organization(text: &str) -> Result<String, &'static str> {
    let code = OrganizationCode::parse(text).map_err(|_form| "expected such as AH-340100")?;
    Ok(code.as_str().to_owned())
}

fn moment(text: &str) -> Result<OffsetDateTime, &'static str> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_form| "expected such as 2027-01-01T00:00:00Z")
}

/// Why an operator's command was not done; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is an account of this name.
    #[error("there is a service account {0:?}: `change` changes it")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no service account {0:?}")]
    Unknown(String),
    /// No method that accounts reach asks for this scope.
    #[error("no method for service accounts asks for the scope {scope:?}; there are {known}")]
    Scope {
        /// What was typed.
        scope: String,
        /// All that there are.
        known: String,
    },
    /// Too many scopes.
    #[error("a service account has {MOST_SCOPES} scopes at most")]
    Scopes,
    /// Too many organizations.
    #[error("a service account is restricted to {MOST_WITHIN} organizations at most")]
    Within,
    /// The account has two keys already.
    #[error("{0:?} has two keys that have not expired: take one away first")]
    Keys(String),
    /// The key ends before it begins, or has ended.
    #[error("a key must expire after it comes into use, and not before now")]
    Term,
    /// Another account has the key, or this one.
    #[error("the key {0} is known already")]
    KeyKnown(String),
    /// The account has no such key.
    #[error("{name:?} has no key {key_id:?}")]
    KeyUnknown {
        /// Whose.
        name: String,
        /// Which.
        key_id: String,
    },
    /// Another command was faster; this one may be typed again.
    #[error("lost against another change")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database.
    #[error("database")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The contracts.
    #[error("access policy")]
    Policy(#[from] zhiyuan_contracts::policy::Error),
}

impl OperatorError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

impl From<Error> for OperatorError {
    fn from(error: Error) -> Self {
        if error.is_lost() { Self::Lost(error.into()) } else { Self::Database(error.into()) }
    }
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

/// Does what an operator typed, as who the pool is connected as, and tells what was done.
///
/// # Errors
/// [`OperatorError`].
pub(crate) async fn operate(
    pool: &PgPool,
    clock: &SharedClock,
    command: &Command,
) -> Result<Vec<String>, OperatorError> {
    let trail = Trail::new("identity", clock.clone());
    let work = || async {
        let mut tx = pool.begin().await?;
        let (records, told) = change(&mut tx, command, clock.now()).await?;
        for record in &records {
            trail.append(&mut tx, record).await?;
        }
        tx.commit().await?;
        Ok(told)
    };
    again(OperatorError::is_lost, work).await
}

/// What is to be recorded, and what is told.
async fn change(
    tx: &mut PgConnection,
    command: &Command,
    now: OffsetDateTime,
) -> Result<(Vec<Record>, Vec<String>), OperatorError> {
    let actor = zhiyuan_audit::operator(tx).await?;
    let record = |action, name: &str| Record::done(actor.clone(), action).with("account", name);
    let mut restricted = None;
    let (record, told) = match command {
        Command::List => return Ok((Vec::new(), list(tx, now).await?)),
        Command::Add(new) => {
            let scopes = scopes(&new.scopes)?;
            let within = within(&new.within)?;
            let terms = Terms {
                title: &new.title,
                kind: new.kind,
                scopes: &scopes,
                within: &within,
                calls_per_minute: new.calls_per_minute,
                calls_per_day: new.calls_per_day,
                look_ups_per_day: new.look_ups_per_day,
            };
            if !db::insert(tx, &new.name, &terms, now).await? {
                return Err(OperatorError::Exists(new.name.clone()));
            }
            let record = with_scopes(record("identity.service_account.added", &new.name), &scopes);
            restricted = Some((&new.name, within)).filter(|(_, within)| !within.is_empty());
            (record, format!("{} may call once it has a key: add-key", new.name))
        }
        Command::Change(wanted) => {
            lock(tx, &wanted.name).await?;
            let scopes = scopes(&wanted.scopes)?;
            let within = within(&wanted.within)?;
            let other = wanted.everywhere || !within.is_empty();
            let changes = Changes {
                title: wanted.title.as_deref(),
                scopes: Some(scopes.as_slice()).filter(|scopes| !scopes.is_empty()),
                within: other.then_some(within.as_slice()),
                calls_per_minute: wanted.calls_per_minute,
                calls_per_day: wanted.calls_per_day,
                look_ups_per_day: wanted.look_ups_per_day,
            };
            db::update(tx, &wanted.name, &changes).await?;
            restricted = Some((&wanted.name, within)).filter(|_| other);
            let record = record("identity.service_account.changed", &wanted.name);
            (with_scopes(record, &scopes), format!("{} is changed", wanted.name))
        }
        Command::AddKey(new) => {
            lock(tx, &new.name).await?;
            let key_id = add_key(tx, new, now).await?;
            let told = format!("{} has the key {key_id}", new.name);
            (record("identity.service_account.key_added", &new.name).with("key", key_id), told)
        }
        Command::RemoveKey { name, key_id } => {
            lock(tx, name).await?;
            if !db::delete_key(tx, name, key_id).await? {
                let (name, key_id) = (name.clone(), key_id.clone());
                return Err(OperatorError::KeyUnknown { name, key_id });
            }
            let record = record("identity.service_account.key_removed", name).with("key", key_id);
            (record, format!("the key {key_id} of {name} is refused within 5 s"))
        }
        Command::Disable { name } => {
            lock(tx, name).await?;
            db::set_disabled(tx, name, Some(now)).await?;
            let record = record("identity.service_account.disabled", name);
            (record, format!("{name} is refused within 5 s"))
        }
        Command::Enable { name } => {
            lock(tx, name).await?;
            db::set_disabled(tx, name, None).await?;
            (record("identity.service_account.enabled", name), format!("{name} may call again"))
        }
    };
    let restricted = restricted.map(|(name, within)| {
        let record = Record::done(actor, "identity.service_account.restricted");
        let record = record.with("account", name);
        within.iter().fold(record, |record, code| record.with("within", code))
    });
    Ok((std::iter::once(record).chain(restricted).collect(), vec![told]))
}

async fn lock(tx: &mut PgConnection, name: &str) -> Result<(), OperatorError> {
    let found = db::lock(tx, name).await?;
    found.map(drop).ok_or_else(|| OperatorError::Unknown(name.to_owned()))
}

async fn add_key(
    tx: &mut PgConnection,
    new: &AddKey,
    now: OffsetDateTime,
) -> Result<String, OperatorError> {
    let use_at = new.use_from.unwrap_or(now);
    let expire_at = new.expires.unwrap_or(use_at.saturating_add(LIFE));
    if expire_at <= use_at || expire_at <= now {
        return Err(OperatorError::Term);
    }
    let most = i64::try_from(MOST_KEYS).unwrap_or(i64::MAX);
    if db::count_keys(tx, &new.name, now).await? >= most {
        return Err(OperatorError::Keys(new.name.clone()));
    }
    let key_id = new.public_key.key_id();
    let key = Key { public_key: new.public_key.as_bytes().to_vec(), use_at, expire_at };
    if !db::insert_key(tx, &new.name, &key_id, &key, now).await? {
        return Err(OperatorError::KeyKnown(key_id));
    }
    Ok(key_id)
}

/// The scopes, each once. Those between services of the suite are none for accounts.
fn scopes(typed: &[String]) -> Result<Vec<String>, OperatorError> {
    let policies = Policies::load()?;
    let known: std::collections::BTreeSet<&str> = policies
        .iter()
        .filter_map(|policy| match &policy.caller {
            Caller::Service { scope, at_gateway: true, .. } => Some(scope.as_str()),
            _ => None,
        })
        .collect();
    if let Some(scope) = typed.iter().find(|scope| !known.contains(scope.as_str())) {
        let known: Vec<&str> = known.into_iter().collect();
        return Err(OperatorError::Scope { scope: scope.clone(), known: known.join(", ") });
    }
    let typed: std::collections::BTreeSet<&String> = typed.iter().collect();
    if typed.len() > MOST_SCOPES {
        return Err(OperatorError::Scopes);
    }
    Ok(typed.into_iter().cloned().collect())
}

/// The organizations, each once.
fn within(typed: &[String]) -> Result<Vec<String>, OperatorError> {
    let typed: std::collections::BTreeSet<&String> = typed.iter().collect();
    if typed.len() > MOST_WITHIN {
        return Err(OperatorError::Within);
    }
    Ok(typed.into_iter().cloned().collect())
}

fn with_scopes(record: Record, scopes: &[String]) -> Record {
    scopes.iter().fold(record, |record, scope| record.with("scope", scope))
}

async fn list(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<String>, OperatorError> {
    let keys = db::list_keys(conn).await?;
    let mut lines = Vec::new();
    for account in db::list(conn).await? {
        let disabled = if account.disabled_at.is_some() { ", disabled" } else { "" };
        let within = match account.within.as_slice() {
            [] => String::new(),
            codes => format!(" within {}", codes.join(" ")),
        };
        lines.push(format!(
            "{} ({}, {}{disabled}): {}{within}; {} calls a minute, {} a day, {} look-ups a day",
            account.name,
            account.title,
            account.kind,
            account.scopes.join(" "),
            account.calls_per_minute,
            account.calls_per_day,
            account.look_ups_per_day,
        ));
        for key in keys.iter().filter(|key| key.account == account.name) {
            let expired = if key.expire_at <= now { ", expired" } else { "" };
            lines.push(format!(
                "    key {} from {} to {}{expired}, used last: {}",
                key.key_id,
                date(key.use_at),
                date(key.expire_at),
                key.last_used_at.map_or_else(|| "never".to_owned(), date),
            ));
        }
    }
    Ok(lines)
}

fn date(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}
