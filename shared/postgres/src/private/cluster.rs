//! The folder of a private server: who holds it, where its data are, how they came to be.
//!
//! ```text
//! <data_dir>/lock                  held while a process of ours uses the folder; says which
//! <data_dir>/superuser.password    0600
//! <data_dir>/postgres.log          of this start; postgres.log.1 of the one before
//! <data_dir>/LOCATION              only when the data are elsewhere: says where
//! <base>/cluster                   PostgreSQL's own files; <base> is <data_dir> unless LOCATION
//! <base>/socket                    the unix socket
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, test_kill_process};
use uuid::Uuid;

use super::{Error, SUPERUSER, account::Account, binaries};

/// Sorting by code point, UTF-8 rules for letters: the same on every machine, whatever collations
/// its C library brings.
pub(super) const LOCALE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };

/// For data whose folder the server's user can't enter. Root's alone, and not cleaned by the system
/// as temporary folders are.
const ELSEWHERE: &str = "/var/lib/zhiyuan";

/// A server whose parent was killed ends by itself, within this time unless it has much to write.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(15);

/// The limit of a unix socket's path is 103 bytes on some systems; `/socket/.s.PGSQL.65535` and
/// `.lock` come on top.
const LONGEST_BASE: usize = 70;

pub(super) struct Cluster {
    pub(super) data_dir: PathBuf,
    pub(super) password: String,
    base: PathBuf,
    account: Account,
    programs: PathBuf,
    /// Held until the last use of the folder.
    _lock: File,
}

impl Cluster {
    /// Makes the folder ready to start a server on.
    pub(super) fn prepare(
        data_dir: &Path,
        durable: bool,
        progress: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let data_dir = made(data_dir)?;
        let lock = locked(&data_dir)?;
        // Before the account: installing PostgreSQL brings the user with it.
        let (base, noted) = base_of(&data_dir)?;
        let existing = existing_version(&base);
        let programs = binaries::find_or_install(existing, progress)?;
        let account = Account::choose()?;
        // Data that are here already stay here: then the server's log says what it can't enter.
        let base = if noted || existing.is_some() || account.can_enter(&base) {
            base
        } else {
            let base = relocate(&data_dir)?;
            progress(&format!(
                "{} can't be entered by user postgres: the data go to {}",
                data_dir.display(),
                base.display()
            ));
            base
        };
        wait_for_orphan(&base, &data_dir)?;
        let password_file = data_dir.join("superuser.password");
        let password = if existing.is_some() {
            fs::read_to_string(&password_file).map_err(Error::io("read", &password_file))?
        } else {
            let password = Uuid::new_v4().simple().to_string();
            write_secret(&password_file, &password)?;
            progress("making a new database cluster");
            initdb(&programs, &account, &base, &password, durable)?;
            password
        };
        Ok(Self { data_dir, password, base, account, programs, _lock: lock })
    }

    /// Returns the command that runs the server in the foreground.
    pub(super) fn postgres(&self, port: u16, durable: bool) -> Result<Command, Error> {
        let log = self.log_file();
        let _ = fs::rename(&log, self.data_dir.join("postgres.log.1"));
        let output = File::create(&log).map_err(Error::io("write", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;

        let mut command = self.account.command(&self.programs.join("postgres"), true);
        command.arg("-D").arg(self.base.join("cluster")).stdout(output).stderr(errors);
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "127.0.0.1");
        set("port", &port.to_string());
        set("unix_socket_directories", &self.socket_folder()?);
        set("unix_socket_permissions", "0700");
        set("max_connections", "200");
        set("shared_buffers", "128MB");
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        // The details of an error quote values of rows.
        set("log_error_verbosity", "terse");
        let switch = if durable { "on" } else { "off" };
        for name in ["fsync", "synchronous_commit", "full_page_writes", "autovacuum"] {
            set(name, switch);
        }
        Ok(command)
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    pub(super) fn exited(&self) -> Error {
        let log = self.log_file();
        let tail = tail(&fs::read_to_string(&log).unwrap_or_default());
        Error::Exited { log, tail }
    }

    /// Deletes what is ours, file by file: the folder may be one that holds other things.
    pub(super) fn remove(data_dir: &Path) -> Result<(), Error> {
        let Ok(data_dir) = fs::canonicalize(data_dir) else { return Ok(()) };
        let lock = locked(&data_dir)?;
        let (base, moved) = match base_of(&data_dir) {
            Err(Error::Missing { base, .. }) => (base, true),
            other => other?,
        };
        wait_for_orphan(&base, &data_dir)?;
        for name in ["cluster", "cluster.new", "socket"] {
            gone(fs::remove_dir_all(base.join(name)), &base)?;
        }
        gone(fs::remove_file(base.join("password.new")), &base)?;
        if moved && base.starts_with(ELSEWHERE) {
            gone(fs::remove_dir(&base), &base)?;
        }
        for name in ["superuser.password", "postgres.log", "postgres.log.1", "LOCATION", "lock"] {
            gone(fs::remove_file(data_dir.join(name)), &data_dir)?;
        }
        drop(lock);
        // Not ours to delete when something else is in it.
        let _ = fs::remove_dir(&data_dir);
        Ok(())
    }

    fn socket_folder(&self) -> Result<String, Error> {
        if self.base.as_os_str().len() > LONGEST_BASE {
            return Ok(String::new());
        }
        let folder = self.base.join("socket");
        make_private(&folder, &self.account)?;
        Ok(folder.to_str().unwrap_or_default().to_owned())
    }
}

/// Returns a folder for a server that nobody needs after this process, under the system's temporary
/// folder. Those that dead processes have left are deleted: a process can't do it for itself, as
/// statics are never dropped and the server outlives the last line of `main`.
pub(super) fn scratch_folder(label: &str) -> PathBuf {
    let prefix = format!("zhiyuan-{label}-");
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        if let Some(pid) = owner.and_then(Pid::from_raw)
            && test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        {
            // Another process may be sweeping too, or the folder may be another user's.
            let _ = Cluster::remove(&entry.path());
        }
    }
    parent.join(format!("{prefix}{}", std::process::id()))
}

/// Returns the end of a log or of a program's output, for an error message.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
}

