//! The server's process.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::Error;

/// "Fast" shutdown, "immediate" shutdown, and the end (PostgreSQL documentation, 19.5), each with
/// the time that it gets.
const STOPPING: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(15)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(2)),
];

pub(super) struct Postmaster {
    pid: Pid,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    exited: Mutex<bool>,
    changed: Condvar,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.exited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Postmaster {
    /// Starts the server from a thread that lives as long as the server does: the kernel's
    /// parent-death signal fires when the *thread* that called fork ends, and the caller may be a
    /// test's or a runtime's short-lived one.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        // Ctrl-C in a terminal goes to the whole foreground group.
        command.process_group(0);
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::sync_channel(1);
        let shared = Arc::clone(&state);
        thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            let spawned = command.spawn().and_then(|child| {
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                pid.map(|pid| (child, pid)).ok_or_else(|| io::ErrorKind::InvalidData.into())
            });
            let mut child = match spawned {
                Ok((child, pid)) => {
                    let _ = sender.send(Ok(pid));
                    // Waits without collecting: until `exited` is set under its lock, the number
                    // can't be given to another process, so nobody signals a stranger.
                    let id = WaitId::Pid(pid);
                    let quietly = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                    while matches!(waitid(id.clone(), quietly), Err(rustix::io::Errno::INTR)) {}
                    child
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            let mut exited = shared.lock();
            let _ = child.wait();
            *exited = true;
            shared.changed.notify_all();
        })?;
        let pid = receiver.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { pid, state })
    }

    pub(super) fn exited(&self) -> bool {
        *self.state.lock()
    }

    /// Ends the server and waits for it, politely first.
    pub(super) fn stop(&self) -> Result<(), Error> {
        for (signal, patience) in STOPPING {
            let exited = self.state.lock();
            if !*exited {
                // It may be ending at this moment, which is all that we want.
                let _ = kill_process(self.pid, signal);
            }
            let waited = self.state.changed.wait_timeout_while(exited, patience, |exited| !*exited);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return Ok(());
            }
        }
        Err(Error::NotStopped)
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        // Nobody is left to tell, and the parent-death signal is still to come.
        let _ = self.stop();
    }
}
