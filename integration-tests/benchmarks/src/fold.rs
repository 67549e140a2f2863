//! Taking differences up the tree, against writing them down.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::country::Loaded;
use crate::load::rate;
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;

/// Rounds of which each takes back what the one before did.
const ROUNDS: [i64; 4] = [1, -1, 1, -1];
const DIFFERENCES: i64 = 50_000;
/// Of one transaction of the fold.
const BATCH: i64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

/// Where people are.
const LEAVES: &str = "
CREATE TEMPORARY TABLE leaf AS
SELECT code, row_number() OVER (ORDER BY code) - 1 AS place
FROM orgtree.organization WHERE leaf AND code LIKE $1 || '-%'";

/// One of an organization; the next one is far away.
const APPEND: &str = "
INSERT INTO orgtree.count_delta
    (organization_code, after_cut, volunteers, verified_volunteers, league_members)
SELECT code, 0, $1::bigint, 0, 0
FROM generate_series(1, $2::bigint) n
JOIN leaf ON leaf.place = (n * 7919) % (SELECT count(*) FROM leaf)";

/// By the server's clock, from the first to the last transaction: so many, in so many seconds;
/// the first batch is done when the clock begins.
const FOLDED: &str = "
SELECT count(*), extract(epoch FROM max(folded_at) - min(folded_at))::float8
FROM orgtree.count_delta WHERE delta_id > $1";

const CHANGED: &str = "
SELECT (n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables
WHERE schemaname = 'orgtree' AND relname = 'organization_count'";

pub(crate) async fn measure(stage: &Stage, loaded: &Loaded) -> anyhow::Result<Findings> {
    let mut admin = stage.database("zhiyuan").await?;
    let prefix = loaded.root.split('-').next().context("a code")?;
    // No bound parameters in what makes a table.
    let leaves = LEAVES.replace("$1", &format!("'{prefix}'"));
    sqlx::raw_sql(AssertSqlSafe(leaves)).execute(&mut admin).await?;
    let rows_before = changed(&mut admin).await?;
    let before = stage.usage();
    let (mut folded, mut took, mut written) = (0, 0.0, 0.0);
    for sign in ROUNDS {
        let last: i64 =
            sqlx::query_scalar("SELECT coalesce(max(delta_id), 0) FROM orgtree.count_delta")
                .fetch_one(&mut admin)
                .await?;
        let began = Instant::now();
        sqlx::query(APPEND).bind(sign).bind(DIFFERENCES).execute(&mut admin).await?;
        written += began.elapsed().as_secs_f64();
        until_folded(&mut admin).await?;
        let (count, seconds): (i64, f64) =
            sqlx::query_as(FOLDED).bind(last).fetch_one(&mut admin).await?;
        anyhow::ensure!(count == DIFFERENCES, "{count} differences instead of {DIFFERENCES}");
        folded += count - BATCH;
        took += seconds;
    }
    let used = before.until(&stage.usage());
    let rows = changed(&mut admin).await? - rows_before;
    let rounds = i64::try_from(ROUNDS.len())?;
    let batches = rounds * DIFFERENCES / BATCH;
    let per = |count: i64, seconds: f64| -> anyhow::Result<f64> {
        Ok(rate(usize::try_from(count)?, Duration::from_secs_f64(seconds)))
    };
    let (fold, append) = (per(folded, took)?, per(rounds * DIFFERENCES, written)?);
    say(&format!("  folded {}, written {}", per_second(fold), per_second(append)));
    Ok(Findings {
        rows: vec![Row {
            what: "differences taken up the tree",
            measured: per_second(fold),
            against: format!("written down: {}", per_second(append)),
            ratio: Some(fold / append),
            goal: Goal::None,
        }],
        limits: vec![format!(
            "{} differences of as many organizations, {BATCH} in a transaction, which changes {} \
             rows of figures: those of all above; {}",
            rounds * DIFFERENCES,
            rows / batches.max(1),
            used.told()
        )],
    })
}

/// Waits until there is nothing to fold.
pub(crate) async fn until_folded(admin: &mut PgConnection) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    let sql = "SELECT EXISTS (SELECT FROM orgtree.count_delta WHERE folded_at IS NULL)";
    while sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *admin).await? {
        anyhow::ensure!(Instant::now() < until, "there is still something to fold");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Rows of figures that were ever changed, by what the server counts a moment later.
async fn changed(admin: &mut PgConnection) -> anyhow::Result<i64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(sqlx::query_scalar(CHANGED).fetch_one(admin).await?)
}
