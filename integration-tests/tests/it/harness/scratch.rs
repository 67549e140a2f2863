//! Folders that nobody needs after this process.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use rustix::process::{Pid, test_kill_process};

const PREFIX: &str = "zhiyuan-integration-";

/// All folders of this process lie in one. Those of processes now dead go first: a
/// process can't do it for itself, as its servers outlive the last line of `main`.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if let Some(pid) = owner.and_then(Pid::from_raw)
            && test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        {
            // Another process may be sweeping too, or the folder may be another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    parent.join(format!("{PREFIX}{}", std::process::id()))
});

/// The folder of this name, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = FOLDER.join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
