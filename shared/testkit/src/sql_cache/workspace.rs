//! What there is on disk: migrations, and crates with queries. Nothing is read from the services'
//! crates themselves: they do not compile without the cache.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};

/// Folders of migrations in a service, and the schema of each if it isn't the service's own.
const MIGRATIONS: [(&str, Option<&str>); 2] =
    [("migrations", None), ("key_migrations", Some("keys"))];

/// What the names of the macros have in common.
const MACROS: [&str; 6] =
    ["query!", "query_as!", "query_scalar!", "query_file!", "query_file_as!", "query_file_scalar!"];

pub(super) struct Workspace {
    pub(super) root: PathBuf,
}

/// A folder of migrations and where they go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Migrations {
    pub(super) schema: String,
    pub(super) folder: PathBuf,
}

impl Workspace {
    pub(super) fn around(folder: &Path) -> Result<Self> {
        let is_root = |folder: &&Path| folder.join("Cargo.lock").is_file();
        let folder = fs::canonicalize(folder)?;
        let Some(root) = folder.ancestors().find(is_root) else {
            bail!("{} is in no workspace", folder.display());
        };
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.root.join(".sqlx")
    }

    pub(super) fn migrations(&self) -> Result<Vec<Migrations>> {
        let mut found = Vec::new();
        for service in folders_in(&self.root.join("services"))? {
            for (name, schema) in MIGRATIONS {
                let folder = service.join(name);
                if folder.is_dir() {
                    let schema =
                        schema.map_or_else(|| schema_of(&service), |s| Ok(s.to_owned()))?;
                    found.push(Migrations { schema, folder });
                }
            }
        }
        Ok(found)
    }

    /// Makes cargo compile the crates with queries anew, tests and binaries included.
    pub(super) fn touch_crates_with_queries(&self) -> Result<()> {
        let mut crates = vec![self.root.join("integration-tests")];
        crates.extend(folders_in(&self.root.join("services"))?);
        crates.extend(folders_in(&self.root.join("shared"))?);
        for folder in crates {
            let mut sources = Vec::new();
            for part in ["src", "tests", "examples", "benches"] {
                collect_sources(&folder.join(part), &mut sources)?;
            }
            for source in sources {
                // Cargo compares the time of each file of a target, not only its first.
                if has_queries(&source)? {
                    touch(&source)?;
                }
            }
        }
        Ok(())
    }
}

fn has_queries(source: &Path) -> Result<bool> {
    let text = fs::read_to_string(source)
        .with_context(|| format!("failed to read {}", source.display()))?;
    Ok(MACROS.iter().any(|name| text.contains(name)))
}

#[expect(clippy::disallowed_methods, reason = "a file's time must be the machine's")]
fn touch(source: &Path) -> Result<()> {
    File::options()
        .append(true)
        .open(source)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("failed to touch {}", source.display()))
}

fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

fn folders_in(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    if parent.is_dir() {
        for entry in fs::read_dir(parent)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

/// The schema in which the service's `sqlx.toml` keeps the history, or else the one named after
/// the folder.
fn schema_of(service: &Path) -> Result<String> {
    let file = service.join("sqlx.toml");
    let settings: toml::Table = match fs::read_to_string(&file) {
        Ok(text) => text.parse().with_context(|| format!("{} is not valid", file.display()))?,
        Err(_) => toml::Table::new(),
    };
    let table = settings.get("migrate").and_then(|migrate| migrate.get("table-name")?.as_str());
    if let Some((schema, _)) = table.and_then(|table| table.split_once('.')) {
        return Ok(schema.trim_matches('"').to_owned());
    }
    let name = service.file_name().unwrap_or_default().to_string_lossy();
    Ok(name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.lock"), "").unwrap();
        for path in ["services/credit-export/migrations", "services/identity/key_migrations"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::create_dir_all(folder.path().join("services/identity/migrations")).unwrap();
        let settings = "[migrate]\ntable-name = \"people._sqlx_migrations\"\n";
        fs::write(folder.path().join("services/identity/sqlx.toml"), settings).unwrap();
        let workspace = Workspace::around(&folder.path().join("services/identity")).unwrap();
        (folder, workspace)
    }

    #[test]
    fn finds_the_migrations_of_every_service_and_their_schemas() {
        let (_folder, workspace) = workspace();
        let found = workspace.migrations().unwrap();
        let schemas: Vec<_> = found.iter().map(|one| one.schema.as_str()).collect();
        assert_eq!(schemas, ["credit_export", "people", "keys"]);
    }

    #[test]
    fn touches_only_files_with_queries() {
        let (_folder, workspace) = workspace();
        let source = workspace.root.join("services/identity/src/people");
        fs::create_dir_all(&source).unwrap();
        let (with, without) = (source.join("db.rs"), source.join("mod.rs"));
        fs::write(&with, "sqlx::query_scalar!(\"SELECT 1\")").unwrap();
        fs::write(&without, "// no query here").unwrap();
        for file in [&with, &without] {
            File::options()
                .append(true)
                .open(file)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH)
                .unwrap();
        }
        workspace.touch_crates_with_queries().unwrap();
        let time = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
        assert!(time(&with) > SystemTime::UNIX_EPOCH);
        assert_eq!(time(&without), SystemTime::UNIX_EPOCH);
    }
}
