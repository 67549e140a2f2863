//! What somebody does with the own record, from the registration on.

use std::sync::Arc;
use std::time::Duration;

use prost_types::FieldMask;
use sqlx::PgConnection;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    CloseMyAccountRequest, CloseMyAccountResponse, SendSmsCodeRequest, SendSmsCodeResponse,
    SmsPurpose,
};
use zhiyuan_contracts::registration::v1::{
    ChangeMyOrganizationRequest, ChangeMyOrganizationResponse, GetMyProfileRequest,
    GetMyProfileResponse, ListMyOrganizationsRequest, ListMyOrganizationsResponse, Profile,
    ProfileDetails, RegisterRequest, UpdateMyProfileRequest, UpdateMyProfileResponse,
    VolunteerState,
};
use zhiyuan_domain::{OrganizationCode, SharedClock, SystemClock};
use zhiyuan_orgtree::{GrantError, OperatorGrant, Role};
use zhiyuan_testkit::person;

use crate::counts::assert_recounted;
use crate::harness::caller::{AUTHORIZATION, sign_in};
use crate::harness::client::{ORGANIZATION, PASSWORD, REGION, SEND_SMS_CODE, patiently};
use crate::harness::{Client, Door, Own, Refusal, database};

const PROFILES: &str = "/zhiyuan.registration.v1.ProfileService";
const CLOSE: &str = "/zhiyuan.identity.v1.AccountService/CloseMyAccount";
const PATIENCE: Duration = Duration::from_secs(120);
/// In another city.
const ELSEWHERE: &str = "AH-340202001";

/// Somebody who has signed in.
struct Person<'a> {
    door: &'a Door,
    bearer: String,
}

