//! npm, if it is there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// How much of what npm said is shown when it failed, in lines.
const TAIL: usize = 15;

const INSTALL: &str = "install Node.js 20.19, or 22.12 or newer, with its npm (https://nodejs.org, \
    or your package manager), and start again";

/// npm, with a Node.js that can build the pages.
#[derive(Debug)]
pub(super) struct Npm {
    program: PathBuf,
    path: OsString,
}

impl Npm {
    /// Looks for npm and its Node.js; says what to do if one is missing.
    pub(super) fn find(path: &OsStr) -> anyhow::Result<Self> {
        let found = program("npm", path).zip(node_version(path));
        let (program, node) = found.with_context(|| format!("npm is not there; {INSTALL}"))?;
        anyhow::ensure!(is_new_enough(&node), "Node.js is {node}, which is too old; {INSTALL}");
        Ok(Self { program, path: path.to_owned() })
    }

    /// Runs it until it ends; what it says goes to the end of a log.
    pub(super) fn run(&self, arguments: &[&str], folder: &Path, log: &Path) -> anyhow::Result<()> {
        let said = fs::OpenOptions::new().append(true).open(log)?;
        let ended = Command::new(&self.program)
            .args(arguments)
            .current_dir(folder)
            .env("PATH", &self.path)
            // Else what builds is left out of what is installed.
            .env_remove("NODE_ENV")
            .env("npm_config_include", "dev")
            .env("npm_config_audit", "false")
            .env("npm_config_fund", "false")
            .env("npm_config_update_notifier", "false")
            // Where there is no network, nobody waits for minutes.
            .env("npm_config_fetch_retry_maxtimeout", "20000")
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .status()
            .context("npm can't be started")?;
        anyhow::ensure!(
            ended.success(),
            "`npm {}` failed in {} ({ended}); all that it said stands in {}, such as\n{}",
            arguments.join(" "),
            folder.display(),
            log.display(),
            tail(log)
        );
        Ok(())
    }
}

/// A program of this name that may be run.
fn program(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|program| {
        fs::metadata(program)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// What `node --version` says, such as `v20.19.3`.
fn node_version(path: &OsStr) -> Option<String> {
    let said = Command::new(program("node", path)?)
        .arg("--version")
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// `^20.19.0 || >=22.12.0`, as Vite needs it.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return false };
    match major {
        20 => minor >= 19,
        22 => minor >= 12,
        _ => major > 22,
    }
}

/// The end of a log; if npm itself found an error, from there, as its usage follows.
fn tail(log: &Path) -> String {
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let error = lines.iter().position(|line| line.starts_with("npm error code E"));
    let from = error.unwrap_or(lines.len().saturating_sub(TAIL));
    let shown = lines.get(from..).unwrap_or_default().iter().take(TAIL);
    shown.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vite_needs_a_node_that_is_new_enough() {
        for (version, enough) in [
            ("v20.19.0", true),
            ("v20.20.2", true),
            ("v22.12.0", true),
            ("v24.0.0", true),
            ("v100.1.0", true),
            ("v20.18.9", false),
            ("v21.9.0", false),
            ("v22.11.0", false),
            ("v18.20.4", false),
            ("", false),
            ("node", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
