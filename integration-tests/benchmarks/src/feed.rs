//! From the commit of a registration to its effect in orgtree.
//!
//! Triggers note when a transaction commits, by the server's clock: they run as the last
//! thing before it does, in registration as in orgtree, so that what is between them is
//! what was between the commits.

use std::time::Duration;

use sqlx::PgConnection;

use crate::door::{Door, Outcome};
use crate::form;
use crate::load::{offer, percentile};
use crate::part::Hashing;
use crate::report::{Findings, Goal, Row, millis};
use crate::stage::Stage;

const PER_SECOND: f64 = 20.0;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

const WATCH: &str = "
CREATE SCHEMA benchmark;
CREATE UNLOGGED TABLE benchmark.moment (what text, key text, xact xid8, at timestamptz);
CREATE FUNCTION benchmark.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO benchmark.moment
    SELECT TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1], pg_current_xact_id(), clock_timestamp();
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA benchmark TO PUBLIC;
CREATE CONSTRAINT TRIGGER benchmark AFTER UPDATE ON registration.volunteer
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'ACTIVE' AND OLD.state <> 'ACTIVE')
    EXECUTE FUNCTION benchmark.note('committed', 'volunteer_id');
CREATE CONSTRAINT TRIGGER benchmark AFTER INSERT ON orgtree.volunteer
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION benchmark.note('applied', 'volunteer_id');
CREATE CONSTRAINT TRIGGER benchmark AFTER INSERT ON orgtree.count_delta
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION benchmark.note('noted', 'delta_id');
CREATE CONSTRAINT TRIGGER benchmark_folded AFTER UPDATE ON orgtree.count_delta
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION benchmark.note('folded', 'delta_id');
";

const FORGET: &str = "
DROP TRIGGER benchmark ON registration.volunteer;
DROP TRIGGER benchmark ON orgtree.volunteer;
DROP TRIGGER benchmark ON orgtree.count_delta;
DROP TRIGGER benchmark_folded ON orgtree.count_delta;
DROP SCHEMA benchmark CASCADE;
";

/// Milliseconds from each commit until the volunteer is in orgtree, and until it is in
/// the figures of all organizations above. Differences of one transaction may be several,
/// one of each organization: the last one counts.
const LATENCIES: &str = "
SELECT (extract(epoch FROM applied.at - committed.at) * 1000)::float8,
       (extract(epoch FROM max(folded.at) - committed.at) * 1000)::float8
FROM benchmark.moment committed
JOIN benchmark.moment applied ON applied.what = 'applied' AND applied.key = committed.key
JOIN benchmark.moment noted ON noted.what = 'noted' AND noted.xact = applied.xact
JOIN benchmark.moment folded ON folded.what = 'folded' AND folded.key = noted.key
WHERE committed.what = 'committed'
GROUP BY committed.key, committed.at, applied.at";

pub(crate) async fn measure(stage: &mut Stage, time: Duration) -> anyhow::Result<Findings> {
    // The machine is to be idle but for the feed.
    stage.set_hashing(Hashing::None).await?;
    let door = Door::open(stage, "registration").await?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of people within bounds"
    )]
    let forms = form::prepare(stage, (PER_SECOND * time.as_secs_f64()) as usize).await?;
    let mut admin = stage.database("zhiyuan").await?;
    sqlx::raw_sql(WATCH).execute(&mut admin).await?;
    let before = stage.usage();
    let answers =
        offer(PER_SECOND, forms, move |caller, form| door.clone().register(caller, form)).await?;
    let used = before.until(&stage.usage());
    let registered = answers.iter().filter(|answer| answer.what == Outcome::Registered).count();
    let latencies = wait(&mut admin, registered).await?;
    sqlx::raw_sql(FORGET).execute(&mut admin).await?;

    let times = |of: fn(&(f64, f64)) -> f64| -> Vec<Duration> {
        latencies.iter().map(|one| Duration::from_secs_f64(of(one).max(0.0) / 1000.0)).collect()
    };
    let (mut applied, mut counted) = (times(|one| one.0), times(|one| one.1));
    let row = |what, times: &mut [Duration]| {
        let (median, late) = (percentile(times, 0.5), percentile(times, 0.99));
        Row {
            what,
            measured: format!("p50 {}", millis(median)),
            against: format!("p99 {}", millis(late)),
            ratio: Some(late.as_secs_f64() / median.as_secs_f64()),
            goal: Goal::None,
        }
    };
    Ok(Findings {
        rows: vec![
            row("from commit to the volunteer in orgtree", &mut applied),
            row("from commit to the figures of all above", &mut counted),
        ],
        limits: vec![format!(
            "{} volunteers at {PER_SECOND}/s: five commits one after the other (wake, positions, \
             reading, applying, folding), and the 20 ms that the fold gathers; {}",
            latencies.len(),
            used.told()
        )],
    })
}

/// Waits until all have arrived.
async fn wait(admin: &mut PgConnection, count: usize) -> anyhow::Result<Vec<(f64, f64)>> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let latencies: Vec<(f64, f64)> = sqlx::query_as(LATENCIES).fetch_all(&mut *admin).await?;
        if latencies.len() >= count && count > 0 {
            return Ok(latencies);
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < until,
            "{} of {count} volunteers have arrived",
            latencies.len()
        );
        tokio::time::sleep(POLL).await;
    }
}
