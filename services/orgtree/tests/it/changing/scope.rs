//! Whatever moves while volunteers come and go: figures, now and as of cuts, and all that asks
//! for a scope are those of a reference that walks up the parents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use time::OffsetDateTime;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_contracts::orgtree::v1::{
    FilterWithinRequest, GetOrganizationStatisticsRequest, Permission, Verdict,
};
use zhiyuan_orgtree::Role as TypedRole;
use zhiyuan_rpc::wire::timestamp;

use super::{administrator, create, creates, get, moves};
use crate::authority::{Suite, account, list, refusal};
use crate::dated::come;

const STEPS: usize = 40;
const PEOPLE: [(u128, &str, TypedRole); 3] = [
    (2, "A-1", TypedRole::Administrator),
    (3, "A-2", TypedRole::Viewer),
    (4, "A-1-1", TypedRole::Auditor),
];

/// A step: what is made or moved, and below what, by places in the list of codes.
fn steps() -> impl Strategy<Value = Vec<(bool, prop::sample::Index, prop::sample::Index)>> {
    let step =
        (prop::bool::weighted(0.3), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    prop::collection::vec(step, STEPS)
}

/// The one above each, and what each has itself.
struct Reference {
    parents: BTreeMap<String, Option<String>>,
    own: BTreeMap<String, i64>,
}

impl Reference {
    /// As it is now; nobody may change anything meanwhile.
    async fn read(transaction: &mut sqlx::PgConnection) -> Self {
        let parents = sqlx::query_as("SELECT code, parent_code FROM orgtree.organization")
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        let own = sqlx::query_as(
            "SELECT organization_code, count(*) FROM orgtree.volunteer WHERE active GROUP BY 1",
        )
        .fetch_all(transaction)
        .await
        .unwrap();
        let parents: Vec<(String, Option<String>)> = parents;
        let own: Vec<(String, i64)> = own;
        Self { parents: parents.into_iter().collect(), own: own.into_iter().collect() }
    }

    fn is_within(&self, code: &str, above: &str) -> bool {
        let mut at = Some(code);
        while let Some(here) = at {
            if here == above {
                return true;
            }
            at = self.parents.get(here).and_then(Option::as_deref);
        }
        false
    }

    fn figures(&self, code: &str) -> (i64, i64) {
        let subtree = self.own.iter().filter(|(own, _)| self.is_within(own, code));
        (self.own.get(code).copied().unwrap_or_default(), subtree.map(|(_, count)| count).sum())
    }
}

/// Volunteers change their organizations, until told to stop, as the feed makes it.
async fn change_volunteers(pool: &PgPool, stop: &AtomicBool) {
    let mut round = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let mut transaction = pool.begin().await.unwrap();
        let (old, new): (String, String) = sqlx::query_as(
            "UPDATE orgtree.volunteer v
             SET organization_code = (SELECT code FROM orgtree.organization
                                      ORDER BY md5(code || $1) LIMIT 1)
             FROM (SELECT volunteer_id, organization_code FROM orgtree.volunteer
                   ORDER BY md5(volunteer_id::text || $1) LIMIT 1 FOR UPDATE) old
             WHERE v.volunteer_id = old.volunteer_id
             RETURNING old.organization_code, v.organization_code",
        )
        .bind(round.to_string())
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        for (code, change) in [(old, -1_i64), (new, 1)] {
            sqlx::query(
                "INSERT INTO orgtree.count_delta
                     (organization_code, after_cut, volunteers, verified_volunteers, league_members)
                 VALUES ($1, (SELECT coalesce(max(cut_id), 0) FROM orgtree.feed_cut
                              WHERE taken_at IS NOT NULL), $2, $2, 0)",
            )
            .bind(code)
            .bind(change)
            .execute(&mut *transaction)
            .await
            .unwrap();
        }
        transaction.commit().await.unwrap();
    }
}

/// Takes a cut, and the reference of that moment.
async fn cut(pool: &PgPool) -> (OffsetDateTime, Reference) {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('orgtree.tree', 0))")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("LOCK TABLE orgtree.volunteer IN EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let at = sqlx::query_scalar(
        "INSERT INTO orgtree.feed_cut (at, taken_at, exact)
         VALUES (clock_timestamp(), clock_timestamp(), true) RETURNING at",
    )
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    let reference = Reference::read(&mut transaction).await;
    transaction.commit().await.unwrap();
    (at, reference)
}

