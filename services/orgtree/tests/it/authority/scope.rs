//! Whatever asks for a scope has the same one: compared with a reference that walks up the
//! parents, over random trees and grants.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{FilterWithinRequest, Permission, Verdict};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;

use super::{HEADER, Suite, account, list, mine};
use crate::harness::{empty, load};

const CASES: usize = 4;
const PEOPLE: u128 = 3;
/// By these every role differs from every other; the whole table has its own test.
const PERMISSIONS: [Permission; 3] = [Permission::Grant, Permission::Review, Permission::Audit];
const REGIONS: [&str; 4] = ["340000", "340100", "340122", ""];

/// An organization: the one above by its place in the list, if any, its region, whether it
/// is closed.
#[derive(Debug, Clone)]
struct Node {
    parent: Option<usize>,
    region: usize,
    closed: bool,
}

#[derive(Debug, Clone)]
struct Given {
    id: Uuid,
    person: u128,
    place: usize,
    role: i16,
    ended: Ended,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ended {
    Not,
    Later,
    Expired,
    Revoked,
}

#[derive(Debug, Clone)]
struct Case {
    nodes: Vec<Node>,
    /// Who hangs elsewhere afterwards, as a merge or a move leaves it, and where.
    moves: Vec<(usize, usize)>,
    grants: Vec<Given>,
}

fn cases() -> impl Strategy<Value = Case> {
    let node = (any::<prop::sample::Index>(), 0..REGIONS.len(), prop::bool::weighted(0.2));
    let nodes = prop::collection::vec(node, 2..16);
    let moves = prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..4);
    let ended = prop_oneof![
        4 => Just(Ended::Not),
        1 => Just(Ended::Later),
        1 => Just(Ended::Expired),
        1 => Just(Ended::Revoked),
    ];
    let grant = (0..PEOPLE, any::<prop::sample::Index>(), 1_i16..=4, ended);
    (nodes, moves, prop::collection::vec(grant, 0..12)).prop_map(|(nodes, moves, grants)| {
        let count = nodes.len();
        let nodes = nodes.into_iter().enumerate().map(|(place, (above, region, closed))| Node {
            // Now and then another root.
            parent: (place > 0 && !(place + region).is_multiple_of(9)).then(|| above.index(place)),
            region,
            closed,
        });
        // Only to one that comes before it: no circle.
        let moves = moves.into_iter().map(|(who, to)| {
            let who = 1 + who.index(count - 1);
            (who, to.index(who))
        });
        let grants = grants.into_iter().map(|(person, place, role, ended)| Given {
            id: Uuid::new_v4(),
            person,
            place: place.index(count),
            role,
            ended,
        });
        Case { nodes: nodes.collect(), moves: moves.collect(), grants: grants.collect() }
    })
}

/// The reference: up the parents, one by one.
impl Case {
    fn is_within(&self, mut place: usize, above: usize) -> bool {
        while place != above {
            let Some(parent) = self.nodes.get(place).and_then(|node| node.parent) else {
                return false;
            };
            place = parent;
        }
        true
    }

    fn reaching(&self, person: u128, place: usize) -> impl Iterator<Item = &Given> {
        let counts = |given: &&Given| matches!(given.ended, Ended::Not | Ended::Later);
        self.grants
            .iter()
            .filter(counts)
            .filter(move |given| given.person == person && self.is_within(place, given.place))
    }

    fn verdict(&self, person: u128, place: usize, permission: Permission) -> Verdict {
        let may = |given: &Given| match given.role {
            1 => true,
            2 => permission == Permission::Review,
            3 => false,
            _ => permission == Permission::Audit,
        };
        let mut reaching = self.reaching(person, place).peekable();
        match (reaching.peek().is_some(), reaching.any(may)) {
            (false, _) => Verdict::OutOfScope,
            (true, true) => Verdict::Allowed,
            (true, false) => Verdict::Forbidden,
        }
    }

    /// The ids of the grants that a person may read at a place and below it.
    fn listed(&self, person: u128, below: Option<usize>) -> Vec<String> {
        let counts = |given: &&Given| matches!(given.ended, Ended::Not | Ended::Later);
        let listed = self.grants.iter().filter(counts).filter(|given| {
            below.is_none_or(|below| self.is_within(given.place, below))
                && self.verdict(person, given.place, Permission::Audit) == Verdict::Allowed
        });
        sorted(listed.map(|given| given.id.to_string()))
    }
}

