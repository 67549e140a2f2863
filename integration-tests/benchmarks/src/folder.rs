//! Where everything lies that is not needed after the run.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

const PREFIX: &str = "zhiyuan-benchmarks-";

/// A folder that goes when it is dropped; those of processes that were killed go first.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if let Some(pid) = owner.and_then(Pid::from_raw)
                && test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            {
                // It may be another user's.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        zhiyuan_standalone::make_private(&folder)?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays goes with the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}
