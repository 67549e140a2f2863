//! What may be shown of whose account it is.

use tonic::Code;
use zhiyuan_contracts::identity::v1::GetAccountRequest;
use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_testkit::person;

use crate::account::refused;
use crate::harness::Identity;

#[tokio::test]
async fn nothing_is_shown_of_an_account_but_the_beginning_of_the_name_and_the_ends_of_the_phone() {
    let (identity, person) = (Identity::start().await, person(1));
    let application = identity.application(&person).await;
    let account_id = identity.begin(&application).await.account_id;
    let get = async |account_id: &str| {
        let request = GetAccountRequest { account_id: account_id.to_owned() };
        let answer = AccountServiceClient::new(identity.suite()).get_account(request).await;
        answer.map(tonic::Response::into_inner)
    };
    // It is not active yet.
    assert_eq!(refused(get(&account_id).await), "ACCOUNT_NOT_FOUND");
    identity.activate(&application.enrolment_id).await.unwrap();
    let shown = get(&account_id).await.unwrap();
    let first = person.name.chars().next().unwrap();
    let hidden = "*".repeat(person.name.chars().count() - 1);
    assert_eq!(shown.masked_name, format!("{first}{hidden}"));
    let (start, end) = (&person.mobile[..3], &person.mobile[7..]);
    assert_eq!(shown.masked_phone, format!("{start}****{end}"));
    // Also long after the enrolment is forgotten.
    sqlx::query("DELETE FROM identity.enrolment").execute(&identity.pool).await.unwrap();
    assert_eq!(get(&account_id).await.unwrap(), shown);
    let status = get("01938f2e-7b5a-7c6d-8e9f-0a1b2c3d4e5f").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(refused(get("canary").await), "INVALID_FIELDS");
}
