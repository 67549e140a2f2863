//! A PostgreSQL of our own: it starts with this process, and ends with it however that ends.

mod account;
mod binaries;
mod cluster;
mod error;
mod postmaster;

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, postgres::PgSslMode};

use cluster::Cluster;
pub use error::Error;
use postmaster::Postmaster;

/// The superuser of a private server.
pub const SUPERUSER: &str = "postgres";

/// How long the server may take to answer. Recovery after a crash reads all that was written since
/// the last checkpoint.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// Reasons to exit that pass by themselves: somebody took the port between our choosing it and the
/// server's binding it, and after a crash the former server's sessions are still ending.
const PASSING: [&str; 2] = ["could not bind", "pre-existing shared memory block"];
const RETRY_FOR: Duration = Duration::from_secs(10);

/// Where and how a private server keeps its data.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the data, the log and the superuser's password. Made if missing.
    pub data_dir: PathBuf,
    /// `false` trades every guarantee against crashes for speed. For tests.
    pub durable: bool,
}

/// A running PostgreSQL that nobody else uses, on a free port of 127.0.0.1.
///
/// It is stopped by [`PrivateServer::stop`], by dropping it, and on Linux by the end of this
/// process, a violent one included. It runs in a process group of its own: Ctrl-C in a terminal
/// reaches us alone, so that services can finish their work before the database goes.
pub struct PrivateServer {
    postmaster: Postmaster,
    cluster: Cluster,
    port: u16,
}

impl std::fmt::Debug for PrivateServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateServer").field("port", &self.port).finish_non_exhaustive()
    }
}

impl PrivateServer {
    /// Starts the server on its data, making both where needed: without PostgreSQL on the machine,
    /// and as root on Debian or Ubuntu, the package is installed.
    ///
    /// `progress` receives a line for each step that takes noticeable time.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process runs a server on the same folder,
    /// [`Error::NoBinaries`] with the command that installs PostgreSQL, and one for each step that
    /// may fail, with the end of the server's log.
    pub async fn start(
        options: Options,
        progress: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let durable = options.durable;
        // Files, processes and locks: nothing of it is asynchronous.
        let mut cluster = tokio::task::spawn_blocking(move || {
            Cluster::prepare(&options.data_dir, durable, &progress)
        })
        .await
        .map_err(|_| Error::Interrupted)??;
        let deadline = Instant::now() + RETRY_FOR;
        loop {
            let port = free_port()?;
            let postmaster = Postmaster::spawn(cluster.postgres(port, durable)?)
                .map_err(Error::io("start postgres in", &cluster.data_dir))?;
            let server = Self { postmaster, cluster, port };
            match server.wait_until_ready().await {
                Ok(()) => return Ok(server),
                Err(Error::Exited { tail, .. })
                    if Instant::now() < deadline
                        && PASSING.iter().any(|why| tail.contains(why)) =>
                {
                    // It has exited already: dropping the rest signals nobody.
                    cluster = server.cluster;
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops the server: sessions are ended, data is written, then the process is gone.
    ///
    /// # Errors
    ///
    /// [`Error::NotStopped`] when it does not end even after the rude signals, some 20 s later.
    pub async fn stop(self) -> Result<(), Error> {
        let stopping = move || {
            // All of it, the folder's lock included, until the process is gone.
            let server = self;
            server.postmaster.stop()
        };
        tokio::task::spawn_blocking(stopping).await.map_err(|_| Error::Interrupted)?
    }

    /// Returns the TCP port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's log file.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.cluster.log_file()
    }

    /// Returns the superuser's URL of a database.
    #[must_use]
    pub fn admin_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.cluster.password, database)
    }

    /// Returns the URL by which a role reaches a database, with everything escaped that needs it.
    #[must_use]
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let [user, password, database] = [user, password, database].map(percent_encoded);
        // The server has no certificate: asking for one costs every connection a round trip.
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    async fn wait_until_ready(&self) -> Result<(), Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(&self.cluster.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = tokio::time::timeout(Duration::from_secs(5), options.connect()).await;
            if self.postmaster.exited() {
                return Err(self.cluster.exited());
            }
            match answer {
                Ok(Ok(connection)) => {
                    let _ = connection.close().await;
                    return Ok(());
                }
                Ok(Err(error)) if !is_starting(&error) => return Err(Error::Connect(error)),
                _ if Instant::now() > deadline => return Err(Error::NotReady),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// Deletes what a private server has left in a folder, and the folder if nothing else is in it.
///
/// # Errors
///
/// [`Error::InUse`] when a server is running on it.
pub fn remove(data_dir: &Path) -> Result<(), Error> {
    Cluster::remove(data_dir)
}

/// Returns a folder for a server that nobody needs after this process, and deletes those of the same
/// label that processes now dead have left behind. A label is letters and hyphens.
#[must_use]
pub fn scratch_folder(label: &str) -> PathBuf {
    cluster::scratch_folder(label)
}

/// Refused connections, and 57P03 "the database system is starting up".
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

fn free_port() -> Result<u16, Error> {
    let action = || Error::io("find a free port on", Path::new("127.0.0.1"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(action())?;
    Ok(listener.local_addr().map_err(action())?.port())
}

/// Escapes everything but RFC 3986's unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte);
        } else {
            // Writing to a vector can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    String::from_utf8_lossy(&encoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_any_character() {
        assert_eq!(percent_encoded("a:b@c/d?e#f%g h志"), "a%3Ab%40c%2Fd%3Fe%23f%25g%20h%E5%BF%97");
        assert_eq!(percent_encoded("A-z_0.~"), "A-z_0.~");
    }
}
