//! What people prove their accounts with, and how it changes.

use tonic::Code;
use zhiyuan_contracts::identity::v1::audit_service_client::AuditServiceClient;
use zhiyuan_contracts::identity::v1::notice_service_client::NoticeServiceClient;
use zhiyuan_contracts::identity::v1::{
    ActorKind, ChangePasswordRequest, ChangePhoneRequest, ListMyNoticesRequest,
    ListMyRecordsRequest, PhoneProof, ResetPasswordRequest, SmsPurpose,
};

use crate::account::{PASSWORD, refused, with};
use crate::sessions::{is_refused, signed_in};

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions_and_is_told() {
    let (identity, person, other) = signed_in().await;
    let mine = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    let texts = identity.vendors.texts(&person.mobile).len();
    let change = |current: &str, new: &str| {
        let request = ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: new.to_owned(),
        };
        let (mut client, request) = (identity.credentials(), with(&mine, request));
        async move { client.change_password(request).await }
    };
    assert_eq!(refused(change("wrong-tea-42", "white-tea-43").await), "PASSWORD_WRONG");
    for bad in ["", "short", "12345678", &person.id_number[..10], &format!("a{}", person.mobile)] {
        assert_eq!(refused(change(PASSWORD, bad).await), "INVALID_FIELDS", "{bad}");
    }
    // Who does not know the present password learns nothing of what a new one is made of.
    let guess = &person.id_number[..10];
    assert_eq!(refused(change("wrong-tea-42", guess).await), "PASSWORD_WRONG");
    // Each of the two was one slip: four are without a wait.
    assert_eq!(refused(change("wrong-tea-42", "white-tea-43").await), "PASSWORD_WRONG");
    // The same once more changes nothing.
    change(PASSWORD, PASSWORD).await.unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.device").await, 2);
    change(PASSWORD, "white-tea-43").await.unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.device").await, 0);
    // Sent again.
    change(PASSWORD, "white-tea-43").await.unwrap();
    assert!(is_refused(&identity, &other).await);
    assert!(!is_refused(&identity, &mine).await);
    assert_eq!(refused(identity.by_password(&person.mobile, PASSWORD).await), "SIGN_IN_REFUSED");
    identity.by_password(&person.mobile, "white-tea-43").await.unwrap();
    let told = identity.until_texts(&person.mobile, texts + 1).await;
    assert!(told.last().unwrap().contains("密码已更改"));
    // And the person can read it.
    let mut audit = AuditServiceClient::new(identity.channel());
    let request = with(&mine, ListMyRecordsRequest::default());
    let records = audit.list_my_records(request).await.unwrap().into_inner().records;
    let told: Vec<_> =
        records.iter().map(|record| (record.actor_kind(), &*record.action)).collect();
    assert_eq!(told, [(ActorKind::Person, "identity.password.changed")]);
    // Later it would be a second guess, and is none.
    identity.pass(time::Duration::minutes(10));
    let mine = identity.refresh(&mine.refresh_token).await.unwrap();
    let change = |current: &str| {
        let request = ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: "white-tea-43".to_owned(),
        };
        let (mut client, request) = (identity.credentials(), with(&mine, request));
        async move { client.change_password(request).await }
    };
    // Whoever has a session can't try passwords without end.
    for _ in 0..4 {
        assert_eq!(refused(change("wrong-tea-42").await), "PASSWORD_WRONG");
    }
    assert_eq!(refused(change("wrong-tea-42").await), "SIGN_IN_DELAYED");
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_code_and_all_sessions_end() {
    let (identity, person, tokens) = signed_in().await;
    let (sms_challenge_id, sms_code) =
        identity.code_for(&person.mobile, SmsPurpose::ResetPassword).await;
    let request = |new_password: &str| ResetPasswordRequest {
        phone: person.mobile.clone(),
        sms_challenge_id: sms_challenge_id.clone(),
        sms_code: sms_code.clone(),
        new_password: new_password.to_owned(),
        ..ResetPasswordRequest::default()
    };
    let reset = |request: ResetPasswordRequest| {
        let mut client = identity.credentials();
        async move { client.reset_password(request).await }
    };
    assert_eq!(refused(reset(ResetPasswordRequest::default()).await), "INVALID_FIELDS");
    let other_phone =
        ResetPasswordRequest { phone: "13912345678".into(), ..request("white-tea-43") };
    assert_eq!(refused(reset(other_phone).await), "SMS_CODE_WRONG");
    // The default password of the notice can't come back by choice.
    let eight = &person.id_number[10..];
    assert_eq!(refused(reset(request(eight)).await), "INVALID_FIELDS");
    reset(request("white-tea-43")).await.unwrap();
    assert!(is_refused(&identity, &tokens).await);
    assert_eq!(refused(reset(request("white-tea-44")).await), "SMS_CODE_USED");
    assert_eq!(refused(identity.by_password(&person.mobile, PASSWORD).await), "SIGN_IN_REFUSED");
    identity.by_password(&person.mobile, "white-tea-43").await.unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.device").await, 1);
}

#[tokio::test]
async fn a_phone_is_changed_by_codes_to_both_and_the_old_one_is_told() {
    let (identity, person, other) = signed_in().await;
    let mine = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    let new_phone = "13987654321";
    let proof = async |phone: &str| {
        let (sms_challenge_id, sms_code) = identity.code_for(phone, SmsPurpose::ChangePhone).await;
        Some(PhoneProof { sms_challenge_id, sms_code })
    };
    let (current_proof, new_proof) = (proof(&person.mobile).await, proof(new_phone).await);
    let request = ChangePhoneRequest { new_phone: new_phone.into(), current_proof, new_proof };
    let change = |request: ChangePhoneRequest| {
        let (mut client, request) = (identity.credentials(), with(&mine, request));
        async move { client.change_phone(request).await }
    };
    for half in [
        ChangePhoneRequest { current_proof: None, ..request.clone() },
        ChangePhoneRequest { new_proof: None, ..request.clone() },
    ] {
        let status = change(half).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(crate::codes::reason(&status), "PHONE_PROOF_MISSING");
    }
    let twice = ChangePhoneRequest { new_proof: request.current_proof.clone(), ..request.clone() };
    assert_eq!(refused(change(twice).await), "SMS_CODE_WRONG");
    let texts = identity.vendors.texts(&person.mobile).len();
    change(request.clone()).await.unwrap();
    // Sent again.
    change(request).await.unwrap();
    assert!(is_refused(&identity, &other).await);
    assert_eq!(identity.count("SELECT count(*) FROM identity.device").await, 0);
    assert_eq!(refused(identity.by_password(&person.mobile, PASSWORD).await), "SIGN_IN_REFUSED");
    identity.by_password(new_phone, PASSWORD).await.unwrap();
    let told = identity.until_texts(&person.mobile, texts + 1).await;
    assert!(told.last().unwrap().contains("已更换手机号"));
    // And is read by whose phone it was.
    let mut notices = NoticeServiceClient::new(identity.channel());
    let listed = notices.list_my_notices(with(&mine, ListMyNoticesRequest::default())).await;
    let listed = listed.unwrap().into_inner().notices;
    assert!(listed[0].text.contains("已更换手机号"), "{listed:?}");
}
