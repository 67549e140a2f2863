//! Who waits for a decision, as identity tells it.

use std::collections::HashMap;

use tonic::Status;
use zhiyuan_contracts::identity::v1::enrolment_service_client::EnrolmentServiceClient;
use zhiyuan_contracts::identity::v1::{
    BatchGetApplicantsRequest, ErrorReason, RevealApplicantRequest, RevealApplicantResponse,
};
use zhiyuan_domain::{AccountId, EnrolmentId, Remark};
use zhiyuan_rpc::{Remote, SuiteChannel};

use crate::error::{Error, Result};

/// An applicant, as a list shows it.
#[derive(Debug)]
pub(crate) struct Applicant {
    /// All but the first character hidden.
    pub(crate) masked_name: String,
    /// Whether it has the ID number or the phone of the viewer.
    pub(crate) own: bool,
}

/// A client of identity, for what reviewers see.
#[derive(Debug, Clone)]
pub(crate) struct Applicants {
    client: EnrolmentServiceClient<SuiteChannel>,
}

impl Applicants {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: EnrolmentServiceClient::new(channel) }
    }

    /// Those of the applicants who wait for a decision, 500 at most.
    pub(crate) async fn get(
        &self,
        viewer: AccountId,
        ids: impl Iterator<Item = EnrolmentId>,
    ) -> Result<HashMap<EnrolmentId, Applicant>> {
        let enrolment_ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        if enrolment_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let viewer_account_id = viewer.to_string();
        let request = BatchGetApplicantsRequest { viewer_account_id, enrolment_ids };
        let answer =
            self.client.clone().batch_get_applicants(request).await.map_err(Remote::from)?;
        let applicants = answer.into_inner().applicants.into_iter().map(|applicant| {
            let id = EnrolmentId::parse(&applicant.enrolment_id)
                .map_err(|_| Error::Contract("enrolment_id"))?;
            Ok((id, Applicant { masked_name: applicant.masked_name, own: applicant.own }))
        });
        applicants.collect()
    }

    /// Name and ID number of an applicant; identity records the look.
    pub(crate) async fn reveal(
        &self,
        viewer: AccountId,
        id: EnrolmentId,
        purpose: &Remark,
    ) -> Result<RevealApplicantResponse> {
        let request = RevealApplicantRequest {
            enrolment_id: id.to_string(),
            viewer_account_id: viewer.to_string(),
            purpose: purpose.as_str().to_owned(),
        };
        match self.client.clone().reveal_applicant(request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(refusal(status)),
        }
    }
}

/// What identity knows better: it is decided or over this very moment, or the viewer's own.
fn refusal(status: Status) -> Error {
    let remote = Remote::from(status);
    if remote.is(ErrorReason::EnrolmentOwn) {
        Error::ReviewOfOneself
    } else if remote.is(ErrorReason::EnrolmentNotInReview)
        || remote.is(ErrorReason::EnrolmentNotFound)
    {
        Error::ReviewNotFound
    } else {
        remote.into()
    }
}
