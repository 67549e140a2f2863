//! What volunteers see and change of their own record.

use std::time::Duration;

use prost_types::FieldMask;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::profile_service_client::ProfileServiceClient;
use zhiyuan_contracts::registration::v1::{
    GetMyProfileRequest, Profile, ProfileDetails, Skill, UpdateMyProfileRequest,
};

use crate::fake_accounts::{NAME, PHONE};
use crate::fake_orgtree::{ABOLISHED, CITY, OTHER_RESIDENCE, RESIDENCE, TOWNSHIP};
use crate::harness::{Recovery, Service, form, reason};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How much was told of volunteers.
pub(crate) const TOLD: &str = "SELECT (SELECT count(*) FROM registration.outbox)
                         + (SELECT count(*) FROM registration.event)";
pub(crate) const ACTS: &str =
    "SELECT string_agg(action || ' ' || detail_values::text, ',' ORDER BY pending, n)
     FROM (SELECT action, detail_values, true AS pending, seq AS n FROM registration.audit_pending
           UNION ALL
           SELECT action, detail_values, false, index FROM registration.audit_entry) acts";

/// Somebody who has registered, and signs in at each call.
pub(crate) struct Volunteer<'a> {
    pub(crate) service: &'a Service,
    pub(crate) id: String,
    client: ProfileServiceClient<Channel>,
}

impl<'a> Volunteer<'a> {
    pub(crate) async fn register(service: &'a Service, n: u32) -> Self {
        let registered = service.register(&form(n)).await.unwrap().volunteer.unwrap();
        Self::with_id(service, &registered.id).await
    }

    /// Somebody with an account, whether or not there is a volunteer.
    pub(crate) async fn with_id(service: &'a Service, id: &str) -> Self {
        let client = ProfileServiceClient::connect(service.address().to_owned()).await.unwrap();
        let volunteer = Self { service, id: id.to_owned(), client };
        // Nobody is let in before it is known whose tokens count.
        service
            .until("the keys are known", async |_| {
                !matches!(volunteer.get().await, Err(status) if reason(&status) == "UNAVAILABLE")
            })
            .await;
        volunteer
    }

    pub(crate) fn client(&self) -> ProfileServiceClient<Channel> {
        self.client.clone()
    }

    pub(crate) fn sign<T>(&self, message: T) -> tonic::Request<T> {
        self.service.accounts.sign(&self.id, self.service.now(), message)
    }

    pub(crate) async fn get(&self) -> Result<Profile, Status> {
        let request = self.sign(GetMyProfileRequest {});
        Ok(self.client().get_my_profile(request).await?.into_inner().profile.unwrap())
    }

    async fn update(&self, request: &UpdateMyProfileRequest) -> Result<Profile, Status> {
        let request = self.sign(request.clone());
        Ok(self.client().update_my_profile(request).await?.into_inner().profile.unwrap())
    }

    async fn revisions(&self) -> String {
        let sql = format!(
            "SELECT revision || '/' || profile_revision FROM registration.volunteer
             WHERE volunteer_id = '{}'",
            self.id
        );
        self.service.sql(&sql).await
    }
}

/// A change of what the paths name, made on the first state of a record.
fn change(paths: &[&str], details: ProfileDetails) -> UpdateMyProfileRequest {
    UpdateMyProfileRequest {
        request_id: Uuid::new_v4().to_string(),
        etag: "1".into(),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() }),
        details: Some(details),
    }
}

fn skills(skills: &[Skill]) -> UpdateMyProfileRequest {
    let skills = skills.iter().map(|skill| i32::from(*skill)).collect();
    change(&["skills"], ProfileDetails { skills, ..Default::default() })
}

#[tokio::test]
async fn who_has_registered_sees_the_own_record_and_nothing_of_whose_it_is_but_its_edges() {
    let service = Service::start(Recovery::Off).await;
    let registered = service.register(&form(1)).await.unwrap().volunteer.unwrap();
    let profile = Volunteer::with_id(&service, &registered.id).await.get().await.unwrap();
    assert_eq!((profile.name.as_str(), profile.phone.as_str()), (NAME, PHONE));
    assert_eq!(profile.volunteer_number, registered.volunteer_number);
    assert_eq!((profile.organization_code.as_str(), profile.level), (TOWNSHIP, 1));
    assert_eq!(profile.register_time, registered.registered_at);
    let stated =
        ProfileDetails { region_code: RESIDENCE.into(), league_member: true, ..Default::default() };
    assert_eq!(profile.details, Some(stated));
    // Of nobody else.
    let other = Volunteer::register(&service, 2).await.get().await.unwrap();
    assert_ne!((other.id, other.volunteer_number), (profile.id, profile.volunteer_number));
}

