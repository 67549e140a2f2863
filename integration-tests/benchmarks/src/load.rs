//! Callers: a fixed number, each with one call at a time, or a fixed rate of calls.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<T> {
    /// When it was there, counted from the start of the load.
    pub(crate) at: Duration,
    /// How long it took.
    pub(crate) took: Duration,
    pub(crate) what: T,
}

/// Calls until there is no more work: each of the callers takes a piece, calls, and takes
/// the next one.
pub(crate) async fn work_off<P, T, F>(
    callers: usize,
    pieces: Vec<P>,
    call: impl Fn(usize, P) -> F + Clone + Send + 'static,
) -> anyhow::Result<Vec<Answer<T>>>
where
    P: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let mut shares: Vec<Vec<P>> = (0..callers).map(|_| Vec::new()).collect();
    let turns = (0..callers).cycle();
    for (piece, turn) in pieces.into_iter().zip(turns) {
        if let Some(share) = shares.get_mut(turn) {
            share.push(piece);
        }
    }
    let start = Instant::now();
    let mut running = JoinSet::new();
    for (caller, share) in shares.into_iter().enumerate() {
        let call = call.clone();
        running.spawn(async move {
            let mut answers = Vec::with_capacity(share.len());
            for piece in share {
                let began = Instant::now();
                let what = call(caller, piece).await;
                answers.push(Answer { at: start.elapsed(), took: began.elapsed(), what });
            }
            answers
        });
    }
    collect(running).await
}

/// Calls for some time: each of the callers calls again once it is answered.
pub(crate) async fn keep_up<T, F>(
    callers: usize,
    time: Duration,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<Vec<Answer<T>>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    for caller in 0..callers {
        let call = call.clone();
        running.spawn(async move {
            let mut answers = Vec::new();
            while start.elapsed() < time {
                let began = Instant::now();
                let what = call(caller).await;
                answers.push(Answer { at: start.elapsed(), took: began.elapsed(), what });
            }
            answers
        });
    }
    collect(running).await
}

async fn collect<T: 'static>(
    mut running: JoinSet<Vec<Answer<T>>>,
) -> anyhow::Result<Vec<Answer<T>>> {
    let mut all = Vec::new();
    while let Some(answers) = running.join_next().await {
        all.extend(answers.context("a caller died")?);
    }
    Ok(all)
}

/// Calls at a fixed rate, whether or not anything was answered.
pub(crate) async fn offer<P, T, F>(
    per_second: f64,
    pieces: Vec<P>,
    call: impl Fn(usize, P) -> F + Clone + Send + 'static,
) -> anyhow::Result<Vec<Answer<T>>>
where
    P: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    let mut due = Duration::ZERO;
    for (number, piece) in pieces.into_iter().enumerate() {
        tokio::time::sleep_until((start + due).into()).await;
        let call = call.clone();
        running.spawn(async move {
            let began = Instant::now();
            let what = call(number, piece).await;
            vec![Answer { at: start.elapsed(), took: began.elapsed(), what }]
        });
        due += Duration::from_secs_f64(1.0 / per_second);
    }
    collect(running).await
}

/// The value that this part of the values does not exceed.
pub(crate) fn percentile(values: &mut [Duration], part: f64) -> Duration {
    values.sort_unstable();
    let count = u32::try_from(values.len()).map_or(0.0, f64::from);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list that was counted above"
    )]
    let place = (count * part).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// How many a second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from) / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 0.5), Duration::from_millis(100));
        assert_eq!(percentile(&mut times, 0.99), Duration::from_millis(198));
        assert_eq!(percentile(&mut times, 1.0), Duration::from_millis(200));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }

    #[tokio::test]
    async fn every_piece_is_worked_off_once() {
        let answers = work_off(3, (0..10).collect(), |_caller, piece| async move { piece }).await;
        let mut pieces: Vec<i32> = answers.unwrap().iter().map(|answer| answer.what).collect();
        pieces.sort_unstable();
        assert_eq!(pieces, (0..10).collect::<Vec<_>>());
    }
}
