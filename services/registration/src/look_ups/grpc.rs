//! `zhiyuan.registration.v1.VolunteerService`.

use sqlx::PgPool;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record, Trail};
use zhiyuan_contracts::identity::v1::LookUpPurpose;
use zhiyuan_contracts::registration::v1::volunteer_service_server::VolunteerService;
use zhiyuan_contracts::registration::v1::{
    BatchGetVolunteersRequest, BatchGetVolunteersResponse, LookUpVolunteerNumberRequest,
    LookUpVolunteerNumberResponse, VolunteerEntry, VolunteerStatus, VolunteerSummary,
};
use zhiyuan_domain::{AccountId, SharedClock, VolunteerId, VolunteerNumber};
use zhiyuan_postgres::again;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{CallerIdentity, Fields};

use super::{Look, MOST, db, in_order};
use crate::error::{Error, Result};
use crate::volunteers::Told;

/// `VolunteerService`.
#[derive(Debug)]
pub(crate) struct VolunteerRpc {
    pool: PgPool,
    clock: SharedClock,
    trail: Trail,
}

impl VolunteerRpc {
    pub(crate) fn new(pool: PgPool, clock: SharedClock, trail: Trail) -> Self {
        Self { pool, clock, trail }
    }

    /// Records a question, also for those whom it found, before it is answered: what can't be
    /// recorded is not told.
    async fn record(
        &self,
        record: &Record,
        (platform, purpose): (&str, LookUpPurpose),
        found: &[Uuid],
    ) -> Result<()> {
        again(Error::is_lost, async || {
            let look = Look { platform, purpose, at: self.clock.now() };
            let mut transaction = self.pool.begin().await?;
            self.trail.append(&mut transaction, record).await?;
            db::count(&mut transaction, &look, found).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn get(
        &self,
        platform: &str,
        request: &BatchGetVolunteersRequest,
    ) -> Result<BatchGetVolunteersResponse> {
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
        let purpose = purpose(&mut fields, request.purpose);
        let Some((purpose, name)) = purpose else { return Err(fields.into_error().into()) };
        fields.finish()?;
        let found = db::by_ids(&self.pool, &ids).await?;
        let record = by_platform(platform, "registration.volunteers.read").because(name);
        let record = record.with("volunteers", found.len());
        let looked_at: Vec<Uuid> = found.iter().map(|told| told.volunteer_id).collect();
        self.record(&record, (platform, purpose), &looked_at).await?;
        let entries = in_order(&ids, found).into_iter().map(|(id, told)| VolunteerEntry {
            volunteer_id: id.to_string(),
            volunteer: told.map(summary),
        });
        Ok(BatchGetVolunteersResponse { entries: entries.collect() })
    }

    async fn look_up(
        &self,
        platform: &str,
        request: &LookUpVolunteerNumberRequest,
    ) -> Result<LookUpVolunteerNumberResponse> {
        let mut fields = Fields::new();
        let parsed = VolunteerNumber::parse(&request.volunteer_number);
        let number = fields.take("volunteer_number", parsed);
        let purpose = purpose(&mut fields, request.purpose);
        let (Some(number), Some((purpose, name))) = (number, purpose) else {
            return Err(fields.into_error().into());
        };
        let found = db::by_number(&self.pool, &number).await?;
        let record = by_platform(platform, "registration.volunteer.looked_up").because(name);
        let record = match found {
            Some((id, _level)) => record.about(AccountId::from(id)),
            None => record,
        };
        let looked_at: Vec<Uuid> = found.iter().map(|(id, _level)| *id).collect();
        self.record(&record, (platform, purpose), &looked_at).await?;
        Ok(found.map_or_else(LookUpVolunteerNumberResponse::default, |(id, level)| {
            LookUpVolunteerNumberResponse {
                registered: true,
                volunteer_id: id.to_string(),
                level: level.into(),
            }
        }))
    }
}

fn by_platform(platform: &str, action: &'static str) -> Record {
    Record::done(Actor::ServiceAccount(platform.to_owned()), action)
}

/// A purpose, and what it is called where it is recorded.
fn purpose(fields: &mut Fields, wire: i32) -> Option<(LookUpPurpose, &'static str)> {
    let purpose = LookUpPurpose::try_from(wire).ok();
    let named = purpose.and_then(|purpose| Some((purpose, purpose.recorded_as()?)));
    if named.is_none() {
        fields.refuse("purpose", "LOOK_UP_PURPOSE_UNKNOWN", "请说明查询的用途");
    }
    named
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
        let platform = CallerIdentity::name_of(&request);
        Ok(Response::new(self.get(&platform, request.get_ref()).await?))
    }

    async fn look_up_volunteer_number(
        &self,
        request: Request<LookUpVolunteerNumberRequest>,
    ) -> std::result::Result<Response<LookUpVolunteerNumberResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        Ok(Response::new(self.look_up(&platform, request.get_ref()).await?))
    }
}
