//! The figures of organizations, at the root and at a leaf, against a recursive count.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use zhiyuan_contracts::orgtree::v1::GetOrganizationStatisticsRequest;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_rpc::SuiteChannel;

use crate::form::ORGANIZATION;
use crate::load::percentile;
use crate::report::{Findings, Goal, Row, millis, say};
use crate::stage::Stage;

const VOLUNTEERS: i64 = 1_000_000;
/// A count from scratch of all takes long.
const COUNTS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// Volunteers of all organizations that are leaves, and the differences that they make.
const FILL: [&str; 5] = [
    "CREATE TEMPORARY TABLE leaf AS
     SELECT code, row_number() OVER (ORDER BY code) - 1 AS place
     FROM orgtree.organization WHERE leaf",
    "INSERT INTO orgtree.volunteer
     SELECT n % 64, ('01a20000-' || lpad(to_hex(n / 65536), 4, '0') || '-7000-8000-'
                     || lpad(to_hex(n), 12, '0'))::uuid,
            leaf.code, true, n % 3 <> 0, n % 2 = 0, 1
     FROM generate_series(1, $1::bigint) n
     JOIN leaf ON leaf.place = (n * 7919) % (SELECT count(*) FROM leaf)",
    "INSERT INTO orgtree.count_delta
         (organization_code, after_cut, volunteers, verified_volunteers, league_members)
     SELECT organization_code, 0, count(*), count(*) FILTER (WHERE verified),
            count(*) FILTER (WHERE league_member)
     FROM orgtree.volunteer WHERE volunteer_id BETWEEN '01a20000-0000-7000-8000-000000000000'
                                                   AND '01a20000-ffff-7000-8000-ffffffffffff'
     GROUP BY organization_code",
    // The services have no use for it; without, a count of a leaf would read all.
    "CREATE INDEX benchmark_organization ON orgtree.volunteer (organization_code)",
    "ANALYZE orgtree.volunteer",
];

const RECURSIVE: &str = "
WITH RECURSIVE tree (code) AS (
    SELECT code FROM orgtree.organization WHERE code = $1
    UNION ALL
    SELECT o.code FROM orgtree.organization o JOIN tree ON o.parent_code = tree.code
)
SELECT count(*) FILTER (WHERE v.active), count(*) FILTER (WHERE v.active AND v.verified),
       count(*) FILTER (WHERE v.active AND v.league_member)
FROM tree JOIN orgtree.volunteer v ON v.organization_code = tree.code";

/// What the service reads.
const LOOK_UP: &str = "
SELECT c.subtree_volunteers, c.subtree_verified_volunteers, c.subtree_league_members
FROM orgtree.organization o CROSS JOIN orgtree.count_state s
LEFT JOIN orgtree.organization_count c ON c.organization_code = o.code WHERE o.code = $1";

/// Volunteers, those verified, those in the League.
type Figures = (i64, i64, i64);

/// Times of one organization.
struct Times {
    call: Duration,
    look_up: Duration,
    recursive: Duration,
}

pub(crate) async fn measure(stage: &Stage, time: Duration) -> anyhow::Result<Findings> {
    let mut admin = stage.database("zhiyuan").await?;
    say(&format!("  making {VOLUNTEERS} volunteers"));
    fill(&mut admin).await?;
    let root: String =
        sqlx::query_scalar("SELECT code FROM orgtree.organization WHERE parent_code IS NULL")
            .fetch_one(&mut admin)
            .await?;
    let mut client = StatisticsServiceClient::new(stage.platform().await?);
    let of_root = times(&mut admin, &mut client, &root, time / 4).await?;
    let of_leaf = times(&mut admin, &mut client, ORGANIZATION, time / 4).await?;
    let row = |what, read: Duration, times: &Times| Row {
        what,
        measured: millis(read),
        against: format!("recursive: {}", millis(times.recursive)),
        ratio: Some(times.recursive.as_secs_f64() / read.as_secs_f64()),
        goal: Goal::None,
    };
    Ok(Findings {
        rows: vec![
            row("figures of the root, by gRPC", of_root.call, &of_root),
            row("figures of the root, SQL alone", of_root.look_up, &of_root),
            row("figures of a leaf, by gRPC", of_leaf.call, &of_leaf),
            row("figures of a leaf, SQL alone", of_leaf.look_up, &of_leaf),
        ],
        limits: vec![format!(
            "round trips: a look-up of a few rows by key takes the same at the root and at a leaf \
             ({:.2} times as long), gRPC with an assertion adds {}; the recursive count reads every \
             row below",
            of_root.look_up.as_secs_f64() / of_leaf.look_up.as_secs_f64(),
            millis(of_root.call.saturating_sub(of_root.look_up)),
        )],
    })
}

async fn fill(admin: &mut PgConnection) -> anyhow::Result<()> {
    let mut transaction = admin.begin().await?;
    for statement in FILL {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(VOLUNTEERS) } else { query };
        query.execute(&mut *transaction).await.context("volunteers")?;
    }
    transaction.commit().await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM orgtree.count_delta WHERE folded_at IS NULL")
                .fetch_one(&mut *admin)
                .await?;
        if left == 0 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "{left} differences are not folded");
        tokio::time::sleep(POLL).await;
    }
}

/// Reads the figures of an organization in all ways, which must agree.
async fn times(
    admin: &mut PgConnection,
    client: &mut StatisticsServiceClient<SuiteChannel>,
    code: &str,
    time: Duration,
) -> anyhow::Result<Times> {
    let (mut calls, mut look_ups, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut called, mut looked_up, mut counted): (Figures, Figures, Figures) = Default::default();
    let until = Instant::now() + time;
    // By turns, so that none has the better moment.
    while Instant::now() < until || calls.is_empty() {
        let began = Instant::now();
        let request =
            GetOrganizationStatisticsRequest { organization_code: code.to_owned(), cut_time: None };
        let answer = client.get_organization_statistics(request).await?.into_inner();
        calls.push(began.elapsed());
        let subtree = answer.subtree.context("no figures")?;
        called = (subtree.volunteers, subtree.verified_volunteers, subtree.league_members);

        let began = Instant::now();
        looked_up = sqlx::query_as(LOOK_UP).bind(code).fetch_one(&mut *admin).await?;
        look_ups.push(began.elapsed());
    }
    for _ in 0..COUNTS {
        let began = Instant::now();
        counted = sqlx::query_as(RECURSIVE).bind(code).fetch_one(&mut *admin).await?;
        counts.push(began.elapsed());
    }
    anyhow::ensure!(
        called == looked_up && called == counted,
        "the figures of {code} differ: {called:?}, {looked_up:?}, recounted {counted:?}"
    );
    Ok(Times {
        call: percentile(&mut calls, 0.5),
        look_up: percentile(&mut look_ups, 0.5),
        recursive: percentile(&mut counts, 0.5),
    })
}
