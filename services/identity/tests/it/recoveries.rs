//! A lost phone: two administrators, a delay, and both phones told.

mod objecting;

use std::sync::Arc;

use futures_util::future::join_all;
use time::Duration;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::phone_recovery_service_client::PhoneRecoveryServiceClient;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    ApprovePhoneRecoveryRequest, BatchGetPhoneRecoveriesRequest, BeginPhoneRecoveryRequest,
    CancelPhoneRecoveryRequest, ChangePhoneRequest, CompletePhoneRecoveryRequest,
    ListMyPhoneRecoveriesRequest, ObjectToPhoneRecoveryByCodeRequest,
    ObjectToPhoneRecoveryByNoticeRequest, ObjectToPhoneRecoveryRequest, PhoneProof, PhoneRecovery,
    PhoneRecoveryState, SendSmsCodeRequest, SmsPurpose, Tokens,
};
use zhiyuan_domain::{Clock as _, ManualClock, SharedClock, SystemClock, new_id};
use zhiyuan_rpc::{SuiteChannel, connect_lazy};
use zhiyuan_testkit::{Person, person};

use crate::account::{Answer, PASSWORD, refused, with};
use crate::harness::Identity;
use crate::sessions::is_refused;

const NEW_PHONE: &str = "13987654321";
const NEW_PASSWORD: &str = "white-tea-43";
const DELAY: Duration = Duration::hours(72);

/// Somebody who has signed in, two administrators, and a recovery that is not begun yet.
struct Case {
    identity: Identity,
    person: Person,
    account_id: String,
    first: String,
    second: String,
    id: String,
}

fn new() -> String {
    new_id(&SystemClock).to_string()
}

impl Case {
    async fn new() -> Self {
        let (identity, person) = (Identity::start().await, person(1));
        identity.register(&person).await;
        let account_id: Uuid = sqlx::query_scalar("SELECT account_id FROM identity.account")
            .fetch_one(&identity.pool)
            .await
            .unwrap();
        let account_id = account_id.to_string();
        Self { identity, person, account_id, first: new(), second: new(), id: new() }
    }

    /// One that is approved.
    async fn approved() -> Self {
        let case = Self::new().await;
        case.begin().await.unwrap();
        let recovery = case.approve(&case.second).await.unwrap();
        assert_eq!(recovery.state(), PhoneRecoveryState::Approved);
        // Before any code, which is the last text of a phone: that of registering, and two.
        case.identity.until_texts(&case.person.mobile, 3).await;
        case.identity.until_texts(NEW_PHONE, 2).await;
        case
    }

    fn suite(&self) -> PhoneRecoveryServiceClient<SuiteChannel> {
        PhoneRecoveryServiceClient::new(self.identity.suite())
    }

    fn client(&self) -> PhoneRecoveryServiceClient<Channel> {
        PhoneRecoveryServiceClient::new(self.identity.channel())
    }

    fn beginning(&self) -> BeginPhoneRecoveryRequest {
        BeginPhoneRecoveryRequest {
            recovery_id: self.id.clone(),
            account_id: self.account_id.clone(),
            new_phone: NEW_PHONE.into(),
            started_by: self.first.clone(),
        }
    }

