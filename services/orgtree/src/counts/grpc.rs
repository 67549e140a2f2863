//! `zhiyuan.orgtree.v1.StatisticsService`.

use std::time::Duration;

use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::orgtree::v1::statistics_service_server::StatisticsService;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationStatisticsRequest, GetOrganizationStatisticsResponse, OrganizationFigures,
};
use zhiyuan_domain::OrganizationCode;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Error as RpcError, Fields};

use super::{Figures, db};
use crate::error::Result;

/// The feed is read within moments of a first start.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// `StatisticsService`.
#[derive(Debug)]
pub(crate) struct Statistics {
    pool: PgPool,
}

impl Statistics {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn get(
        &self,
        request: &GetOrganizationStatisticsRequest,
    ) -> Result<GetOrganizationStatisticsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let Some(code) = fields.take("organization_code", code) else {
            return Err(fields.into_error().into());
        };
        let counted = db::get(&self.pool, code.as_str()).await?;
        let as_of = counted.as_of.ok_or_else(|| {
            RpcError::unavailable("the figures are not complete yet").with_retry_after(COME_AGAIN)
        })?;
        Ok(GetOrganizationStatisticsResponse {
            organization_code: code.as_str().to_owned(),
            own: Some(on_wire(counted.own)),
            subtree: Some(on_wire(counted.subtree)),
            as_of: Some(timestamp(as_of)),
        })
    }
}

fn on_wire(figures: Figures) -> OrganizationFigures {
    let Figures { volunteers, verified_volunteers, league_members } = figures;
    OrganizationFigures { volunteers, verified_volunteers, league_members }
}

#[async_trait]
impl StatisticsService for Statistics {
    async fn get_organization_statistics(
        &self,
        request: Request<GetOrganizationStatisticsRequest>,
    ) -> std::result::Result<Response<GetOrganizationStatisticsResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }
}
