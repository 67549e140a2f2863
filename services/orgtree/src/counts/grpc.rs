//! `zhiyuan.orgtree.v1.StatisticsService`.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::orgtree::v1::statistics_service_server::StatisticsService;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationStatisticsRequest, GetOrganizationStatisticsResponse, OrganizationFigures,
};
use zhiyuan_domain::{OrganizationCode, SharedClock, Violation};
use zhiyuan_feed::cuts;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};
use zhiyuan_rpc::{Error as RpcError, Fields};

use super::db::moving;
use super::{Figures, db};
use crate::error::{Error, Result};
use crate::run::NAME;

/// The feed is read within moments of a first start.
const COME_AGAIN: Duration = Duration::from_secs(2);
/// Cuts so long ago are told: a day less than differences are kept ([`super::job`]).
const TOLD: time::Duration = time::Duration::days(34);

/// `StatisticsService`.
#[derive(Debug)]
pub(crate) struct Statistics {
    pool: PgPool,
    clock: SharedClock,
}

impl Statistics {
    pub(crate) fn new(pool: PgPool, clock: SharedClock) -> Self {
        Self { pool, clock }
    }

    async fn get(
        &self,
        request: &GetOrganizationStatisticsRequest,
    ) -> Result<GetOrganizationStatisticsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let cut = request.cut_time.as_ref().map(|at| from_timestamp(at).ok_or_else(no_time));
        let cut = fields.take("cut_time", cut.transpose());
        let (Some(code), Some(cut)) = (code, cut) else {
            return Err(fields.into_error().into());
        };
        let (own, subtree, as_of) = match cut {
            Some(at) => self.as_of_cut(code.as_str(), at).await?,
            None => self.now(code.as_str()).await?,
        };
        Ok(GetOrganizationStatisticsResponse {
            organization_code: code.as_str().to_owned(),
            own: Some(on_wire(own)),
            subtree: Some(on_wire(subtree)),
            as_of: Some(timestamp(as_of)),
        })
    }

    async fn now(&self, code: &str) -> Result<(Figures, Figures, OffsetDateTime)> {
        let counted = db::get(&self.pool, code).await?;
        let as_of = counted.as_of.ok_or_else(|| {
            RpcError::unavailable("the figures are not complete yet").with_retry_after(COME_AGAIN)
        })?;
        Ok((counted.own, counted.subtree, as_of))
    }

    async fn as_of_cut(
        &self,
        code: &str,
        at: OffsetDateTime,
    ) -> Result<(Figures, Figures, OffsetDateTime)> {
        let cut = if self.clock.now() - at > TOLD {
            None
        } else {
            cuts::find(&self.pool, NAME, at).await?
        };
        let cut = cut.ok_or(Error::CutNotFound)?;
        if !cut.exact {
            return Err(Error::CutNotExact);
        }
        let mut transaction = self.pool.begin().await?;
        // Whoever changes the tree has dated the change before it is complete: once the tree is
        // kept, all changes up to the cut are there.
        db::keep_tree(&mut transaction).await?;
        if !moving::was(&mut transaction, code, at).await? {
            return Err(Error::OrganizationNotFound);
        }
        let (own, mut subtree) = db::get_as_of(&mut *transaction, code, cut.cut_id).await?;
        subtree += moving::correction(&mut transaction, code, cut.cut_id, at).await?;
        Ok((own, subtree, at))
    }
}

fn no_time() -> Violation {
    Violation {
        reason: "TIME_FORM", message: "时间超出范围，请填写有效的时间".to_owned()
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
