//! Transactions that lost against another one.

use std::time::{Duration, Instant};

use crate::{DatabaseFault, classify};

/// How often the same work is done at most.
const TRIES: u32 = 4;
/// Before the second try; doubled before each of the others.
const PAUSE: Duration = Duration::from_millis(10);
/// Work that took longer than this is not done again: whoever waits for it has waited long
/// enough, and a lock that was not to be had in all that time is no accident.
const BRIEF: Duration = Duration::from_secs(1);

/// Tells whether a transaction lost against another one, so that the same one may win now.
#[must_use]
pub fn lost(error: &sqlx::Error) -> bool {
    classify(error) == DatabaseFault::Conflict
}

/// Does work again, up to three times, as long as its error says that it lost against
/// another transaction. All of it must be such that it can be done again.
///
/// # Errors
///
/// That of the last try.
pub async fn again<T, E, F>(lost: impl Fn(&E) -> bool, mut work: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    for round in 0..TRIES - 1 {
        match work().await {
            Err(error) if lost(&error) && began.elapsed() < BRIEF => {
                tokio::time::sleep(PAUSE * 2_u32.pow(round)).await;
            }
            ended => return ended,
        }
    }
    work().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(answers: &[Result<u8, &'static str>]) -> (usize, Result<u8, &'static str>) {
        let mut made = 0;
        let ended = again(
            |error| *error == "lost",
            || {
                made += 1;
                let answer = answers[made - 1];
                async move { answer }
            },
        )
        .await;
        (made, ended)
    }

    #[tokio::test]
    async fn does_again_what_was_lost_and_nothing_else() {
        assert_eq!(tries(&[Ok(7)]).await, (1, Ok(7)));
        assert_eq!(tries(&[Err("broken"), Ok(7)]).await, (1, Err("broken")));
        assert_eq!(tries(&[Err("lost"), Err("lost"), Ok(7)]).await, (3, Ok(7)));
        assert_eq!(tries(&[Err("lost"); 9]).await, (4, Err("lost")));
    }
}
