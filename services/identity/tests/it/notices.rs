//! What people are told by text message besides codes: budgets, and what became of it.

use time::Duration;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::notice_service_client::NoticeServiceClient;
use zhiyuan_contracts::identity::v1::{ListMyNoticesRequest, NoticeOutcome, Tokens};
use zhiyuan_domain::Partition;
use zhiyuan_testkit::person;

use crate::account::{PASSWORD, with};
use crate::harness::Identity;

/// Queues as many notices to everybody's account as said.
async fn queue(identity: &Identity, count: usize) {
    let sql = "SELECT account_id FROM identity.account ORDER BY account_id";
    let accounts: Vec<Uuid> = sqlx::query_scalar(sql).fetch_all(&identity.pool).await.unwrap();
    let now = zhiyuan_domain::Clock::now(identity.clock.as_ref());
    let mut tx = identity.pool.begin().await.unwrap();
    for account in accounts {
        for n in 0..count {
            sqlx::query(
                "INSERT INTO identity.notice
                     (notice_id, once, template, partition, account_id, state, next_attempt_at,
                      created_at, updated_at)
                 VALUES ($1, $2, 'PASSWORD_CHANGED', $3, $4, 'QUEUED', $5, $5, $5)",
            )
            .bind(zhiyuan_domain::new_id(identity.clock.as_ref()))
            .bind(format!("test/{account}/{n}/{now}"))
            .bind(Partition::of(account).get())
            .bind(account)
            .bind(now)
            .execute(&mut *tx)
            .await
            .unwrap();
        }
    }
    tx.commit().await.unwrap();
}

