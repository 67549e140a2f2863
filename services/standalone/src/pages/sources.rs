//! What the pages are made of.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::{fmt::Write as _, fs};

use sha2::{Digest as _, Sha256};

/// What is made and not written, whatever `.gitignore` says.
const MADE: [&str; 2] = ["node_modules", "dist"];

/// A digest of all sources: the files of the folder, less what `.gitignore` there names,
/// and the contracts, from which code is generated.
pub(super) fn digest(sources: &Path) -> io::Result<String> {
    let ignored = fs::read_to_string(sources.join(".gitignore")).unwrap_or_default();
    let mut made: BTreeSet<&str> =
        ignored.lines().map(|line| line.trim().trim_matches('/')).collect();
    made.extend(MADE);
    let mut digest = Sha256::new();
    add(sources, "", &made, &mut digest)?;
    let contracts = sources.join("../../../proto");
    if contracts.is_dir() {
        add(&contracts, "", &BTreeSet::new(), &mut digest)?;
    }
    Ok(hex(&digest.finalize()))
}

/// A digest of one content.
pub(super) fn digest_of(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Adds all files below a folder in the order of their names.
fn add(folder: &Path, prefix: &str, made: &BTreeSet<&str>, digest: &mut Sha256) -> io::Result<()> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        // A name that is no text is nothing that a build reads.
        names.extend(entry?.file_name().into_string());
    }
    for name in names {
        let (path, whole) = (folder.join(&name), format!("{prefix}{name}"));
        // Editors and tools keep things of their own in hidden files and folders.
        if name.starts_with('.') || made.contains(name.as_str()) || made.contains(whole.as_str()) {
            continue;
        }
        if path.is_dir() {
            add(&path, &format!("{whole}/"), made, digest)?;
            continue;
        }
        let content = fs::read(&path)?;
        // Lengths keep what belongs to one file from being read as of another.
        digest.update((whole.len() as u64).to_be_bytes());
        digest.update(&whole);
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(&content);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _never = write!(text, "{byte:02x}");
        text
    })
}
