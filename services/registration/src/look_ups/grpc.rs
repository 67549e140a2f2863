//! `zhiyuan.registration.v1.VolunteerService`.

use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::volunteer_service_server::VolunteerService;
use zhiyuan_contracts::registration::v1::{
    BatchGetVolunteersRequest, BatchGetVolunteersResponse, LookUpVolunteerNumberRequest,
    LookUpVolunteerNumberResponse, VolunteerEntry, VolunteerStatus, VolunteerSummary,
};
use zhiyuan_domain::{VolunteerId, VolunteerNumber};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::wire::timestamp;

use super::{MOST, db, in_order};
use crate::error::Result;
use crate::volunteers::Told;

/// `VolunteerService`.
#[derive(Debug)]
pub(crate) struct VolunteerRpc {
    pool: PgPool,
}

impl VolunteerRpc {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn get(&self, request: &BatchGetVolunteersRequest) -> Result<BatchGetVolunteersResponse> {
        let mut fields = Fields::new();
        let asked = &request.volunteer_ids;
        if asked.is_empty() || asked.len() > MOST {
            let message = "请提供 1 至 500 个志愿者编号";
            fields.refuse("volunteer_ids", "VOLUNTEER_IDS_COUNT", message);
            return Err(fields.into_error().into());
        }
        let ids: Vec<Uuid> = asked
            .iter()
            .enumerate()
            .filter_map(|(index, id)| {
                fields.take(&format!("volunteer_ids[{index}]"), VolunteerId::parse(id))
            })
            .map(|id: VolunteerId| id.as_uuid())
            .collect();
        fields.finish()?;
        let found = db::by_ids(&self.pool, &ids).await?;
        let entries = in_order(&ids, found).into_iter().map(|(id, told)| VolunteerEntry {
            volunteer_id: id.to_string(),
            volunteer: told.map(summary),
        });
        Ok(BatchGetVolunteersResponse { entries: entries.collect() })
    }

    async fn look_up(
        &self,
        request: &LookUpVolunteerNumberRequest,
    ) -> Result<LookUpVolunteerNumberResponse> {
        let mut fields = Fields::new();
        let parsed = VolunteerNumber::parse(&request.volunteer_number);
        let Some(number) = fields.take("volunteer_number", parsed) else {
            return Err(fields.into_error().into());
        };
        let found = db::by_number(&self.pool, &number).await?;
        Ok(found.map_or_else(LookUpVolunteerNumberResponse::default, |(id, level)| {
            LookUpVolunteerNumberResponse {
                registered: true,
                volunteer_id: id.to_string(),
                level: level.into(),
            }
        }))
    }
}

fn summary(told: Told) -> VolunteerSummary {
    let status = if told.account_missing {
        VolunteerStatus::AccountMissing
    } else {
        VolunteerStatus::Active
    };
    VolunteerSummary {
        volunteer_number: told.volunteer_number,
        region_code: told.region_code,
        organization_code: told.organization_code,
        status: status.into(),
        level: told.level.into(),
        register_time: Some(timestamp(told.registered_at)),
    }
}

#[async_trait]
impl VolunteerService for VolunteerRpc {
    async fn batch_get_volunteers(
        &self,
        request: Request<BatchGetVolunteersRequest>,
    ) -> std::result::Result<Response<BatchGetVolunteersResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }

    async fn look_up_volunteer_number(
        &self,
        request: Request<LookUpVolunteerNumberRequest>,
    ) -> std::result::Result<Response<LookUpVolunteerNumberResponse>, Status> {
        Ok(Response::new(self.look_up(request.get_ref()).await?))
    }
}
