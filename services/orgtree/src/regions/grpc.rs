use sqlx::PgPool;
use time::Date;
use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::orgtree::v1::region_service_server::RegionService;
use zhiyuan_contracts::orgtree::v1::{
    GetRegionRequest, GetRegionResponse, ListRegionsRequest, ListRegionsResponse,
    Region as WireRegion, RegionLevel, RegionSuccessor,
};
use zhiyuan_domain::{RegionCode, SharedClock, shanghai_date};
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::page::Page;

use super::{Level, Region, db};
use crate::error::{Error, Result};

/// `zhiyuan.orgtree.v1.RegionService`.
#[derive(Debug)]
pub(crate) struct Regions {
    pool: PgPool,
    clock: SharedClock,
}

#[async_trait]
impl RegionService for Regions {
    async fn list_regions(
        &self,
        request: Request<ListRegionsRequest>,
    ) -> std::result::Result<Response<ListRegionsResponse>, Status> {
        Ok(Response::new(self.list(&request.into_inner()).await?))
    }

    async fn get_region(
        &self,
        request: Request<GetRegionRequest>,
    ) -> std::result::Result<Response<GetRegionResponse>, Status> {
        Ok(Response::new(self.get(&request.into_inner()).await?))
    }
}

impl Regions {
    pub(crate) fn new(pool: PgPool, clock: SharedClock) -> Self {
        Self { pool, clock }
    }

    fn today(&self) -> Date {
        shanghai_date(self.clock.now())
    }

    async fn list(&self, request: &ListRegionsRequest) -> Result<ListRegionsResponse> {
        let parent = match request.parent_code.as_str() {
            "" => None,
            text => Some(parse("parent_code", text)?),
        };
        let parent = parent.as_ref().map(RegionCode::as_str);
        let filter = ["regions", parent.unwrap_or_default()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        // Anybody can make a token: what is in it reaches the database as a code or
        // not at all.
        if page.after.as_deref().is_some_and(|after| RegionCode::parse(after).is_err()) {
            return Err(Error::PageToken);
        }
        let mut connection = self.pool.acquire().await?;
        let after = page.after.as_deref();
        let regions = db::list(&mut connection, parent, after, self.today(), page.fetch()).await?;
        let (regions, next_page_token) = page.cut(regions, |region| region.code.clone());
        Ok(ListRegionsResponse {
            regions: regions.into_iter().map(|region| to_wire(region, self.today())).collect(),
            next_page_token,
        })
    }

    async fn get(&self, request: &GetRegionRequest) -> Result<GetRegionResponse> {
        let code = parse("code", &request.code)?;
        let mut connection = self.pool.acquire().await?;
        let today = self.today();
        let region = db::find(&mut connection, code.as_str(), today).await?;
        let region = region.ok_or(Error::RegionNotFound)?;
        let successors = db::successors(&mut connection, code.as_str(), today).await?;
        let mut region = to_wire(region, today);
        region.successors =
            successors.into_iter().map(|(code, name)| RegionSuccessor { code, name }).collect();
        Ok(GetRegionResponse { region: Some(region) })
    }
}

fn parse(field: &str, text: &str) -> Result<RegionCode> {
    let mut fields = Fields::new();
    fields.take(field, RegionCode::parse(text)).ok_or_else(|| fields.into_error().into())
}

fn to_wire(region: Region, today: Date) -> WireRegion {
    let abolished = region.is_abolished(today);
    let level = match region.level {
        Level::Province => RegionLevel::Province,
        Level::City => RegionLevel::City,
        Level::County => RegionLevel::County,
    };
    WireRegion {
        code: region.code,
        name: region.name,
        level: level.into(),
        parent_code: region.parent_code.unwrap_or_default(),
        leaf: region.leaf,
        abolish_date: region.abolished_on.map(|day| day.to_string()).unwrap_or_default(),
        abolished,
        successors: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 12 - 01);

    #[test]
    fn the_numbers_in_the_database_are_those_of_the_contract() {
        for level in Level::ALL {
            let region = Region {
                code: "110000".into(),
                name: "北京市".into(),
                level,
                parent_code: None,
                leaf: false,
                abolished_on: None,
                successors: Vec::new(),
            };
            assert_eq!(to_wire(region, TODAY).level, i32::from(level.number()));
            assert_eq!(Level::of_number(level.number()), Some(level));
        }
        assert_eq!(Level::of_number(0), None);
    }
}
