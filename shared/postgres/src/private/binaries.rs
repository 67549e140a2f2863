//! PostgreSQL's programs: found on the machine, or installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Error,
    account::{find_program, is_executable, is_root, search_path},
};

/// What the SQL of the services needs.
const OLDEST: u32 = 14;

/// Parents of `<version>/bin` or `<name>/bin` where distributions put what they do not put in PATH:
/// Debian and Ubuntu, PGDG's RPMs, Homebrew on both processors, Postgres.app.
const VERSIONED: [&str; 6] = [
    "/usr/lib/postgresql",
    "/usr",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/Applications/Postgres.app/Contents/Versions",
    "/usr/libexec",
];
const PLAIN: [&str; 3] = ["/usr/local/bin", "/usr/local/pgsql/bin", "/usr/bin"];

/// Returns the folder with `postgres` and `initdb`, of the major version that an existing cluster
/// needs, or else of PATH's or the newest that there is.
pub(super) fn find_or_install(
    existing: Option<u32>,
    progress: &dyn Fn(&str),
) -> Result<PathBuf, Error> {
    if let Some(folder) = find(existing) {
        return Ok(folder);
    }
    let missing = || Error::NoBinaries {
        wanted: existing.map_or_else(|| format!("{OLDEST} or newer"), |major| major.to_string()),
        command: install_command(),
    };
    match find_program("apt-get") {
        Some(apt_get) if is_root() && existing.is_none() => {
            progress("installing PostgreSQL with apt-get, this takes a minute");
            install(&apt_get, Path::new("/etc/postgresql-common"))?;
            find(None).ok_or_else(missing)
        }
        _ => Err(missing()),
    }
}

fn find(existing: Option<u32>) -> Option<PathBuf> {
    let mut found = Vec::new();
    for folder in search_path().iter().filter_map(|folder| with_programs(folder)) {
        match (existing, major_version(&folder)) {
            (None, Some(major)) if major >= OLDEST => return Some(folder),
            (_, Some(major)) => found.push((major, folder)),
            _ => {}
        }
    }
    let elsewhere = VERSIONED.iter().flat_map(|parent| versions_in(Path::new(parent)));
    for folder in elsewhere.chain(PLAIN.map(PathBuf::from)) {
        if let Some(folder) = with_programs(&folder)
            && let Some(major) = major_version(&folder)
        {
            found.push((major, folder));
        }
    }
    found
        .into_iter()
        .filter(|(major, _)| existing.map_or(*major >= OLDEST, |wanted| *major == wanted))
        .max()
        .map(|(_, folder)| folder)
}

fn versions_in(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin")).filter(|bin| bin.is_dir()).collect()
}

/// Follows links, as those in /usr/local/bin, to where the programs' own files are beside them.
fn with_programs(folder: &Path) -> Option<PathBuf> {
    let postgres = folder.join("postgres");
    if !folder.is_absolute() || !is_executable(&postgres) {
        return None;
    }
    let real = fs::canonicalize(postgres).ok()?.parent()?.to_owned();
    is_executable(&real.join("initdb")).then_some(real)
}

fn major_version(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `… 18beta1`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Installs the distribution's package without the cluster that it would make and start.
fn install(apt_get: &Path, settings: &Path) -> Result<(), Error> {
    let file = settings.join("createcluster.conf");
    run(apt_get, &["update"])?;
    run(apt_get, &["install", "-y", "--no-install-recommends", "postgresql-common"])?;
    fs::create_dir_all(settings).map_err(Error::io("make", settings))?;
    let mut text = fs::read_to_string(&file).unwrap_or_default();
    if !text.lines().any(|line| line.trim_start().starts_with("create_main_cluster")) {
        text.push_str("\ncreate_main_cluster = false\n");
        fs::write(&file, text).map_err(Error::io("write", &file))?;
    }
    run(apt_get, &["install", "-y", "--no-install-recommends", "postgresql"])
}

fn run(apt_get: &Path, arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(apt_get);
    // Another package manager may be at work, as on a machine that has just booted.
    command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.output().map_err(Error::io("run", apt_get))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Install {
        command: format!("apt-get {}", arguments.join(" ")),
        output: super::cluster::tail(&String::from_utf8_lossy(&output.stderr)),
    })
}

fn install_command() -> &'static str {
    [
        ("apt-get", "sudo apt-get install -y postgresql"),
        ("dnf", "sudo dnf install -y postgresql-server"),
        ("zypper", "sudo zypper install -y postgresql-server"),
        ("pacman", "sudo pacman -S postgresql"),
        ("apk", "sudo apk add postgresql util-linux"),
        ("brew", "brew install postgresql@17"),
    ]
    .into_iter()
    .find(|(manager, _)| find_program(manager).is_some())
    .map_or("see https://www.postgresql.org/download/", |(_, command)| command)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn reads_the_major_version_of_releases_and_betas() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres: unknown option", None),
        ] {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn finds_the_version_that_an_existing_cluster_needs_or_none() {
        let any = find(None).expect("PostgreSQL 14 or newer must be installed to run the tests");
        let major = major_version(&any).unwrap();
        assert!(find(Some(major)).is_some());
        assert_eq!(find(Some(9)), None);
    }

    #[test]
    fn installs_the_package_without_a_cluster_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (apt_get, log) = (folder.path().join("apt-get"), folder.path().join("log"));
        // It notes at each call whether the setting is there already.
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {log}\ngrep -h ^create_main {conf}/createcluster.conf >> {log} || true\n",
            log = log.display(),
            conf = folder.path().display(),
        );
        fs::write(&apt_get, script).unwrap();
        fs::set_permissions(&apt_get, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("createcluster.conf"), "#create_main_cluster = true\n")
            .unwrap();

        install(&apt_get, folder.path()).unwrap();

        let timeout = "-o DPkg::Lock::Timeout=300";
        let expected = format!(
            "{timeout} update\n\
             {timeout} install -y --no-install-recommends postgresql-common\n\
             {timeout} install -y --no-install-recommends postgresql\n\
             create_main_cluster = false\n"
        );
        assert_eq!(fs::read_to_string(log).unwrap(), expected);
    }

    #[test]
    fn a_failed_installation_says_what_was_tried() {
        let error = run(Path::new("/bin/false"), &["update"]).unwrap_err();
        assert!(error.to_string().contains("apt-get update"), "{error}");
    }
}
