//! Somebody who registers people.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::OnceCell;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    Consent, Guardian, GuardianRelation, ListConsentTextsRequest, ListConsentTextsResponse,
    SendSmsCodeRequest, SendSmsCodeResponse, SmsPurpose,
};
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationsRequest, ListOrganizationsResponse, ListRegionsRequest, ListRegionsResponse,
    Organization, Region,
};
use zhiyuan_contracts::registration::v1::{
    GetRegistrationRequest, GetRegistrationResponse, RegisterRequest, RegisterResponse,
    RegistrationState, Volunteer,
};
use zhiyuan_domain::{Clock as _, SystemClock};
use zhiyuan_testkit::Person;

use super::simulators::Simulators;
use super::{Door, Refusal, Site};

pub(crate) const SEND_SMS_CODE: &str = "/zhiyuan.identity.v1.SmsCodeService/SendSmsCode";
pub(crate) const LIST_CONSENT_TEXTS: &str = "/zhiyuan.identity.v1.ConsentService/ListConsentTexts";
pub(crate) const SIGN_IN: &str = "/zhiyuan.identity.v1.SignInService/SignIn";
pub(crate) const REGISTER: &str = "/zhiyuan.registration.v1.RegistrationService/Register";
pub(crate) const GET_REGISTRATION: &str =
    "/zhiyuan.registration.v1.RegistrationService/GetRegistration";
pub(crate) const LIST_REGIONS: &str = "/zhiyuan.orgtree.v1.RegionService/ListRegions";
pub(crate) const LIST_ORGANIZATIONS: &str =
    "/zhiyuan.orgtree.v1.OrganizationService/ListOrganizations";

/// 蜀山区 of 合肥市, and an organization there that takes registrations.
pub(crate) const REGION: &str = "340104";
pub(crate) const ORGANIZATION: &str = "AH-340104001";
/// The municipal committee above, which takes none.
pub(crate) const NO_REGISTRATIONS: &str = "AH-340100";
pub(crate) const PASSWORD: &str = "tidal-Maple7";

const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);

/// Both doors of the gateway, and the phones of everybody.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) site: Site,
    pub(crate) grpc: Door,
    pub(crate) json: Door,
    pub(crate) simulators: Simulators,
    consents: Arc<OnceCell<Vec<Consent>>>,
}

impl Client {
    /// A client for one test: its connections live in the runtime of the test.
    pub(crate) fn of(site: &Site) -> Self {
        let gateway = site.addresses.gateway;
        Self {
            site: site.clone(),
            grpc: Door::grpc(gateway),
            json: Door::json(gateway),
            simulators: Simulators::of(site),
            consents: Arc::default(),
        }
    }

    /// gRPC and JSON by turns.
    pub(crate) fn door(&self, turn: usize) -> &Door {
        if turn.is_multiple_of(2) { &self.grpc } else { &self.json }
    }

    /// Asks for a code.
    pub(crate) async fn send_code(
        &self,
        door: &Door,
        phone: &str,
    ) -> Result<SendSmsCodeResponse, Refusal> {
        self.send_code_for(door, phone, SmsPurpose::Register).await
    }

    async fn send_code_for(
        &self,
        door: &Door,
        phone: &str,
        purpose: SmsPurpose,
    ) -> Result<SendSmsCodeResponse, Refusal> {
        let request = SendSmsCodeRequest {
            phone: phone.to_owned(),
            purpose: purpose.into(),
            ..Default::default()
        };
        door.call(SEND_SMS_CODE, &request).await
    }

    /// Somebody's mother, who has read the code that she consents with.
    pub(crate) async fn guardian(&self, door: &Door, person: &Person) -> Guardian {
        let purpose = SmsPurpose::GuardianConsent;
        let sent = patiently(|| self.send_code_for(door, &person.mobile, purpose)).await.unwrap();
        Guardian {
            name: person.name.clone(),
            id_number: person.id_number.clone(),
            relation: GuardianRelation::Mother.into(),
            phone: person.mobile.clone(),
            sms_challenge_id: sent.challenge_id,
            sms_code: self.simulators.code(&person.mobile).await,
        }
    }

    /// The consents to all texts in force.
    pub(crate) async fn consents(&self, door: &Door) -> Vec<Consent> {
        self.consents.get_or_init(|| self.list_consents(door)).await.clone()
    }

    async fn list_consents(&self, door: &Door) -> Vec<Consent> {
        let request = ListConsentTextsRequest::default();
        let texts: ListConsentTextsResponse =
            door.call(LIST_CONSENT_TEXTS, &request).await.unwrap();
        let consent = |text: &zhiyuan_contracts::identity::v1::ConsentText| Consent {
            purpose: text.purpose,
            version: text.version.clone(),
        };
        texts.consent_texts.iter().map(consent).collect()
    }

    /// Does what a person does before the form can be sent: asks for a code, reads it
    /// from the phone, and fills everything in.
    pub(crate) async fn apply(&self, door: &Door, person: &Person) -> RegisterRequest {
        let sent = patiently(|| self.send_code(door, &person.mobile)).await.unwrap();
        RegisterRequest {
            sms_challenge_id: sent.challenge_id,
            sms_code: self.simulators.code(&person.mobile).await,
            ..self.form(door, person).await
        }
    }

