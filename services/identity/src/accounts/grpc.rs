use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_contracts::identity::v1::account_service_server::AccountService;
use zhiyuan_contracts::identity::v1::{
    CloseMyAccountRequest, CloseMyAccountResponse, GetAccountRequest, GetAccountResponse,
};
use zhiyuan_domain::{AccountId, Mobile, PersonName, SharedClock};
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::db;
use crate::closing::{Closing, Proof};
use crate::enrolments::{guardian::Details, guardians};
use crate::error::{Error, Result};
use crate::keys::{Column, Vault};
use crate::{sign_in, sms_codes};

/// `zhiyuan.identity.v1.AccountService`.
#[derive(Debug)]
pub(crate) struct AccountRpc {
    pool: PgPool,
    vault: Vault,
    clock: SharedClock,
    closing: Closing,
}

impl AccountRpc {
    pub(crate) fn new(pool: PgPool, vault: Vault, clock: SharedClock, closing: Closing) -> Self {
        Self { pool, vault, clock, closing }
    }

    async fn is_active(&self, id: Uuid) -> Result<bool> {
        let found = db::owner_of(&mut *self.pool.acquire().await?, id).await?;
        Ok(found.is_some())
    }

    async fn get(&self, request: &GetAccountRequest) -> Result<GetAccountResponse> {
        let mut fields = Fields::new();
        let parsed = fields.take("account_id", AccountId::parse(&request.account_id));
        let Some(account) = parsed else { return Err(fields.into_error().into()) };
        let id = account.as_uuid();
        let mut conn = self.pool.acquire().await?;
        let owner = db::owner_of(&mut conn, id).await?.ok_or(Error::AccountGone)?;
        let consent = guardians::find(&mut conn, id).await?;
        drop(conn);
        let key = match self.vault.key(id).await {
            // Closed between the two.
            Err(Error::KeyMissing) if !self.is_active(id).await? => return Err(Error::AccountGone),
            key => key?,
        };
        let name = self.vault.open(&key, Column::AccountName, id, &owner.name)?;
        let phone = self.vault.open(&key, Column::AccountPhone, id, &owner.phone)?;
        let guardian = consent.map(|consent| {
            let now = self.clock.now();
            let guardian = Details::of_account(&self.vault, &key, id, &consent, now)?;
            Ok::<_, Error>(guardian.shown(consent))
        });
        const CORRUPT: Error = Error::Inconsistent("identity.account");
        Ok(GetAccountResponse {
            masked_name: PersonName::parse(&name).map_err(|_invalid| CORRUPT)?.masked(),
            masked_phone: Mobile::parse(&phone).map_err(|_invalid| CORRUPT)?.masked(),
            guardian_consent: guardian.transpose()?,
        })
    }
}

fn proof(request: CloseMyAccountRequest) -> Result<Proof> {
    let mut fields = Fields::new();
    let code = sms_codes::code_of(
        &mut fields,
        ("sms_challenge_id", &request.sms_challenge_id),
        ("sms_code", &request.sms_code),
    );
    let password = Zeroizing::new(request.password);
    sign_in::can_be_password(&mut fields, "password", &password);
    let Some(code) = code else { return Err(fields.into_error().into()) };
    fields.finish()?;
    Ok(Proof { password, code })
}

#[async_trait]
impl AccountService for AccountRpc {
    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> std::result::Result<Response<GetAccountResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }

    async fn close_my_account(
        &self,
        request: Request<CloseMyAccountRequest>,
    ) -> std::result::Result<Response<CloseMyAccountResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let proof = proof(request.into_inner())?;
        self.closing.close(person, &proof).await?;
        Ok(Response::new(CloseMyAccountResponse {}))
    }
}
