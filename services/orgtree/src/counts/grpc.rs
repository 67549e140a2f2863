//! `zhiyuan.orgtree.v1.StatisticsService`.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_audit::Trail;
use zhiyuan_contracts::orgtree::v1::statistics_service_server::StatisticsService;
use zhiyuan_contracts::orgtree::v1::{
    GetOrganizationStatisticsRequest, GetOrganizationStatisticsResponse,
    ListOrganizationStatisticsRequest, ListOrganizationStatisticsResponse, ListTargetsRequest,
    ListTargetsResponse, OrganizationFigures, SetTargetRequest, SetTargetResponse,
    StateMembersRequest, StateMembersResponse,
};
use zhiyuan_domain::{OrganizationCode, SharedClock};
use zhiyuan_feed::cuts;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Error as RpcError, Fields, PersonIdentity};

use super::children::Children;
use super::db::{Counted, moving};
use super::statements::Stating;
use super::targets::Targets;
use super::{Figures, db};
use crate::authority::refusals::Refusals;
use crate::error::{Error, Result};
use crate::run::NAME;

/// The feed is read within moments of a first start.
const COME_AGAIN: Duration = Duration::from_secs(2);
/// Cuts so long ago are told: a day less than differences are kept ([`super::job`]).
pub(crate) const TOLD: time::Duration = time::Duration::days(34);

/// `StatisticsService`.
#[derive(Debug)]
pub(crate) struct Statistics {
    pool: PgPool,
    clock: SharedClock,
    children: Children,
    stating: Stating,
    targets: Targets,
}

impl Statistics {
    /// `fold` is rung when there is something to fold.
    pub(crate) fn new(pool: PgPool, clock: SharedClock, trail: Trail, fold: Arc<Notify>) -> Self {
        let refusals = Refusals::new(pool.clone(), clock.clone(), trail.clone());
        Self {
            children: Children { pool: pool.clone(), clock: clock.clone() },
            stating: Stating {
                pool: pool.clone(),
                clock: clock.clone(),
                refusals: refusals.clone(),
                trail: trail.clone(),
                fold,
            },
            targets: Targets { pool: pool.clone(), clock: clock.clone(), trail, refusals },
            pool,
            clock,
        }
    }

    async fn get(
        &self,
        request: &GetOrganizationStatisticsRequest,
    ) -> Result<GetOrganizationStatisticsResponse> {
        let mut fields = Fields::new();
        let code = OrganizationCode::parse(&request.organization_code);
        let code = fields.take("organization_code", code);
        let cut = fields.take_time("cut_time", request.cut_time.as_ref());
        let (Some(code), Some(cut)) = (code, cut) else {
            return Err(fields.into_error().into());
        };
        let (counted, as_of) = match cut {
            Some(at) => (self.as_of_cut(code.as_str(), at).await?, at),
            None => {
                let (counted, as_of) = db::get(&self.pool, code.as_str()).await?;
                (counted, complete(as_of)?)
            }
        };
        Ok(GetOrganizationStatisticsResponse {
            organization_code: code.as_str().to_owned(),
            own: Some(on_wire(counted.own)),
            subtree: Some(on_wire(counted.subtree)),
            as_of: Some(timestamp(as_of)),
        })
    }

    async fn as_of_cut(&self, code: &str, at: OffsetDateTime) -> Result<Counted> {
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
        let mut counted = db::get_as_of(&mut *transaction, code, cut.cut_id).await?;
        counted.subtree += moving::correction(&mut transaction, code, cut.cut_id, at).await?;
        Ok(counted)
    }
}

/// Up to when figures are complete.
pub(super) fn complete(as_of: Option<OffsetDateTime>) -> Result<OffsetDateTime> {
    Ok(as_of.ok_or_else(|| {
        RpcError::unavailable("the figures are not complete yet").with_retry_after(COME_AGAIN)
    })?)
}

pub(super) fn on_wire(figures: Figures) -> OrganizationFigures {
    OrganizationFigures {
        volunteers: figures.volunteers,
        verified_volunteers: figures.verified_volunteers,
        league_members: figures.league_members,
        members: figures.members,
        registered_members: figures.registered_members,
        stated_members: figures.stated_members,
        stated_registered_members: figures.stated_registered,
        registered_per_ten_thousand: figures.rate(),
    }
}

#[async_trait]
impl StatisticsService for Statistics {
    async fn get_organization_statistics(
        &self,
        request: Request<GetOrganizationStatisticsRequest>,
    ) -> std::result::Result<Response<GetOrganizationStatisticsResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }

    async fn list_organization_statistics(
        &self,
        request: Request<ListOrganizationStatisticsRequest>,
    ) -> std::result::Result<Response<ListOrganizationStatisticsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.children.list(person, request.get_ref()).await?))
    }

    async fn state_members(
        &self,
        request: Request<StateMembersRequest>,
    ) -> std::result::Result<Response<StateMembersResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.stating.call(person, request.get_ref()).await?))
    }

    async fn set_target(
        &self,
        request: Request<SetTargetRequest>,
    ) -> std::result::Result<Response<SetTargetResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.targets.set_target(person, request.get_ref()).await?))
    }

    async fn list_targets(
        &self,
        request: Request<ListTargetsRequest>,
    ) -> std::result::Result<Response<ListTargetsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.targets.list_targets(person, request.get_ref()).await?))
    }
}
