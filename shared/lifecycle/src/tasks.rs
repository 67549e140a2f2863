//! Background work that is watched.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use crate::Stop;

/// How long a task has after the hard stop before it is aborted: enough to run destructors.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Named background tasks. Clones are the same set.
///
/// A task that ends with an error before the soft stop, or panics at any time, is a [`Failure`]
/// of the whole set, and requests the soft stop. An error after the soft stop is logged: a
/// connection that breaks during the drain is no reason to tell the operator that the process
/// failed. A task that ends well is simply over.
#[derive(Clone, Debug)]
pub struct Tasks {
    stop: Stop,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    running: BTreeMap<u64, Running>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Running {
    name: String,
    /// Absent for the moment between registering and spawning.
    handle: Option<AbortHandle>,
}

/// Why a set of tasks did not end well.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// A task ended with an error.
    #[error("task {name} failed")]
    Failed {
        /// The task.
        name: String,
        /// Its error.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// A task panicked. What it said is on standard error.
    #[error("task {name} panicked")]
    Panicked {
        /// The task.
        name: String,
    },
    /// Tasks did not end in the grace period.
    #[error("tasks did not end in time: {}", names.join(", "))]
    Unfinished {
        /// The tasks, in the order of their start.
        names: Vec<String>,
    },
}

impl Tasks {
    /// Makes an empty set, which `stop` stops.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop, state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Returns the stop of this set.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts background work inside the current tracing span. The work should watch
    /// [`Tasks::stop`]; it is not interrupted by the soft stop.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start<E>(
        &self,
        name: impl Into<String>,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let name = name.into();
        let mut id = 0;
        self.state.send_modify(|state| {
            id = state.started;
            state.started += 1;
            state.running.insert(id, Running { name: name.clone(), handle: None });
        });
        let mut watched = Watched { tasks: self.clone(), id, name, ended: false };
        let work = async move {
            let result = work.await;
            watched.end(result.map_err(Into::into));
        };
        // Not under the lock of the state: a runtime that is shutting down drops the work here,
        // and dropping it takes the lock.
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that may: the task is watched from here on"
        )]
        let handle = tokio::spawn(work.instrument(tracing::Span::current())).abort_handle();
        self.state.send_modify(|state| {
            if let Some(running) = state.running.get_mut(&id) {
                running.handle = Some(handle);
            }
        });
    }

    /// Waits for the first failure, for ever if there is none.
    pub async fn failed(&self) -> Failure {
        let mut state = self.state.subscribe();
        if let Ok(state) = state.wait_for(|state| state.failure.is_some()).await
            && let Some(failure) = &state.failure
        {
            return failure.clone();
        }
        // The sender is `self`, so `wait_for` doesn't end otherwise.
        std::future::pending().await
    }

    /// Waits until every task has ended.
    ///
    /// # Errors
    /// The first failure, once every task has ended.
    pub async fn join(&self) -> Result<(), Failure> {
        self.idle().await;
        self.state.borrow().failure.clone().map_or(Ok(()), Err)
    }

    /// Requests the soft stop and waits for every task; requests the hard stop after `grace`, and
    /// aborts what still runs a second later.
    ///
    /// # Errors
    /// The first failure, else the tasks that had not ended after `grace`.
    pub async fn finish(&self, grace: Duration) -> Result<(), Failure> {
        self.stop.request();
        if tokio::time::timeout(grace, self.idle()).await.is_ok() {
            return self.join().await;
        }
        let names = self.running();
        tracing::warn!(tasks = names.join(", "), "tasks did not end in time");
        self.stop.force();
        if tokio::time::timeout(LAST_MOMENT, self.idle()).await.is_err() {
            let handles: Vec<AbortHandle> = self
                .state
                .borrow()
                .running
                .values()
                .filter_map(|task| task.handle.clone())
                .collect();
            handles.iter().for_each(AbortHandle::abort);
        }
        let failure = self.state.borrow().failure.clone();
        Err(failure.unwrap_or(Failure::Unfinished { names }))
    }

    /// Returns the names of the tasks that run, in the order of their start.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.state.borrow().running.values().map(|task| task.name.clone()).collect()
    }

    async fn idle(&self) {
        let mut state = self.state.subscribe();
        // An error would mean that the sender is gone, which is `self`.
        let _idle = state.wait_for(|state| state.running.is_empty()).await;
    }
}

/// Travels inside the task and learns how it ended, a panic or an abort included.
struct Watched {
    tasks: Tasks,
    id: u64,
    name: String,
    ended: bool,
}

impl Watched {
    fn end(&mut self, result: Result<(), Box<dyn StdError + Send + Sync>>) {
        self.ended = true;
        let Err(source) = result else { return self.leave(None) };
        let error = &*source as &(dyn StdError + 'static);
        if self.tasks.stop.is_requested() {
            tracing::warn!(task = self.name, error, "task ended with an error while stopping");
            return self.leave(None);
        }
        tracing::error!(task = self.name, error, "task failed");
        self.leave(Some(Failure::Failed { name: self.name.clone(), source: source.into() }));
    }

    fn leave(&self, failure: Option<Failure>) {
        let failed = failure.is_some();
        self.tasks.state.send_modify(|state| {
            state.running.remove(&self.id);
            if state.failure.is_none() {
                state.failure = failure;
            }
        });
        if failed {
            self.tasks.stop.request();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            tracing::error!(task = self.name, "task panicked");
            self.leave(Some(Failure::Panicked { name: self.name.clone() }));
        } else {
            // Aborted, or the runtime is gone.
            self.leave(None);
        }
    }
}

#[cfg(test)]
mod tests;
