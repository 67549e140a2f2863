//! Who waits for a lock while something goes on.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::oneshot;

use crate::report::{Goal, Row, say};
use crate::stage::Stage;

/// How often it is looked.
const SAMPLE: Duration = Duration::from_millis(10);

/// What comes of some work, and the part of the time of backends of PostgreSQL that work
/// meanwhile in which they wait for a lock.
pub(crate) async fn during<T>(
    stage: &Stage,
    work: impl Future<Output = T>,
) -> anyhow::Result<(T, f64)> {
    let watching = stage.database("zhiyuan").await?;
    let (stop, stopped) = oneshot::channel();
    let work = async {
        let done = work.await;
        // Refused by a watch that has failed, which is told below.
        let _ = stop.send(());
        done
    };
    let (done, watched) = tokio::join!(work, watch(watching, stopped));
    let watched = watched?;
    watched.tell();
    Ok((done, watched.waited / watched.worked.max(1.0)))
}

/// A line of the table.
pub(crate) fn row(what: &'static str, waiting: f64) -> Row {
    Row {
        what,
        measured: format!("{:.2} %", 100.0 * waiting),
        against: "the time that backends of PostgreSQL work".to_owned(),
        ratio: Some(waiting),
        goal: Goal::AtMost(0.01),
    }
}

/// How many backends there were, over all looks.
#[derive(Default)]
struct Watched {
    worked: f64,
    waited: f64,
    /// Those that waited, by what for and in which statement.
    waits: HashMap<String, u32>,
}

impl Watched {
    /// Says what was waited for most, if it was worth a word.
    fn tell(&self) {
        if self.waited < 0.01 * self.worked {
            return;
        }
        let mut waits: Vec<_> = self.waits.iter().collect();
        waits.sort_by(|one, other| other.1.cmp(one.1));
        for (what, times) in waits.into_iter().take(3) {
            say(&format!("  waited {times} times of {}: {what}", self.waited));
        }
    }
}

/// Looks again and again which backends work, and which of them wait for a lock.
async fn watch(
    mut database: PgConnection,
    mut stopped: oneshot::Receiver<()>,
) -> anyhow::Result<Watched> {
    let sql = "SELECT CASE WHEN wait_event_type = 'Lock'
                      THEN wait_event || ', ' || left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
                      END
               FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND state = 'active'
                 AND pid <> pg_backend_pid()";
    let mut watched = Watched::default();
    loop {
        let backends: Vec<Option<String>> =
            sqlx::query_scalar(sql).fetch_all(&mut database).await?;
        for backend in backends {
            watched.worked += 1.0;
            if let Some(what) = backend {
                watched.waited += 1.0;
                *watched.waits.entry(what).or_default() += 1;
            }
        }
        tokio::select! {
            _ = &mut stopped => return Ok(watched),
            () = tokio::time::sleep(SAMPLE) => {}
        }
    }
}