    /// The form of a person, but for the code.
    pub(crate) async fn form(&self, door: &Door, person: &Person) -> RegisterRequest {
        RegisterRequest {
            request_id: Uuid::new_v4().to_string(),
            name: person.name.clone(),
            id_number: person.id_number.clone(),
            region_code: REGION.to_owned(),
            organization_code: ORGANIZATION.to_owned(),
            phone: person.mobile.clone(),
            sms_challenge_id: String::new(),
            sms_code: String::new(),
            password: PASSWORD.to_owned(),
            league_member: true,
            consents: self.consents(door).await,
            ..Default::default()
        }
    }

    /// Sends the form once.
    pub(crate) async fn register(
        &self,
        door: &Door,
        form: &RegisterRequest,
    ) -> Result<RegisterResponse, Refusal> {
        door.call(REGISTER, form).await
    }

    /// Sends the form, again as long as the answer is to come again.
    pub(crate) async fn register_patiently(
        &self,
        door: &Door,
        form: &RegisterRequest,
    ) -> Result<RegisterResponse, Refusal> {
        patiently(|| self.register(door, form)).await
    }

    /// Sends the form and waits for its end, as the machine may be too busy to answer
    /// with it at once: a registration goes on without its client.
    pub(crate) async fn register_to_the_end(
        &self,
        door: &Door,
        form: &RegisterRequest,
    ) -> Result<Volunteer, Refusal> {
        let answer = self.register_patiently(door, form).await?;
        match (answer.state(), answer.volunteer) {
            (RegistrationState::Active, Some(volunteer)) => Ok(volunteer),
            _ => {
                let outcome = self.outcome(door, &form.request_id).await?;
                assert_eq!(outcome.state(), RegistrationState::Active);
                Ok(outcome.volunteer.unwrap())
            }
        }
    }

    pub(crate) async fn registration(
        &self,
        door: &Door,
        request_id: &str,
    ) -> Result<GetRegistrationResponse, Refusal> {
        let request = GetRegistrationRequest { request_id: request_id.to_owned() };
        door.call(GET_REGISTRATION, &request).await
    }

    /// Asks for a registration until it waits no more.
    pub(crate) async fn outcome(
        &self,
        door: &Door,
        request_id: &str,
    ) -> Result<GetRegistrationResponse, Refusal> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = patiently(|| self.registration(door, request_id)).await?;
            if answer.state() != RegistrationState::Pending {
                return Ok(answer);
            }
            assert!(tokio::time::Instant::now() < until, "still pending after {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a phone was sent a text that contains this.
    pub(crate) async fn wait_for_text(&self, phone: &str, part: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while !self.simulators.texts(phone).await.iter().any(|text| text.contains(part)) {
            assert!(tokio::time::Instant::now() < until, "nobody was told: {part}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// All regions below one, walked down to the leaves; leaves only.
    pub(crate) async fn residences(&self, door: &Door, top: &str) -> Vec<Region> {
        let mut leaves = Vec::new();
        let mut above = vec![top.to_owned()];
        while let Some(parent_code) = above.pop() {
            let request = ListRegionsRequest { parent_code, page_size: 500, ..Default::default() };
            let answer: ListRegionsResponse = door.call(LIST_REGIONS, &request).await.unwrap();
            assert_eq!(answer.next_page_token, "");
            for region in answer.regions {
                if region.leaf { leaves.push(region) } else { above.push(region.code) }
            }
        }
        leaves.sort_by(|a, b| a.code.cmp(&b.code));
        leaves
    }

    /// All organizations that take registrations, page by page.
    pub(crate) async fn registrable(&self, door: &Door) -> Vec<Organization> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListOrganizationsRequest {
                query: "团".to_owned(),
                registrable_only: true,
                page_size: 500,
                page_token,
                ..Default::default()
            };
            let page: ListOrganizationsResponse =
                door.call(LIST_ORGANIZATIONS, &request).await.unwrap();
            all.extend(page.organizations);
            if page.next_page_token.is_empty() {
                return all;
            }
            page_token = page.next_page_token;
        }
    }
}

/// Makes a call again as long as the answer is to come again.
pub(crate) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match call().await {
            Err(refusal) if refusal.is_transient() && tokio::time::Instant::now() < until => {
                let wait = refusal.retry_after.unwrap_or(POLL).min(Duration::from_secs(1));
                tokio::time::sleep(wait).await;
            }
            settled => return settled,
        }
    }
}

/// The present moment.
pub(crate) fn now() -> OffsetDateTime {
    SystemClock.now()
}

/// A time of an answer.
pub(crate) fn moment(timestamp: Option<prost_types::Timestamp>) -> OffsetDateTime {
    let timestamp = timestamp.unwrap();
    OffsetDateTime::from_unix_timestamp(timestamp.seconds).unwrap()
        + Duration::from_nanos(timestamp.nanos.try_into().unwrap())
}
