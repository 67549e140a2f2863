use std::io::Write as _;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use zhiyuan_orgtree::{Fault, LoadError, Loaded, MigrateError, Problem, Seed};
use zhiyuan_testkit::TestDatabase;

use crate::harness::{Service, config, empty, load};
use crate::organizations::{below, codes, walk};

const HEADER: &str = "code,name,kind,parent_code,region_code";

/// Everything in both tables, with the transactions that wrote it.
async fn dump(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat(xmin, o) FROM orgtree.organization o
         UNION ALL SELECT concat(xmin, r) FROM orgtree.region r ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// The codes above an organization, and whether nothing is below.
async fn place(pool: &PgPool, code: &str) -> (Vec<String>, bool) {
    sqlx::query_as("SELECT ancestors, leaf FROM orgtree.organization WHERE code = $1")
        .bind(code)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn faults(database: &TestDatabase, text: &str) -> Vec<Fault> {
    match load(database, text).await {
        Err(MigrateError::Organizations(LoadError::Faults(faults))) => faults,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn loading_twice_changes_nothing_and_is_quick() {
    let database = empty().await;
    let config = config(&database, Seed::Anhui);
    let start = Instant::now();
    zhiyuan_orgtree::migrate(&config).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let pool = database.pool().await;
    let first = dump(&pool).await;
    assert_eq!(first.len(), 3214 + 1699);
    zhiyuan_orgtree::migrate(&config).await.unwrap();
    assert!(dump(&pool).await == first);
}

#[tokio::test]
async fn a_dry_run_tells_what_a_load_does_and_changes_nothing() {
    let database = empty().await;
    let before = "A,省,PROVINCIAL,,\nA-1,县一,COUNTY,A,\nA-2,县二,COUNTY,A,\n\
                  A-1-1,镇,TOWNSHIP,A-1,\nA-1-1-1,村,ENTERPRISE,A-1-1,\n";
    load(&database, &format!("{HEADER}\n{before}")).await.unwrap();
    let pool = database.pool().await;
    sqlx::query("UPDATE orgtree.organization SET by_call = true WHERE code = 'A-2'")
        .execute(&pool)
        .await
        .unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let after = "A,省,PROVINCIAL,,\nA-1,新名,COUNTY,A,\nA-2,县二改,COUNTY,A,\n\
                 A-1-1,镇,TOWNSHIP,A-2,\nA-3,县三,COUNTY,A,\n";
    write!(file, "{HEADER}\n{after}").unwrap();
    let run = async |dry_run| {
        let seed = Seed::File(file.path().to_owned());
        zhiyuan_orgtree::load(&config(&database, Seed::None), seed, dry_run).await.unwrap()
    };
    let whole = dump(&pool).await;
    let told = run(true).await;
    assert!(dump(&pool).await == whole);
    let codes = |codes: &[&str]| codes.iter().map(|&code| code.to_owned()).collect::<Vec<_>>();
    let expected = Loaded {
        lines: 5,
        new: codes(&["A-3"]),
        changed: codes(&["A-1", "A-1-1"]),
        moved: codes(&["A-1-1", "A-1-1-1"]),
        kept: codes(&["A-2"]),
    };
    let sorted = |mut told: Loaded| {
        for codes in [&mut told.new, &mut told.changed, &mut told.moved, &mut told.kept] {
            codes.sort();
        }
        told
    };
    assert_eq!(sorted(told.clone()), expected);
    assert_eq!(
        told.summary(),
        "5 lines: 1 new, 2 changed, 2 moved, 1 kept as administrators have made them"
    );
    assert_eq!((told.lists()[0].as_str(), told.lists()[3].as_str()), ("new: A-3", "kept: A-2"));
    assert_eq!(sorted(run(false).await), expected);
    assert_eq!(place(&pool, "A-1-1-1").await.0, ["A", "A-2", "A-1-1"]);
    assert_eq!(run(false).await, Loaded { lines: 5, kept: expected.kept, ..Default::default() });
}

/// A rule that the table has, and that nobody has thought of here.
#[tokio::test]
async fn a_dry_run_refuses_what_the_table_would_refuse_in_the_end() {
    let database = empty().await;
    load(&database, &format!("{HEADER}\nA,省,PROVINCIAL,,\n")).await.unwrap();
    let owner = sqlx::PgPool::connect(&database.owner_url()).await.unwrap();
    let rule = "ALTER TABLE orgtree.organization ADD CONSTRAINT named_once
                EXCLUDE USING btree (name WITH =) DEFERRABLE INITIALLY DEFERRED";
    sqlx::query(rule).execute(&owner).await.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{HEADER}\nA-1,镇,COUNTY,A,\nA-2,镇,COUNTY,A,\n").unwrap();
    for dry_run in [true, false] {
        let seed = Seed::File(file.path().to_owned());
        let config = config(&database, Seed::None);
        let refused = zhiyuan_orgtree::load(&config, seed, dry_run).await.unwrap_err();
        assert!(zhiyuan_rpc::chain(&refused).contains("named_once"), "{refused:?}");
    }
}

#[tokio::test]
async fn without_a_seed_there_are_regions_alone() {
    let database = empty().await;
    zhiyuan_orgtree::migrate(&config(&database, Seed::None)).await.unwrap();
    assert_eq!(dump(&database.pool().await).await.len(), 3214);
}

#[tokio::test]
async fn what_differs_is_brought_back_and_nothing_is_deleted() {
    let database = empty().await;
    let config = config(&database, Seed::Anhui);
    zhiyuan_orgtree::migrate(&config).await.unwrap();
    let pool = database.pool().await;
    let whole = dump(&pool).await;
    for change in [
        "UPDATE orgtree.region SET name = '广德县' WHERE code = '341882'",
        "UPDATE orgtree.organization SET grams = '{}', leaf = true WHERE code = 'AH'",
        "INSERT INTO orgtree.region VALUES ('340299', '旧区', 3, '340200', true)",
    ] {
        sqlx::query(change).execute(&pool).await.unwrap();
    }
    load(&database, &format!("{HEADER}\nAH-Z,另一企业团委,ENTERPRISE,AH,340000\n")).await.unwrap();
    zhiyuan_orgtree::migrate(&config).await.unwrap();
    assert_eq!(dump(&pool).await.len(), whole.len() + 2);
    let (name, leaf, grams): (String, bool, i32) = sqlx::query_as(
        "SELECT r.name, o.leaf, cardinality(o.grams) FROM orgtree.region r, orgtree.organization o
         WHERE r.code = '341882' AND o.code = 'AH'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((name.as_str(), leaf), ("广德市", false));
    assert!(grams > 10);
}

#[tokio::test]
async fn lines_may_stand_in_any_order() {
    let database = empty().await;
    let text = format!(
        "{HEADER}\nA-1-1,街道团委,TOWNSHIP,A-1,\nA-1,县团委,COUNTY,A,\nA,团省委,PROVINCIAL,,340000\n"
    );
    load(&database, &text).await.unwrap();
    let pool = database.pool().await;
    assert_eq!(place(&pool, "A-1-1").await, (vec!["A".into(), "A-1".into()], true));
    assert_eq!(place(&pool, "A").await, (vec![], false));
}

#[tokio::test]
async fn what_hangs_below_moves_along() {
    let database = empty().await;
    let text = format!(
        "{HEADER}\nA,团省委,PROVINCIAL,,\nA-1,甲市,MUNICIPAL,A,\nA-2,乙市,MUNICIPAL,A,\n\
         A-1-1,丙县,COUNTY,A-1,\nA-1-1-1,丁街道,TOWNSHIP,A-1-1,\n"
    );
    load(&database, &text).await.unwrap();
    load(&database, &format!("{HEADER}\nA-1-1,丙县,COUNTY,A-2,\n")).await.unwrap();
    let pool = database.pool().await;
    let above = ["A", "A-2", "A-1-1"].map(String::from).to_vec();
    assert_eq!(place(&pool, "A-1-1-1").await, (above, true));
    assert!(place(&pool, "A-1").await.1, "nothing is left below it");
    assert!(!place(&pool, "A-2").await.1);
    let service = Service::start(&database).await;
    assert_eq!(codes(&walk(&service, &below("A-2")).await), ["A-1-1"]);
    assert!(walk(&service, &below("A-1")).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_file_with_faults_leaves_nothing_and_tells_each_line() {
    let database = empty().await;
    let text = format!(
        "{HEADER}\nA,团省委,PROVINCIAL,,340000\nA-1,,TOWNSHIP,A,\nA-2,团委,TOWNSHIP,X,\n\
         A-3,团委,CLUB,A,\nA-4,团委,TOWNSHIP,A,340299\nA,团委,TOWNSHIP,,\nA 5,团委,TOWNSHIP,A,\n"
    );
    let told = faults(&database, &text).await;
    let expected = [
        (3, Problem::Text("name")),
        (4, Problem::Unknown("parent_code")),
        (5, Problem::Kind),
        (6, Problem::Unknown("region_code")),
        (7, Problem::Duplicate),
        (8, Problem::Code("code")),
    ];
    assert_eq!(told, expected.map(|(line, problem)| Fault { line, problem }));
    assert_eq!(dump(&database.pool().await).await.len(), 3214);
}

#[tokio::test]
async fn a_circle_and_an_unknown_successor_are_refused() {
    let database = empty().await;
    let text = format!(
        "{HEADER},state,successor_code\nA,甲,COUNTY,B,,,\nB,乙,COUNTY,A,,,\nC,丙,COUNTY,,,CLOSED,X\n"
    );
    let expected =
        [(2, Problem::Cycle), (3, Problem::Cycle), (4, Problem::Unknown("successor_code"))];
    let told = faults(&database, &text).await;
    assert_eq!(told, expected.map(|(line, problem)| Fault { line, problem }));
}

#[tokio::test]
async fn a_circle_through_what_is_there_already_is_refused() {
    let database = empty().await;
    load(&database, &format!("{HEADER}\nA,甲,COUNTY,,\nB,乙,COUNTY,A,\n")).await.unwrap();
    let told = faults(&database, &format!("{HEADER}\nA,甲,COUNTY,B,\n")).await;
    assert_eq!(told, [Fault { line: 2, problem: Problem::Cycle }]);
    assert!(place(&database.pool().await, "A").await.0.is_empty());
}

#[tokio::test]
async fn a_file_that_is_none_is_refused() {
    let database = empty().await;
    let refused = load(&database, "code,name\nA,甲\n").await.unwrap_err();
    assert!(matches!(refused, MigrateError::Organizations(LoadError::Csv(_))), "{refused:?}");
    let missing = config(&database, Seed::File("/nowhere/organizations.csv".into()));
    let refused = zhiyuan_orgtree::migrate(&missing).await.unwrap_err();
    assert!(matches!(refused, MigrateError::File { .. }), "{refused:?}");
    assert!(refused.to_string().contains("/nowhere/organizations.csv"));
}
