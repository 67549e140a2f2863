//! Why a private server could not be started or stopped.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A failure of the private server, with what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, folder or process could not be handled.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A process holds the folder, or a server still runs on it.
    #[error(
        "the database in {} is in use by process {pid}: stop that one first, \
         or choose another data folder", data_dir.display()
    )]
    InUse {
        /// The folder.
        data_dir: PathBuf,
        /// The process that holds it.
        pid: i32,
    },
    /// There is no usable PostgreSQL, and it can't be installed without help.
    #[error("no PostgreSQL {wanted} on this machine: install it with `{command}`")]
    NoBinaries {
        /// The versions that would do.
        wanted: String,
        /// What to type.
        command: &'static str,
    },
    /// Installing the package failed.
    #[error("`{command}` failed: {output}")]
    Install {
        /// What was run.
        command: String,
        /// The end of its output.
        output: String,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it.
    #[error(
        "PostgreSQL refuses root and there is no user postgres: type `useradd --system postgres`"
    )]
    NoUser,
    /// The data have been moved to a folder that is gone.
    #[error(
        "{} says that the data are in {}, which is missing: restore that folder, \
         or start afresh in another data folder", note.display(), base.display()
    )]
    Missing {
        /// The file that says so.
        note: PathBuf,
        /// The folder that should be there.
        base: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb failed: {output}")]
    Initdb {
        /// The end of its output.
        output: String,
    },
    /// The server ended instead of starting.
    #[error("postgres ended while starting, see {}: {tail}", log.display())]
    Exited {
        /// Its log.
        log: PathBuf,
        /// The log's end.
        tail: String,
    },
    /// The server refused us.
    #[error("failed to connect to the private server")]
    Connect(#[source] sqlx::Error),
    /// The server did not answer in time.
    #[error("the private server did not become ready in time")]
    NotReady,
    /// The server did not end.
    #[error("the private server did not stop")]
    NotStopped,
    /// The runtime was shut down meanwhile.
    #[error("interrupted by the end of the runtime")]
    Interrupted,
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
