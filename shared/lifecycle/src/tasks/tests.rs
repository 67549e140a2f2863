use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Failure, Tasks};
use crate::Stop;

const GRACE: Duration = Duration::from_secs(5);

fn tasks() -> Tasks {
    Tasks::new(Stop::new())
}

#[tokio::test(start_paused = true)]
async fn waits_for_every_task() {
    let tasks = tasks();
    let ended = Arc::new(AtomicBool::new(false));
    let (soft, seen) = (tasks.stop().soft(), Arc::clone(&ended));
    tasks.start("drain", async move {
        soft.cancelled().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        seen.store(true, Ordering::SeqCst);
        Ok::<(), Infallible>(())
    });
    assert_eq!(tasks.running(), ["drain"]);
    tasks.finish(GRACE).await.unwrap();
    assert!(ended.load(Ordering::SeqCst));
    assert!(!tasks.stop().hard().is_cancelled());
    assert!(tasks.running().is_empty());
}

#[tokio::test]
async fn a_task_that_ends_well_stops_nobody() {
    let tasks = tasks();
    tasks.start("load", async { Ok::<(), Infallible>(()) });
    tasks.join().await.unwrap();
    assert!(!tasks.stop().is_requested());
}

#[tokio::test]
async fn a_task_that_fails_stops_the_others_and_is_reported() {
    let tasks = tasks();
    let soft = tasks.stop().soft();
    tasks.start("server", async move {
        soft.cancelled().await;
        Ok::<(), Infallible>(())
    });
    tasks.start("purge", async { Err::<(), _>(io::Error::other("disk is gone")) });
    let failure = tasks.failed().await;
    assert_eq!(failure.to_string(), "task purge failed");
    let source = std::error::Error::source(&failure).unwrap();
    assert_eq!(source.to_string(), "disk is gone");
    assert!(matches!(tasks.join().await, Err(Failure::Failed { name, .. }) if name == "purge"));
    assert!(tasks.finish(GRACE).await.is_err());
}

#[tokio::test]
async fn a_task_that_panics_stops_the_others_and_is_reported() {
    let tasks = tasks();
    tasks.start("purge", async {
        if std::hint::black_box(true) {
            panic!("as the test wants");
        }
        Ok::<(), Infallible>(())
    });
    tasks.stop().requested().await;
    assert!(matches!(tasks.failed().await, Failure::Panicked { name } if name == "purge"));
    assert!(matches!(tasks.finish(GRACE).await, Err(Failure::Panicked { .. })));
}

#[tokio::test]
async fn an_error_while_stopping_is_no_failure_and_a_panic_is() {
    let tasks = tasks();
    let soft = tasks.stop().soft();
    tasks.start("server", async move {
        soft.cancelled().await;
        Err::<(), _>(io::Error::other("connection reset"))
    });
    tasks.finish(GRACE).await.unwrap();
    let soft = tasks.stop().soft();
    tasks.start("job", async move {
        soft.cancelled().await;
        assert!(!std::hint::black_box(true), "as the test wants");
        Ok::<(), Infallible>(())
    });
    assert!(matches!(tasks.finish(GRACE).await, Err(Failure::Panicked { .. })));
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_period_lets_go_and_names_who_did_not_end() {
    let tasks = tasks();
    let hard = tasks.stop().hard();
    let let_go = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&let_go);
    tasks.start("slow", async move {
        hard.cancelled().await;
        seen.store(true, Ordering::SeqCst);
        Ok::<(), Infallible>(())
    });
    let (dropped, was_dropped) = oneshot::channel::<()>();
    tasks.start("stuck", async move {
        let _dropped = dropped;
        std::future::pending::<Result<(), Infallible>>().await
    });
    let started = tokio::time::Instant::now();
    let failure = tasks.finish(GRACE).await.unwrap_err();
    assert_eq!(failure.to_string(), "tasks did not end in time: slow, stuck");
    assert_eq!(started.elapsed(), GRACE + super::LAST_MOMENT);
    assert!(let_go.load(Ordering::SeqCst));
    // Aborted: what it held is dropped.
    assert!(was_dropped.await.is_err());
    tasks.join().await.unwrap();
}

#[test]
fn a_runtime_that_goes_away_takes_its_tasks_along() {
    let tasks = tasks();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = tasks.clone();
        let inner = tasks.clone();
        // Starts another one while the runtime shuts down.
        struct Last(Tasks);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.start("late", async { Ok::<(), Infallible>(()) });
            }
        }
        tasks.start("endless", async move {
            let _last = Last(inner);
            std::future::pending::<Result<(), Infallible>>().await
        });
        tokio::task::yield_now().await;
    });
    drop(runtime);
    assert!(tasks.running().is_empty());
}

#[tokio::test]
async fn work_runs_inside_the_span_that_started_it() {
    use tracing::Instrument as _;
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry());
    let span = tracing::info_span!("start");
    let id = span.id();
    let (tell, told) = oneshot::channel();
    let tasks = tasks();
    let starting = async {
        tasks.start("job", async move {
            let _ = tell.send(tracing::Span::current().id());
            Ok::<(), Infallible>(())
        });
    };
    starting.instrument(span.clone()).await;
    assert_eq!(told.await.unwrap(), id);
    assert!(id.is_some());
    drop(guard);
}