#[tokio::test]
async fn what_is_changed_is_there_and_others_are_told_of_region_and_membership_alone() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let stated = ProfileDetails {
        political_status: Some(3),
        education: Some(20),
        employment: Some(31),
        skills: vec![1, 6],
        service_categories: vec![2, 10],
        ..Default::default()
    };
    let paths = ["political_status", "education", "employment", "skills", "service_categories"];
    let told = service.sql(TOLD).await;
    let answered = volunteer.update(&change(&paths, stated.clone())).await.unwrap();
    let expected =
        ProfileDetails { region_code: RESIDENCE.into(), league_member: true, ..stated.clone() };
    assert_eq!(answered.details.as_ref(), Some(&expected));
    assert_eq!(volunteer.get().await.unwrap(), answered);
    assert_eq!((service.sql(TOLD).await, volunteer.revisions().await), (told, "1/2".into()));

    let moved = ProfileDetails { region_code: OTHER_RESIDENCE.into(), ..Default::default() };
    let moved = UpdateMyProfileRequest {
        etag: answered.etag,
        ..change(&["region_code", "league_member"], moved)
    };
    let answered = volunteer.update(&moved).await.unwrap();
    let expected = ProfileDetails { region_code: OTHER_RESIDENCE.into(), ..stated };
    assert_eq!(answered.details, Some(expected));
    assert_eq!(volunteer.revisions().await, "2/3");
    assert_eq!(service.sql(TOLD).await, "2");
    let acts = service.sql(ACTS).await;
    assert_eq!(
        acts,
        "registration.profile.changed {\"political_status education employment skills \
         service_categories\"},registration.profile.changed {\"region_code league_member\"}"
    );
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_the_record_as_it_was() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let same = ProfileDetails { league_member: true, ..Default::default() };
    volunteer.update(&change(&["league_member"], same)).await.unwrap();
    assert_eq!(volunteer.revisions().await, "1/1");
    assert_eq!(service.sql(ACTS).await, "");
}

#[tokio::test]
async fn a_change_that_is_sent_again_changes_nothing_and_another_under_its_id_is_refused() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let moved = ProfileDetails { region_code: OTHER_RESIDENCE.into(), ..Default::default() };
    let first = change(&["region_code"], moved);
    let answered = volunteer.update(&first).await.unwrap();
    // Nobody else is asked again either.
    service.orgtree.with(|state| state.down = usize::MAX);
    assert_eq!(volunteer.update(&first).await.unwrap(), answered);
    assert_eq!(volunteer.revisions().await, "2/2");
    for other in [
        UpdateMyProfileRequest { etag: "2".into(), ..first.clone() },
        UpdateMyProfileRequest { request_id: first.request_id.clone(), ..skills(&[Skill::Law]) },
    ] {
        let status = volunteer.update(&other).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::AlreadyExists, "REQUEST_ID_REUSED")
        );
    }
    assert_eq!(volunteer.get().await.unwrap(), answered);
    // The ids of others are others.
    service.orgtree.with(|state| state.down = 0);
    let stranger = Volunteer::register(&service, 2).await;
    let same_id =
        UpdateMyProfileRequest { request_id: first.request_id, ..skills(&[Skill::Driving]) };
    assert_eq!(stranger.update(&same_id).await.unwrap().details.unwrap().skills, [14]);
}

#[tokio::test]
async fn a_change_made_on_an_older_state_is_refused_and_not_sent_again_by_itself() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let (first, second) = (skills(&[Skill::Law]), skills(&[Skill::Repair]));
    volunteer.update(&first).await.unwrap();
    let status = volunteer.update(&second).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_STALE"));
    assert!(status.get_error_details().retry_info().is_none(), "it would be refused again");
    let profile = volunteer.get().await.unwrap();
    assert_eq!(profile.details.unwrap().skills, [6]);
    // Refused, it was not used up.
    let again = UpdateMyProfileRequest { etag: profile.etag, ..second };
    assert_eq!(volunteer.update(&again).await.unwrap().details.unwrap().skills, [15]);
}

