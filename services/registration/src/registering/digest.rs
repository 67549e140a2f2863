//! How a form is recognised without being kept.

use zhiyuan_crypto::KeyedDigest;

use super::form::{Form, Who};
use crate::error::Result;

const PURPOSE: &str = "registration.Register";

/// Digests a form under one version of the key: every field but `request_id`, in
/// its parsed spelling, so that `ｘ` and `X` are the same form.
///
/// # Errors
/// When there is no key of that version.
pub(crate) fn digest(form: &Form, keys: &KeyedDigest, version: i16) -> Result<[u8; 32]> {
    let mut builder = keys.begin(version, PURPOSE)?;
    builder = match &form.who {
        Who::Applicant(applicant) => builder
            .field("name", applicant.name.as_str().as_bytes())
            .field("id_number", applicant.id_number.as_str().as_bytes()),
        Who::Activated(proof) => builder.field("activation_proof", proof.as_bytes()),
    };
    builder = builder
        .field("region_code", form.region.as_str().as_bytes())
        .field("organization_code", form.organization.as_str().as_bytes());
    // In the order in which forms were always digested.
    if let Who::Applicant(applicant) = &form.who {
        builder = builder
            .field("phone", applicant.phone.as_e164().as_bytes())
            .field("sms_challenge_id", applicant.challenge.as_uuid().as_bytes())
            .field("sms_code", applicant.sms_code.as_bytes());
    }
    builder = builder
        .field("password", form.password.expose().as_bytes())
        .field("league_member", &[u8::from(form.league_member)]);
    if let Some(via) = &form.via {
        builder = builder.field("via", via.as_bytes());
    }
    if form.own_income {
        builder = builder.field("own_income", &[1]);
    }
    if let Some(guardian) = &form.guardian {
        builder = guardian.add_to(builder);
    }
    if let Some(claim) = &form.claim {
        builder = builder.field("claim_statement", claim.as_str().as_bytes());
    }
    for (purpose, version) in &form.consents {
        builder = builder
            .field("consents.purpose", purpose.as_str_name().as_bytes())
            .field("consents.version", version.as_bytes());
    }
    Ok(builder.finish())
}