    async fn begin_with(&self, request: BeginPhoneRecoveryRequest) -> Answer<PhoneRecovery> {
        let answer = self.suite().begin_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    async fn begin(&self) -> Answer<PhoneRecovery> {
        self.begin_with(self.beginning()).await
    }

    async fn approve(&self, by: &str) -> Answer<PhoneRecovery> {
        let request = ApprovePhoneRecoveryRequest {
            recovery_id: self.id.clone(),
            approved_by: by.to_owned(),
        };
        let answer = self.suite().approve_phone_recovery(request).await?;
        Ok(answer.into_inner().recovery.unwrap())
    }

    async fn cancel(&self) -> PhoneRecovery {
        let request = CancelPhoneRecoveryRequest { recovery_id: self.id.clone() };
        let answer = self.suite().cancel_phone_recovery(request).await.unwrap();
        answer.into_inner().recovery.unwrap()
    }

    async fn state(&self) -> PhoneRecoveryState {
        let request = BatchGetPhoneRecoveriesRequest { recovery_ids: vec![self.id.clone()] };
        let answer = self.suite().batch_get_phone_recoveries(request).await.unwrap();
        answer.into_inner().recoveries[0].state()
    }

    /// What completes it, with a code that is right.
    async fn completion(&self) -> CompletePhoneRecoveryRequest {
        let (sms_challenge_id, sms_code) =
            self.identity.code_for(NEW_PHONE, SmsPurpose::RecoverAccount).await;
        CompletePhoneRecoveryRequest {
            phone: NEW_PHONE.into(),
            sms_challenge_id,
            sms_code,
            name: self.person.name.clone(),
            id_number_tail: self.person.id_number[12..].to_owned(),
            new_password: NEW_PASSWORD.into(),
        }
    }

    async fn complete(&self, request: &CompletePhoneRecoveryRequest) -> Answer<()> {
        self.client().complete_phone_recovery(request.clone()).await.map(|_done| ())
    }

    async fn sign_in(&self) -> Tokens {
        self.identity.by_password(&self.person.mobile, PASSWORD).await.unwrap()
    }

    async fn object(&self, tokens: &Tokens, id: &str) -> Answer<()> {
        let request = with(tokens, ObjectToPhoneRecoveryRequest { recovery_id: id.to_owned() });
        self.client().object_to_phone_recovery(request).await.map(|_done| ())
    }

    async fn object_by_code(&self, phone: &str, purpose: SmsPurpose) -> Answer<()> {
        let (sms_challenge_id, sms_code) = self.identity.code_for(phone, purpose).await;
        let phone = phone.to_owned();
        let request = ObjectToPhoneRecoveryByCodeRequest { phone, sms_challenge_id, sms_code };
        self.client().object_to_phone_recovery_by_code(request).await.map(|_done| ())
    }

    async fn recorded(&self) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT actor, action FROM
                 (SELECT at, actor, action FROM identity.audit_pending
                  UNION ALL SELECT at, actor, action FROM identity.audit_entry) acts
             WHERE action LIKE 'identity.phone\\_recovery.%' ORDER BY at, action DESC",
        )
        .fetch_all(&self.identity.pool)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn after_the_delay_the_new_phone_is_that_of_the_account() {
    let case = Case::new().await;
    let (old, identity) = (case.person.mobile.clone(), &case.identity);
    let other = case.sign_in().await;
    let texts = (identity.vendors.texts(&old).len(), identity.vendors.texts(NEW_PHONE).len());
    let begun = case.begin().await.unwrap();
    assert_eq!(begun.state(), PhoneRecoveryState::Started);
    assert_eq!(begun.masked_new_phone, "139****4321");
    // Sent again, it is known; both phones were told once.
    assert_eq!(case.begin().await.unwrap().id, case.id);
    let told = identity.until_texts(&old, texts.0 + 1).await;
    assert!(told.last().unwrap().contains("提出异议"), "{told:?}");
    let told = identity.until_texts(NEW_PHONE, texts.1 + 1).await;
    assert!(told.last().unwrap().contains("待另一位管理员核准"), "{told:?}");
    // Before a second person approves it, it is nothing, however long.
    let early = case.completion().await;
    assert_eq!(refused(case.complete(&early).await), "RECOVERY_NOT_FOUND");

    let approved = case.approve(&case.second).await.unwrap();
    assert_eq!(approved.state(), PhoneRecoveryState::Approved);
    let until = |recovery: &PhoneRecovery| {
        let (from, to) = (recovery.approve_time.unwrap(), recovery.complete_after_time.unwrap());
        to.seconds - from.seconds
    };
    assert_eq!(until(&approved), DELAY.whole_seconds());
    // Sent again, by whomever: the delay does not begin anew.
    let again = case.approve(&case.second).await.unwrap();
    assert_eq!(again.approve_time, approved.approve_time);
    identity.until_texts(&old, texts.0 + 2).await;
    assert_eq!(refused(case.complete(&early).await), "RECOVERY_TOO_EARLY");
    identity.pass(DELAY - Duration::minutes(5));
    let completion = case.completion().await;
    assert_eq!(refused(case.complete(&completion).await), "RECOVERY_TOO_EARLY");
    assert!(identity.by_password(&old, PASSWORD).await.is_ok());

    identity.pass(Duration::minutes(5));
    for bad in [&case.person.id_number[..10], &format!("a{NEW_PHONE}"), &format!("a{old}"), "short"]
    {
        let request =
            CompletePhoneRecoveryRequest { new_password: bad.into(), ..completion.clone() };
        assert_eq!(refused(case.complete(&request).await), "INVALID_FIELDS", "{bad}");
    }
    let completion = case.completion().await;
    case.complete(&completion).await.unwrap();
    assert_eq!(case.state().await, PhoneRecoveryState::Completed);
    assert!(is_refused(identity, &other).await);
    assert_eq!(identity.count("SELECT count(*) FROM identity.device").await, 0);
    assert_eq!(refused(identity.by_password(&old, NEW_PASSWORD).await), "SIGN_IN_REFUSED");
    assert_eq!(refused(identity.by_password(NEW_PHONE, PASSWORD).await), "SIGN_IN_REFUSED");
    identity.by_password(NEW_PHONE, NEW_PASSWORD).await.unwrap();
    // A code is used once, and what is over can't be had again.
    assert_eq!(refused(case.complete(&completion).await), "SMS_CODE_USED");
    let another = case.completion().await;
    assert_eq!(refused(case.complete(&another).await), "RECOVERY_NOT_FOUND");
    let told = identity.until_texts(&old, texts.0 + 3).await;
    assert!(told.iter().any(|text| text.contains("已更换手机号")), "{told:?}");
    for _ in 0..500 {
        if identity.vendors.texts(NEW_PHONE).iter().any(|text| text.contains("已更换为本手机号"))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(identity.vendors.texts(NEW_PHONE).iter().any(|text| text.contains("本手机号并重设")));
    // Who did what, for the person to read.
    let act =
        |actor: &str, what: &str| (actor.to_owned(), format!("identity.phone_recovery.{what}"));
    let acts = [
        act(&case.first, "started"),
        act(&case.second, "approved"),
        act(&case.account_id, "completed"),
    ];
    assert_eq!(case.recorded().await, acts);
}

#[tokio::test]
async fn the_password_is_no_second_factor_for_seven_days() {
    let case = Case::approved().await;
    case.identity.pass(DELAY);
    case.complete(&case.completion().await).await.unwrap();
    let by_phone = "SELECT count(*) FROM identity.account WHERE password_by_phone_at IS NOT NULL";
    assert_eq!(case.identity.count(by_phone).await, 1);
    for (days, second_factor) in [(0, false), (7, true)] {
        case.identity.pass(Duration::days(days));
        let mut request = case.identity.code_request(NEW_PHONE).await;
        request.password = NEW_PASSWORD.into();
        case.identity.sign_in(request).await.unwrap();
        let last = "SELECT second_factor::int::bigint FROM identity.session
                    ORDER BY created_at DESC LIMIT 1";
        assert_eq!(case.identity.count(last).await, i64::from(second_factor), "{days}");
    }
}

#[tokio::test]
async fn it_takes_two_and_neither_is_the_person() {
    let case = Case::new().await;
    let own = BeginPhoneRecoveryRequest { started_by: case.account_id.clone(), ..case.beginning() };
    assert_eq!(refused(case.begin_with(own).await), "RECOVERY_NEEDS_TWO");
    assert_eq!(refused(case.approve(&case.second).await), "RECOVERY_NOT_FOUND");
    case.begin().await.unwrap();
    for by in [&case.first, &case.account_id] {
        assert_eq!(refused(case.approve(by).await), "RECOVERY_NEEDS_TWO");
    }
    assert_eq!(case.state().await, PhoneRecoveryState::Started);
    // One at a time.
    let other = BeginPhoneRecoveryRequest { recovery_id: new(), ..case.beginning() };
    assert_eq!(refused(case.begin_with(other.clone()).await), "RECOVERY_OPEN");
    let nobody = BeginPhoneRecoveryRequest { account_id: new(), ..other.clone() };
    assert_eq!(refused(case.begin_with(nobody).await), "ACCOUNT_NOT_FOUND");
    // One that nobody approved for two weeks is over, and makes room.
    case.identity.pass(Duration::days(14));
    assert_eq!(case.state().await, PhoneRecoveryState::Expired);
    assert_eq!(case.begin_with(other).await.unwrap().state(), PhoneRecoveryState::Started);
    assert_eq!(case.approve(&case.second).await.unwrap().state(), PhoneRecoveryState::Expired);
}

#[tokio::test]
async fn whoever_is_signed_in_ends_it() {
    let case = Case::approved().await;
    let (mine, identity) = (case.sign_in().await, &case.identity);
    let request = with(&mine, ListMyPhoneRecoveriesRequest::default());
    let listed = case.client().list_my_phone_recoveries(request).await.unwrap().into_inner();
    let shown: Vec<_> = listed.recoveries.iter().map(|one| (&*one.id, one.state())).collect();
    assert_eq!(shown, [(&*case.id, PhoneRecoveryState::Approved)]);
    // Not somebody else.
    let somebody = person(2);
    identity.register(&somebody).await;
    let theirs = identity.by_password(&somebody.mobile, PASSWORD).await.unwrap();
    assert_eq!(refused(case.object(&theirs, &case.id).await), "RECOVERY_NOT_FOUND");
    let texts = identity.vendors.texts(NEW_PHONE).len();
    case.object(&mine, &case.id).await.unwrap();
    // Sent again.
    case.object(&mine, &case.id).await.unwrap();
    assert_eq!(case.state().await, PhoneRecoveryState::Objected);
    let told = identity.until_texts(NEW_PHONE, texts + 1).await;
    assert!(told.iter().any(|text| text.contains("已终止")), "{told:?}");
    // For good: the delay over, and the code right, nothing is to be had.
    identity.pass(DELAY);
    assert_eq!(refused(case.complete(&case.completion().await).await), "RECOVERY_NOT_FOUND");
    assert_eq!(case.approve(&case.second).await.unwrap().state(), PhoneRecoveryState::Objected);
    assert_eq!(case.cancel().await.state(), PhoneRecoveryState::Objected);
    let phones = "SELECT count(*) FROM identity.phone_recovery WHERE new_phone IS NOT NULL";
    assert_eq!(identity.count(phones).await, 0);
}

#[tokio::test]
async fn an_objection_comes_too_late_once_it_has_taken_effect() {
    let case = Case::approved().await;
    case.identity.pass(DELAY);
    case.complete(&case.completion().await).await.unwrap();
    let tokens = case.identity.by_password(NEW_PHONE, NEW_PASSWORD).await.unwrap();
    assert_eq!(refused(case.object(&tokens, &case.id).await), "RECOVERY_OVER");
    assert_eq!(case.cancel().await.state(), PhoneRecoveryState::Completed);
}

#[tokio::test]
async fn an_objection_by_code_that_comes_a_moment_too_late_is_told_so() {
    let case = Case::approved().await;
    let old = case.person.mobile.clone();
    let mut held = case.identity.pool.begin().await.unwrap();
    // It takes effect, and that is not yet stored when the code is looked at.
    let completed = "UPDATE identity.phone_recovery
                     SET state = 'COMPLETED', ended_at = now(), new_phone = NULL,
                         index_version = NULL, phone_index = NULL";
    sqlx::query(completed).execute(&mut *held).await.unwrap();
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while case.identity.count(waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        held.commit().await.unwrap();
    };
    let objecting = case.object_by_code(&old, SmsPurpose::ObjectToRecovery);
    let (told, ()) = tokio::join!(objecting, release);
    assert_eq!(refused(told), "RECOVERY_OVER");
}

#[tokio::test]
async fn who_proves_the_phone_and_not_the_person_waits() {
    let case = Case::approved().await;
    case.identity.pass(DELAY);
    // Strangers learn nothing: to who has not proved the phone, there is no recovery.
    let right = case.completion().await;
    let digits = if right.sms_code == "000000" { "000001" } else { "000000" };
    let guess = CompletePhoneRecoveryRequest { sms_code: digits.into(), ..right.clone() };
    assert_eq!(refused(case.complete(&guess).await), "SMS_CODE_WRONG");
    for field in ["name", "id_number_tail", "sms_code", "phone", "new_password"] {
        let mut bad = right.clone();
        match field {
            "name" => bad.name = String::new(),
            "id_number_tail" => bad.id_number_tail = "12".into(),
            "sms_code" => bad.sms_code = "1".into(),
            "phone" => bad.phone = "1".into(),
            _ => bad.new_password = String::new(),
        }
        assert_eq!(refused(case.complete(&bad).await), "INVALID_FIELDS", "{field}");
    }
    let wrong = CompletePhoneRecoveryRequest { id_number_tail: "00000X".into(), ..right.clone() };
    for _ in 0..3 {
        assert_eq!(refused(case.complete(&wrong).await), "SIGN_IN_REFUSED");
    }
    // From now on each waits, the right one too.
    let other_name = CompletePhoneRecoveryRequest { name: "王小明".into(), ..right.clone() };
    for request in [&other_name, &right] {
        assert_eq!(refused(case.complete(request).await), "SIGN_IN_DELAYED");
    }
    case.identity.pass(Duration::hours(1));
    case.complete(&case.completion().await).await.unwrap();
}

#[tokio::test]
async fn a_recovery_that_is_not_completed_expires() {
    let case = Case::approved().await;
    case.identity.pass(DELAY + Duration::days(14));
    assert_eq!(refused(case.complete(&case.completion().await).await), "RECOVERY_NOT_FOUND");
    assert_eq!(case.state().await, PhoneRecoveryState::Expired);
}

#[tokio::test]
async fn one_that_was_cancelled_before_it_began_never_does() {
    let case = Case::new().await;
    assert_eq!(case.cancel().await.state(), PhoneRecoveryState::Cancelled);
    assert_eq!(case.begin().await.unwrap().state(), PhoneRecoveryState::Cancelled);
    assert_eq!(case.approve(&case.second).await.unwrap().state(), PhoneRecoveryState::Cancelled);
}

#[tokio::test]
async fn the_new_phone_may_be_anothers_by_then() {
    let case = Case::approved().await;
    let somebody = Person { mobile: NEW_PHONE.into(), ..person(2) };
    case.identity.pass(Duration::minutes(1));
    case.identity.register(&somebody).await;
    case.identity.pass(DELAY);
    case.complete(&case.completion().await).await.unwrap();
    // A family may share one; whoever does signs in by number.
    assert_eq!(
        refused(case.identity.by_password(NEW_PHONE, NEW_PASSWORD).await),
        "SIGN_IN_REFUSED"
    );
    case.identity.by_password(&case.person.id_number, NEW_PASSWORD).await.unwrap();
    case.identity.by_password(&somebody.id_number, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_changes_the_phone_with_the_old_one_needs_no_recovery() {
    let case = Case::approved().await;
    let mine = case.sign_in().await;
    let third = "13700001111";
    let proof = async |phone: &str| {
        let (sms_challenge_id, sms_code) =
            case.identity.code_for(phone, SmsPurpose::ChangePhone).await;
        Some(PhoneProof { sms_challenge_id, sms_code })
    };
    let request = ChangePhoneRequest {
        new_phone: third.into(),
        current_proof: proof(&case.person.mobile).await,
        new_proof: proof(third).await,
    };
    case.identity.credentials().change_phone(with(&mine, request)).await.unwrap();
    assert_eq!(case.state().await, PhoneRecoveryState::Objected);
}

#[tokio::test]
async fn a_closed_account_has_none() {
    let case = Case::approved().await;
    let (mine, identity) = (case.sign_in().await, &case.identity);
    let (sms_challenge_id, sms_code) =
        identity.code_for(&case.person.mobile, SmsPurpose::CloseAccount).await;
    let request = zhiyuan_contracts::identity::v1::CloseMyAccountRequest {
        password: PASSWORD.into(),
        sms_challenge_id,
        sms_code,
    };
    zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient::new(
        identity.channel(),
    )
    .close_my_account(with(&mine, request))
    .await
    .unwrap();
    assert_eq!(identity.count("SELECT count(*) FROM identity.phone_recovery").await, 0);
    identity.pass(DELAY);
    assert_eq!(refused(case.complete(&case.completion().await).await), "RECOVERY_NOT_FOUND");
    let other = BeginPhoneRecoveryRequest { recovery_id: new(), ..case.beginning() };
    assert_eq!(refused(case.begin_with(other).await), "ACCOUNT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_completes_and_one_ends_it() {
    let case = Case::approved().await;
    let (address, _tasks) = case.identity.replica().await;
    let mine = case.sign_in().await;
    case.identity.pass(DELAY - Duration::minutes(2));
    let completion = case.completion().await;
    case.identity.pass(Duration::MINUTE);
    let there = PhoneRecoveryServiceClient::new(connect_lazy(&address).unwrap());
    let completing = (0..3).map(|n| {
        let (mut client, request) =
            (if n == 0 { case.client() } else { there.clone() }, completion.clone());
        async move { client.complete_phone_recovery(request).await.map(|_done| "completed") }
    });
    let objecting = (0..2).map(|_| {
        let request = with(&mine, ObjectToPhoneRecoveryRequest { recovery_id: case.id.clone() });
        let mut client = there.clone();
        async move { client.object_to_phone_recovery(request).await.map(|_done| "objected") }
    });
    let (completed, objected) = tokio::join!(join_all(completing), join_all(objecting));
    let count = |answers: &[Answer<&str>]| answers.iter().filter(|answer| answer.is_ok()).count();
    let (completed, objected) = (count(&completed), count(&objected));
    match case.state().await {
        PhoneRecoveryState::Completed => assert_eq!((completed, objected), (1, 0)),
        PhoneRecoveryState::Objected => assert!(completed == 0 && objected >= 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_process_whose_clock_is_ahead_completes_nothing() {
    let case = Case::approved().await;
    let mut config = case.identity.config.clone();
    config.feed.max_skew_ms = 60_000;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (address, _tasks) =
        case.identity.replica_with(&config, &(clock.clone() as SharedClock)).await;
    // By the clock of the database it was approved just now.
    sqlx::query(
        "UPDATE identity.phone_recovery
         SET complete_after = now() + interval '72 hours', expire_at = now() + interval '17 days'",
    )
    .execute(&case.identity.pool)
    .await
    .unwrap();
    clock.advance(std::time::Duration::from_secs(73 * 3600));
    let channel = connect_lazy(&address).unwrap();
    let request = SendSmsCodeRequest {
        phone: NEW_PHONE.into(),
        purpose: SmsPurpose::RecoverAccount.into(),
        ..SendSmsCodeRequest::default()
    };
    let sent = SmsCodeServiceClient::new(channel.clone()).send_sms_code(request).await.unwrap();
    let completion = CompletePhoneRecoveryRequest {
        phone: NEW_PHONE.into(),
        sms_challenge_id: sent.into_inner().challenge_id,
        sms_code: case.identity.vendors.code(NEW_PHONE),
        name: case.person.name.clone(),
        id_number_tail: case.person.id_number[12..].to_owned(),
        new_password: NEW_PASSWORD.into(),
    };
    let mut client = PhoneRecoveryServiceClient::new(channel);
    let told = client.complete_phone_recovery(completion).await;
    assert_eq!(refused(told), "UNAVAILABLE");
    let state = "SELECT count(*) FROM identity.phone_recovery WHERE state = 'APPROVED'";
    assert_eq!(case.identity.count(state).await, 1);
}

#[tokio::test]
async fn a_process_whose_clock_is_ahead_tells_nobody_that_it_is_over() {
    let case = Case::approved().await;
    let old = case.person.mobile.clone();
    let mut config = case.identity.config.clone();
    config.feed.max_skew_ms = 60_000;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (address, _tasks) =
        case.identity.replica_with(&config, &(clock.clone() as SharedClock)).await;
    clock.advance(std::time::Duration::from_secs(30 * 24 * 3600));
    let channel = connect_lazy(&address).unwrap();
    let request = SendSmsCodeRequest {
        phone: old.clone(),
        purpose: SmsPurpose::ObjectToRecovery.into(),
        ..SendSmsCodeRequest::default()
    };
    let sent = SmsCodeServiceClient::new(channel.clone()).send_sms_code(request).await.unwrap();
    let request = ObjectToPhoneRecoveryByCodeRequest {
        phone: old.clone(),
        sms_challenge_id: sent.into_inner().challenge_id,
        sms_code: case.identity.vendors.code(&old),
    };
    let mut client = PhoneRecoveryServiceClient::new(channel);
    let told = client.object_to_phone_recovery_by_code(request).await.map(|_done| ());
    assert_eq!(refused(told), "UNAVAILABLE");
    let state = "SELECT count(*) FROM identity.phone_recovery WHERE state = 'APPROVED'";
    assert_eq!(case.identity.count(state).await, 1);
}
