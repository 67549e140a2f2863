//! Look-ups by platforms, and what they call people.

use time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::look_up_volunteer_request::Subject;
use zhiyuan_contracts::identity::v1::{
    BindExternalIdRequest, EnrolmentState, LookUpPurpose, LookUpVolunteerRequest,
    LookUpVolunteerResponse, UnbindExternalIdRequest,
};
use zhiyuan_identity::{Add, ServiceAccountCommand};
use zhiyuan_lifecycle::Tasks;
use zhiyuan_settings::Secret;
use zhiyuan_testkit::person;

use crate::account::PASSWORD;
use crate::codes::reason;
use crate::harness::{Identity, account};
use crate::service_accounts::{EXTERNAL_IDS, LOOK_UPS, Platform, add};

const LOOKED_UP: &str = "SELECT count(*) FROM (
        SELECT action FROM identity.audit_pending
        UNION ALL SELECT action FROM identity.audit_entry) acts
    WHERE action = 'identity.volunteer.looked_up'";
const ABOUT_SOMEBODY: &str = "SELECT count(*) FROM (
        SELECT action, subject_account_id, purpose FROM identity.audit_pending
        UNION ALL SELECT action, subject_account_id, purpose FROM identity.audit_entry) acts
    WHERE action = 'identity.volunteer.looked_up' AND purpose = '报名参加志愿服务活动'
      AND subject_account_id IN (SELECT account_id FROM identity.account)";

fn number(person: &zhiyuan_testkit::Person) -> Subject {
    Subject::IdNumber(person.id_number.clone())
}

fn phone(person: &zhiyuan_testkit::Person) -> Subject {
    Subject::Phone(person.mobile.clone())
}

fn external(id: &str) -> Subject {
    Subject::ExternalId(id.to_owned())
}

/// Registers somebody; the id of the volunteer.
async fn registered(identity: &Identity, person: &zhiyuan_testkit::Person) -> String {
    let application = identity.application(person).await;
    let claimed = identity.begin(&application).await;
    identity.activate(&application.enrolment_id).await.unwrap();
    account(&claimed).to_string()
}

async fn bind(platform: &Platform, id: &str, volunteer_id: &str) -> Result<(), tonic::Status> {
    let (external_id, volunteer_id) = (id.to_owned(), volunteer_id.to_owned());
    let request = BindExternalIdRequest { external_id, volunteer_id };
    platform.client().bind_external_id(request).await.map(drop)
}