/// Waits until the queue was gone through once more.
async fn settled(identity: &Identity) {
    // Whatever is left waits for a later time.
    let due = "SELECT count(*) FROM identity.notice
               WHERE state = 'QUEUED' AND next_attempt_at <= (SELECT max(at) FROM test_now)";
    sqlx::query("CREATE TABLE IF NOT EXISTS test_now (at timestamptz)")
        .execute(&identity.pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO test_now VALUES ($1)")
        .bind(zhiyuan_domain::Clock::now(identity.clock.as_ref()))
        .execute(&identity.pool)
        .await
        .unwrap();
    let began = std::time::Instant::now();
    while identity.count(due).await > 0 {
        assert!(began.elapsed().as_secs() < 30, "nobody sends");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // Those that are leased for five minutes are being sent.
    let leased = "SELECT count(*) FROM identity.notice
                  WHERE state = 'QUEUED'
                    AND next_attempt_at = (SELECT max(at) FROM test_now) + interval '5 minutes'";
    while identity.count(leased).await > 0 {
        assert!(began.elapsed().as_secs() < 30, "nobody sends");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn outcomes(identity: &Identity, tokens: &Tokens) -> Vec<NoticeOutcome> {
    let mut client =
        NoticeServiceClient::new(zhiyuan_rpc::connect_lazy(&identity.address).unwrap());
    let request = with(tokens, ListMyNoticesRequest::default());
    let listed = client.list_my_notices(request).await.unwrap().into_inner().notices;
    assert!(listed.iter().all(|notice| notice.text.contains("密码已更改")));
    assert!(listed.iter().all(|notice| {
        notice.end_time.is_some() == (notice.outcome() != NoticeOutcome::Queued)
    }));
    listed.iter().map(zhiyuan_contracts::identity::v1::Notice::outcome).collect()
}

fn changed(identity: &Identity, phone: &str) -> usize {
    let texts = identity.vendors.texts(phone);
    texts.iter().filter(|text| text.contains("密码已更改")).count()
}

#[tokio::test]
async fn a_phone_gets_ten_notices_a_day_and_the_others_later() {
    let identity = Identity::start().await;
    let (one, other) = (person(1), person(2));
    identity.register(&one).await;
    identity.register(&other).await;
    queue(&identity, 12).await;
    settled(&identity).await;
    // Each phone by itself.
    assert_eq!((changed(&identity, &one.mobile), changed(&identity, &other.mobile)), (10, 10));
    let tokens = identity.by_password(&one.mobile, PASSWORD).await.unwrap();
    let listed = outcomes(&identity, &tokens).await;
    assert_eq!(listed.len(), 12);
    let taken = listed.iter().filter(|outcome| **outcome == NoticeOutcome::Taken).count();
    let queued = listed.iter().filter(|outcome| **outcome == NoticeOutcome::Queued).count();
    assert_eq!((taken, queued), (10, 2));
    identity.pass(Duration::hours(24));
    settled(&identity).await;
    assert_eq!(changed(&identity, &one.mobile), 12);
}

#[tokio::test]
async fn all_notices_together_have_a_budget_of_their_own() {
    let identity = Identity::start_with("[sms]\nnotice_minute_budget = 3\n").await;
    let one = person(1);
    identity.register(&one).await;
    queue(&identity, 5).await;
    settled(&identity).await;
    assert_eq!(changed(&identity, &one.mobile), 3);
    // A code is not refused for it.
    identity.pass(Duration::MINUTE);
    identity.try_send_code(&one.mobile).await.unwrap();
    settled(&identity).await;
    assert_eq!(changed(&identity, &one.mobile), 5);
}

#[tokio::test]
async fn what_nobody_takes_is_tried_for_two_days_and_costs_the_phone_nothing() {
    let identity = Identity::start().await;
    let one = person(1);
    identity.register(&one).await;
    identity.vendors.sms_down(true);
    queue(&identity, 11).await;
    settled(&identity).await;
    for _ in 0..3 {
        identity.pass(Duration::hours(12));
        settled(&identity).await;
    }
    // A second account of the phone would not be refused either.
    let sent = "SELECT coalesce(sum(cardinality(sent_at)), 0) FROM identity.notice_phone";
    assert_eq!(identity.count(sent).await, 0);
    identity.pass(Duration::hours(12));
    settled(&identity).await;
    let tokens = identity.by_password(&one.mobile, PASSWORD).await.unwrap();
    assert_eq!(outcomes(&identity, &tokens).await, [NoticeOutcome::GivenUp; 11]);
    identity.vendors.sms_down(false);
    queue(&identity, 1).await;
    settled(&identity).await;
    assert_eq!(outcomes(&identity, &tokens).await[0], NoticeOutcome::Taken);
}

/// As if the process had ended after the notice was taken, and before that was recorded.
async fn forget_what_became_of_it(identity: &Identity) {
    sqlx::query(
        "UPDATE identity.notice
         SET state = 'QUEUED', outcome = NULL, next_attempt_at = $1, handed_over = true",
    )
    .bind(zhiyuan_domain::Clock::now(identity.clock.as_ref()))
    .execute(&identity.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_notice_whose_sender_died_in_between_arrives_once() {
    for (more, outcome) in [("", NoticeOutcome::Taken), ("# NO_IDS\n", NoticeOutcome::Unknown)] {
        let identity = Identity::start_with(more).await;
        let one = person(1);
        identity.register(&one).await;
        let tokens = identity.by_password(&one.mobile, PASSWORD).await.unwrap();
        queue(&identity, 1).await;
        settled(&identity).await;
        assert_eq!(outcomes(&identity, &tokens).await, [NoticeOutcome::Taken]);
        assert_eq!(changed(&identity, &one.mobile), 1);
        forget_what_became_of_it(&identity).await;
        settled(&identity).await;
        assert_eq!(outcomes(&identity, &tokens).await, [outcome]);
        assert_eq!(changed(&identity, &one.mobile), 1);
        // What is known not to have been taken is sent again.
        identity.pass(Duration::MINUTE);
        identity.vendors.sms_down(true);
        queue(&identity, 1).await;
        settled(&identity).await;
        identity.vendors.sms_down(false);
        identity.pass(Duration::hours(12));
        settled(&identity).await;
        assert_eq!(changed(&identity, &one.mobile), 2, "{more}");
    }
}
