//! What is personal is sealed, and a sealed value is good in its own place only.

use tonic::Code;
use zhiyuan_testkit::person;

use crate::harness::Identity;

#[tokio::test]
async fn no_row_holds_a_name_a_number_a_phone_or_a_password_in_clear() {
    let identity = Identity::start().await;
    let someone = person(1);
    identity.begin(&identity.application(&someone).await).await;
    identity.vendors.register_down(true);
    identity.begin(&identity.application(&person(2)).await).await;
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT schemaname::text, tablename::text FROM pg_tables
         WHERE schemaname IN ('identity', 'keys')",
    )
    .fetch_all(&identity.pool)
    .await
    .unwrap();
    let mut dump = String::new();
    for (schema, table) in &tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {schema}.{table} t");
        let text: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&identity.pool).await.unwrap();
        dump.push_str(&text);
    }
    assert!(dump.contains("CLAIMED") && dump.contains("PENDING"), "the dump is not empty");
    for person in [someone, person(2)] {
        for clear in [person.name.as_str(), person.id_number.as_str(), person.mobile.as_str()] {
            let hex: String = clear.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!dump.contains(clear) && !dump.contains(&hex));
        }
    }
    assert!(!dump.contains("green-tea-42"));
}

#[tokio::test]
async fn a_sealed_value_that_was_moved_is_data_loss() {
    let identity = Identity::start().await;
    let first = identity.begin(&identity.application(&person(1)).await).await;
    let second = identity.begin(&identity.application(&person(2)).await).await;
    sqlx::query(
        "UPDATE identity.account a SET name = b.name FROM identity.account b
         WHERE a.enrolment_id = $1::uuid AND b.enrolment_id = $2::uuid",
    )
    .bind(&first.enrolment_id)
    .bind(&second.enrolment_id)
    .execute(&identity.pool)
    .await
    .unwrap();
    let moved = identity.get(&first.enrolment_id).await.unwrap_err();
    assert_eq!(moved.code(), Code::DataLoss);
    assert!(identity.get(&second.enrolment_id).await.is_ok());
    sqlx::query("UPDATE identity.account SET name = phone WHERE enrolment_id = $1::uuid")
        .bind(&second.enrolment_id)
        .execute(&identity.pool)
        .await
        .unwrap();
    let swapped = identity.get(&second.enrolment_id).await.unwrap_err();
    assert_eq!(swapped.code(), Code::DataLoss);
}
