//! Forms that are right in every field and refused all the same.

use prost_reflect::DynamicMessage;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{Consent, ConsentPurpose};
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationsRequest, ListOrganizationsResponse, Organization,
};
use zhiyuan_contracts::registration::v1::RegisterRequest;
use zhiyuan_domain::shanghai_date;
use zhiyuan_testkit::{Person, minor, person};

use super::{assert_field_refused, assert_refused, ways_to};
use crate::harness::client::{GET_REGISTRATION, LIST_ORGANIZATIONS, ORGANIZATION, REGISTER, now};
use crate::harness::wire::Told;
use crate::harness::{Client, shared};

/// The form of somebody who has asked for no code.
async fn form(client: &Client, somebody: &Person) -> RegisterRequest {
    RegisterRequest {
        sms_challenge_id: Uuid::new_v4().to_string(),
        sms_code: "135246".to_owned(),
        ..client.form(&client.grpc, somebody).await
    }
}

/// Sends a form everywhere, each time as another request; what came of it, and where.
async fn everywhere(client: &Client, form: &RegisterRequest) -> Vec<(Told, String, String)> {
    let mut all = Vec::new();
    for way in ways_to(&client.site, REGISTER) {
        let request_id = Uuid::new_v4().to_string();
        let sent = RegisterRequest { request_id: request_id.clone(), ..form.clone() };
        let mut message = DynamicMessage::new(way.policy.method.input());
        message.transcode_from(&sent).unwrap();
        let told = way.ask(&message).await;
        for value in [&form.name, &form.id_number, &form.phone, &form.password] {
            assert!(!told.repeats(value.as_bytes()), "{way}: {told:?}");
        }
        all.push((told, request_id, way.to_string()));
    }
    assert_eq!(all.len(), 3);
    all
}

/// Asserts that nothing is known of a request.
async fn assert_unknown(client: &Client, request_id: &str) {
    let refusal = client.registration(&client.grpc, request_id).await.unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (Code::NotFound, "REGISTRATION_NOT_FOUND"));
}

#[tokio::test]
async fn registration_01_consent_missing_or_outdated() {
    let client = Client::of(&shared());
    let right = form(&client, &person(700_000)).await;
    let registration = i32::from(ConsentPurpose::Registration);
    let mut others = right.consents.clone();
    others.retain(|consent| consent.purpose != registration);
    assert!(!others.is_empty());
    let old = vec![Consent { purpose: registration, version: "1999-01-01".to_owned() }];
    for (consents, reason) in
        [(Vec::new(), "CONSENT_MISSING"), (others, "CONSENT_MISSING"), (old, "CONSENT_OUTDATED")]
    {
        let wrong = RegisterRequest { consents, ..right.clone() };
        for (told, _, way) in everywhere(&client, &wrong).await {
            assert_refused(&told, Code::FailedPrecondition, reason, &way);
        }
    }
}

#[tokio::test]
async fn registration_02_organization_absent() {
    let client = Client::of(&shared());
    let form = form(&client, &person(700_001)).await;
    let absent = RegisterRequest { organization_code: "AH-999999".to_owned(), ..form };
    for (told, request_id, way) in everywhere(&client, &absent).await {
        assert_refused(&told, Code::NotFound, "ORGANIZATION_NOT_FOUND", &way);
        assert_unknown(&client, &request_id).await;
    }
}

#[tokio::test]
async fn registration_03_organization_closed() {
    // Nobody else registers there.
    const CLOSED: &str = "AH-341882108";
    const SUCCESSOR: &str = "AH-341882107";
    let client = Client::of(&shared());
    let close = "UPDATE orgtree.organization SET state = 2, successor_code = $2 WHERE code = $1";
    let mut main = client.site.main_database().await;
    let closed = sqlx::query(close).bind(CLOSED).bind(SUCCESSOR).execute(&mut main).await.unwrap();
    assert_eq!(closed.rows_affected(), 1);
    let form = form(&client, &person(700_002)).await;
    let late = RegisterRequest { organization_code: CLOSED.to_owned(), ..form };
    for (told, request_id, way) in everywhere(&client, &late).await {
        assert_refused(&told, Code::FailedPrecondition, "ORGANIZATION_CLOSED", &way);
        assert!(told.repeats(SUCCESSOR.as_bytes()), "{way}: {told:?}");
        assert_unknown(&client, &request_id).await;
    }
}

