//! The private PostgreSQL of a suite, ended without a word and started again on the
//! same port.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::Site;

const WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
/// Reasons to exit that pass by themselves: the former server's sessions are still ending.
const PASSING: &str = "pre-existing shared memory block";

/// The server, as it was started at first.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    cluster: PathBuf,
    log: PathBuf,
    command: Vec<OsString>,
    pid: Pid,
    /// Once we started it ourselves.
    child: Option<Child>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            // Frozen still, if the test did not go well.
            self.thaw();
        }
        if let Some(child) = &mut self.child {
            // A fast shutdown; gone already, if the test went well.
            let _ = kill_process(self.pid, Signal::INT);
            let _ = child.wait();
        }
    }
}

impl Postgres {
    /// The server that a suite was given.
    pub(crate) async fn of(site: &Site) -> Self {
        let mut connection = site.main_database().await;
        let cluster: String = sqlx::query_scalar("SELECT current_setting('data_directory')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let cluster = PathBuf::from(cluster);
        let pid = fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
        let pid = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap();
        let command = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| OsString::from_vec(argument.to_vec()))
            .collect();
        let log = site.folder.join("postgres/postgres.log");
        Self { url: site.main_url().to_owned(), cluster, log, command, pid, child: None }
    }

    /// The folder of its data.
    pub(crate) fn cluster(&self) -> &PathBuf {
        &self.cluster
    }

    /// What it wrote since it was last started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// `pg_ctl stop -m immediate`.
    pub(crate) async fn stop_immediately(&mut self) {
        kill_process(self.pid, Signal::QUIT).unwrap();
        self.gone().await;
    }

    /// `kill -9` of the postmaster and of every process that it started.
    pub(crate) async fn kill(&mut self) {
        let all = self.processes();
        for pid in all {
            // A session may have ended since.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.gone().await;
    }

    /// Stops every process where it is (SIGSTOP): the connections stay, and nothing answers.
    pub(crate) fn freeze(&self) {
        // The server first, which starts others; one of those may have come just before.
        let mut frozen = Vec::new();
        loop {
            let all = self.processes();
            if all == frozen {
                return;
            }
            for pid in &all {
                let _ = kill_process(*pid, Signal::STOP);
            }
            frozen = all;
        }
    }

    /// Stops the process that writes the log of asynchronous commits.
    pub(crate) async fn freeze_wal_writer(&self) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let pid: i32 =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    }

    /// Lets them go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Whether it ended without being asked to.
    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => child.try_wait().unwrap().is_some(),
            None => test_kill_process(self.pid).is_err(),
        }
    }

    /// Starts it on its data, with these settings over those of the first start, and waits
    /// until it answers. To be called from the test's own thread, with which it ends.
    pub(crate) async fn start(&mut self, settings: &[(&str, &str)]) {
        let until = Instant::now() + WITHIN;
        loop {
            let child = self.spawn(settings);
            self.pid = Pid::from_child(&child);
            let child = self.child.insert(child);
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    let log = self.log();
                    assert!(log.contains(PASSING), "PostgreSQL ended with {status}:\n{log}");
                    break;
                }
                if let Ok(connection) = PgConnection::connect(&self.url).await {
                    connection.close().await.unwrap();
                    return;
                }
                assert!(Instant::now() < until, "PostgreSQL does not answer after {WITHIN:?}");
                tokio::time::sleep(POLL).await;
            }
            assert!(Instant::now() < until, "PostgreSQL did not start within {WITHIN:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    fn spawn(&self, settings: &[(&str, &str)]) -> Child {
        let owner = fs::metadata(&self.cluster).unwrap();
        let output = File::create(&self.log).unwrap();
        let mut command = Command::new("/usr/bin/setpriv");
        if geteuid().is_root() {
            command.arg(format!("--reuid={}", owner.uid())).arg(format!("--regid={}", owner.gid()));
            command.arg("--init-groups");
        }
        command.args(["--pdeathsig", "INT", "--"]).args(&self.command);
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap()
    }

    async fn gone(&mut self) {
        let until = Instant::now() + WITHIN;
        while !self.has_ended() {
            assert!(Instant::now() < until, "PostgreSQL is still there after {WITHIN:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The postmaster and the processes that it started.
    fn processes(&self) -> Vec<Pid> {
        let mut all = vec![self.pid];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            // The name stands in brackets and may hold anything; state and parent follow.
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2));
            if parent == Some(&self.pid.as_raw_nonzero().to_string()) {
                all.extend(Pid::from_raw(pid));
            }
        }
        all
    }
}
