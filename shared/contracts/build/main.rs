//! Compiles `proto/` without `protoc`, and refuses a method without an access
//! policy.

#[path = "policy_rules.rs"]
mod policy_rules;

use std::error::Error;
use std::path::{Path, PathBuf};

/// Messages that carry what must never reach a log: `src/personal.rs` gives them a
/// `Debug` that shows nothing.
const PERSONAL: [&str; 60] = [
    ".zhiyuan.identity.v1.SendSmsCodeRequest",
    ".zhiyuan.identity.v1.Guardian",
    ".zhiyuan.identity.v1.GuardianConsent",
    ".zhiyuan.identity.v1.BeginEnrolmentRequest",
    ".zhiyuan.identity.v1.SignInRequest",
    ".zhiyuan.identity.v1.SignInResponse",
    ".zhiyuan.identity.v1.Tokens",
    ".zhiyuan.identity.v1.RefreshSessionRequest",
    ".zhiyuan.identity.v1.SignOutRequest",
    ".zhiyuan.identity.v1.ChangePasswordRequest",
    ".zhiyuan.identity.v1.ResetPasswordRequest",
    ".zhiyuan.identity.v1.PhoneProof",
    ".zhiyuan.identity.v1.ChangePhoneRequest",
    ".zhiyuan.identity.v1.CloseMyAccountRequest",
    ".zhiyuan.identity.v1.LookUpVolunteerRequest",
    ".zhiyuan.identity.v1.SendRegistrationCodeRequest",
    ".zhiyuan.identity.v1.RevealApplicantRequest",
    ".zhiyuan.identity.v1.RevealApplicantResponse",
    ".zhiyuan.identity.v1.PutRosterPieceRequest",
    ".zhiyuan.identity.v1.GetRosterPieceRequest",
    ".zhiyuan.identity.v1.GetRosterPieceResponse",
    ".zhiyuan.identity.v1.RosterRow",
    ".zhiyuan.identity.v1.StartActivationRequest",
    ".zhiyuan.identity.v1.CompleteActivationRequest",
    ".zhiyuan.identity.v1.CompleteActivationResponse",
    ".zhiyuan.identity.v1.RosterPerson",
    ".zhiyuan.registration.v1.RegisterRequest",
    ".zhiyuan.registration.v1.RevealReviewRequest",
    ".zhiyuan.registration.v1.RevealReviewResponse",
    ".zhiyuan.registration.v1.DecideReviewRequest",
    ".zhiyuan.identity.v1.BeginPhoneRecoveryRequest",
    ".zhiyuan.identity.v1.ObjectToPhoneRecoveryByCodeRequest",
    ".zhiyuan.identity.v1.ObjectToPhoneRecoveryByNoticeRequest",
    ".zhiyuan.identity.v1.CompletePhoneRecoveryRequest",
    ".zhiyuan.registration.v1.StartPhoneRecoveryRequest",
    ".zhiyuan.orgtree.v1.Invitation",
    ".zhiyuan.orgtree.v1.CreateInvitationRequest",
    ".zhiyuan.orgtree.v1.CreateInvitationResponse",
    ".zhiyuan.orgtree.v1.CreateDelegationRequest",
    ".zhiyuan.orgtree.v1.CreateDelegationResponse",
    ".zhiyuan.orgtree.v1.AcceptInvitationRequest",
    ".zhiyuan.orgtree.v1.AcceptInvitationResponse",
    ".zhiyuan.orgtree.v1.ConfirmInvitationRequest",
    ".zhiyuan.orgtree.v1.HandOverRequest",
    ".zhiyuan.registration.v1.UploadRosterPieceRequest",
    ".zhiyuan.registration.v1.GetRejectedRosterRowsRequest",
    ".zhiyuan.registration.v1.GetRejectedRosterRowsResponse",
    ".zhiyuan.registration.v1.RosterMember",
    ".zhiyuan.identity.v1.MyClaim",
    ".zhiyuan.identity.v1.RespondToClaimRequest",
    ".zhiyuan.identity.v1.ShowClaimRequest",
    ".zhiyuan.identity.v1.ShowClaimResponse",
    ".zhiyuan.registration.v1.RevealClaimRequest",
    ".zhiyuan.registration.v1.RevealClaimResponse",
    ".zhiyuan.registration.v1.DecideClaimRequest",
    ".zhiyuan.orgtree.v1.OrganizationApplication",
    ".zhiyuan.orgtree.v1.RevealApplicationRequest",
    ".zhiyuan.orgtree.v1.SubmitApplicationRequest",
    ".zhiyuan.orgtree.v1.UpdateApplicationRequest",
    ".zhiyuan.orgtree.v1.DecideApplicationRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rerun-if-changed=build");

    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;

    // The encoded set keeps custom options; the typed one drops them.
    let encoded = compiler.encode_file_descriptor_set();
    let pool = prost_reflect::DescriptorPool::decode(encoded.as_slice())?;
    let faults = policy_rules::faults(&pool);
    if !faults.is_empty() {
        return Err(format!("access policy: {}", faults.join("; ")).into());
    }
    std::fs::write(out.join("descriptor.bin"), encoded)?;

    let mut config = tonic_prost_build::Config::new();
    // The payload of an event carries the name of its message.
    config.enable_type_names();
    tonic_prost_build::configure()
        .skip_debug(PERSONAL)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
