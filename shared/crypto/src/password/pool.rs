//! Heavy work on few threads, with a short queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Every place in the queue is taken.
    Busy,
    /// The runtime is shutting down, or the work panicked.
    Stopped,
}

/// Runs at most `concurrency` pieces of work at once, while at most `queue` more wait.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    running: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    room: usize,
}

impl Pool {
    pub(super) fn new(concurrency: usize, queue: usize) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            running: Arc::new(Semaphore::new(concurrency)),
            inside: Arc::default(),
            room: concurrency.saturating_add(queue),
        }
    }

    /// Whether every place is taken at this moment.
    pub(super) fn is_full(&self) -> bool {
        self.inside.load(Ordering::Acquire) >= self.room
    }

    /// Does the work on a thread that may block.
    ///
    /// Dropping the future gives up the place in the queue; work that has begun goes on, and keeps
    /// its permit to the end, as it keeps its core.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let place = Place::take(&self.inside, self.room).ok_or(Refused::Busy)?;
        let permit =
            Arc::clone(&self.running).acquire_owned().await.map_err(|_| Refused::Stopped)?;
        let admitted = Admitted { _permit: permit, _place: place };
        let working = tokio::task::spawn_blocking(move || {
            let _admitted = admitted;
            work()
        });
        working.await.map_err(|_| Refused::Stopped)
    }
}

/// Dropped in this order: a place is free only when somebody in the queue may already run.
struct Admitted {
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

/// One of the places for those who run or wait.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(inside: &Arc<AtomicUsize>, room: usize) -> Option<Self> {
        inside
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < room).then(|| n + 1))
            .ok()
            .map(|_| Self(Arc::clone(inside)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn refuses_at_once_when_the_queue_is_full() {
        let pool = Pool::new(1, 2);
        let (release, gate) = mpsc::channel::<()>();
        let mut running = pin!(pool.run(move || gate.recv().is_ok()));
        let mut first = pin!(pool.run(|| 1));
        let mut second = Box::pin(pool.run(|| 2));
        assert!(poll(running.as_mut()).is_pending());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert!(pool.is_full());
        assert_eq!(pool.run(|| 3).await, Err(Refused::Busy));

        // Who goes away leaves a place.
        drop(second);
        assert!(!pool.is_full());
        let mut third = pin!(pool.run(|| 3));
        assert!(poll(third.as_mut()).is_pending());
        assert_eq!(pool.run(|| 4).await, Err(Refused::Busy));

        release.send(()).unwrap();
        assert_eq!(running.await, Ok(true));
        assert_eq!(first.await, Ok(1));
        assert_eq!(third.await, Ok(3));
        assert_eq!(pool.run(|| 5).await, Ok(5));
    }

    #[tokio::test]
    async fn work_whose_caller_went_away_keeps_its_permit() {
        let pool = Pool::new(1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(pool.run(move || gate.recv().is_ok()));
        assert!(poll(abandoned.as_mut()).is_pending());
        drop(abandoned);
        let mut waiting = pin!(pool.run(|| 1));
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(pool.run(|| 2).await, Err(Refused::Busy));
        release.send(()).unwrap();
        assert_eq!(waiting.await, Ok(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_runs_more_than_its_concurrency() {
        let pool = Pool::new(2, 1000);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (pool, now, most) = (pool.clone(), Arc::clone(&now), Arc::clone(&most));
            all.spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    (0..1000).for_each(|_| std::thread::yield_now());
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                pool.run(work).await
            });
        }
        let done = all.join_all().await;
        assert!(done.iter().all(|result| *result == Ok(())));
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(pool.inside.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_panic_frees_the_place() {
        let pool = Pool::new(1, 0);
        assert_eq!(pool.run(|| -> u8 { panic!("on purpose") }).await, Err(Refused::Stopped));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
