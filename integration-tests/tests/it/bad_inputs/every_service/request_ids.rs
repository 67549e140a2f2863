//! Ids that callers make (rows 23 and 24).

use std::collections::BTreeSet;

use prost_reflect::Value;

use super::{Place, assert_field_refused, fields, ways};
use crate::bad_inputs::Way;
use crate::harness::{Site, shared};

/// By these a call that is sent again is known again.
const MADE_BY_CALLERS: [&str; 4] = ["request_id", "enrolment_id", "recovery_id", "file_id"];

/// Methods without one: they only read, or send a code, which is never the same twice; or
/// they have to do with secrets, which are proof and not kept, and find done what they are
/// sent again for; or they say how something is to be, which sent again it is.
const WITHOUT: [&str; 93] = [
    "AcceptClaim",
    "BatchGetApplicants",
    "BatchGetClaims",
    "BatchGetPhoneRecoveries",
    "BatchGetRosterPeople",
    "BatchGetVolunteers",
    "BindExternalId",
    "CarryOutClaim",
    "ChangePassword",
    "ChangePhone",
    "Check",
    "CheckVoices",
    "CloseMyAccount",
    "CompleteActivation",
    "CompletePhoneRecovery",
    "DownloadPeriodicNotice",
    "EndOtherSessions",
    "EndSession",
    "FilterScope",
    "FilterWithin",
    "ForgetRosterPeople",
    "GetAccount",
    "GetArticle",
    "GetMyApplication",
    "GetMyProfile",
    "GetOrganization",
    "GetOrganizationStatistics",
    "GetOwnArticle",
    "GetPeriodicNotice",
    "GetRegion",
    "GetRejectedRosterRows",
    "GetRosterImport",
    "GiveConsent",
    "ImportRosterRows",
    "ListAccountGrants",
    "ListApplications",
    "ListArticles",
    "ListClaimedEnrolments",
    "ListClaims",
    "ListConsentTexts",
    "ListGrants",
    "ListInvitations",
    "ListMyApplications",
    "ListMyClaims",
    "ListMyConsentEntries",
    "ListMyConsents",
    "ListMyGrants",
    "ListMyLooks",
    "ListMyNotices",
    "ListMyOrganizations",
    "ListMyPhoneRecoveries",
    "ListMyRecords",
    "ListOrganizationStatistics",
    "ListOrganizations",
    "ListOwnArticles",
    "ListPeriodicNoticeConfirmations",
    "ListPeriodicNoticeKeys",
    "ListPeriodicNoticeRows",
    "ListPeriodicNotices",
    "ListPhoneRecoveries",
    "ListProposals",
    "ListRegions",
    "ListReviews",
    "ListRevocations",
    "ListRosterImportRows",
    "ListRosterImports",
    "ListRosterMembers",
    "ListRosterPeople",
    "ListSessions",
    "ListSigningKeys",
    "ListTargets",
    "LookUpVolunteer",
    "LookUpVolunteerNumber",
    "ObjectToPhoneRecoveryByCode",
    "ObjectToPhoneRecoveryByNotice",
    "Pull",
    "RefreshSession",
    "RejectClaim",
    "ReportServiceAccountUses",
    "ResetPassword",
    "RespondToClaim",
    "RevealApplication",
    "RevealClaim",
    "RevealReview",
    "SendRegistrationCode",
    "SendSmsCode",
    "ShowClaim",
    "SignIn",
    "SignOut",
    "StartActivation",
    "UnbindExternalId",
    "UploadRosterPiece",
    "WithdrawConsent",
];

fn id_of(way: &Way) -> Option<Place> {
    fields(way).into_iter().find(|place| MADE_BY_CALLERS.contains(&place.field().name()))
}

pub(super) async fn missing(site: &Site) {
    let mut without = BTreeSet::new();
    for way in ways(site) {
        let Some(place) = id_of(&way) else {
            without.insert(way.policy.method.name().to_owned());
            continue;
        };
        let mut message = way.sample();
        place.set(&mut message, Value::String(String::new()));
        assert_field_refused(&way.ask(&message).await, &place.name(), &way);
    }
    without.remove("Snapshot");
    assert_eq!(without, WITHOUT.map(str::to_owned).into(), "is that method one that changes?");
}

#[tokio::test]
async fn every_service_23_missing_request_id() {
    missing(&shared()).await;
}

pub(super) async fn not_random(site: &Site) {
    for way in ways(site) {
        let Some(place) = id_of(&way) else { continue };
        for id in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            // Of time and network card; of a name.
            "c232ab00-9414-11ec-b3c8-9f6bdeced846",
            "5df41881-3aed-3515-88a7-2f4a814cf09e",
            // Another spelling of the same id would be another id.
            "7f1c0d3e4b5a4c6d8e9f0a1b2c3d4e5f",
            "{7f1c0d3e-4b5a-4c6d-8e9f-0a1b2c3d4e5f}",
            "urn:uuid:7f1c0d3e-4b5a-4c6d-8e9f-0a1b2c3d4e5f",
            " 7f1c0d3e-4b5a-4c6d-8e9f-0a1b2c3d4e5f",
            "7f1c0d3e-4b5a-4c6d-8e9f-0a1b2c3d4e5g",
            "1",
            "null",
        ] {
            let mut message = way.sample();
            place.set(&mut message, Value::String(id.to_owned()));
            let told = way.ask(&message).await;
            assert_field_refused(&told, &place.name(), &format!("{id}, {way}"));
            assert!(id.len() < 10 || !told.repeats(id.trim().as_bytes()), "{id}, {way}");
        }
    }
}

#[tokio::test]
async fn every_service_24_request_id_that_is_no_random_uuid() {
    not_random(&shared()).await;
}
