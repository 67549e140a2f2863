use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::account_service_server::AccountService;
use zhiyuan_contracts::identity::v1::{GetAccountRequest, GetAccountResponse};
use zhiyuan_domain::{AccountId, Mobile, PersonName};
use zhiyuan_rpc::Fields;

use super::db;
use crate::error::{Error, Result};
use crate::keys::{Column, Vault};

/// `zhiyuan.identity.v1.AccountService`.
#[derive(Debug)]
pub(crate) struct AccountRpc {
    pool: PgPool,
    vault: Vault,
}

impl AccountRpc {
    pub(crate) fn new(pool: PgPool, vault: Vault) -> Self {
        Self { pool, vault }
    }

    async fn get(&self, request: &GetAccountRequest) -> Result<GetAccountResponse> {
        let mut fields = Fields::new();
        let parsed = fields.take("account_id", AccountId::parse(&request.account_id));
        let Some(account) = parsed else { return Err(fields.into_error().into()) };
        let id = account.as_uuid();
        let found = db::owner_of(&mut *self.pool.acquire().await?, id).await?;
        let owner = found.ok_or(Error::AccountGone)?;
        let key = self.vault.key(id).await?;
        let name = self.vault.open(&key, Column::AccountName, id, &owner.name)?;
        let phone = self.vault.open(&key, Column::AccountPhone, id, &owner.phone)?;
        const CORRUPT: Error = Error::Inconsistent("identity.account");
        Ok(GetAccountResponse {
            masked_name: PersonName::parse(&name).map_err(|_invalid| CORRUPT)?.masked(),
            masked_phone: Mobile::parse(&phone).map_err(|_invalid| CORRUPT)?.masked(),
        })
    }
}

#[async_trait]
impl AccountService for AccountRpc {
    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> std::result::Result<Response<GetAccountResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }
}