impl Person<'_> {
    async fn call<Q, R>(&self, method: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        let (path, bearer) = (format!("{PROFILES}/{method}"), [(AUTHORIZATION, &*self.bearer)]);
        patiently(|| self.door.call_with(&path, request, &bearer)).await
    }

    async fn profile(&self) -> Profile {
        let answer: GetMyProfileResponse =
            self.call("GetMyProfile", &GetMyProfileRequest {}).await.unwrap();
        answer.profile.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_the_organization_is_counted_there_and_no_longer_here() {
    let suite = Own::start("mine").await;
    let client = Client::of(&suite.site);
    for number in 0..2 {
        let (door, somebody) = (client.door(number), person(66_000 + number as u32));
        let form = client.apply(door, &somebody).await;
        let volunteer = client.register_to_the_end(door, &form).await.unwrap();
        let bearer = sign_in(&suite.site, &somebody).await;
        let caller = Person { door, bearer };
        let profile = caller.profile().await;
        assert_eq!(profile.volunteer_number, volunteer.volunteer_number);
        assert_eq!(profile.name, volunteer.name);
        assert_eq!(profile.organization_code, ORGANIZATION);
        assert_eq!(profile.details.as_ref().unwrap().region_code, REGION);

        let before = assert_recounted(&suite.site).await;
        let here = |counts: &crate::counts::Counts, code: &str| {
            counts.get(code).map_or(0, |(_, subtree)| subtree[0])
        };
        let (old, new) = (here(&before, ORGANIZATION), here(&before, ELSEWHERE));
        let request = ChangeMyOrganizationRequest {
            request_id: Uuid::new_v4().to_string(),
            organization_code: ELSEWHERE.to_owned(),
            etag: profile.etag,
        };
        // Sent again, it moves nobody a second time.
        for _ in 0..2 {
            let answer: ChangeMyOrganizationResponse =
                caller.call("ChangeMyOrganization", &request).await.unwrap();
            assert_eq!(answer.profile.unwrap().organization_code, ELSEWHERE);
            let after = assert_recounted(&suite.site).await;
            assert_eq!(here(&after, ORGANIZATION), old - 1);
            assert_eq!(here(&after, "AH-340100"), here(&before, "AH-340100") - 1);
            assert_eq!(here(&after, ELSEWHERE), new + 1);
            assert_eq!(here(&after, "AH-340200"), here(&before, "AH-340200") + 1);
            assert_eq!(here(&after, "AH"), here(&before, "AH"));
        }
        let list = ListMyOrganizationsRequest::default();
        let listed: ListMyOrganizationsResponse =
            caller.call("ListMyOrganizations", &list).await.unwrap();
        let codes: Vec<_> = listed.memberships.iter().map(|one| &*one.organization_code).collect();
        assert_eq!(codes, [ELSEWHERE, ORGANIZATION]);
        let other =
            ChangeMyOrganizationRequest { organization_code: ORGANIZATION.to_owned(), ..request };
        let refused = caller
            .call::<_, ChangeMyOrganizationResponse>("ChangeMyOrganization", &other)
            .await
            .unwrap_err();
        assert_eq!(refused.reason, "REQUEST_ID_REUSED");
    }
    suite.stop().await;
}

/// Row 21 of registration, through gateway and service.
#[tokio::test]
async fn registration_21_change_to_an_organization_that_takes_nobody() {
    let site = crate::harness::shared();
    let somebody = crate::harness::caller::registered(&site).await;
    let bearer = sign_in(&site, &somebody).await;
    let doors = [Door::grpc(site.addresses.gateway), Door::grpc(site.addresses.registration)];
    for door in &doors {
        let caller = Person { door, bearer: bearer.clone() };
        for (code, status, reason) in [
            ("AH-999", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
            ("AH-340100", Code::FailedPrecondition, "ORGANIZATION_TAKES_NO_REGISTRATIONS"),
            ("?", Code::InvalidArgument, "INVALID_FIELDS"),
        ] {
            let request = ChangeMyOrganizationRequest {
                request_id: Uuid::new_v4().to_string(),
                organization_code: code.to_owned(),
                etag: String::new(),
            };
            let refused = caller
                .call::<_, ChangeMyOrganizationResponse>("ChangeMyOrganization", &request)
                .await
                .unwrap_err();
            assert_eq!((refused.code, &*refused.reason), (status, reason));
        }
        assert_eq!(caller.profile().await.organization_code, ORGANIZATION);
    }
}

/// As a page sends it: names in lowerCamelCase, in the mask too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_changes_by_json_what_its_mask_names() {
    let site = crate::harness::shared();
    let client = Client::of(&site);
    let somebody = crate::harness::caller::registered(&site).await;
    let bearer = sign_in(&site, &somebody).await;
    let change = async |body: serde_json::Value| {
        let path = format!("{PROFILES}/UpdateMyProfile");
        client.json.post_with(&path, &body, &[(AUTHORIZATION, &bearer)]).await
    };
    let body = serde_json::json!({
        "requestId": Uuid::new_v4().to_string(),
        "etag": "1",
        "updateMask": "politicalStatus,serviceCategories",
        "details": {
            "regionCode": "what the mask does not name",
            "politicalStatus": "POLITICAL_STATUS_LEAGUE_MEMBER",
            "serviceCategories": ["SERVICE_CATEGORY_EVENTS", "SERVICE_CATEGORY_CARE"],
        },
    });
    let answer = change(body.clone()).await.unwrap().json();
    let details = &answer["profile"]["details"];
    assert_eq!(details["regionCode"], REGION);
    assert_eq!(details["politicalStatus"], "POLITICAL_STATUS_LEAGUE_MEMBER");
    assert_eq!(
        details["serviceCategories"],
        serde_json::json!(["SERVICE_CATEGORY_CARE", "SERVICE_CATEGORY_EVENTS"])
    );
    // Named and absent: taken back.
    let mut back = body;
    back["requestId"] = Uuid::new_v4().to_string().into();
    let refused = change(back.clone()).await.unwrap_err();
    assert_eq!((refused.code, &*refused.reason), (tonic::Code::Aborted, "ETAG_STALE"));
    back["etag"] = answer["profile"]["etag"].clone();
    back["details"] = serde_json::json!({});
    let answer = change(back).await.unwrap().json();
    assert_eq!(answer["profile"]["details"].get("politicalStatus"), None);
    assert_eq!(answer["profile"]["details"]["regionCode"], REGION);
}

/// A code for somebody who got one before.
async fn another_code(client: &Client, phone: &str, purpose: SmsPurpose) -> (String, String) {
    // As if a minute had passed.
    let mut main = client.site.main_database().await;
    sqlx::query("DELETE FROM identity.sms_phone").execute(&mut main).await.unwrap();
    let request = SendSmsCodeRequest {
        phone: phone.to_owned(),
        purpose: purpose.into(),
        ..Default::default()
    };
    let sent: SendSmsCodeResponse = client.json.call(SEND_SMS_CODE, &request).await.unwrap();
    (sent.challenge_id, client.simulators.code(phone).await)
}

async fn until(main: &mut PgConnection, what: &str, sql: &'static str) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *main).await.unwrap() {
        assert!(tokio::time::Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Of a closed account nothing is left that tells who it was, in no service; it is counted
/// nowhere; and nobody forgets that it is closed, if everything is read again from snapshots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_closes_the_account_is_forgotten_everywhere_and_may_come_again() {
    let suite = Own::start("mine-closing").await;
    let client = Client::of(&suite.site);
    let somebody = person(66_500);
    let form = client.apply(&client.json, &somebody).await;
    let first = client.register_to_the_end(&client.json, &form).await.unwrap();
    let bearer = sign_in(&suite.site, &somebody).await;
    let caller = Person { door: &client.json, bearer };
    let stated = UpdateMyProfileRequest {
        request_id: Uuid::new_v4().to_string(),
        etag: "1".to_owned(),
        update_mask: Some(FieldMask { paths: vec!["skills".to_owned()] }),
        details: Some(ProfileDetails { skills: vec![1], ..Default::default() }),
    };
    let _stated: UpdateMyProfileResponse = caller.call("UpdateMyProfile", &stated).await.unwrap();
    let counts = assert_recounted(&suite.site).await;
    assert_eq!(counts[ORGANIZATION].1[0], 1);
    let role = OperatorGrant {
        account_id: first.id.parse().unwrap(),
        organization: OrganizationCode::parse(ORGANIZATION).unwrap(),
        role: Role::Viewer,
        again: true,
    };
    let clock: SharedClock = Arc::new(SystemClock);
    zhiyuan_orgtree::grant(&suite.site.orgtree(), clock.clone(), &role).await.unwrap();

    let (sms_challenge_id, sms_code) =
        another_code(&client, &somebody.mobile, SmsPurpose::CloseAccount).await;
    let close = CloseMyAccountRequest { password: PASSWORD.to_owned(), sms_challenge_id, sms_code };
    let bearer = [(AUTHORIZATION, &*caller.bearer)];
    let closed = client.json.call_with::<_, CloseMyAccountResponse>(CLOSE, &close, &bearer).await;
    closed.unwrap();
    client.wait_for_text(&somebody.mobile, "账号已注销").await;
    let counts = assert_recounted(&suite.site).await;
    assert_eq!(counts.get(ORGANIZATION), None);
    // The token is refused everywhere, or finds nothing.
    let refused = caller.call::<_, GetMyProfileResponse>("GetMyProfile", &GetMyProfileRequest {});
    let refused = refused.await.unwrap_err();
    assert!(["TOKEN_INVALID", "VOLUNTEER_NOT_FOUND"].contains(&&*refused.reason), "{refused:?}");

    let mut main = suite.site.main_database().await;
    until(
        &mut main,
        "the role has ended with the account",
        "SELECT count(*) = 1 FROM orgtree.authority_grant g
         JOIN orgtree.closed_account c USING (account_id)
         WHERE g.revoked_at IS NOT NULL AND g.revoked_by IS NULL",
    )
    .await;
    let refused = zhiyuan_orgtree::grant(&suite.site.orgtree(), clock, &role).await;
    assert!(matches!(refused, Err(GrantError::Refused(_))), "{refused:?}");
    for (what, empty) in [
        ("a profile", "registration.profile"),
        ("a command", "registration.request"),
        ("a number", "identity.number"),
        ("a name", "identity.account WHERE name IS NOT NULL"),
        ("a volunteer", "registration.volunteer WHERE NOT closed OR account_missing"),
    ] {
        assert_eq!(database::count(&mut main, empty).await, 0, "{what}");
    }
    // Both that and what was told of it is found again in snapshots.
    sqlx::raw_sql(
        "UPDATE registration.account SET closed = false, revision = 1;
         UPDATE registration.volunteer SET closed = false;
         UPDATE registration.feed_cursor SET rebuild_type = '', rebuild_token = NULL;
         UPDATE registration.feed_slot SET holder = NULL",
    )
    .execute(&mut main)
    .await
    .unwrap();
    until(
        &mut main,
        "the volunteer is closed again",
        "SELECT count(*) = 1 FROM registration.volunteer WHERE closed AND NOT account_missing",
    )
    .await;

    // The registration is known as long as any, and tells no name.
    let told = client.registration(&client.json, &form.request_id).await.unwrap();
    let told = told.volunteer.unwrap();
    assert_eq!((told.state(), &*told.name), (VolunteerState::Closed, ""));
    // With the same number, somebody else.
    let (sms_challenge_id, sms_code) =
        another_code(&client, &somebody.mobile, SmsPurpose::Register).await;
    let again = RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        sms_challenge_id,
        sms_code,
        ..form
    };
    let second = client.register_to_the_end(&client.json, &again).await.unwrap();
    assert_ne!((second.id, second.volunteer_number), (first.id, first.volunteer_number));
    let counts = assert_recounted(&suite.site).await;
    assert_eq!(counts[ORGANIZATION].1[0], 1);
    suite.stop().await;
}