/// Makes and moves organizations; what can't be done is refused for a reason that can be.
async fn change_tree(suite: &Suite, pool: &PgPool) -> Vec<(OffsetDateTime, Reference)> {
    let steps = steps().new_tree(&mut TestRunner::default()).unwrap().current();
    let mut admin = administrator(suite, 1, "A").await;
    let (mut cuts, mut done) = (Vec::new(), 0);
    for (n, (makes, who, to)) in steps.into_iter().enumerate() {
        let codes: Vec<String> = sqlx::query_scalar(
            "SELECT code FROM orgtree.organization WHERE parent_code IS NOT NULL ORDER BY code",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let parent = to.get(codes.as_slice()).as_str();
        let result = if makes {
            let wanted = creates(&format!("N-{n}"), parent, &format!("新镇{n}"));
            create(&mut admin, wanted).await.map(drop)
        } else {
            let who: &String = who.get(codes.as_slice());
            let wanted = moves(&get(suite, who).await, parent);
            // Without the time to wait for.
            admin.move_organization(wanted).await.map(drop)
        };
        let told = result.map_or_else(|status| refusal(&status).1, |()| String::new());
        match told.as_str() {
            "" | "REVOCATION_IN_PROGRESS" => done += 1,
            "ORGANIZATION_CYCLE" | "INVALID_FIELDS" | "ORGANIZATION_CLOSED" => {}
            other => panic!("{other}"),
        }
        if n % 8 == 3 {
            cuts.push(cut(pool).await);
        }
    }
    assert!(done > STEPS / 4, "{done}");
    cuts
}

async fn figures(suite: &Suite, code: &str, cut: OffsetDateTime) -> Option<(i64, i64)> {
    let mut client = StatisticsServiceClient::new(suite.channel("platform", &suite.service));
    let organization_code = code.to_owned();
    let request =
        GetOrganizationStatisticsRequest { organization_code, cut_time: Some(timestamp(cut)) };
    match client.get_organization_statistics(request).await {
        Ok(told) => {
            let told = told.into_inner();
            Some((told.own.unwrap().volunteers, told.subtree.unwrap().volunteers))
        }
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{status:?}"),
    }
}

/// All that asks for a scope, of everybody, at every organization.
async fn decided(suite: &Suite, reference: &Reference) -> Vec<(String, Vec<Verdict>)> {
    let mut asking = AuthorityServiceClient::new(suite.channel("registration", &suite.service));
    let codes: Vec<String> = reference.parents.keys().cloned().collect();
    let mut all = Vec::new();
    for code in &codes {
        let request = FilterWithinRequest {
            organization_code: code.clone(),
            organization_codes: codes.clone(),
        };
        let mut within =
            asking.filter_within(request).await.unwrap().into_inner().organization_codes;
        within.sort();
        let expected: Vec<_> =
            codes.iter().filter(|one| reference.is_within(one, code)).cloned().collect();
        assert_eq!(within, expected, "{code}");
        let mut verdicts = Vec::new();
        for (person, place, role) in PEOPLE {
            let verdict = suite.verdict(account(person), code, Permission::Audit).await;
            let may = role != TypedRole::Viewer;
            let expected = match (reference.is_within(code, place), may) {
                (false, _) => Verdict::OutOfScope,
                (true, true) => Verdict::Allowed,
                (true, false) => Verdict::Forbidden,
            };
            assert_eq!(verdict, expected, "{person} at {code}");
            let listed = list(&mut suite.person(account(person)), code, 0).await;
            match verdict {
                Verdict::Allowed => {
                    let listed = listed.unwrap();
                    let expected = PEOPLE.iter().filter(|(_, at, _)| reference.is_within(at, code));
                    let root = usize::from(code == "A");
                    assert_eq!(listed.len(), expected.count() + root, "{person} at {code}");
                }
                Verdict::Forbidden => {
                    assert_eq!(listed.unwrap_err().code(), Code::PermissionDenied);
                }
                _ => assert_eq!(listed.unwrap_err().code(), Code::NotFound),
            }
            verdicts.push(verdict);
        }
        all.push((code.clone(), verdicts));
    }
    all
}

async fn until_folded(pool: &PgPool) {
    let folding = async {
        let sql = "SELECT EXISTS (SELECT FROM orgtree.count_delta WHERE folded_at IS NULL)";
        while sqlx::query_scalar::<_, bool>(sql).fetch_one(pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), folding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_moves_figures_and_scopes_are_those_of_a_walk_up_the_parents() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    for (person, code, role) in PEOPLE {
        suite.make(account(person), code, role).await;
    }
    for (code, count) in [("A-1-1", 20), ("A-2-1", 15), ("A-2", 5), ("A", 1), ("A-1-9", 3)] {
        come(&mut pool.acquire().await.unwrap(), code, count).await;
    }
    let stop = AtomicBool::new(false);
    let changing = async {
        let cuts = change_tree(&suite, &pool).await;
        stop.store(true, Ordering::Relaxed);
        cuts
    };
    let (cuts, ()) = tokio::join!(changing, change_volunteers(&pool, &stop));
    until_folded(&pool).await;
    let now = Reference::read(&mut pool.acquire().await.unwrap()).await;
    for code in now.parents.keys() {
        let sql = "SELECT own_volunteers, subtree_volunteers FROM orgtree.organization_count
                   WHERE organization_code = $1";
        let kept: Option<(i64, i64)> =
            sqlx::query_as(sql).bind(code).fetch_optional(&pool).await.unwrap();
        assert_eq!(kept.unwrap_or_default(), now.figures(code), "{code}");
        for (at, reference) in &cuts {
            let expected = reference.parents.contains_key(code).then(|| reference.figures(code));
            assert_eq!(figures(&suite, code, *at).await, expected, "{code} at {at}");
        }
    }
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    // Regions grant nothing: where they lie otherwise, everything is decided alike.
    let before = decided(&suite, &now).await;
    sqlx::query(
        "UPDATE orgtree.organization SET region_code =
             (SELECT code FROM orgtree.region r ORDER BY md5(r.code || organization.code) LIMIT 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(decided(&suite, &now).await, before);
    suite.stop().await;
}
