//! Signals belong to the process, so their test has one of its own.

use rustix::process::{Signal, getpid, kill_process};
use zhiyuan_lifecycle::{Stop, signals};

#[tokio::test]
async fn the_first_signal_stops_softly_and_the_second_at_once() {
    let stop = Stop::new();
    signals::watch(&stop).unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    stop.requested().await;
    assert!(!stop.hard().is_cancelled());
    kill_process(getpid(), Signal::INT).unwrap();
    stop.hard().cancelled().await;
}
