//! Moving very many people at once, while others register.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::organization_admin_service_client::OrganizationAdminServiceClient;
use zhiyuan_contracts::orgtree::v1::organization_service_client::OrganizationServiceClient;
use zhiyuan_contracts::orgtree::v1::{GetOrganizationRequest, MoveOrganizationRequest};

use crate::administrator::Administrator;
use crate::country::Loaded;
use crate::door::{Door, Outcome};
use crate::form;
use crate::load::{Answer, offer, percentile};
use crate::part::Hashing;
use crate::report::{Findings, Goal, Row, millis, say};
use crate::stage::Stage;
use crate::waiting;

/// Who registers meanwhile.
const PER_SECOND: f64 = 20.0;
const FORMS: usize = 700;
/// How long they do so alone.
const ALONE: Duration = Duration::from_secs(3);

pub(crate) async fn measure(stage: &mut Stage, loaded: &Loaded) -> anyhow::Result<Findings> {
    stage.set_hashing(Hashing::None).await?;
    let stage = &*stage;
    let administrator = Administrator::at(stage, &loaded.root).await?;
    let door = Door::open(stage, "registration").await?;
    let forms = form::prepare(stage, FORMS).await?;
    let mut admin = stage.database("zhiyuan").await?;
    let moved = &loaded.moved;
    let before = stage.usage();
    let start = Instant::now();
    let register = move |caller, form| door.clone().register(caller, form);
    let registering = offer(PER_SECOND, forms, register);
    // There and back.
    let moving = async {
        let mut moves = Vec::new();
        for target in [&moved.target, &loaded.root] {
            tokio::time::sleep(ALONE).await;
            let began = start.elapsed();
            move_to(stage, &administrator, &moved.code, target).await?;
            moves.push((began, start.elapsed()));
        }
        anyhow::Ok((moves, stage.usage()))
    };
    let ((answers, done), waited) =
        waiting::during(stage, async { tokio::join!(registering, moving) }).await?;
    let (moves, after) = done?;
    let answers = answers?;
    let used = before.until(&after);
    let is_well = |what| matches!(what, Outcome::Registered | Outcome::Pending);
    let failed = answers.iter().find(|answer| !is_well(answer.what));
    anyhow::ensure!(failed.is_none(), "somebody could not register: {failed:?}");
    let longest = moves.iter().map(|(began, ended)| *ended - *began).max().context("no move")?;
    let last = moves.last().context("no move")?.1;
    let within = |answer: &Answer<Outcome>| {
        let began = answer.at.saturating_sub(answer.took);
        moves.iter().any(|(from, to)| began < *to && answer.at > *from)
    };
    let times = |meanwhile: bool| -> Vec<Duration> {
        let some = answers.iter().filter(|answer| answer.at < last && within(answer) == meanwhile);
        some.map(|answer| answer.took).collect()
    };
    let (mut meanwhile, mut alone) = (times(true), times(false));
    let (of_meanwhile, of_alone) = (percentile(&mut meanwhile, 0.5), percentile(&mut alone, 0.5));
    let slowest = percentile(&mut meanwhile, 1.0);
    say(&format!("  moved in {}, {} registered meanwhile", millis(longest), meanwhile.len()));
    let recursive = recount(&mut admin, &moved.code).await?;
    Ok(Findings {
        rows: vec![
            Row {
                what: "moving very many people, until it is answered",
                measured: millis(longest),
                against: format!("counting them recursively: {}", millis(recursive)),
                ratio: Some(longest.as_secs_f64() / recursive.as_secs_f64()),
                goal: Goal::None,
            },
            Row {
                what: "registering meanwhile, p50",
                measured: millis(of_meanwhile),
                against: format!("alone: {}", millis(of_alone)),
                ratio: Some(of_meanwhile.as_secs_f64() / of_alone.as_secs_f64()),
                goal: Goal::None,
            },
        ],
        limits: vec![format!(
            "{} people at {} organizations go from one to another of those right below the root \
             and back: a version and the codes above of each organization are written, the figures \
             of the one that it leaves or comes to, and no row of a person; at {PER_SECOND}/s {} registered meanwhile, the slowest \
             in {}; backends waited for locks {:.1} % of their time, the fold for the moves; {}",
            moved.people,
            moved.organizations,
            meanwhile.len(),
            millis(slowest),
            100.0 * waited,
            used.told()
        )],
    })
}

async fn move_to(
    stage: &Stage,
    administrator: &Administrator,
    code: &str,
    target: &str,
) -> anyhow::Result<()> {
    let request = GetOrganizationRequest { code: code.to_owned(), ..Default::default() };
    let answer = OrganizationServiceClient::new(stage.channel("orgtree").await?)
        .get_organization(request)
        .await?
        .into_inner();
    let request = MoveOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        code: code.to_owned(),
        etag: answer.organization.context("no organization")?.etag,
        parent_code: target.to_owned(),
    };
    OrganizationAdminServiceClient::new(stage.channel("orgtree").await?)
        .move_organization(administrator.ask(request))
        .await?;
    Ok(())
}

async fn recount(admin: &mut sqlx::PgConnection, code: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    sqlx::query(crate::counts::RECURSIVE).bind(code).fetch_one(admin).await?;
    Ok(began.elapsed())
}