async fn unbind(platform: &Platform, id: &str) -> Result<(), tonic::Status> {
    let request = UnbindExternalIdRequest { external_id: id.to_owned() };
    platform.client().unbind_external_id(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_registered_is_found_and_can_read_of_it_and_who_is_not_gets_the_same_shape() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS])).await;
    let (known, stranger, applicant) = (person(1), person(2), person(3));
    let volunteer = registered(&identity, &known).await;
    let application = identity.application(&applicant).await;
    let begun = identity.begin(&application).await;
    identity.until(&begun.enrolment_id, EnrolmentState::Claimed).await;

    let expected = LookUpVolunteerResponse {
        registered: true,
        volunteer_id: volunteer,
        level: 1,
        several: false,
    };
    for subject in [number(&known), phone(&known)] {
        assert_eq!(platform.look_up(subject).await.unwrap(), expected);
    }
    assert_eq!(identity.count(LOOKED_UP).await, 2);
    assert_eq!(identity.count(ABOUT_SOMEBODY).await, 2);
    // Not registered, or not yet: an answer, and a record that is about nobody.
    for subject in [number(&stranger), phone(&stranger), number(&applicant), phone(&applicant)] {
        let told = platform.look_up(subject).await.unwrap();
        assert_eq!(told, LookUpVolunteerResponse::default());
    }
    assert_eq!(identity.count(LOOKED_UP).await, 6);
    assert_eq!(identity.count(ABOUT_SOMEBODY).await, 2);
    assert_eq!(identity.count("SELECT look_ups::bigint FROM identity.look_up_count").await, 6);
    // Nobody to sign in to, and a volunteer all the same.
    let sql = "UPDATE identity.account SET state = 'DISABLED' WHERE state = 'ACTIVE'";
    sqlx::query(sql).execute(&identity.pool).await.unwrap();
    assert_eq!(platform.look_up(phone(&known)).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_a_family_shares_says_nobody_in_particular() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS])).await;
    let first = person(1);
    let second = zhiyuan_testkit::Person { mobile: first.mobile.clone(), ..person(2) };
    registered(&identity, &first).await;
    identity.pass(Duration::MINUTE);
    let volunteer = registered(&identity, &second).await;
    let told = platform.look_up(phone(&first)).await.unwrap();
    let several = LookUpVolunteerResponse { registered: true, several: true, ..Default::default() };
    assert_eq!(told, several);
    assert_eq!(identity.count(ABOUT_SOMEBODY).await, 2, "each of them reads of it");
    let told = platform.look_up(number(&second)).await.unwrap();
    assert_eq!(told.volunteer_id, volunteer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_need_a_scope_a_purpose_and_one_subject() {
    let identity = Identity::start().await;
    let platform = identity.platform(add("platform", &[LOOK_UPS])).await;
    let other = identity.platform(add("other", &[EXTERNAL_IDS])).await;
    let refused = other.look_up(external("1")).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::PermissionDenied, "SCOPE_MISSING"));
    let refused = bind(&platform, "1", &uuid::Uuid::nil().to_string()).await.unwrap_err();
    assert_eq!(reason(&refused), "SCOPE_MISSING");
    let refused = unbind(&platform, "1").await.unwrap_err();
    assert_eq!(reason(&refused), "SCOPE_MISSING");

    let good = LookUpPurpose::Insurance;
    for (subject, purpose, field) in [
        (None, good, "subject"),
        (Some(number(&person(1))), LookUpPurpose::Unspecified, "purpose"),
        (Some(Subject::IdNumber("110101190001010015".into())), good, "id_number"),
        (Some(Subject::Phone("1".into())), good, "phone"),
        (Some(external("a b")), good, "external_id"),
    ] {
        let request = LookUpVolunteerRequest { subject, purpose: purpose.into() };
        let refused = platform.client().look_up_volunteer(request).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELDS");
        let details = refused.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
    }
    assert_eq!(identity.count(LOOKED_UP).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_by_what_is_personal_end_with_the_day_s_number_of_them() {
    let identity = Identity::start().await;
    let platform =
        identity.platform(Add { look_ups_per_day: 2, ..add("platform", &[LOOK_UPS]) }).await;
    let other = identity.platform(add("other", &[LOOK_UPS])).await;
    let one = person(1);
    platform.look_up(number(&one)).await.unwrap();
    platform.look_up(phone(&one)).await.unwrap();
    let refused = platform.look_up(phone(&one)).await.unwrap_err();
    let told = (refused.code(), reason(&refused));
    assert_eq!(told, (Code::ResourceExhausted, "LOOK_UPS_EXHAUSTED".to_owned()));
    // The tests begin at 20 o'clock in Shanghai.
    let wait = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(wait.as_secs(), 4 * 3600);
    assert_eq!(identity.count(LOOKED_UP).await, 2);
    // By its own ids it may go on, and others are not touched.
    platform.look_up(external("1")).await.unwrap();
    other.look_up(phone(&one)).await.unwrap();
    identity.pass(Duration::hours(4));
    platform.look_up(phone(&one)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_a_platform_is_one_volunteer_s_and_that_platform_s_alone() {
    let identity = Identity::start().await;
    let both = [LOOK_UPS, EXTERNAL_IDS];
    let platform = identity.platform(add("platform", &both)).await;
    let other = identity.platform(add("other", &both)).await;
    let first = registered(&identity, &person(1)).await;
    let second = registered(&identity, &person(2)).await;
    bind(&platform, "u1", &first).await.unwrap();
    bind(&platform, "u1", &first).await.unwrap();
    let taken = bind(&platform, "u1", &second).await.unwrap_err();
    assert_eq!((taken.code(), &*reason(&taken)), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN"));
    let nobody = bind(&platform, "u2", &uuid::Uuid::new_v4().to_string()).await.unwrap_err();
    assert_eq!((nobody.code(), &*reason(&nobody)), (Code::NotFound, "VOLUNTEER_NOT_FOUND"));
    for (id, volunteer) in [("a b", &*first), ("u3", "1")] {
        assert_eq!(reason(&bind(&platform, id, volunteer).await.unwrap_err()), "INVALID_FIELDS");
    }
    bind(&other, "u1", &second).await.unwrap();
    assert_eq!(platform.look_up(external("u1")).await.unwrap().volunteer_id, first);
    assert_eq!(other.look_up(external("u1")).await.unwrap().volunteer_id, second);
    let nobody = platform.look_up(external("u2")).await.unwrap();
    assert_eq!(nobody, LookUpVolunteerResponse::default());

    unbind(&platform, "u1").await.unwrap();
    unbind(&platform, "u1").await.unwrap();
    assert_eq!(reason(&unbind(&platform, "").await.unwrap_err()), "INVALID_FIELDS");
    let freed = platform.look_up(external("u1")).await.unwrap();
    assert_eq!(freed, LookUpVolunteerResponse::default());
    assert_eq!(other.look_up(external("u1")).await.unwrap().volunteer_id, second);
    bind(&platform, "u1", &second).await.unwrap();
    let recorded = "SELECT count(*) FROM (
            SELECT action FROM identity.audit_pending
            UNION ALL SELECT action FROM identity.audit_entry) acts
        WHERE action LIKE 'identity.external\\_id.%'";
    assert_eq!(identity.count(recorded).await, 4, "what changed nothing is not recorded");
}

/// Makes a second index key active besides the first one; the process from then on is the
/// next one, which has it.
pub(crate) async fn rotate(identity: &mut Identity) -> Tasks {
    let key = zhiyuan_crypto::Key32::generate().to_base64().to_string();
    identity.config.keys.blind_index.insert("2".into(), Secret::new(key));
    let sql =
        "INSERT INTO identity.index_key (version, active, created_at) VALUES (2, true, now())";
    sqlx::query(sql).execute(&identity.pool).await.unwrap();
    let (address, tasks) = identity.replica().await;
    identity.address = address;
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_index_keys_rotate_a_phone_has_no_second_limit_and_its_next_owner_takes_it() {
    let mut identity = Identity::start().await;
    let (one, other) = (person(1), person(2));
    registered(&identity, &one).await;
    let before = identity.vendors.texts(&one.mobile).len();
    let _tasks = rotate(&mut identity).await;
    // The code of the registration was sent under the first key, less than a minute ago.
    let soon = identity.try_send_code(&one.mobile).await.unwrap_err();
    assert_eq!(reason(&soon), "SMS_TOO_SOON");
    assert_eq!(identity.vendors.texts(&one.mobile).len(), before);
    // Long after, the number is somebody else's.
    identity.pass(Duration::days(200));
    let heir = zhiyuan_testkit::Person { mobile: one.mobile.clone(), ..other };
    identity.register(&heir).await;
    let attached = "SELECT count(*) FROM identity.account WHERE phone_attached";
    assert_eq!(identity.count(attached).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_index_keys_rotate_people_are_found_under_the_old_one_too() {
    let mut identity = Identity::start().await;
    let one = person(1);
    let volunteer = registered(&identity, &one).await;
    let _tasks = rotate(&mut identity).await;
    let platform = identity.platform(add("platform", &[LOOK_UPS])).await;
    for subject in [number(&one), phone(&one)] {
        assert_eq!(platform.look_up(subject).await.unwrap().volunteer_id, volunteer);
    }
    for identifier in [&one.mobile, &one.id_number] {
        identity.by_password(identifier, PASSWORD).await.unwrap();
    }
    let disable = ServiceAccountCommand::Disable { name: "platform".into() };
    identity.operate(disable).await.unwrap();
}
