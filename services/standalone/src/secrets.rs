//! Secrets of a standalone suite: made at the first start, kept in the data folder,
//! readable by its owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use zhiyuan_crypto::secret::random_bytes;
use zhiyuan_crypto::{Key32, SigningKey};

const FILE: &str = "secrets.json";

/// The service account of an internal platform, for demonstration.
pub const ACCOUNT: &str = "platform";

/// Secrets by name.
#[derive(Debug)]
pub(crate) struct Secrets {
    values: BTreeMap<String, String>,
}

impl Secrets {
    /// Reads the secrets of a data folder and makes those that are not there yet.
    pub(crate) fn of(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        let mut values: BTreeMap<String, String> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; --fresh starts anew", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        let known = values.len();
        for schema in ["identity", "keys", "registration", "orgtree"] {
            for role in ["owner", "runtime"] {
                values.entry(format!("password/{schema}/{role}")).or_insert_with(password);
            }
        }
        for name in ["identity/kek", "identity/index", "identity/code", "registration/digest"] {
            values
                .entry(format!("key/{name}"))
                .or_insert_with(|| Key32::generate().to_base64().to_string());
        }
        for name in ["registration", "orgtree", ACCOUNT] {
            values
                .entry(format!("signing/{name}"))
                .or_insert_with(|| SigningKey::generate().to_base64().to_string());
        }
        for name in ["identity", "registration", "orgtree"] {
            values
                .entry(format!("audit/{name}"))
                .or_insert_with(|| SigningKey::generate().to_base64().to_string());
        }
        values
            .entry("notices/orgtree".to_owned())
            .or_insert_with(|| SigningKey::generate().to_base64().to_string());
        if values.len() != known {
            write(&path, &values)?;
        }
        Ok(Self { values })
    }

    /// A secret that [`Secrets::of`] makes.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&str> {
        self.values.get(name).map(String::as_str).with_context(|| format!("no secret {name}"))
    }

    pub(crate) fn password(&self, schema: &str, role: &str) -> anyhow::Result<&str> {
        self.get(&format!("password/{schema}/{role}"))
    }

    /// The public half of a service's signing key, in base64.
    pub(crate) fn public_key(&self, service: &str) -> anyhow::Result<String> {
        let key = SigningKey::from_base64(self.get(&format!("signing/{service}"))?)?;
        Ok(key.verifying_key().to_base64())
    }
}

fn password() -> String {
    random_bytes::<24>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Through a second file, so that a crash leaves the old one or the new one.
fn write(path: &Path, values: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(|| new.display().to_string())?;
    file.write_all(&serde_json::to_vec_pretty(values)?)?;
    file.sync_all()?;
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_made_once_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let first = Secrets::of(folder.path()).unwrap();
        let second = Secrets::of(folder.path()).unwrap();
        assert_eq!(first.values, second.values);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    }
}
