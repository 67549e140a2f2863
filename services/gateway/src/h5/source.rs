//! Where the pages come from: read once, at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// The pages that this program was built with; none in a debug build.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The most that pages are; whoever names a folder by mistake hears of it.
const MOST_BYTES: usize = 64 * 1024 * 1024;
const MOST_FILES: usize = 5000;

/// Pages by their names, such as `assets/index-BXq3d8fZ.js`.
pub(super) type Files = BTreeMap<String, Bytes>;

/// Why the pages of a folder can't be served.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// It can't be read.
    #[error("{} can't be read", path.display())]
    Unreadable {
        /// What can't.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds no pages.
    #[error(
        "{} holds no index.html; `npm ci && npm run build` in services/gateway/h5 builds the \
         pages into h5/dist", .0.display()
    )]
    NoIndex(PathBuf),
    /// It holds something else.
    #[error("{} holds more than built pages do", .0.display())]
    TooMuch(PathBuf),
}

/// Whether this program was built with pages.
pub fn has_pages() -> bool {
    !EMBEDDED.is_empty()
}

/// The pages that this program was built with.
pub(super) fn embedded() -> Files {
    EMBEDDED.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes))).collect()
}

/// The pages of a folder, without what is hidden.
pub(super) fn of_folder(folder: &Path) -> Result<Files, PagesError> {
    let mut files = Files::new();
    let (mut bytes, mut folders) = (0, vec![(folder.to_owned(), String::new())]);
    while let Some((path, prefix)) = folders.pop() {
        let unreadable = |source| PagesError::Unreadable { path: path.clone(), source };
        for entry in std::fs::read_dir(&path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let unreadable = |source| PagesError::Unreadable { path: path.clone(), source };
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{name}");
            // What a link points to counts: a mounted volume is made of them.
            if std::fs::metadata(&path).map_err(unreadable)?.is_dir() {
                folders.push((path, format!("{name}/")));
            } else {
                let content = std::fs::read(&path).map_err(unreadable)?;
                bytes += content.len();
                files.insert(name, content.into());
            }
            if bytes > MOST_BYTES || files.len() + folders.len() > MOST_FILES {
                return Err(PagesError::TooMuch(folder.to_owned()));
            }
        }
    }
    if files.contains_key("index.html") {
        Ok(files)
    } else {
        Err(PagesError::NoIndex(folder.to_owned()))
    }
}
