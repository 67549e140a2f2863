//! Somebody of 14 to 17 registers as anybody does, with a guardian beside.

use zhiyuan_contracts::identity::v1::GuardianRelation;
use zhiyuan_contracts::registration::v1::{
    GetMyProfileRequest, GetMyProfileResponse, RegisterRequest,
};
use zhiyuan_domain::shanghai_date;
use zhiyuan_testkit::{Person, minor, person};

use crate::harness::caller::{AUTHORIZATION, sign_in};
use crate::harness::client::{now, patiently};
use crate::harness::{Client, Door, shared};

const GET_MY_PROFILE: &str = "/zhiyuan.registration.v1.ProfileService/GetMyProfile";

/// Registers somebody, and reads the record as its owner.
async fn profile(
    client: &Client,
    door: &Door,
    form: &RegisterRequest,
    of: &Person,
) -> GetMyProfileResponse {
    client.register_to_the_end(door, form).await.unwrap();
    let bearer = sign_in(&client.site, of).await;
    let bearer = [(AUTHORIZATION, &*bearer)];
    patiently(|| door.call_with(GET_MY_PROFILE, &GetMyProfileRequest {}, &bearer)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minor_registers_with_a_guardian_who_is_told_and_both_see_who_consented() {
    let client = Client::of(&shared());
    let today = shanghai_date(now());
    for (turn, age) in [(0, 14), (1, 17)] {
        let door = client.door(turn);
        let n = 67_000 + u32::try_from(turn).unwrap();
        let (child, parent) = (minor(n, age, today), person(n));
        let form = client.apply(door, &child).await;
        let alone = client.register_patiently(door, &form).await.unwrap_err();
        assert_eq!(alone.reason, "GUARDIAN_REQUIRED");
        let guardian = client.guardian(door, &parent).await;
        let form = RegisterRequest { guardian: Some(guardian), ..form };
        let profile = profile(&client, door, &form, &child).await.profile.unwrap();
        let consent = profile.guardian_consent.unwrap();
        assert_eq!(consent.relation(), GuardianRelation::Mother);
        assert_ne!(consent.masked_name, parent.name);
        assert!(consent.masked_phone.contains("****"), "{}", consent.masked_phone.len());
        client.wait_for_text(&parent.mobile, "您以监护人身份同意注册").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_16_and_earns_registers_alone_and_an_adults_guardian_is_not_kept() {
    let client = Client::of(&shared());
    let today = shanghai_date(now());
    let earning = minor(67_010, 16, today);
    let form = client.apply(&client.json, &earning).await;
    let form = RegisterRequest { own_income: true, ..form };
    let shown = profile(&client, &client.json, &form, &earning).await.profile.unwrap();
    assert_eq!(shown.guardian_consent, None);

    let (adult, parent) = (person(67_011), person(67_012));
    let form = RegisterRequest {
        guardian: Some(client.guardian(&client.json, &parent).await),
        ..client.apply(&client.json, &adult).await
    };
    let shown = profile(&client, &client.json, &form, &adult).await.profile.unwrap();
    assert_eq!(shown.guardian_consent, None);
    let mut main = client.site.main_database().await;
    let kept = "SELECT count(*) FROM identity.guardian_consent WHERE account_id = $1::uuid";
    let kept: i64 = sqlx::query_scalar(kept).bind(&shown.id).fetch_one(&mut main).await.unwrap();
    assert_eq!(kept, 0);
}
