//! The end of an account.

use std::time::Instant;

use futures_util::future::join_all;
use tonic::{Code, Response};
use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_contracts::identity::v1::{
    AccountChanged, AccountState, ChangePasswordRequest, ChangePhoneRequest, CloseMyAccountRequest,
    EnrolmentState, GetAccountRequest, PhoneProof, SmsPurpose, Tokens,
};
use zhiyuan_testkit::{Person, person};

use crate::account::{Answer, PASSWORD, password_of, refused, with};
use crate::harness::{Identity, KEYS_OF_PEOPLE};

/// Somebody who has signed in, with what is needed to close the account.
async fn with_one() -> (Identity, Person, Tokens) {
    let (identity, person) = (Identity::start().await, person(1));
    identity.register(&person).await;
    let tokens = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    (identity, person, tokens)
}

impl Identity {
    async fn proof(&self, person: &Person) -> CloseMyAccountRequest {
        let (sms_challenge_id, sms_code) =
            self.code_for(&person.mobile, SmsPurpose::CloseAccount).await;
        CloseMyAccountRequest { password: PASSWORD.into(), sms_challenge_id, sms_code }
    }

    async fn close(&self, tokens: &Tokens, request: &CloseMyAccountRequest) -> Answer<()> {
        let mut client = AccountServiceClient::new(self.channel());
        client.close_my_account(with(tokens, request.clone())).await.map(|_closed| ())
    }

