//! `zhiyuan.registration.v1.PhoneRecoveryService`.

use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::phone_recovery_service_server::PhoneRecoveryService;
use zhiyuan_contracts::registration::v1::{
    ApprovePhoneRecoveryRequest, ApprovePhoneRecoveryResponse, CancelPhoneRecoveryRequest,
    CancelPhoneRecoveryResponse, GetPhoneRecoveryRequest, GetPhoneRecoveryResponse,
    ListPhoneRecoveriesRequest, ListPhoneRecoveriesResponse, PhoneRecovery,
    StartPhoneRecoveryRequest, StartPhoneRecoveryResponse,
};
use zhiyuan_domain::{Mobile, OrganizationCode, RecoveryId, RequestId, VolunteerId};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::deciding::{Decided, Start};
use super::{Reason, Recoveries};
use crate::error::Result;

/// `PhoneRecoveryService`.
#[derive(Debug)]
pub(crate) struct RecoveryRpc {
    recoveries: Recoveries,
}

impl RecoveryRpc {
    pub(crate) fn new(recoveries: Recoveries) -> Self {
        Self { recoveries }
    }

    async fn start(&self, me: Uuid, request: &StartPhoneRecoveryRequest) -> Result<PhoneRecovery> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
        let volunteer_id = fields.take("volunteer_id", VolunteerId::parse(&request.volunteer_id));
        let new_phone = fields.take("new_phone", Mobile::parse(&request.new_phone));
        let reason = fields.take("reason", Reason::parse(&request.reason));
        let (Some(request_id), Some(volunteer_id), Some(new_phone), Some(reason)) =
            (request_id, volunteer_id, new_phone, reason)
        else {
            return Err(fields.into_error().into());
        };
        let start = Start { request_id, volunteer_id, new_phone, reason };
        let started = self.recoveries.start(me, &start).await?;
        self.recoveries.render(&started).await
    }

    async fn decide(
        &self,
        me: Uuid,
        (request_id, recovery_id): (&str, &str),
        decided: Decided,
    ) -> Result<PhoneRecovery> {
        let mut fields = Fields::new();
        let request_id = fields.take("request_id", RequestId::parse(request_id));
        let id = fields.take("recovery_id", RecoveryId::parse(recovery_id));
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(fields.into_error().into());
        };
        let stored = self.recoveries.decide(me, (request_id, id.as_uuid()), decided).await?;
        self.recoveries.render(&stored).await
    }

    async fn get(&self, me: Uuid, request: &GetPhoneRecoveryRequest) -> Result<PhoneRecovery> {
        let mut fields = Fields::new();
        let id = fields.take("recovery_id", RecoveryId::parse(&request.recovery_id));
        let Some(id) = id else { return Err(fields.into_error().into()) };
        self.recoveries.get(me, id.as_uuid()).await
    }

    async fn list(
        &self,
        me: Uuid,
        request: &ListPhoneRecoveriesRequest,
    ) -> Result<ListPhoneRecoveriesResponse> {
        let mut fields = Fields::new();
        let organization =
            fields.take("organization_code", OrganizationCode::parse(&request.organization_code));
        let Some(organization) = organization else { return Err(fields.into_error().into()) };
        let filter = ["phone_recoveries", organization.as_str()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let before = page.after_key(|key| Uuid::try_parse(key).ok())?;
        let rows = self.recoveries.list(me, &organization, before, page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.recovery_id.to_string());
        let recoveries = self.recoveries.render_all(&rows, &organization).await?;
        Ok(ListPhoneRecoveriesResponse { recoveries, next_page_token })
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[async_trait]
impl PhoneRecoveryService for RecoveryRpc {
    async fn start_phone_recovery(
        &self,
        request: Request<StartPhoneRecoveryRequest>,
    ) -> Answer<StartPhoneRecoveryResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let recovery = Some(self.start(me, request.get_ref()).await?);
        Ok(Response::new(StartPhoneRecoveryResponse { recovery }))
    }

    async fn approve_phone_recovery(
        &self,
        request: Request<ApprovePhoneRecoveryRequest>,
    ) -> Answer<ApprovePhoneRecoveryResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let request = request.get_ref();
        let ids = (&*request.request_id, &*request.recovery_id);
        let recovery = Some(self.decide(me, ids, Decided::Approve).await?);
        Ok(Response::new(ApprovePhoneRecoveryResponse { recovery }))
    }

    async fn cancel_phone_recovery(
        &self,
        request: Request<CancelPhoneRecoveryRequest>,
    ) -> Answer<CancelPhoneRecoveryResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let request = request.get_ref();
        let ids = (&*request.request_id, &*request.recovery_id);
        let recovery = Some(self.decide(me, ids, Decided::Cancel).await?);
        Ok(Response::new(CancelPhoneRecoveryResponse { recovery }))
    }

    async fn get_phone_recovery(
        &self,
        request: Request<GetPhoneRecoveryRequest>,
    ) -> Answer<GetPhoneRecoveryResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        let recovery = Some(self.get(me, request.get_ref()).await?);
        Ok(Response::new(GetPhoneRecoveryResponse { recovery }))
    }

    async fn list_phone_recoveries(
        &self,
        request: Request<ListPhoneRecoveriesRequest>,
    ) -> Answer<ListPhoneRecoveriesResponse> {
        let me = PersonIdentity::of(&request)?.account_id;
        Ok(Response::new(self.list(me, request.get_ref()).await?))
    }
}
