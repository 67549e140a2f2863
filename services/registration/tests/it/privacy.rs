use sqlx::AssertSqlSafe;
use zhiyuan_contracts::identity::v1::EnrolmentRefusal;
use zhiyuan_contracts::registration::v1::RegisterRequest;

use crate::fake_identity::{Fault, Verdict};
use crate::harness::{Recovery, Service, form};

/// Every row of every table of the schema, as text.
async fn dump(service: &Service) -> String {
    let pool = sqlx::PgPool::connect(&service.database.admin_url()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'registration'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.len() >= 4);
    let mut text = String::new();
    for table in tables {
        let query = format!("SELECT row_to_json(t)::text FROM registration.{table} t");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&pool).await.unwrap();
        text.push_str(&rows.join("\n"));
    }
    text
}

fn personal(form: &RegisterRequest) -> Vec<String> {
    let number = &form.id_number;
    vec![
        form.name.clone(),
        number.clone(),
        number[6..14].to_owned(),
        number[10..].to_owned(),
        number[..10].to_owned(),
        form.phone.clone(),
        form.phone[3..].to_owned(),
        form.password.clone(),
        "汪".to_owned(),
        form.sms_challenge_id.clone(),
        format!("\"{}\"", form.sms_code),
    ]
}

#[tokio::test]
async fn nothing_personal_is_in_any_table() {
    let service = Service::start(Recovery::Off).await;
    let verdicts = [
        Verdict::Claimed,
        Verdict::Pending(service.now()),
        Verdict::Review(service.now()),
        Verdict::Accepted,
        Verdict::Refused(EnrolmentRefusal::IdNameMismatch),
    ];
    let mut forms = Vec::new();
    for (n, verdict) in verdicts.into_iter().enumerate() {
        service.identity.decide(verdict);
        let form = form(u32::try_from(n).unwrap() + 100);
        let _any = service.register(&form).await;
        forms.push(form);
    }
    for method in ["begin", "activate"] {
        service.identity.decide(Verdict::Claimed);
        service.identity.fail(method, &[Fault::Before]);
        let form = form(200);
        service.register(&form).await.unwrap_err();
        forms.push(form);
    }
    let text = dump(&service).await;
    for form in &forms {
        assert!(text.contains(&form.request_id));
        for part in personal(form) {
            assert!(!text.contains(&part), "{part}");
        }
    }
}

#[tokio::test]
async fn no_error_repeats_what_was_sent() {
    let service = Service::start(Recovery::Off).await;
    let sent = RegisterRequest {
        name: "canary7".into(),
        id_number: "canary-number".into(),
        phone: "canary-phone".into(),
        sms_code: "canary-code".into(),
        password: "c".into(),
        ..form(1)
    };
    let status = service.register(&sent).await.unwrap_err();
    assert!(!format!("{status:?}").contains("canary"));
}

#[tokio::test]
async fn the_same_form_has_the_same_digest_under_every_request_id() {
    let service = Service::start(Recovery::Off).await;
    let one = form(1);
    let other = RegisterRequest { request_id: form(1).request_id, ..one.clone() };
    service.register(&one).await.unwrap();
    service.register(&other).await.unwrap();
    let distinct = "SELECT count(DISTINCT digest) FROM registration.registration";
    assert_eq!(service.sql(distinct).await, "1");
    assert_eq!(service.sql("SELECT max(digest_version) FROM registration.registration").await, "1");
}
