//! The figures of organizations, at the root, at a city and at a county, against a recursive
//! count; with few people, and with many.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::PgConnection;
use zhiyuan_contracts::orgtree::v1::GetOrganizationStatisticsRequest;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_testkit::Country;

use crate::country::{self, Loaded};
use crate::load::percentile;
use crate::report::{Findings, Goal, Row, millis};
use crate::stage::Stage;

/// The small one; the large one is asked for.
const SMALL: Country = Country { organizations: 500, people: 10_000, levels: LEVELS, seed: 1 };
/// One level is left for what is moved.
pub(crate) const LEVELS: u8 = 11;
/// A count from scratch of all takes long.
const COUNTS: usize = 3;

pub(crate) const RECURSIVE: &str = "
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

/// Those of one country: of its root, of its largest city and of its largest county.
struct Read {
    people: u64,
    root: Times,
    city: Times,
    county: Times,
}

/// Reads the small country while there is no large one.
pub(crate) async fn small(stage: &mut Stage, time: Duration) -> anyhow::Result<Small> {
    let loaded = country::load(stage, &SMALL, 0).await?;
    Ok(Small(read(stage, &loaded, time).await?))
}

/// What reading the small country takes.
pub(crate) struct Small(Read);

pub(crate) async fn measure(
    stage: &Stage,
    Small(small): Small,
    loaded: &Loaded,
    time: Duration,
) -> anyhow::Result<Findings> {
    let large = read(stage, loaded, time).await?;
    let against = |what, times: &Times, read: Duration| Row {
        what,
        measured: millis(read),
        against: format!("recursive: {}", millis(times.recursive)),
        ratio: Some(times.recursive.as_secs_f64() / read.as_secs_f64()),
        goal: Goal::None,
    };
    let beside = |what, large: &Times, few: &Times| Row {
        what,
        measured: format!("{} people: {}", loaded.people, millis(large.call)),
        against: format!("{} people: {}", small.people, millis(few.call)),
        ratio: Some(large.call.as_secs_f64() / few.call.as_secs_f64()),
        goal: Goal::None,
    };
    Ok(Findings {
        rows: vec![
            against("figures of the root, by gRPC", &large.root, large.root.call),
            against("figures of the root, SQL alone", &large.root, large.root.look_up),
            against("figures of a city, by gRPC", &large.city, large.city.call),
            against("figures of a county, by gRPC", &large.county, large.county.call),
            against("few people: of the root, by gRPC", &small.root, small.root.call),
            against("few people: of a county, by gRPC", &small.county, small.county.call),
            beside("reading the root, many and few people", &large.root, &small.root),
            beside("reading a city, many and few people", &large.city, &small.city),
            beside("reading a county, many and few people", &large.county, &small.county),
        ],
        limits: vec![format!(
            "round trips: a look-up of a few rows by key takes the same at the root and at a \
             county ({:.2} times as long), gRPC with an assertion adds {}; the recursive count \
             reads every row below",
            large.root.look_up.as_secs_f64() / large.county.look_up.as_secs_f64(),
            millis(large.root.call.saturating_sub(large.root.look_up)),
        )],
    })
}

async fn read(stage: &Stage, loaded: &Loaded, time: Duration) -> anyhow::Result<Read> {
    let mut admin = stage.database("zhiyuan").await?;
    let mut client = StatisticsServiceClient::new(stage.platform().await?);
    let mut of = async |code: &str| times(&mut admin, &mut client, code, time / 6).await;
    Ok(Read {
        people: loaded.people,
        root: of(&loaded.root).await?,
        city: of(&loaded.city).await?,
        county: of(&loaded.county).await?,
    })
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
