//! What a move does to those who administer, and to the figures.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Request};
use zhiyuan_contracts::orgtree::v1::{Permission, Verdict};
use zhiyuan_orgtree::Role as TypedRole;

use super::{administrator, create, creates, get, moves, relocate};
use crate::authority::{Suite, account, refusal};
use crate::dated::come;

/// Until nothing can take effect any more that was allowed before.
const OVER: Duration = Duration::from_millis(5_050);

#[tokio::test]
async fn a_move_answers_when_what_was_allowed_from_above_is_over() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    suite.make(account(2), "A-1", TypedRole::Manager).await;
    let allowed = async |code| suite.verdict(account(2), code, Permission::Review).await;
    assert_eq!(allowed("A-1-1").await, Verdict::Allowed);
    let wanted = moves(&get(&suite, "A-1-1").await, "A-2");
    let begun = Instant::now();
    // With the deadline that a call has by itself it is told to come again, and it is done.
    let status = admin.move_organization(wanted.clone()).await.unwrap_err();
    let in_progress = (Code::Unavailable, "REVOCATION_IN_PROGRESS".to_owned());
    assert_eq!(refusal(&status), in_progress);
    assert!(begun.elapsed() < OVER);
    assert_eq!(allowed("A-1-1").await, Verdict::OutOfScope);
    assert_eq!(allowed("A-1").await, Verdict::Allowed);
    let moved = relocate(&mut admin, wanted.clone()).await.unwrap();
    assert!(begun.elapsed() >= OVER);
    assert_eq!((moved.parent_code.as_str(), moved.etag.as_str()), ("A-2", "2"));
    // It is over: nobody waits again.
    let again = Instant::now();
    assert_eq!(relocate(&mut admin, wanted).await.unwrap(), moved);
    assert!(again.elapsed() < OVER);
    suite.stop().await;
}

#[tokio::test]
async fn a_move_that_nobody_loses_anything_by_answers_at_once() {
    let suite = Suite::on_province().await;
    let mut admin = administrator(&suite, 1, "A").await;
    // Who administers what moves, and who administers both, lose nothing.
    suite.make(account(2), "A-1-1", TypedRole::Manager).await;
    suite.make(account(3), "A-2", TypedRole::Manager).await;
    let mut request = Request::new(moves(&get(&suite, "A-1-1").await, "A-2"));
    request.set_timeout(Duration::from_secs(4));
    admin.move_organization(request).await.unwrap();
    for person in [2, 3] {
        let verdict = suite.verdict(account(person), "A-1-1", Permission::Review).await;
        assert_eq!(verdict, Verdict::Allowed);
    }
    suite.stop().await;
}

#[tokio::test]
async fn figures_move_along_whether_they_are_folded_or_not() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    let mut admin = administrator(&suite, 1, "A").await;
    // Who came to an organization that there is not yet counts above it once there is.
    for (code, count) in [("A-1-1", 3), ("A-2-1", 4), ("A-2-2", 5)] {
        come(&mut connection, code, count).await;
    }
    let kept = async |code: &str| {
        let sql = "SELECT ((SELECT coalesce(sum(subtree_volunteers), 0)
                           FROM orgtree.organization_count WHERE organization_code = $1)
                        + (SELECT coalesce(sum(d.volunteers), 0) FROM orgtree.count_delta d
                           JOIN orgtree.organization o ON o.code = d.organization_code
                           WHERE d.folded_at IS NULL
                             AND orgtree.is_within(o.code, o.ancestors, $1)))::text";
        let kept: String = sqlx::query_scalar(sql).bind(code).fetch_one(&pool).await.unwrap();
        kept
    };
    create(&mut admin, creates("A-2-2", "A-2", "镇二二")).await.unwrap();
    assert_eq!(kept("A-2").await, "9");
    relocate(&mut admin, moves(&get(&suite, "A-2").await, "A-1-1")).await.unwrap();
    for (code, expected) in [("A", "12"), ("A-1", "12"), ("A-1-1", "12"), ("A-2", "9")] {
        assert_eq!(kept(code).await, expected, "{code}");
    }
    relocate(&mut admin, moves(&get(&suite, "A-2").await, "A")).await.unwrap();
    for (code, expected) in [("A", "12"), ("A-1", "3"), ("A-1-1", "3"), ("A-2", "9")] {
        assert_eq!(kept(code).await, expected, "{code}");
    }
    assert!(zhiyuan_orgtree::verify(&suite.config, None).await.unwrap().is_empty());
    suite.stop().await;
}
