//! Scopes, which other services tell by: what is in them, and when they are others.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tonic::Code;
use zhiyuan_contracts::orgtree::v1::authority_service_client::AuthorityServiceClient;
use zhiyuan_contracts::orgtree::v1::{FilterScopeRequest, FilterScopeResponse};
use zhiyuan_rpc::SuiteChannel;

use super::{HEADER, Suite, refusal};
use crate::changing::{administrator, get, moves, relocate};
use crate::harness::{assert_field, empty, load};

const NODES: usize = 8;
const STEPS: usize = 14;

type Client = AuthorityServiceClient<SuiteChannel>;

fn client(suite: &Suite) -> Client {
    AuthorityServiceClient::new(suite.channel("registration", &suite.service))
}

async fn ask(client: &mut Client, scope: &[&str], codes: &[String]) -> (BTreeSet<String>, String) {
    let request = FilterScopeRequest {
        scope_codes: scope.iter().map(|&code| code.to_owned()).collect(),
        organization_codes: codes.to_vec(),
    };
    let FilterScopeResponse { organization_codes, scope_version } =
        client.filter_scope(request).await.unwrap().into_inner();
    assert!(!scope_version.is_empty());
    (organization_codes.into_iter().collect(), scope_version)
}

fn code(place: usize) -> String {
    format!("N-{place}")
}

/// The one above each; who comes later lies below who came before. The first is the root.
type Tree = Vec<usize>;

fn is_within(tree: &Tree, mut place: usize, above: usize) -> bool {
    while place != above && place > 0 {
        place = tree.get(place).copied().unwrap_or(0);
    }
    place == above
}

fn inside(tree: &Tree, scope: &[usize]) -> BTreeSet<String> {
    let within = |place: &usize| scope.iter().any(|above| is_within(tree, *place, *above));
    (0..tree.len()).filter(within).map(code).collect()
}

fn file(tree: &Tree, names: usize) -> String {
    let mut text = format!("{HEADER}\n");
    for (place, above) in tree.iter().enumerate() {
        let above = if place == 0 { String::new() } else { code(*above) };
        // Another name, which moves nothing.
        writeln!(text, "{},组织{place}之{names},TOWNSHIP,{above},,,", code(place)).unwrap();
    }
    text
}

fn trees() -> impl Strategy<Value = Vec<(Vec<prop::sample::Index>, bool)>> {
    let tree = prop::collection::vec(any::<prop::sample::Index>(), NODES);
    prop::collection::vec((tree, any::<bool>()), STEPS)
}

/// Several move at once, one is founded now and then, and all are renamed: the version of a
/// scope is another one if something that was there came or went, and the same otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_of_a_scope_changes_with_what_came_or_went_and_only_then() {
    let steps = trees().new_tree(&mut TestRunner::default()).unwrap().current();
    let scopes: [&[usize]; 6] = [&[0], &[1], &[2], &[3], &[1, 2], &[5]];
    let database = empty().await;
    let mut tree: Tree = vec![0, 0, 0, 1];
    load(&database, &file(&tree, 0)).await.unwrap();
    let suite = Suite::start(database).await;
    let mut asking = client(&suite);
    let all: Vec<String> = (0..=NODES).map(code).collect();
    let mut versions: Vec<BTreeSet<String>> = vec![BTreeSet::new(); scopes.len()];
    let (mut same, mut other) = (0, 0);
    let mut last: Vec<String> = Vec::new();
    for scope in scopes {
        let names: Vec<String> = scope.iter().copied().map(code).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        last.push(ask(&mut asking, &names, &all).await.1);
    }
    for (n, (above, moved)) in steps.into_iter().enumerate() {
        let before = tree.clone();
        if n % 3 == 0 && tree.len() < NODES {
            tree.push(above[0].index(tree.len()));
        }
        if moved {
            // Two of them at once.
            for index in &above[1..3] {
                let place = 1 + index.index(before.len() - 1);
                tree[place] = above[3].index(place);
            }
        }
        load(&suite.database, &file(&tree, n)).await.unwrap();
        for (index, scope) in scopes.iter().enumerate() {
            let names: Vec<String> = scope.iter().copied().map(code).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (found, version) = ask(&mut asking, &names, &all).await;
            assert_eq!(found, inside(&tree, scope), "{scope:?} of {tree:?}");
            let of = |tree: &Tree, above: &usize| -> BTreeSet<String> {
                let there = |place: &usize| is_within(tree, *place, *above);
                (0..before.len()).filter(there).map(code).collect()
            };
            let changed = scope
                .iter()
                .any(|above| *above < before.len() && of(&before, above) != of(&tree, above));
            assert_eq!(version != last[index], changed, "{scope:?}: {before:?} {tree:?}");
            if changed {
                // Never one that was.
                assert!(versions[index].insert(std::mem::replace(&mut last[index], version)));
                assert!(!versions[index].contains(&last[index]));
                other += 1;
            } else {
                same += 1;
            }
        }
    }
    assert!(same > 5 && other > 5, "{same} {other}");
    suite.stop().await;
}