fn made(data_dir: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(data_dir).map_err(Error::io("make", data_dir))?;
    fs::canonicalize(data_dir).map_err(Error::io("find", data_dir))
}

fn locked(data_dir: &Path) -> Result<File, Error> {
    let path = data_dir.join("lock");
    let failed = || Error::io("lock", &path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed())?;
            write!(file, "{}", std::process::id()).map_err(failed())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Err(Error::InUse {
                data_dir: data_dir.to_owned(),
                pid: holder.trim().parse().unwrap_or_default(),
            })
        }
        Err(TryLockError::Error(error)) => Err(failed()(error)),
    }
}

/// Returns the folder of the data, and whether LOCATION says so.
fn base_of(data_dir: &Path) -> Result<(PathBuf, bool), Error> {
    let note = data_dir.join("LOCATION");
    match fs::read_to_string(&note) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((data_dir.to_owned(), false)),
        Err(error) => Err(Error::io("read", &note)(error)),
        Ok(text) => {
            let base = PathBuf::from(text.trim());
            if base.is_dir() { Ok((base, true)) } else { Err(Error::Missing { note, base }) }
        }
    }
}

fn relocate(data_dir: &Path) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    let base = Path::new(ELSEWHERE).join(format!("{:016x}", hasher.finish()));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&base)
        .map_err(Error::io("make", &base))?;
    // Without a note the former owner of these data was deleted, password and all.
    wait_for_orphan(&base, data_dir)?;
    gone(fs::remove_dir_all(base.join("cluster")), &base)?;
    let note = data_dir.join("LOCATION");
    fs::write(&note, format!("{}\n", base.display())).map_err(Error::io("write", &note))?;
    Ok(base)
}

fn existing_version(base: &Path) -> Option<u32> {
    fs::read_to_string(base.join("cluster/PG_VERSION")).ok()?.trim().parse().ok()
}

/// A stale pid file is PostgreSQL's own business. But a server that still runs, because its parent
/// was killed a moment ago, must be gone before the next one starts.
fn wait_for_orphan(base: &Path, data_dir: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + ORPHAN_PATIENCE;
    while let Some(pid) = running_on(&base.join("cluster")) {
        if Instant::now() > deadline {
            return Err(Error::InUse { data_dir: data_dir.to_owned(), pid });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn running_on(cluster: &Path) -> Option<i32> {
    let file = cluster.join("postmaster.pid");
    let raw: i32 = fs::read_to_string(&file).ok()?.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(raw)?;
    if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return None;
    }
    // The number may have gone to somebody else since, in a restarted container almost surely. A
    // server works in its data folder. PostgreSQL itself would take any process of its own user
    // for the former server and refuse to start.
    match fs::read_link(format!("/proc/{raw}/cwd")) {
        Ok(folder) if folder != cluster => {
            let _ = fs::remove_file(&file);
            None
        }
        _ => Some(raw),
    }
}

fn initdb(
    programs: &Path,
    account: &Account,
    base: &Path,
    password: &str,
    durable: bool,
) -> Result<(), Error> {
    // An interrupted attempt leaves no `cluster`: it gets its name when it is whole.
    let fresh = base.join("cluster.new");
    gone(fs::remove_dir_all(&fresh), &fresh)?;
    make_private(&fresh, account)?;
    let password_file = base.join("password.new");
    write_secret(&password_file, password)?;
    account.own(&password_file)?;

    let mut command = account.command(&programs.join("initdb"), false);
    command.arg("-D").arg(&fresh).args(["-U", SUPERUSER, "--auth=scram-sha-256", "-k"]);
    command.arg(format!("--locale={LOCALE}")).args(["-E", "UTF8"]);
    let mut option = std::ffi::OsString::from("--pwfile=");
    option.push(&password_file);
    command.arg(option);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(Error::io("run initdb in", base))?;
    gone(fs::remove_file(&password_file), &password_file)?;
    if !output.status.success() {
        return Err(Error::Initdb { output: tail(&String::from_utf8_lossy(&output.stderr)) });
    }
    fs::rename(&fresh, base.join("cluster")).map_err(Error::io("rename", &fresh))
}

fn make_private(folder: &Path, account: &Account) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::io("make", folder)(error))
        }
        _ => account.own(folder),
    }
}

fn write_secret(path: &Path, secret: &str) -> Result<(), Error> {
    gone(fs::remove_file(path), path)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .map_err(Error::io("write", path))
}

/// Deleting what is not there is fine.
fn gone(result: std::io::Result<()>, path: &Path) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("delete", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_a_process_that_is_no_server_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postmaster.pid");
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        assert_eq!(running_on(folder.path()), None);
        assert!(!file.exists());
    }

    #[test]
    fn the_tail_is_short() {
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(tail(&text).lines().count(), 8);
        assert!(tail(&text).ends_with("99"));
    }
}