/// All organizations.
async fn organizations(client: &Client) -> Vec<Organization> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let query = "团".to_owned();
        let request =
            ListOrganizationsRequest { query, page_size: 500, page_token, ..Default::default() };
        let page: ListOrganizationsResponse =
            client.grpc.call(LIST_ORGANIZATIONS, &request).await.unwrap();
        all.extend(page.organizations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

#[tokio::test]
async fn registration_04_organization_that_takes_no_registrations() {
    let client = Client::of(&shared());
    let right = form(&client, &person(700_003)).await;
    let all = organizations(&client).await;
    let mut kinds = (0, 0);
    for kind in 1..=8 {
        let one = all.iter().rfind(|one| one.kind == kind && one.code != "AH-341882108").unwrap();
        // Who takes people is not refused for it, but for the consents, a little later.
        let (code, organization_code) = (Code::FailedPrecondition, one.code.clone());
        let wrong = RegisterRequest { organization_code, consents: Vec::new(), ..right.clone() };
        for (told, request_id, way) in everywhere(&client, &wrong).await {
            if one.takes_registrations {
                assert_refused(&told, code, "CONSENT_MISSING", &way);
            } else {
                assert_refused(&told, code, "ORGANIZATION_TAKES_NO_REGISTRATIONS", &way);
                assert_unknown(&client, &request_id).await;
            }
        }
        if one.takes_registrations { kinds.0 += 1 } else { kinds.1 += 1 }
    }
    // Township-level, university, enterprise and work committees.
    assert_eq!(kinds, (4, 4));
}

#[tokio::test]
async fn registration_05_region_not_a_leaf() {
    let client = Client::of(&shared());
    let right = form(&client, &person(700_004)).await;
    for (region, is_leaf) in [
        ("340000", false),
        ("340100", false),
        ("110000", false),
        ("440000", false),
        ("340104", true),
        // The cities without counties; 港澳台.
        ("441900", true),
        ("442000", true),
        ("460400", true),
        ("620200", true),
        ("710000", true),
        ("810000", true),
        ("820000", true),
    ] {
        let consents = Vec::new();
        let sent = RegisterRequest { region_code: region.to_owned(), consents, ..right.clone() };
        for (told, request_id, way) in everywhere(&client, &sent).await {
            let what = format!("{region}, {way}");
            if is_leaf {
                assert_refused(&told, Code::FailedPrecondition, "CONSENT_MISSING", &what);
            } else {
                assert_field_refused(&told, "region_code", &what);
                assert!(told.repeats(b"REGION_NOT_LEAF"), "{what}: {told:?}");
                assert_unknown(&client, &request_id).await;
            }
        }
    }
}

#[tokio::test]
async fn registration_06_region_unknown_or_retired() {
    let client = Client::of(&shared());
    let right = form(&client, &person(700_005)).await;
    // Never given; dissolved in 2020; no codes at all.
    for region in ["340999", "999999", "000000", "340203", "34010", "3401044", "皖340104"] {
        let sent = RegisterRequest { region_code: region.to_owned(), ..right.clone() };
        for (told, request_id, way) in everywhere(&client, &sent).await {
            assert_field_refused(&told, "region_code", &format!("{region}, {way}"));
            assert_unknown(&client, &request_id).await;
        }
    }
}

#[tokio::test]
async fn registration_09_request_of_somebody_else() {
    let client = Client::of(&shared());
    for way in ways_to(&client.site, GET_REGISTRATION) {
        // Well formed, and nobody's; the answer is the same for one that is undone.
        let told = way.ask(&way.sample()).await;
        assert_refused(&told, Code::NotFound, "REGISTRATION_NOT_FOUND", &way);
    }
}

/// A number belongs to who registered it first with a matching name: the phone that comes
/// second gets nothing, and changes nothing.
#[tokio::test]
async fn registration_19_number_of_somebody_who_is_registered() {
    let client = Client::of(&shared());
    let owner = person(700_006);
    let first = client.apply(&client.grpc, &owner).await;
    let volunteer = client.register_to_the_end(&client.grpc, &first).await.unwrap();
    for turn in 0..2 {
        let mobile = person(700_020 + u32::try_from(turn).unwrap()).mobile;
        let stranger = Person { mobile, ..owner.clone() };
        let mut form = client.apply(client.door(turn), &stranger).await;
        form.organization_code = ORGANIZATION.to_owned();
        let refusal = client.register_to_the_end(client.door(turn), &form).await.unwrap_err();
        let told = (refusal.code, refusal.reason.as_str());
        assert_eq!(told, (Code::AlreadyExists, "ALREADY_REGISTERED"), "{refusal:?}");
        // Whose it is, is not told.
        let whole = String::from_utf8_lossy(&refusal.whole).into_owned();
        assert!(!whole.contains(&volunteer.id) && !whole.contains(&volunteer.volunteer_number));
    }
    let replay = client.register_to_the_end(&client.json, &first).await.unwrap();
    assert_eq!(replay, volunteer);
    let id: Uuid = volunteer.id.parse().unwrap();
    let level: i16 = sqlx::query_scalar("SELECT level FROM identity.account WHERE account_id = $1")
        .bind(id)
        .fetch_one(&mut client.site.main_database().await)
        .await
        .unwrap();
    assert_eq!(level, 1);
}

#[tokio::test]
async fn registration_20_minor_without_a_guardian() {
    let client = Client::of(&shared());
    let today = shanghai_date(now());
    for (age, reason) in
        [(0, "UNDER_AGE"), (13, "UNDER_AGE"), (14, "GUARDIAN_REQUIRED"), (17, "GUARDIAN_REQUIRED")]
    {
        let child = form(&client, &minor(700_008, age, today)).await;
        for (told, request_id, way) in everywhere(&client, &child).await {
            let what = format!("{age}, {way}");
            assert_refused(&told, Code::FailedPrecondition, reason, &what);
            assert_unknown(&client, &request_id).await;
        }
    }
}
