//! A lost phone, from the administrators' side and from the person's, through the gateway.

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    CompletePhoneRecoveryRequest, CompletePhoneRecoveryResponse, ListMyPhoneRecoveriesRequest,
    ListMyPhoneRecoveriesResponse, ObjectToPhoneRecoveryByCodeRequest,
    ObjectToPhoneRecoveryByCodeResponse, PhoneRecoveryState, SendSmsCodeRequest,
    SendSmsCodeResponse, SignInRequest, SignInResponse, SmsPurpose,
};
use zhiyuan_contracts::registration::v1::{
    ApprovePhoneRecoveryRequest, ApprovePhoneRecoveryResponse, GetPhoneRecoveryRequest,
    GetPhoneRecoveryResponse, PhoneRecovery, StartPhoneRecoveryRequest, StartPhoneRecoveryResponse,
};

use crate::harness::caller::{AUTHORIZATION, Member, sign_in};
use crate::harness::client::{PASSWORD, SEND_SMS_CODE, SIGN_IN, patiently};
use crate::harness::{Client, Door, Refusal, Site, shared};

const DECIDING: &str = "/zhiyuan.registration.v1.PhoneRecoveryService";
const PERSONAL: &str = "/zhiyuan.identity.v1.PhoneRecoveryService";
const NEW_PASSWORD: &str = "white-tea-43";

/// A volunteer and two administrators, who have signed in with both factors.
struct Case {
    site: Site,
    client: Client,
    volunteer: Member,
    administrators: [String; 2],
    new_phone: String,
}

impl Case {
    async fn new(new_phone: &str) -> Self {
        let site = shared();
        let client = Client::of(&site);
        let volunteer = Member::registered(&site).await;
        let mut administrators = [String::new(), String::new()];
        for bearer in &mut administrators {
            let mut member = Member::registered(&site).await;
            member.make_administrator(&site).await;
            *bearer = member.sign_in_with_both(&site).await;
        }
        Self { site, client, volunteer, administrators, new_phone: new_phone.to_owned() }
    }

    fn door(&self) -> &Door {
        &self.client.json
    }

    async fn call<Q, R>(&self, path: &str, bearer: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        let bearer = [(AUTHORIZATION, bearer)];
        patiently(|| self.door().call_with(path, request, &bearer)).await
    }

    /// Started by one administrator.
    async fn start(&self) -> PhoneRecovery {
        let request = StartPhoneRecoveryRequest {
            request_id: Uuid::new_v4().to_string(),
            volunteer_id: self.volunteer.account_id.to_string(),
            new_phone: self.new_phone.clone(),
            reason: "手机遗失，已在窗口核对身份证原件。".to_owned(),
        };
        let path = format!("{DECIDING}/StartPhoneRecovery");
        let answer: StartPhoneRecoveryResponse =
            self.call(&path, &self.administrators[0], &request).await.unwrap();
        answer.recovery.unwrap()
    }

    async fn approve(&self, which: usize, id: &str) -> Result<PhoneRecovery, Refusal> {
        let request = ApprovePhoneRecoveryRequest {
            request_id: Uuid::new_v4().to_string(),
            recovery_id: id.to_owned(),
        };
        let path = format!("{DECIDING}/ApprovePhoneRecovery");
        let answer: ApprovePhoneRecoveryResponse =
            self.call(&path, &self.administrators[which], &request).await?;
        Ok(answer.recovery.unwrap())
    }

    /// Started by one administrator, and approved by the other; both phones are told.
    async fn approved(&self) -> String {
        let started = self.start().await;
        assert_eq!(started.state(), PhoneRecoveryState::Started);
        let told = self.approve(0, &started.id).await.unwrap_err();
        assert_eq!(told.reason, "RECOVERY_NEEDS_ANOTHER");
        let approved = self.approve(1, &started.id).await.unwrap();
        assert_eq!(approved.state(), PhoneRecoveryState::Approved);
        self.client.wait_for_text(&self.volunteer.person.mobile, "请立即登录后提出异议").await;
        self.client.wait_for_text(&self.new_phone, "等待期过后凭短信验证码").await;
        started.id
    }

    async fn state(&self, id: &str) -> PhoneRecoveryState {
        let request = GetPhoneRecoveryRequest { recovery_id: id.to_owned() };
        let path = format!("{DECIDING}/GetPhoneRecovery");
        let answer: GetPhoneRecoveryResponse =
            self.call(&path, &self.administrators[0], &request).await.unwrap();
        answer.recovery.unwrap().state()
    }

    async fn code(&self, phone: &str, purpose: SmsPurpose) -> (String, String) {
        let request = SendSmsCodeRequest {
            phone: phone.to_owned(),
            purpose: purpose.into(),
            ..Default::default()
        };
        let sent: SendSmsCodeResponse =
            patiently(|| self.door().call(SEND_SMS_CODE, &request)).await.unwrap();
        (sent.challenge_id, self.client.simulators.code(phone).await)
    }