    async fn told_of_accounts(&self) -> Vec<(i64, AccountState)> {
        let kind = "zhiyuan.identity.v1.AccountChanged";
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT revision, payload FROM
                 (SELECT revision, payload, type FROM identity.outbox
                  UNION ALL SELECT revision, payload, type FROM identity.event) told
             WHERE type = $1 ORDER BY revision",
        )
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let state =
            |payload: &[u8]| <AccountChanged as prost::Message>::decode(payload).unwrap().state();
        rows.into_iter().map(|(revision, payload)| (revision, state(&payload))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_closed_account_that_tells_who_it_was() {
    let (identity, person, tokens) = with_one().await;
    let other_device = identity.by_password(&person.id_number, PASSWORD).await.unwrap();
    let (enrolment_id, account_id): (uuid::Uuid, uuid::Uuid) =
        sqlx::query_as("SELECT enrolment_id, account_id FROM identity.account")
            .fetch_one(&identity.pool)
            .await
            .unwrap();
    let proof = identity.proof(&person).await;
    identity.close(&tokens, &proof).await.unwrap();

    // All sessions are over, here at once.
    for tokens in [&tokens, &other_device] {
        let status = identity.sessions_of(tokens).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(refused(identity.refresh(&tokens.refresh_token).await), "SESSION_OVER");
    }
    // Nobody is signed in as by a wrong password, and the phone is nobody's.
    for identifier in [&person.mobile, &person.id_number] {
        let answer = identity.sign_in(password_of(identifier, PASSWORD)).await;
        assert_eq!(refused(answer), "SIGN_IN_REFUSED");
    }
    let by_code = identity.code_request(&person.mobile).await;
    assert_eq!(refused(identity.sign_in(by_code).await), "ACCOUNT_NOT_FOUND");
    // What others ask.
    let request = GetAccountRequest { account_id: account_id.to_string() };
    let shown = AccountServiceClient::new(identity.suite()).get_account(request).await;
    assert_eq!(refused(shown.map(Response::into_inner)), "ACCOUNT_NOT_FOUND");
    let enrolment = identity.get(&enrolment_id.to_string()).await.unwrap();
    assert_eq!((enrolment.state(), enrolment.masked_name.as_str()), (EnrolmentState::Active, ""));
    assert_eq!(
        identity.told_of_accounts().await,
        [(1, AccountState::Active), (3, AccountState::Closed)]
    );

    for empty in [
        "SELECT count(*) FROM identity.number",
        "SELECT count(*) FROM identity.device",
        "SELECT count(*) FROM identity.session",
        "SELECT count(*) FROM identity.enrolment WHERE phone_index IS NOT NULL",
        "SELECT count(*) FROM identity.account WHERE name IS NOT NULL OR phone_index IS NOT NULL",
    ] {
        assert_eq!(identity.count(empty).await, 0, "{empty}");
    }
    let recorded = "SELECT count(*) FROM
             (SELECT action, subject_account_id FROM identity.audit_pending
              UNION ALL SELECT action, subject_account_id FROM identity.audit_entry) acts
         JOIN identity.account ON account_id = subject_account_id
         WHERE action = 'identity.account.closed'";
    assert_eq!(identity.count(recorded).await, 1);
    // The phone is told, and forgotten then: no key of anybody is left.
    for _ in 0..1000 {
        if identity.count(KEYS_OF_PEOPLE).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    let texts = identity.vendors.texts(&person.mobile);
    assert!(texts.iter().any(|text| text.contains("账号已注销")), "{texts:?}");
}

#[tokio::test]
async fn the_number_is_free_and_who_registers_again_is_somebody_else() {
    let (identity, person, tokens) = with_one().await;
    let proof = identity.proof(&person).await;
    identity.close(&tokens, &proof).await.unwrap();
    identity.pass(time::Duration::MINUTE);
    identity.register(&person).await;
    let tokens = identity.by_password(&person.id_number, PASSWORD).await.unwrap();
    assert_eq!(identity.sessions_of(&tokens).await.unwrap().len(), 1);
    let accounts = "SELECT count(DISTINCT account_id) FROM identity.account";
    assert_eq!(identity.count(accounts).await, 2);
    assert_eq!(
        identity.count("SELECT count(*) FROM identity.account WHERE state = 'CLOSED'").await,
        1
    );
}

#[tokio::test]
async fn password_and_code_are_needed_both() {
    let (identity, person, tokens) = with_one().await;
    let right = identity.proof(&person).await;
    let wrong_digits = if right.sms_code == "000000" { "000001" } else { "000000" };
    let wrong_code = CloseMyAccountRequest { sms_code: wrong_digits.into(), ..right.clone() };
    let status = identity.close(&tokens, &wrong_code).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(refused(Err::<(), _>(status)), "SMS_CODE_WRONG");
    // A code for something else is none for this.
    let (sms_challenge_id, sms_code) =
        identity.code_for(&person.mobile, SmsPurpose::ChangePhone).await;
    let other = CloseMyAccountRequest { sms_challenge_id, sms_code, password: PASSWORD.into() };
    assert_eq!(refused(identity.close(&tokens, &other).await), "SMS_CODE_WRONG");
    for (request, expected) in [
        (
            CloseMyAccountRequest { password: "wrong-tea-42".into(), ..right.clone() },
            "PASSWORD_WRONG",
        ),
        (CloseMyAccountRequest { password: String::new(), ..right.clone() }, "INVALID_FIELDS"),
        (CloseMyAccountRequest { sms_code: "1".into(), ..right.clone() }, "INVALID_FIELDS"),
    ] {
        assert_eq!(refused(identity.close(&tokens, &request).await), expected);
    }
    // Who has not signed in, nobody.
    let mut client = AccountServiceClient::new(identity.channel());
    let status = client.close_my_account(right.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    // Nothing has happened: the account is there, and the session goes on.
    assert_eq!(identity.sessions_of(&tokens).await.unwrap().len(), 1);
    assert_eq!(identity.told_of_accounts().await, [(1, AccountState::Active)]);
    // The right code still proves the phone.
    identity.close(&tokens, &right).await.unwrap();
}

#[tokio::test]
async fn a_right_code_opens_no_way_to_guess_the_password() {
    let (identity, person, tokens) = with_one().await;
    let mut reasons = Vec::new();
    for _ in 0..5 {
        let proof = identity.proof(&person).await;
        for guess in 0..2 {
            let password = format!("guess-tea-{guess}");
            let request = CloseMyAccountRequest { password, ..proof.clone() };
            reasons.push(refused(identity.close(&tokens, &request).await));
        }
    }
    assert!(reasons.contains(&"SIGN_IN_DELAYED".to_owned()), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_closings_at_once_one_closes() {
    let (identity, person, tokens) = with_one().await;
    let proof = identity.proof(&person).await;
    let answers = join_all((0..4).map(|_| identity.close(&tokens, &proof))).await;
    let closed = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(closed, 1, "{answers:?}");
    assert_eq!(identity.told_of_accounts().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_closing_overtakes_is_of_nobody_who_is_signed_in() {
    let (identity, person, tokens) = with_one().await;
    let closing = identity.proof(&person).await;
    let proof = PhoneProof {
        sms_challenge_id: closing.sms_challenge_id.clone(),
        sms_code: closing.sms_code.clone(),
    };
    let phone = ChangePhoneRequest {
        new_phone: "13987654321".into(),
        current_proof: Some(proof.clone()),
        new_proof: Some(PhoneProof { sms_code: "123456".into(), ..proof }),
    };
    let password = ChangePasswordRequest {
        current_password: PASSWORD.into(),
        new_password: "white-tea-43".into(),
    };
    // Each has found the account, and is about to ask for its data key.
    let mut held = identity.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE keys.data_key").execute(&mut *held).await.unwrap();
    let calls = async {
        let (mut phones, mut passwords) = (identity.credentials(), identity.credentials());
        tokio::join!(
            async { identity.close(&tokens, &closing).await.unwrap_err() },
            async { phones.change_phone(with(&tokens, phone)).await.unwrap_err() },
            async { passwords.change_password(with(&tokens, password)).await.unwrap_err() },
        )
    };
    let overtaken = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
             WHERE wait_event_type = 'Lock' AND query LIKE '%FROM keys.data_key%'";
        let begun = Instant::now();
        while identity.count(waiting).await < 3 {
            assert!(begun.elapsed().as_secs() < 60, "they don't ask for the key");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        sqlx::query(
            "UPDATE identity.account SET state = 'CLOSED', closed_at = now(), name = NULL,
                 id_number = NULL, phone = NULL, phone_index = NULL, password_hash = NULL,
                 phone_attached = false",
        )
        .execute(&identity.pool)
        .await
        .unwrap();
        sqlx::query("DELETE FROM keys.data_key").execute(&mut *held).await.unwrap();
        held.commit().await.unwrap();
    };
    let ((closing, phone, password), ()) = tokio::join!(calls, overtaken);
    for status in [closing, phone, password] {
        assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
        assert_eq!(refused(Err::<(), _>(status)), "SIGN_IN_REFUSED");
    }
}
