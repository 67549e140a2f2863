//! `Debug` of messages that carry names, numbers, phones, codes and passwords.

use std::fmt::{Debug, Formatter, Result};

use crate::identity::v1::look_up_volunteer_request::Subject;
use crate::identity::v1::{
    BeginEnrolmentRequest, BeginPhoneRecoveryRequest, ChangePasswordRequest, ChangePhoneRequest,
    CloseMyAccountRequest, CompleteActivationRequest, CompleteActivationResponse,
    CompletePhoneRecoveryRequest, GetRosterPieceRequest, GetRosterPieceResponse, Guardian,
    GuardianConsent, LookUpVolunteerRequest, MyClaim, ObjectToPhoneRecoveryByCodeRequest,
    ObjectToPhoneRecoveryByNoticeRequest, PhoneProof, PutRosterPieceRequest, RefreshSessionRequest,
    ResetPasswordRequest, RespondToClaimRequest, RevealApplicantRequest, RevealApplicantResponse,
    RosterPerson, RosterRow, SendRegistrationCodeRequest, SendSmsCodeRequest, ShowClaimRequest,
    ShowClaimResponse, SignInRequest, SignInResponse, SignOutRequest, StartActivationRequest,
    Tokens,
};
use crate::orgtree::v1::{
    AcceptInvitationRequest, AcceptInvitationResponse, ConfirmInvitationRequest,
    CreateDelegationRequest, CreateDelegationResponse, CreateInvitationRequest,
    CreateInvitationResponse, DecideApplicationRequest, HandOverRequest, Invitation,
    OrganizationApplication, RevealApplicationRequest, SubmitApplicationRequest,
    UpdateApplicationRequest,
};
use crate::registration::v1::{
    DecideClaimRequest, DecideReviewRequest, GetRejectedRosterRowsRequest,
    GetRejectedRosterRowsResponse, RegisterRequest, RevealClaimRequest, RevealClaimResponse,
    RevealReviewRequest, RevealReviewResponse, RosterMember, StartPhoneRecoveryRequest,
    UploadRosterPieceRequest,
};

impl Debug for SendSmsCodeRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SendSmsCodeRequest").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl Debug for BeginEnrolmentRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("BeginEnrolmentRequest")
            .field("enrolment_id", &self.enrolment_id)
            .finish_non_exhaustive()
    }
}

impl Debug for SignInResponse {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SignInResponse")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// Messages that are nothing but secrets.
macro_rules! silent {
    ($($message:ident),*) => {$(
        impl Debug for $message {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )*};
}

silent!(
    SendRegistrationCodeRequest,
    SignInRequest,
    Tokens,
    RefreshSessionRequest,
    SignOutRequest,
    ChangePasswordRequest,
    ResetPasswordRequest,
    PhoneProof,
    ChangePhoneRequest,
    CloseMyAccountRequest,
    Guardian,
    GuardianConsent,
    RevealApplicantRequest,
    RevealApplicantResponse,
    RevealReviewRequest,
    RevealReviewResponse,
    DecideReviewRequest,
    GetRejectedRosterRowsRequest,
    GetRejectedRosterRowsResponse,
    ObjectToPhoneRecoveryByCodeRequest,
    ObjectToPhoneRecoveryByNoticeRequest,
    CompletePhoneRecoveryRequest,
    CreateInvitationRequest,
    CreateInvitationResponse,
    CreateDelegationRequest,
    CreateDelegationResponse,
    AcceptInvitationRequest,
    AcceptInvitationResponse,
    ConfirmInvitationRequest,
    HandOverRequest,
    SubmitApplicationRequest,
    UpdateApplicationRequest,
    DecideApplicationRequest,
    RevealApplicationRequest,
    GetRosterPieceRequest,
    GetRosterPieceResponse,
    StartActivationRequest,
    CompleteActivationRequest,
    CompleteActivationResponse,
    RespondToClaimRequest,
    ShowClaimRequest,
    ShowClaimResponse,
    RevealClaimRequest,
    RevealClaimResponse,
    DecideClaimRequest
);

/// What is noted about an invitation often names somebody.
impl Debug for Invitation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Invitation").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is said to a claim tells who says it.
impl Debug for MyClaim {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("MyClaim").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whom to ask is often who applies, by a number of their own; and what is written to them names
/// them.
impl Debug for OrganizationApplication {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("OrganizationApplication")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Debug for PutRosterPieceRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("PutRosterPieceRequest")
            .field("file_id", &self.file_id)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Debug for RosterRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RosterRow").field("row_number", &self.row_number).finish_non_exhaustive()
    }
}

impl Debug for RosterPerson {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RosterPerson")
            .field("person_id", &self.person_id)
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

impl Debug for BeginPhoneRecoveryRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("BeginPhoneRecoveryRequest")
            .field("recovery_id", &self.recovery_id)
            .finish_non_exhaustive()
    }
}

impl Debug for StartPhoneRecoveryRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("StartPhoneRecoveryRequest")
            .field("volunteer_id", &self.volunteer_id)
            .finish_non_exhaustive()
    }
}

