//! identity, as it is asked whose record it is.

use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_contracts::identity::v1::{ErrorReason, GetAccountRequest, GetAccountResponse};
use zhiyuan_domain::VolunteerId;
use zhiyuan_rpc::{Remote, SuiteChannel};

use crate::error::{Error, Result};

/// A client of identity's `AccountService`.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    client: AccountServiceClient<SuiteChannel>,
}

impl Accounts {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: AccountServiceClient::new(channel) }
    }

    /// What its owner is shown of an account.
    ///
    /// # Errors
    /// `VolunteerNotFound` when it is gone.
    pub(crate) async fn get(&self, id: VolunteerId) -> Result<GetAccountResponse> {
        let request = GetAccountRequest { account_id: id.to_string() };
        match self.client.clone().get_account(request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => {
                Remote::from(status).unless(ErrorReason::AccountNotFound)?;
                Err(Error::VolunteerNotFound)
            }
        }
    }
}