    async fn complete(&self, request: &CompletePhoneRecoveryRequest) -> Result<(), Refusal> {
        let path = format!("{PERSONAL}/CompletePhoneRecovery");
        let answer: Result<CompletePhoneRecoveryResponse, _> =
            patiently(|| self.door().call(&path, request)).await;
        answer.map(|_done| ())
    }

    async fn completion(&self) -> CompletePhoneRecoveryRequest {
        let (sms_challenge_id, sms_code) =
            self.code(&self.new_phone, SmsPurpose::RecoverAccount).await;
        CompletePhoneRecoveryRequest {
            phone: self.new_phone.clone(),
            sms_challenge_id,
            sms_code,
            name: self.volunteer.person.name.clone(),
            id_number_tail: self.volunteer.person.id_number[12..].to_owned(),
            new_password: NEW_PASSWORD.to_owned(),
        }
    }

    /// Lets the time pass in which one can object.
    async fn pass_the_delay(&self, id: &str) {
        let passed = sqlx::query(
            "UPDATE identity.phone_recovery SET complete_after = now() WHERE recovery_id = $1",
        )
        .bind(id.parse::<Uuid>().unwrap())
        .execute(&mut self.site.main_database().await)
        .await
        .unwrap();
        assert_eq!(passed.rows_affected(), 1);
    }

    async fn sign_in(&self, identifier: &str, password: &str) -> Result<String, Refusal> {
        let request = SignInRequest {
            identifier: identifier.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let answer: Result<SignInResponse, _> =
            patiently(|| self.door().call(SIGN_IN, &request)).await;
        answer.map(|signed_in| signed_in.account_id)
    }

    async fn mine(&self, bearer: &str) -> Result<Vec<PhoneRecoveryState>, Refusal> {
        let path = format!("{PERSONAL}/ListMyPhoneRecoveries");
        let request = ListMyPhoneRecoveriesRequest::default();
        let answer: ListMyPhoneRecoveriesResponse = self.call(&path, bearer, &request).await?;
        Ok(answer.recoveries.iter().map(|one| one.state()).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_administrators_help_back_into_an_account_whose_phone_is_lost() {
    let case = Case::new("13988001101").await;
    let old = case.volunteer.person.mobile.clone();
    let bearer = sign_in(&case.site, &case.volunteer.person).await;
    let id = case.approved().await;
    assert_eq!(case.mine(&bearer).await.unwrap(), [PhoneRecoveryState::Approved]);
    let completion = case.completion().await;
    let told = case.complete(&completion).await.unwrap_err();
    assert_eq!(told.reason, "RECOVERY_TOO_EARLY");
    case.pass_the_delay(&id).await;
    case.complete(&completion).await.unwrap();
    assert_eq!(case.state(&id).await, PhoneRecoveryState::Completed);
    // The session of before is over, and so is the old phone's way in.
    assert!(case.mine(&bearer).await.is_err());
    assert_eq!(case.sign_in(&old, NEW_PASSWORD).await.unwrap_err().reason, "SIGN_IN_REFUSED");
    assert_eq!(
        case.sign_in(&case.new_phone, PASSWORD).await.unwrap_err().reason,
        "SIGN_IN_REFUSED"
    );
    let account_id = case.sign_in(&case.new_phone, NEW_PASSWORD).await.unwrap();
    assert_eq!(account_id, case.volunteer.account_id.to_string());
    case.client.wait_for_text(&old, "已更换手机号").await;
    case.client.wait_for_text(&case.new_phone, "已更换为本手机号").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_old_phone_ends_it_with_nothing_but_a_code() {
    let case = Case::new("13988001102").await;
    let id = case.approved().await;
    // The code of registering was less than a minute ago.
    case.volunteer.forget_the_last_code(&case.site).await;
    let phone = case.volunteer.person.mobile.clone();
    let (sms_challenge_id, sms_code) = case.code(&phone, SmsPurpose::ObjectToRecovery).await;
    let request = ObjectToPhoneRecoveryByCodeRequest { phone, sms_challenge_id, sms_code };
    let path = format!("{PERSONAL}/ObjectToPhoneRecoveryByCode");
    let answer: Result<ObjectToPhoneRecoveryByCodeResponse, Refusal> =
        patiently(|| case.door().call(&path, &request)).await;
    answer.unwrap();
    assert_eq!(case.state(&id).await, PhoneRecoveryState::Objected);
    let told = case.complete(&case.completion().await).await.unwrap_err();
    assert_eq!(told.reason, "RECOVERY_NOT_FOUND");
    assert_eq!(case.approve(1, &id).await.unwrap_err().reason, "RECOVERY_NOT_WAITING");
    case.sign_in(&case.volunteer.person.mobile, PASSWORD).await.unwrap();
}
