//! The files of the cache: one per query, named after a hash of its text.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context as _, Result};

/// A file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The cache lacks the file.
    Missing(String),
    /// The database answers otherwise by now.
    Changed(String),
    /// No query has this text any more.
    Stale(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "missing {file}"),
            Self::Changed(file) => write!(f, "changed {file}"),
            Self::Stale(file) => write!(f, "stale {file}"),
        }
    }
}

/// Returns how `cache` differs from `fresh`, sorted by name; stale files only if `whole`.
pub(super) fn compare(cache: &Path, fresh: &Path, whole: bool) -> Result<Vec<Difference>> {
    let (mut old, new) = (read(cache)?, read(fresh)?);
    let mut differences = BTreeMap::new();
    for (name, content) in new {
        let difference = match old.remove(&name) {
            None => Difference::Missing(name.clone()),
            Some(former) if former != content => Difference::Changed(name.clone()),
            Some(_) => continue,
        };
        differences.insert(name, difference);
    }
    if whole {
        differences.extend(old.into_keys().map(|name| (name.clone(), Difference::Stale(name))));
    }
    Ok(differences.into_values().collect())
}

/// Makes `cache` what `fresh` is; returns what had to be done.
pub(super) fn replace(cache: &Path, fresh: &Path, whole: bool) -> Result<Vec<Difference>> {
    let differences = compare(cache, fresh, whole)?;
    fs::create_dir_all(cache).with_context(|| format!("failed to make {}", cache.display()))?;
    for difference in &differences {
        match difference {
            Difference::Missing(name) | Difference::Changed(name) => {
                fs::copy(fresh.join(name), cache.join(name)).map(drop)
            }
            Difference::Stale(name) => fs::remove_file(cache.join(name)),
        }
        .with_context(|| format!("failed to update {}", cache.display()))?;
    }
    Ok(differences)
}

fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn names_what_is_missing_changed_and_stale() {
        let cache = folder(&[("query-b.json", "1"), ("query-c.json", "1"), ("query-d.json", "1")]);
        let fresh = folder(&[("query-a.json", "1"), ("query-b.json", "2"), ("query-c.json", "1")]);
        let shown = |whole| -> Vec<String> {
            let differences = compare(cache.path(), fresh.path(), whole).unwrap();
            differences.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(true),
            ["missing query-a.json", "changed query-b.json", "stale query-d.json"]
        );
        assert_eq!(shown(false), ["missing query-a.json", "changed query-b.json"]);
    }

    #[test]
    fn writing_leaves_no_difference_and_no_other_file_touched() {
        let cache = folder(&[("query-b.json", "1"), ("query-d.json", "1"), ("README", "kept")]);
        let fresh = folder(&[("query-a.json", "1"), ("query-b.json", "2")]);
        assert_eq!(replace(cache.path(), fresh.path(), true).unwrap().len(), 3);
        assert_eq!(compare(cache.path(), fresh.path(), true).unwrap(), []);
        assert!(cache.path().join("README").exists());
        let never = cache.path().join("not-yet");
        replace(&never, fresh.path(), true).unwrap();
        assert_eq!(compare(&never, fresh.path(), true).unwrap(), []);
    }
}
