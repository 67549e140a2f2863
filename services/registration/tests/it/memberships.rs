//! Volunteers change their organization themselves.

use std::time::Duration;

use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{
    ChangeMyOrganizationRequest, ListMyOrganizationsRequest, ListMyOrganizationsResponse, Profile,
};
use zhiyuan_rpc::wire::timestamp;

use crate::fake_orgtree::{COUNTY, OTHER_TOWNSHIP, TOWNSHIP};
use crate::harness::{Recovery, Service, metadata, reason};
use crate::profiles::{ACTS, TOLD, Volunteer};

impl Volunteer<'_> {
    async fn change_organization(
        &self,
        request: &ChangeMyOrganizationRequest,
    ) -> Result<Profile, Status> {
        let request = self.sign(request.clone());
        let answer = self.client().change_my_organization(request).await?;
        Ok(answer.into_inner().profile.unwrap())
    }

    async fn list(&self, size: i32, token: &str) -> Result<ListMyOrganizationsResponse, Status> {
        let request = ListMyOrganizationsRequest { page_size: size, page_token: token.to_owned() };
        let answer = self.client().list_my_organizations(self.sign(request)).await?;
        Ok(answer.into_inner())
    }

    /// Code, beginning and end of each, page by page.
    async fn organizations(&self, size: i32) -> Vec<(String, i64, Option<i64>)> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.list(size, &token).await.unwrap();
            assert!(size == 0 || page.memberships.len() <= size.unsigned_abs() as usize);
            all.extend(page.memberships.into_iter().map(|one| {
                let left = one.leave_time.map(|time| time.seconds);
                (one.organization_code, one.join_time.unwrap().seconds, left)
            }));
            token = page.next_page_token;
            if token.is_empty() {
                return all;
            }
        }
    }
}

fn to(organization: &str) -> ChangeMyOrganizationRequest {
    ChangeMyOrganizationRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: organization.to_owned(),
        etag: String::new(),
    }
}

#[tokio::test]
async fn a_volunteer_changes_at_once_and_sees_where_he_was() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let registered = timestamp(service.now()).seconds;
    assert_eq!(volunteer.organizations(0).await, [(TOWNSHIP.into(), registered, None)]);
    let mut moved = vec![registered];
    for organization in [OTHER_TOWNSHIP, TOWNSHIP] {
        service.clock.advance(Duration::from_secs(60));
        moved.push(timestamp(service.now()).seconds);
        let profile = volunteer.change_organization(&to(organization)).await.unwrap();
        assert_eq!(profile.organization_code, organization);
        assert_eq!(volunteer.get().await.unwrap(), profile);
    }
    let expected = [
        (TOWNSHIP.into(), moved[2], None),
        (OTHER_TOWNSHIP.into(), moved[1], Some(moved[2])),
        (TOWNSHIP.into(), moved[0], Some(moved[1])),
    ];
    for size in [0, 1, 2, 3] {
        assert_eq!(volunteer.organizations(size).await, expected, "{size}");
    }
    assert_eq!(volunteer.get().await.unwrap().etag, "3");
    // Each was told of, and recorded.
    assert_eq!(service.sql(TOLD).await, "3");
    let expected = format!(
        "registration.organization.changed {{{TOWNSHIP}}},\
         registration.organization.changed {{{OTHER_TOWNSHIP}}}"
    );
    assert_eq!(service.sql(ACTS).await, expected);
}

#[tokio::test]
async fn a_change_that_is_sent_again_moves_nobody_and_another_under_its_id_is_refused() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let first = to(OTHER_TOWNSHIP);
    volunteer.change_organization(&first).await.unwrap();
    let back = volunteer.change_organization(&to(TOWNSHIP)).await.unwrap();
    // Even if the organization is closed by now: it is known, and answers what is.
    service.orgtree.close(OTHER_TOWNSHIP, TOWNSHIP);
    assert_eq!(volunteer.change_organization(&first).await.unwrap(), back);
    let other = ChangeMyOrganizationRequest { organization_code: TOWNSHIP.into(), ..first.clone() };
    let status = volunteer.change_organization(&other).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    assert_eq!(volunteer.organizations(0).await.len(), 3);
    assert_eq!(service.sql(TOLD).await, "3");
}

#[tokio::test]
async fn where_one_is_already_is_no_change() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let profile = volunteer.change_organization(&to(TOWNSHIP)).await.unwrap();
    assert_eq!(profile.etag, "1");
    assert_eq!(volunteer.organizations(0).await.len(), 1);
    assert_eq!((service.sql(TOLD).await, service.sql(ACTS).await), ("1".into(), String::new()));
}