#[tokio::test]
async fn what_identity_tells_makes_no_change_stale() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let raise = "UPDATE registration.volunteer SET level = 2, revision = revision + 1";
    sqlx::query(raise).execute(&service.pool().await).await.unwrap();
    let answered = volunteer.update(&skills(&[Skill::Law])).await.unwrap();
    assert_eq!(answered.level, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_at_once_one_is_made() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let same = skills(&[Skill::Law]);
    let answers = futures_util::future::join_all((0..20).map(|_| volunteer.update(&same))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().etag, "2");
    }
    assert_eq!(volunteer.revisions().await, "1/2");
    let others: Vec<_> = (1..=16)
        .map(|skill| UpdateMyProfileRequest {
            etag: "2".into(),
            ..change(&["skills"], ProfileDetails { skills: vec![skill], ..Default::default() })
        })
        // One of them would change nothing.
        .filter(|other| other.details.as_ref().unwrap().skills != [6])
        .collect();
    let answers =
        futures_util::future::join_all(others.iter().map(|other| volunteer.update(other))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 14));
    for answer in refused {
        assert_eq!(reason(&answer.unwrap_err()), "ETAG_STALE");
    }
    assert_eq!(volunteer.revisions().await, "1/3");
}

#[tokio::test]
async fn a_region_is_checked_where_it_is_changed_and_nowhere_else() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    for (region, expected) in
        [("340999", "REGION_UNKNOWN"), (CITY, "REGION_NOT_LEAF"), (ABOLISHED, "REGION_ABOLISHED")]
    {
        let moved = ProfileDetails { region_code: region.into(), ..Default::default() };
        let status = volunteer.update(&change(&["region_code"], moved)).await.unwrap_err();
        let details = status.get_error_details();
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(
            (violation.field.as_str(), violation.reason.as_str()),
            ("details.region_code", expected)
        );
    }
    service.orgtree.with(|state| state.down = usize::MAX);
    let moved = ProfileDetails { region_code: OTHER_RESIDENCE.into(), ..Default::default() };
    let status = volunteer.update(&change(&["region_code"], moved)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    volunteer.update(&skills(&[Skill::Law])).await.unwrap();
    assert_eq!(volunteer.revisions().await, "1/2");
}

#[tokio::test]
async fn who_has_no_record_is_told_so_and_who_has_not_signed_in_is_nobody() {
    let service = Service::start(Recovery::Off).await;
    let nobody = Volunteer::with_id(&service, &Uuid::new_v4().to_string()).await;
    let missing = |status: &Status| {
        assert_eq!(
            (status.code(), reason(status).as_str()),
            (Code::NotFound, "VOLUNTEER_NOT_FOUND")
        );
    };
    missing(&nobody.get().await.unwrap_err());
    missing(&nobody.update(&skills(&[Skill::Law])).await.unwrap_err());
    let status = nobody.client().get_my_profile(GetMyProfileRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let volunteer = Volunteer::register(&service, 1).await;
    // identity is down: nothing is told, and what was changed stays so.
    service.accounts.with(|state| state.down = 100);
    let change = skills(&[Skill::Law]);
    let status = volunteer.update(&change).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    service.accounts.with(|state| state.down = 0);
    assert_eq!(volunteer.update(&change).await.unwrap().etag, "2");
    service.accounts.with(|state| state.closed.push(volunteer.id.clone()));
    missing(&volunteer.get().await.unwrap_err());
    // A registration that has not come to its end shows nobody.
    service.accounts.with(|state| state.closed.clear());
    let hide = "UPDATE registration.volunteer SET state = 'INACTIVE'";
    sqlx::query(hide).execute(&service.pool().await).await.unwrap();
    missing(&volunteer.get().await.unwrap_err());
}

#[tokio::test]
async fn a_change_is_known_again_for_30_days() {
    let service = Service::start(Recovery::On).await;
    let volunteer = Volunteer::register(&service, 1).await;
    volunteer.update(&skills(&[Skill::Law])).await.unwrap();
    let rows =
        async |service: &Service| service.sql("SELECT count(*) FROM registration.request").await;
    service.clock.advance(29 * DAY);
    let looks = service.identity.calls("list");
    service.until("a sweep", async |service| service.identity.calls("list") > looks + 1).await;
    assert_eq!(rows(&service).await, "1");
    service.clock.advance(DAY + Duration::from_secs(1));
    service.until("it is forgotten", async |service| rows(service).await == "0").await;
}