fn sorted(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

fn code(place: usize) -> String {
    format!("N-{place}")
}

/// The file of a tree, with the regions shifted by so many.
fn file(nodes: &[Node], shift: usize) -> String {
    let mut text = format!("{HEADER}\n");
    for (place, node) in nodes.iter().enumerate() {
        let parent = node.parent.map(code).unwrap_or_default();
        let region = REGIONS.iter().cycle().nth(node.region + shift).unwrap();
        let (state, successor) = match (node.closed, node.parent) {
            (true, Some(parent)) => ("CLOSED", code(parent)),
            (true, None) => ("CLOSED", String::new()),
            (false, _) => ("ACTIVE", String::new()),
        };
        let code = code(place);
        writeln!(text, "{code},组织{place},TOWNSHIP,{parent},{region},{state},{successor}")
            .unwrap();
    }
    text
}

async fn insert(pool: &PgPool, now: time::OffsetDateTime, grants: &[Given]) {
    for given in grants {
        let hour = time::Duration::hours(1);
        let expires_at = match given.ended {
            Ended::Later => Some(now + hour),
            Ended::Expired => Some(now),
            Ended::Not | Ended::Revoked => None,
        };
        let revoked = given.ended == Ended::Revoked;
        sqlx::query(
            "INSERT INTO orgtree.authority_grant (grant_id, account_id, organization_code, role,
                 created_at, expires_at, revoked_at, revoked_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(given.id)
        .bind(account(given.person))
        .bind(code(given.place))
        .bind(given.role)
        .bind(now - hour)
        .bind(expires_at)
        .bind(revoked.then_some(now))
        .bind(revoked.then_some(account(99)))
        .execute(pool)
        .await
        .unwrap();
    }
}

type Verdicts = BTreeMap<(u128, usize, i32), Verdict>;

/// What is at a place and below it, asked of all places, and of one that there is not.
async fn within(suite: &Suite, case: &Case, above: usize) {
    let mut client = AuthorityServiceClient::new(suite.channel("registration", &suite.service));
    let mut organization_codes: Vec<String> = (0..case.nodes.len()).map(code).collect();
    organization_codes.extend([code(99), code(above)]);
    let request = FilterWithinRequest { organization_code: code(above), organization_codes };
    let answer = client.filter_within(request).await.unwrap().into_inner();
    let expected = (0..case.nodes.len()).filter(|place| case.is_within(*place, above)).map(code);
    let found = sorted(answer.organization_codes.into_iter());
    assert_eq!(found, sorted(expected), "{above} of {case:?}");
}

/// Compares everything that answers by scope with the reference.
async fn compare(suite: &Suite, case: &Case) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for place in 0..case.nodes.len() {
        within(suite, case, place).await;
    }
    for person in 0..PEOPLE {
        let mut caller = suite.person(account(person));
        for place in 0..case.nodes.len() {
            for permission in PERMISSIONS {
                let verdict = suite.verdict(account(person), &code(place), permission).await;
                let expected = case.verdict(person, place, permission);
                assert_eq!(verdict, expected, "{person} {place} {permission:?} of {case:?}");
                verdicts.insert((person, place, permission.into()), verdict);
            }
            let listed = list(&mut caller, &code(place), 0).await;
            match case.verdict(person, place, Permission::Audit) {
                Verdict::Allowed => {
                    let listed = listed.unwrap().into_iter().map(|grant| grant.id);
                    let expected = case.listed(person, Some(place));
                    assert_eq!(listed.collect::<Vec<_>>(), expected, "{person} {place} {case:?}");
                }
                Verdict::Forbidden => {
                    assert_eq!(listed.unwrap_err().code(), Code::PermissionDenied);
                }
                _ => assert_eq!(listed.unwrap_err().code(), Code::NotFound),
            }
        }
        let own = case.grants.iter().filter(|given| {
            given.person == person && matches!(given.ended, Ended::Not | Ended::Later)
        });
        let own = sorted(own.map(|given| given.id.to_string()));
        for size in [1, 2, 0] {
            let listed = list(&mut caller, "", size).await.unwrap();
            let listed: Vec<String> = listed.into_iter().map(|grant| grant.id).collect();
            assert_eq!(listed, case.listed(person, None), "{person} by {size} of {case:?}");
            let mine = mine(&mut caller, size).await.into_iter().map(|grant| grant.id);
            assert_eq!(mine.collect::<Vec<_>>(), own, "{person} by {size} of {case:?}");
        }
    }
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_and_lists_have_one_scope_whatever_the_tree_and_regions_change_nothing() {
    let mut runner = TestRunner::default();
    for _ in 0..CASES {
        let mut case = cases().new_tree(&mut runner).unwrap().current();
        let database = empty().await;
        load(&database, &file(&case.nodes, 0)).await.unwrap();
        let suite = Suite::start(database).await;
        let pool = suite.database.pool().await;
        insert(&pool, suite.clock.now(), &case.grants).await;
        let before = compare(&suite, &case).await;
        load(&suite.database, &file(&case.nodes, 1)).await.unwrap();
        assert_eq!(compare(&suite, &case).await, before, "regions grant nothing");
        for (who, to) in case.moves.clone() {
            case.nodes[who].parent = Some(to);
        }
        load(&suite.database, &file(&case.nodes, 2)).await.unwrap();
        compare(&suite, &case).await;
        pool.close().await;
        suite.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_while_a_subtree_moves_is_of_the_tree_before_or_after() {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A-1", TypedRole::Auditor).await;
    for (n, code) in [(2, "A-2-1"), (3, "A-2"), (4, "A-2-1")] {
        suite.make(account(n), code, TypedRole::Viewer).await;
    }
    let moving = async {
        for round in 0..20 {
            let above = if round % 2 == 0 { "A-1-1" } else { "A" };
            let text = format!("{HEADER}\nA-2,市二,MUNICIPAL,{above},,,\n");
            load(&suite.database, &text).await.unwrap();
        }
    };
    let listing = async {
        let mut reader = suite.person(account(1));
        loop {
            let listed = list(&mut reader, "A-1", 0).await.unwrap();
            // All three of the subtree, or none of them.
            assert!([1, 4].contains(&listed.len()), "{listed:?}");
        }
    };
    tokio::select! {
        () = moving => {}
        () = listing => {}
    }
    suite.stop().await;
}
