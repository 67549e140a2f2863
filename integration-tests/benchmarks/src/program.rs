//! Programs of the machine that are compared with.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::geteuid;
use tokio::process::Command;

use crate::report::say;

const FOLDERS: [&str; 5] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/homebrew/bin"];
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// How a program ends when we do without having ended it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    Killed,
    /// Asked to (SIGTERM): it has children of its own to end.
    Asked,
}

/// A command that ends with the thread that starts it, which is to be the main one, and
/// hears nothing of Ctrl-C.
pub(crate) fn command(program: &Path, ends: Ends) -> Command {
    let mut command = match find("setpriv") {
        Some(setpriv) => {
            let signal = match ends {
                Ends::Killed => "KILL",
                Ends::Asked => "TERM",
            };
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", signal, "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.stdin(Stdio::null()).process_group(0);
    if matches!(ends, Ends::Killed) {
        command.kill_on_drop(true);
    }
    command
}

/// Runs a command to its end; what it says.
pub(crate) async fn output(mut command: Command, within: Duration) -> anyhow::Result<String> {
    let running = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(within, running).await.context("it takes too long")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    Ok(text(&output.stdout))
}

/// Finds a program of the machine.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Finds a program, or takes it out of the package of Debian or Ubuntu that has its name,
/// into a folder. Nothing is installed: the package would start a server of its own.
pub(crate) async fn find_or_fetch(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(program) = find(name) {
        return Ok(program);
    }
    let how = format!("{name} is not there; install it: sudo apt-get install -y {name}");
    let (Some(apt_get), Some(dpkg)) = (find("apt-get"), find("dpkg-deb")) else {
        anyhow::bail!(how);
    };
    say(&format!("  fetching {name} with apt-get"));
    let folder = folder.join("packages");
    std::fs::create_dir_all(&folder)?;
    if geteuid().is_root() {
        // Without a list of packages it can't be found; with an old one it may.
        let _ = fetch(&apt_get, &["update"], &folder).await;
    }
    fetch(&apt_get, &["download", name], &folder).await.with_context(|| how.clone())?;
    let package = std::fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| how.clone())?;
    let mut unpack = command(&dpkg, Ends::Killed);
    unpack.arg("--extract").arg(package).arg(&folder);
    output(unpack, FETCHED_WITHIN).await.with_context(|| how.clone())?;
    let program = folder.join("usr/sbin").join(name);
    anyhow::ensure!(program.is_file(), how);
    Ok(program)
}

async fn fetch(apt_get: &Path, arguments: &[&str], folder: &Path) -> anyhow::Result<String> {
    let mut command = command(apt_get, Ends::Killed);
    command.args(["-q", "-o", "APT::Sandbox::User=root"]).args(arguments).current_dir(folder);
    output(command, FETCHED_WITHIN).await
}
