//! The configuration of each service, written as a file, so that a newcomer can read
//! what runs and start the same services one by one.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use zhiyuan_postgres::private::PrivateServer;

use crate::database::{Urls, urls};
use crate::secrets::{ACCOUNT, Secrets};

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The gateway: the one that users know.
    pub gateway: SocketAddr,
    /// The simulators.
    pub simulators: SocketAddr,
    /// Identity.
    pub identity: SocketAddr,
    /// Registration.
    pub registration: SocketAddr,
    /// Organizations and regions.
    pub orgtree: SocketAddr,
}

/// What the files are made of.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) addresses: Addresses,
    pub(crate) server: &'a PrivateServer,
    pub(crate) secrets: &'a Secrets,
    pub(crate) durable: bool,
    pub(crate) system_clock: bool,
    pub(crate) otlp_endpoint: Option<&'a str>,
    pub(crate) pages: Option<&'a Path>,
}

/// The configuration files by service.
#[derive(Debug, Clone)]
pub struct ConfigFiles {
    folder: PathBuf,
    data_dir: PathBuf,
}

impl ConfigFiles {
    /// The file of a service, such as `identity`.
    pub fn of(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.toml"))
    }

    /// Who administers first, and how they sign in.
    pub(crate) fn administrator(&self) -> PathBuf {
        self.data_dir.join("accounts").join("administrator.json")
    }

    /// The private key of the demonstration account, an Ed25519 seed in base64.
    pub fn key(&self) -> PathBuf {
        key_of(&self.data_dir, ACCOUNT)
    }
}

/// Where the key of a service account lies.
pub(crate) fn key_of(data_dir: &Path, account: &str) -> PathBuf {
    data_dir.join("accounts").join(format!("{account}.key"))
}

/// Writes the configuration files into the data folder.
pub(crate) fn write(data_dir: &Path, plan: &Plan<'_>) -> anyhow::Result<ConfigFiles> {
    let folder = data_dir.join("config");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let files = ConfigFiles { folder, data_dir: data_dir.to_owned() };
    let accounts = data_dir.join("accounts");
    fs::create_dir_all(&accounts).with_context(|| accounts.display().to_string())?;
    write_private(&files.key(), plan.secrets.get(&format!("signing/{ACCOUNT}"))?)?;
    for (service, text) in [
        ("identity", identity(plan)?),
        ("registration", registration(plan)?),
        ("orgtree", orgtree(plan)?),
        ("gateway", gateway(plan)?),
    ] {
        write_private(&files.of(service), &text)?;
    }
    Ok(files)
}

/// Writes a file that nobody else reads.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| path.display().to_string())?;
    // The mode above counts for a new file only.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// A TOML string. Nothing of ours holds a control character.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn head(plan: &Plan<'_>, listen: SocketAddr) -> String {
    let mut text = String::from("# Written by the standalone suite at every start.\n");
    if let Some(endpoint) = plan.otlp_endpoint {
        let _ = write!(text, "\n[telemetry]\notlp_endpoint = {}\n", quoted(endpoint));
    }
    // Nobody balances load between several of these: there is nothing to wait for.
    let listen = quoted(&listen.to_string());
    let _ = write!(text, "\n[server]\nlisten = {listen}\nlame_duck_ms = 0\n");
    text
}

fn database(section: &str, urls: &Urls, durable: bool) -> String {
    format!(
        "\n[{section}]\nurl = {}\nmigration_url = {}\nallow_unsafe_durability = {}\n",
        quoted(&urls.runtime),
        quoted(&urls.owner),
        !durable,
    )
}

/// Who may call what, by name and scopes.
fn callers(secrets: &Secrets, callers: &[(&str, &[&str])]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, scopes) in callers {
        let key = quoted(&secrets.public_key(name)?);
        let scopes: Vec<String> = scopes.iter().map(|scope| quoted(scope)).collect();
        let scopes = scopes.join(", ");
        let _ = write!(text, "\n[callers.{name}]\npublic_keys = [{key}]\nscopes = [{scopes}]\n");
    }
    Ok(text)
}

fn feed(plan: &Plan<'_>) -> String {
    // A clock that a test moves is as far from the database's as it likes.
    if plan.system_clock { String::new() } else { "\n[feed]\nmax_skew_ms = 9000000000000\n".into() }
}

/// The key that signs the audit of a service.
fn audit(secrets: &Secrets, service: &str) -> anyhow::Result<String> {
    let key = quoted(secrets.get(&format!("audit/{service}"))?);
    Ok(format!("\n[audit]\nsigning_key = {key}\n"))
}

