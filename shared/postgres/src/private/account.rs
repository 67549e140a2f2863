//! As whom the server's programs run.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Error;

/// The user of the server: ourselves, or `postgres` when we are root, which PostgreSQL refuses.
pub(super) struct Account {
    postgres: Option<(u32, u32)>,
    setpriv: Option<PathBuf>,
}

impl Account {
    pub(super) fn choose() -> Result<Self, Error> {
        let setpriv = find_program("setpriv");
        let postgres = if is_root() { Some((id_of("-u")?, id_of("-g")?)) } else { None };
        Ok(Self { postgres, setpriv })
    }

    /// Returns a command with an empty environment, so that nobody's `PG…` variables interfere, in
    /// a folder that every user can enter.
    ///
    /// `dies_with_us`: the kernel sends it SIGINT (a fast shutdown) when the thread that started
    /// it ends. Linux only; elsewhere a killed parent leaves the server running.
    pub(super) fn command(&self, program: &Path, dies_with_us: bool) -> Command {
        let mut command = match &self.setpriv {
            Some(setpriv) if self.postgres.is_some() || dies_with_us => {
                let mut command = Command::new(setpriv);
                if let Some((uid, gid)) = self.postgres {
                    command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                    command.arg("--init-groups");
                }
                if dies_with_us {
                    command.args(["--pdeathsig", "INT"]);
                }
                command.arg("--").arg(program);
                command
            }
            _ => {
                let mut command = Command::new(program);
                if let Some((uid, gid)) = self.postgres {
                    command.uid(uid).gid(gid);
                }
                command
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", super::cluster::LOCALE)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Gives a file or folder to the user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        match self.postgres {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .map_err(Error::io("change the owner of", path)),
            None => Ok(()),
        }
    }

    /// Tells whether the user gets as far as into this folder. Asked of the system itself: modes,
    /// groups, access lists and mounts all have a say.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        self.postgres.is_none()
            || self
                .command(Path::new("/bin/sh"), false)
                .args([OsStr::new("-c"), OsStr::new("cd \"$1\""), OsStr::new("sh")])
                .arg(folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Looks a program up in PATH and the folders where system programs are.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    search_path()
        .into_iter()
        .chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

pub(super) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// `id` knows users from wherever the system has them, /etc/passwd or not.
fn id_of(option: &str) -> Result<u32, Error> {
    Command::new("id")
        .args([option, "postgres"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse().ok())
        .ok_or(Error::NoUser)
}
