//! Who waits for a lock while something goes on.

use std::future::Future;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::oneshot;

use crate::report::{Goal, Row};
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
    let (waited, worked) = watched?;
    Ok((done, waited / worked.max(1.0)))
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

/// Looks again and again which backends work, and which of them wait for a lock; how many
/// there were of each.
async fn watch(
    mut database: PgConnection,
    mut stopped: oneshot::Receiver<()>,
) -> anyhow::Result<(f64, f64)> {
    let sql = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock')::double precision,
                      count(*)::double precision
               FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND state = 'active'
                 AND pid <> pg_backend_pid()";
    let (mut waited, mut worked) = (0.0, 0.0);
    loop {
        let (waiting, working): (f64, f64) = sqlx::query_as(sql).fetch_one(&mut database).await?;
        waited += waiting;
        worked += working;
        tokio::select! {
            _ = &mut stopped => return Ok((waited, worked)),
            () = tokio::time::sleep(SAMPLE) => {}
        }
    }
}