fn identity(plan: &Plan<'_>) -> anyhow::Result<String> {
    let secrets = plan.secrets;
    let mut text = head(plan, plan.addresses.identity);
    text += &database("database", &urls(plan.server, secrets, "identity")?, plan.durable);
    text += &database("key_database", &urls(plan.server, secrets, "keys")?, plan.durable);
    let simulators = plan.addresses.simulators;
    let _ = write!(
        text,
        r#"
[keys.key_encryption]
1 = {kek}
[keys.blind_index]
1 = {index}
[keys.code]
1 = {code}

[sms.vendor]
sign = "志愿安徽"
[sms.vendor.request]
url = "http://{simulators}/sms/send"
content_type = "json"
headers = {{ x-app-key = "standalone" }}
body = {{ mobile = "{{national_phone}}", content = "{{text}}", sign = "{{sign}}", id = "{{request_id}}" }}
[sms.vendor.response]
code_pointer = "/code"
codes = {{ 0 = "sent", 160 = "refused" }}

[real_name.request]
url = "http://{simulators}/real-name/check"
content_type = "json"
body = {{ name = "{{name}}", id_number = "{{id_number}}" }}
[real_name.response]
code_pointer = "/result"
codes = {{ 01 = "match", 02 = "mismatch", 03 = "not_found", 04 = "cannot_tell" }}
"#,
        kek = quoted(secrets.get("key/identity/kek")?),
        index = quoted(secrets.get("key/identity/index")?),
        code = quoted(secrets.get("key/identity/code")?),
    );
    text += &callers(
        secrets,
        &[
            (
                "registration",
                &[
                    "identity.accounts",
                    "identity.enrolments",
                    "identity.feed",
                    "identity.phone_recoveries",
                    "identity.revocations",
                    "identity.rosters",
                ],
            ),
            ("orgtree", &["identity.revocations"]),
            (
                ACCOUNT,
                &["identity.look_ups", "identity.external_ids", "identity.registration_codes"],
            ),
        ],
    )?;
    text += &audit(secrets, "identity")?;
    text += &feed(plan);
    Ok(text)
}

fn registration(plan: &Plan<'_>) -> anyhow::Result<String> {
    let secrets = plan.secrets;
    let mut text = format!(
        "identity_address = {}\norgtree_address = {}\nsigning_key = {}\n\n[digests.keys]\n1 = {}\n",
        quoted(&format!("http://{}", plan.addresses.identity)),
        quoted(&format!("http://{}", plan.addresses.orgtree)),
        quoted(secrets.get("signing/registration")?),
        quoted(secrets.get("key/registration/digest")?),
    );
    text += &head(plan, plan.addresses.registration);
    text += &database("database", &urls(plan.server, secrets, "registration")?, plan.durable);
    text += &callers(
        secrets,
        &[
            ("orgtree", &["registration.feed"]),
            (ACCOUNT, &["registration.feed", "registration.volunteers", "registration.on_behalf"]),
        ],
    )?;
    text += &audit(secrets, "registration")?;
    text += &feed(plan);
    Ok(text)
}

fn orgtree(plan: &Plan<'_>) -> anyhow::Result<String> {
    let secrets = plan.secrets;
    let mut text = format!(
        "seed_organizations = \"anhui\"\nregistration_address = {}\nidentity_address = {}\n\
         signing_key = {}\n",
        quoted(&format!("http://{}", plan.addresses.registration)),
        quoted(&format!("http://{}", plan.addresses.identity)),
        quoted(secrets.get("signing/orgtree")?),
    );
    text += &head(plan, plan.addresses.orgtree);
    text += &database("database", &urls(plan.server, secrets, "orgtree")?, plan.durable);
    text += &callers(
        secrets,
        &[
            ("registration", &["orgtree.authority"]),
            (ACCOUNT, &["orgtree.feed", "orgtree.statistics"]),
        ],
    )?;
    text += &audit(secrets, "orgtree")?;
    let key = quoted(secrets.get("notices/orgtree")?);
    let _ = write!(text, "\n[notices]\nsigning_key = {key}\n");
    text += &feed(plan);
    Ok(text)
}

fn gateway(plan: &Plan<'_>) -> anyhow::Result<String> {
    let mut text = head(plan, plan.addresses.gateway);
    let _ = write!(
        text,
        "\n# This is plain http, and a browser keeps no cookie for https alone from there.\n\
         [cookies]\nsecure = false\n\
         \n[upstreams]\nidentity = \"http://{}\"\nregistration = \"http://{}\"\norgtree = \"http://{}\"\n",
        plan.addresses.identity, plan.addresses.registration, plan.addresses.orgtree,
    );
    if let Some(pages) = plan.pages {
        let pages = pages.to_str().context("the folder of the pages has a name that is no text")?;
        let _ = write!(text, "\n[pages]\nfolder = {}\n", quoted(pages));
    }
    Ok(text)
}