#[tokio::test]
async fn organizations_that_take_nobody_are_refused_as_at_registering() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    service.orgtree.close(OTHER_TOWNSHIP, TOWNSHIP);
    let refused = async |organization: &str| {
        volunteer.change_organization(&to(organization)).await.unwrap_err()
    };
    for (organization, code, expected) in [
        ("AH-999", Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (OTHER_TOWNSHIP, Code::FailedPrecondition, "ORGANIZATION_CLOSED"),
        (COUNTY, Code::FailedPrecondition, "ORGANIZATION_TAKES_NO_REGISTRATIONS"),
        ("?", Code::InvalidArgument, "INVALID_FIELDS"),
    ] {
        let status = refused(organization).await;
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected));
    }
    let hinted = metadata(&refused(OTHER_TOWNSHIP).await, "successor_code");
    assert_eq!(hinted.as_deref(), Some(TOWNSHIP));
    service.orgtree.with(|state| state.down = 100);
    assert_eq!(refused(TOWNSHIP).await.code(), Code::Unavailable);
    assert_eq!(volunteer.organizations(0).await.len(), 1);
    assert_eq!(service.sql("SELECT count(*) FROM registration.request").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_at_once_each_is_one_step_of_the_history() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let same = to(OTHER_TOWNSHIP);
    let answers =
        futures_util::future::join_all((0..20).map(|_| volunteer.change_organization(&same)));
    assert!(answers.await.iter().all(Result::is_ok));
    assert_eq!(volunteer.organizations(0).await.len(), 2);
    let requests: Vec<_> = [TOWNSHIP, OTHER_TOWNSHIP].repeat(6).into_iter().map(to).collect();
    let changes = requests.iter().map(|request| volunteer.change_organization(request));
    assert!(futures_util::future::join_all(changes).await.iter().all(Result::is_ok));
    let history = volunteer.organizations(0).await;
    assert_eq!(history[0].0, volunteer.get().await.unwrap().organization_code);
    for pair in history.windows(2) {
        assert_ne!(pair[0].0, pair[1].0, "{history:?}");
        assert_eq!(pair[1].2, Some(pair[0].1), "{history:?}");
    }
    assert_eq!(service.sql(TOLD).await, history.len().to_string());
}

/// Row 22: of two who choose on one record, one has to look again.
#[tokio::test]
async fn registration_22_a_choice_on_a_record_that_has_changed_is_refused() {
    let service = Service::start(Recovery::Off).await;
    let volunteer = Volunteer::register(&service, 1).await;
    let seen = volunteer.get().await.unwrap().etag;
    let on = |organization: &str, etag: &str| ChangeMyOrganizationRequest {
        etag: etag.to_owned(),
        ..to(organization)
    };
    let (first, second) = (on(OTHER_TOWNSHIP, &seen), on(TOWNSHIP, &seen));
    let moved = volunteer.change_organization(&first).await.unwrap();
    assert_ne!(moved.etag, seen);
    let status = volunteer.change_organization(&second).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_STALE"));
    // What was carried out is known again, though the record has changed by it.
    assert_eq!(volunteer.change_organization(&first).await.unwrap(), moved);
    let other = ChangeMyOrganizationRequest { etag: moved.etag.clone(), ..first };
    assert_eq!(
        reason(&volunteer.change_organization(&other).await.unwrap_err()),
        "REQUEST_ID_REUSED"
    );
    volunteer.change_organization(&on(TOWNSHIP, &moved.etag)).await.unwrap();
    for etag in ["0", "01", "x", " 1", "-1"] {
        let status = volunteer.change_organization(&on(OTHER_TOWNSHIP, etag)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS", "{etag}");
    }
}

#[tokio::test]
async fn who_has_no_record_has_no_organizations() {
    let service = Service::start(Recovery::Off).await;
    let nobody = Volunteer::with_id(&service, &Uuid::new_v4().to_string()).await;
    let status = nobody.change_organization(&to(TOWNSHIP)).await.unwrap_err();
    assert_eq!(reason(&status), "VOLUNTEER_NOT_FOUND");
    assert_eq!(reason(&nobody.list(0, "").await.unwrap_err()), "VOLUNTEER_NOT_FOUND");
    let volunteer = Volunteer::register(&service, 1).await;
    assert_eq!(reason(&volunteer.list(-1, "").await.unwrap_err()), "INVALID_FIELDS");
    assert_eq!(reason(&volunteer.list(0, "x").await.unwrap_err()), "PAGE_TOKEN_INVALID");
}