/// By the call, which moves a subtree with everything below it; back again is another version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_there_and_back_is_two_moves_and_concerns_who_gains_or_loses() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let mut asking = client(&suite);
    let mut versions = async || {
        let mut told = Vec::new();
        for scope in [&["A"][..], &["A-1"], &["A-2"], &["A-1-1"], &["A-2-1"]] {
            told.push(ask(&mut asking, scope, &[]).await.1);
        }
        told
    };
    let begin = versions().await;
    relocate(&mut admin, moves(&get(&suite, "A-1-1").await, "A-2")).await.unwrap();
    let there = versions().await;
    relocate(&mut admin, moves(&get(&suite, "A-1-1").await, "A-1")).await.unwrap();
    let back = versions().await;
    for (index, concerned) in [false, true, true, false, false].into_iter().enumerate() {
        let told: BTreeSet<&String> = [&begin[index], &there[index], &back[index]].into();
        assert_eq!(told.len(), if concerned { 3 } else { 1 }, "{index}");
    }
    // The order and how often a code is said make no other scope.
    let (_, one) = ask(&mut asking, &["A-1", "A-2"], &[]).await;
    let (found, other) = ask(&mut asking, &["A-2", "A-1", "A-2"], &["A-1-9".to_owned()]).await;
    assert_eq!((one, found.len()), (other, 1));
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_scope_is_refused_and_nobody_else_asks() {
    let suite = Suite::on_province().await;
    let mut asking = client(&suite);
    for (scope, codes, field, reason) in [
        (vec![], vec![], "scope_codes", "SCOPE_CODES_COUNT"),
        (vec!["A"; 21], vec![], "scope_codes", "SCOPE_CODES_COUNT"),
        (vec!["A"], vec!["A"; 1001], "organization_codes", "ORGANIZATION_CODES_COUNT"),
        (vec!["A", "-"], vec![], "scope_codes[1]", "ORGANIZATION_CODE_HYPHEN"),
        (vec!["A"], vec!["-"], "organization_codes[0]", "ORGANIZATION_CODE_HYPHEN"),
    ] {
        let owned = |codes: Vec<&str>| codes.into_iter().map(str::to_owned).collect();
        let request =
            FilterScopeRequest { scope_codes: owned(scope), organization_codes: owned(codes) };
        assert_field(&asking.filter_scope(request).await.unwrap_err(), field, reason);
    }
    let channel = suite.channel("stranger", &suite.service);
    let request = FilterScopeRequest { scope_codes: vec!["A".into()], ..Default::default() };
    let refused = AuthorityServiceClient::new(channel).filter_scope(request).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    suite.stop().await;
}

/// While a subtree moves, an answer and its version are of one tree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_of_the_tree_that_its_version_says() {
    let suite = Suite::on_province().await;
    let moving = async {
        for round in 0..20 {
            let above = if round % 2 == 0 { "A-1-1" } else { "A" };
            let text = format!("{HEADER}\nA-2,市二,MUNICIPAL,{above},,,\n");
            load(&suite.database, &text).await.unwrap();
        }
    };
    let asked = async {
        let (mut asking, mut known) = (client(&suite), std::collections::BTreeMap::new());
        let codes = ["A-2", "A-2-1", "A-1-9"].map(str::to_owned);
        loop {
            let (found, version) = ask(&mut asking, &["A-1"], &codes).await;
            assert_eq!(*known.entry(version).or_insert(found.clone()), found);
        }
    };
    tokio::select! {
        () = moving => {}
        () = asked => {}
    }
    suite.stop().await;
}