impl Debug for UploadRosterPieceRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("UploadRosterPieceRequest")
            .field("import_id", &self.import_id)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Debug for RosterMember {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RosterMember")
            .field("person_id", &self.person_id)
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

impl Debug for LookUpVolunteerRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("LookUpVolunteerRequest")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Debug for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::IdNumber(_) => "IdNumber(***)",
            Self::Phone(_) => "Phone(***)",
            Self::ExternalId(_) => "ExternalId(***)",
        })
    }
}

impl Debug for RegisterRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // Not even the `request_id`: it is the key to the registration.
        f.debug_struct("RegisterRequest")
            .field("region_code", &self.region_code)
            .field("organization_code", &self.organization_code)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nobody_who_applies() {
        let contacts = crate::orgtree::v1::OrganizationContacts {
            phone: "canary".into(),
            ..Default::default()
        };
        let details = crate::orgtree::v1::OrganizationDetails {
            contacts: Some(contacts),
            ..Default::default()
        };
        let details = Some(details);
        let submit = SubmitApplicationRequest { details: details.clone(), ..Default::default() };
        let update = UpdateApplicationRequest { details: details.clone(), ..Default::default() };
        let decide = DecideApplicationRequest { note: "canary".into(), ..Default::default() };
        let one = OrganizationApplication { details, note: "canary".into(), ..Default::default() };
        let look = RevealApplicationRequest { purpose: "canary".into(), ..Default::default() };
        let shown = format!("{submit:?} {update:?} {decide:?} {one:?} {look:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn shows_nothing_personal() {
        let piece = UploadRosterPieceRequest { data: b"canary".to_vec(), ..Default::default() };
        let member = RosterMember { masked_name: "canary".into(), ..Default::default() };
        let rows = GetRejectedRosterRowsResponse { data: b"canary".to_vec(), next_offset: 0 };
        let shown = format!("{piece:?} {member:?} {rows:?}");
        assert!(!shown.contains("canary") && !shown.contains("99"), "{shown}");
        let form = RegisterRequest {
            name: "canary".into(),
            id_number: "canary".into(),
            phone: "canary".into(),
            sms_code: "canary".into(),
            password: "canary".into(),
            request_id: "canary".into(),
            ..Default::default()
        };
        assert!(!format!("{form:?}").contains("canary"));
        let complete =
            CompleteActivationRequest { default_password: "canary".into(), ..Default::default() };
        let proof =
            CompleteActivationResponse { activation_proof: "canary".into(), ..Default::default() };
        let start = StartActivationRequest { phone: "canary".into(), ..Default::default() };
        assert!(!format!("{complete:?} {proof:?} {start:?}").contains("canary"));
        let tokens = Tokens { access_token: "canary".into(), ..Default::default() };
        let signed_in = SignInResponse {
            tokens: Some(tokens.clone()),
            device_token: "canary".into(),
            ..Default::default()
        };
        let sign_in = SignInRequest { password: "canary".into(), ..Default::default() };
        let shown = format!("{tokens:?} {signed_in:?} {sign_in:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let start = StartPhoneRecoveryRequest {
            new_phone: "canary".into(),
            reason: "canary".into(),
            ..Default::default()
        };
        let begin = BeginPhoneRecoveryRequest { new_phone: "canary".into(), ..Default::default() };
        let complete = CompletePhoneRecoveryRequest {
            phone: "canary".into(),
            name: "canary".into(),
            new_password: "canary".into(),
            ..Default::default()
        };
        let invitation = Invitation { note: "canary".into(), ..Default::default() };
        let made = CreateInvitationResponse {
            invitation: Some(invitation.clone()),
            invitation_code: "canary".into(),
        };
        let accept =
            AcceptInvitationRequest { invitation_code: "canary".into(), ..Default::default() };
        let hand_over = HandOverRequest { check_number: "canary".into(), ..Default::default() };
        let shown = format!("{invitation:?} {made:?} {accept:?} {hand_over:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let shown = format!("{start:?} {begin:?} {complete:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let mine = MyClaim { statement: "canary".into(), ..Default::default() };
        let respond = RespondToClaimRequest { statement: "canary".into(), ..Default::default() };
        let seen = ShowClaimResponse { statement: "canary".into(), ..Default::default() };
        let revealed = RevealClaimResponse { name: "canary".into(), ..Default::default() };
        let shown = format!("{mine:?} {respond:?} {seen:?} {revealed:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let row = RosterRow {
            name: "canary".into(),
            id_number: "canary".into(),
            phone: "canary".into(),
            ..Default::default()
        };
        let rows =
            crate::identity::v1::ImportRosterRowsRequest { rows: vec![row], validate_only: false };
        let put = PutRosterPieceRequest { data: b"canary".to_vec(), ..Default::default() };
        let got = GetRosterPieceResponse { data: b"canary".to_vec() };
        let get = GetRosterPieceRequest { purpose: "canary".into(), ..Default::default() };
        let person = RosterPerson { masked_name: "canary".into(), ..Default::default() };
        let shown = format!("{rows:?} {put:?} {got:?} {get:?} {person:?}");
        assert!(!shown.contains("canary") && !shown.contains("99, 97"), "{shown}");
    }
}
