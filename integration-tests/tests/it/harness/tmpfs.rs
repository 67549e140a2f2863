//! A small disk that can be full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own in memory, mounted until it is dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a server may have files open until it is gone.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
        let _ = fs::remove_dir(&self.path);
    }
}

impl Tmpfs {
    /// Mounts one that holds so many megabytes, which only root can do. Elsewhere than in
    /// CI, somebody else is told what was not tested and gets `None`.
    pub(crate) fn mount(path: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(path)
            .output()
            .unwrap();
        if mounted.status.success() {
            return Some(Self { path: path.to_owned() });
        }
        let why = String::from_utf8_lossy(&mounted.stderr);
        let told = format!(
            "NOT TESTED: what happens when the disk is full. Needs a small file system, which \
             only root may mount (CAP_SYS_ADMIN): {why}"
        );
        assert!(std::env::var_os("CI").is_none(), "{told}");
        let _ = writeln!(std::io::stderr(), "\n*** {told}");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            // A write may be cut short before one fails.
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Frees what `fill` took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}
