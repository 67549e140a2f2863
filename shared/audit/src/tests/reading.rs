//! Who looked at my data.

use sqlx::AssertSqlSafe;
use zhiyuan_telemetry::propagation::accept;

use super::toy::{Toy, account, record};
use crate::{Actor, Outcome, Record, operator};

/// The numbers of acts, as a page of them tells.
async fn page(toy: &Toy, before: Option<i64>, limit: i64) -> (Vec<String>, Option<i64>) {
    let mut connection = toy.pool.acquire().await.unwrap();
    let found =
        toy.trail.list_by_subject(&mut connection, account(1), before, limit).await.unwrap();
    let last = found.last().and_then(|entry| entry.index);
    (found.into_iter().map(|entry| entry.details[0].1.clone()).collect(), last)
}

#[tokio::test]
async fn a_person_reads_what_was_done_to_them_the_latest_first() {
    let toy = Toy::new().await;
    // The odd ones are about the person.
    toy.act(1..=9).await;
    toy.sealed().await;
    toy.act(10..=13).await;
    let (first, next) = page(&toy, None, 3).await;
    assert_eq!(first, ["13", "11", "9", "7", "5"], "what is pending comes on top");
    assert_eq!(next, Some(5));
    let (second, next) = page(&toy, next, 3).await;
    assert_eq!(second, ["3", "1"]);
    assert_eq!(page(&toy, next, 3).await, (vec![], None));
    // Sealed meanwhile: neither twice nor lost.
    toy.sealed().await;
    assert_eq!(page(&toy, None, 9).await.0, ["13", "11", "9", "7", "5", "3", "1"]);
    assert_eq!(page(&toy, Some(5), 3).await.0, ["3", "1"]);
}

#[tokio::test]
async fn an_entry_tells_all_that_was_recorded() {
    let toy = Toy::new().await;
    let full = record(1).with("rows", 3);
    let bare = Record::refused(Actor::ServiceAccount("platform".into()), "toy.thing.seen");
    let mut connection = toy.pool.acquire().await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut headers = http::HeaderMap::new();
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    headers.insert("traceparent", traceparent.parse().unwrap());
    {
        let _in_the_trace = accept(&headers).attach();
        toy.trail.append(&mut connection, &full).await.unwrap();
    }
    toy.trail.append(&mut connection, &bare.about(account(1))).await.unwrap();
    for sealed in [false, true] {
        if sealed {
            toy.sealed().await;
        }
        let found = toy.trail.list_by_subject(&mut connection, account(1), None, 10).await.unwrap();
        let [bare, full] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (full.index, bare.index),
            if sealed { (Some(1), Some(2)) } else { (None, None) }
        );
        assert_eq!(full.at, zhiyuan_domain::Clock::now(toy.clock.as_ref()));
        assert_eq!(full.actor, Actor::Person(account(1)));
        assert_eq!(full.action, "toy.thing.done");
        assert_eq!(full.organization.as_deref(), Some("AH-1"));
        assert_eq!(full.purpose.as_deref(), Some("核对身份"));
        assert_eq!(full.outcome, Outcome::Done);
        let details = [("n", "1"), ("rows", "3")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(full.details, details);
        assert_eq!(full.trace_id.as_deref(), Some(trace));
        assert_eq!(bare.actor, Actor::ServiceAccount("platform".into()));
        assert_eq!(
            (bare.outcome, &bare.organization, &bare.purpose, &bare.trace_id),
            (Outcome::Refused, &None, &None, &None)
        );
        assert!(!format!("{full:?}").contains("核对"));
    }
}

#[tokio::test]
async fn a_person_is_found_by_an_index() {
    let (toy, _) = Toy::chained().await;
    let mut connection = toy.pool.acquire().await.unwrap();
    sqlx::raw_sql("SET enable_seqscan = off").execute(&mut *connection).await.unwrap();
    let sql = "EXPLAIN SELECT index FROM audit_test.audit_entry
               WHERE subject_account_id = '00000000-0000-0000-0000-000000000002'
                 AND index < 9223372036854775807
               ORDER BY index DESC LIMIT 3";
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert!(plan.concat().contains("audit_entry_subject"), "{plan:?}");
}

#[tokio::test]
async fn an_operator_is_the_role_of_the_session() {
    let toy = Toy::new().await;
    let mut connection = toy.pool.acquire().await.unwrap();
    let actor = operator(&mut connection).await.unwrap();
    assert_eq!(actor, Actor::Operator("zhiyuan_audit_test".into()));
}
