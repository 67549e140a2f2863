use std::collections::BTreeSet;

use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1 as wire;
use zhiyuan_contracts::identity::v1::roster_service_server::RosterService;
use zhiyuan_domain::{
    AccountId, Remark, RosterFileId, VolunteerId, league_membership_ends_in, shanghai_date,
};
use zhiyuan_rpc::{Error as RpcError, Fields};

use super::files::{PIECE_BYTES, PIECES, Place, Viewer};
use super::{MOST, Rosters, Row};
use crate::error::Error;

/// `zhiyuan.identity.v1.RosterService`.
#[derive(Debug)]
pub(crate) struct RosterRpc {
    rosters: Rosters,
}

impl RosterRpc {
    pub(crate) fn new(rosters: Rosters) -> Self {
        Self { rosters }
    }

    async fn import(
        &self,
        request: &wire::ImportRosterRowsRequest,
    ) -> Result<wire::ImportRosterRowsResponse, Error> {
        check_rows(&request.rows)?;
        let today = shanghai_date(self.rosters.clock.now());
        let rule = self.rosters.age_rule;
        let rows: Vec<_> = request.rows.iter().map(|row| Row::parse(row, today, rule)).collect();
        let verdicts = self.rosters.import(&rows, request.validate_only).await?;
        let verdicts = request.rows.iter().zip(&rows).zip(verdicts);
        let verdicts = verdicts.map(|((told, row), verdict)| {
            let row_number = told.row_number;
            let verdict = verdict.and_then(|verdict| Ok((row.as_ref().map_err(|p| *p)?, verdict)));
            match verdict {
                Ok((row, verdict)) => wire::RosterVerdict {
                    row_number,
                    person_id: verdict.person_id.map(|id| id.to_string()).unwrap_or_default(),
                    new: verdict.new,
                    registered: verdict.registered,
                    name_changed: verdict.name_changed,
                    phone_changed: verdict.phone_changed,
                    ends_in: league_membership_ends_in(row.id_number.birth_date()),
                    ..Default::default()
                },
                Err(problem) => wire::RosterVerdict {
                    row_number,
                    problem: problem.to_wire().into(),
                    ..Default::default()
                },
            }
        });
        Ok(wire::ImportRosterRowsResponse { verdicts: verdicts.collect() })
    }
}

fn check_rows(rows: &[wire::RosterRow]) -> Result<(), RpcError> {
    let mut fields = Fields::new();
    if !(1..=MOST).contains(&rows.len()) {
        fields.refuse("rows", "ROSTER_ROWS_COUNT", "请提供 1 至 500 行名册");
        return Err(fields.into_error());
    }
    let mut numbers = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        if row.row_number < 1 || !numbers.insert(row.row_number) {
            let message = "行号应为正整数，且不能重复";
            fields.refuse(&format!("rows[{index}].row_number"), "ROSTER_ROW_NUMBER", message);
        }
    }
    fields.finish()
}

fn parse_people(asked: &[String]) -> Result<Vec<Uuid>, RpcError> {
    let mut fields = Fields::new();
    if !(1..=MOST).contains(&asked.len()) {
        fields.refuse("person_ids", "PERSON_IDS_COUNT", "请提供 1 至 500 个人员标识");
        return Err(fields.into_error());
    }
    let ids = asked.iter().enumerate().filter_map(|(index, id)| {
        fields.take(&format!("person_ids[{index}]"), VolunteerId::parse(id))
    });
    let ids = ids.map(|id| id.as_uuid()).collect();
    fields.finish()?;
    Ok(ids)
}

fn parse_list(request: &wire::ListRosterPeopleRequest) -> Result<(Uuid, OffsetDateTime), RpcError> {
    let mut fields = Fields::new();
    let after = match &*request.after_person_id {
        "" => Some(Uuid::nil()),
        id => fields.take("after_person_id", VolunteerId::parse(id)).map(|id| id.as_uuid()),
    };
    let before = fields.take_time("made_before", request.made_before.as_ref());
    if before == Some(None) {
        fields.refuse("made_before", "TIME_REQUIRED", "请填写时间");
    }
    match (after, before.flatten()) {
        (Some(after), Some(before)) => Ok((after, before)),
        _ => Err(fields.into_error()),
    }
}

fn place_of(fields: &mut Fields, file_id: &str, index: i32) -> Option<Place> {
    let file_id = fields.take("file_id", RosterFileId::parse(file_id));
    let index = i16::try_from(index).ok().filter(|index| (0..PIECES).contains(index));
    if index.is_none() {
        fields.refuse("index", "ROSTER_PIECE_INDEX", "文件分片序号应为 0 至 159");
    }
    Some(Place { file_id: file_id?.as_uuid(), index: index? })
}

fn parse_put(request: &wire::PutRosterPieceRequest) -> Result<Place, RpcError> {
    let mut fields = Fields::new();
    let place = place_of(&mut fields, &request.file_id, request.index);
    if !(1..=PIECE_BYTES).contains(&request.data.len()) {
        fields.refuse("data", "ROSTER_PIECE_SIZE", "文件分片应为 1 字节至 128 KiB");
    }
    match place {
        Some(place) => fields.finish().map(|()| place),
        None => Err(fields.into_error()),
    }
}

fn parse_get(request: &wire::GetRosterPieceRequest) -> Result<(Place, Option<Viewer>), RpcError> {
    let mut fields = Fields::new();
    let place = place_of(&mut fields, &request.file_id, request.index);
    let viewer = if request.viewer_account_id.is_empty() {
        if !request.purpose.is_empty() {
            fields.refuse("purpose", "REMARK_UNEXPECTED", "没有查看人时不需要填写用途");
        }
        None
    } else {
        let viewer = AccountId::parse(&request.viewer_account_id);
        let viewer = fields.take("viewer_account_id", viewer);
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        viewer
            .zip(purpose)
            .map(|(account, purpose)| Viewer { account_id: account.as_uuid(), purpose })
    };
    match place {
        Some(place) => fields.finish().map(|()| (place, viewer)),
        None => Err(fields.into_error()),
    }
}

fn parse_file(file_id: &str) -> Result<Uuid, RpcError> {
    let mut fields = Fields::new();
    let id = fields.take("file_id", RosterFileId::parse(file_id));
    id.map(|id| id.as_uuid()).ok_or_else(|| fields.into_error())
}

#[async_trait]
impl RosterService for RosterRpc {
    async fn put_roster_piece(
        &self,
        request: Request<wire::PutRosterPieceRequest>,
    ) -> Result<Response<wire::PutRosterPieceResponse>, Status> {
        let request = request.get_ref();
        let place = parse_put(request)?;
        self.rosters.put_piece(place, &request.data).await?;
        Ok(Response::new(wire::PutRosterPieceResponse {}))
    }

    async fn get_roster_piece(
        &self,
        request: Request<wire::GetRosterPieceRequest>,
    ) -> Result<Response<wire::GetRosterPieceResponse>, Status> {
        let data = match parse_get(request.get_ref())? {
            (place, Some(viewer)) => self.rosters.reveal(place, &viewer).await?,
            (place, None) => self.rosters.piece(place).await?,
        };
        Ok(Response::new(wire::GetRosterPieceResponse { data: data.to_vec() }))
    }

    async fn delete_roster_file(
        &self,
        request: Request<wire::DeleteRosterFileRequest>,
    ) -> Result<Response<wire::DeleteRosterFileResponse>, Status> {
        self.rosters.delete_file(parse_file(&request.get_ref().file_id)?).await?;
        Ok(Response::new(wire::DeleteRosterFileResponse {}))
    }

    async fn import_roster_rows(
        &self,
        request: Request<wire::ImportRosterRowsRequest>,
    ) -> Result<Response<wire::ImportRosterRowsResponse>, Status> {
        Ok(Response::new(self.import(request.get_ref()).await?))
    }

    async fn batch_get_roster_people(
        &self,
        request: Request<wire::BatchGetRosterPeopleRequest>,
    ) -> Result<Response<wire::BatchGetRosterPeopleResponse>, Status> {
        let ids = parse_people(&request.get_ref().person_ids)?;
        let people =
            self.rosters.people(&ids).await?.into_iter().map(|person| wire::RosterPerson {
                person_id: person.id.to_string(),
                masked_name: person.masked_name,
                registered: person.registered,
                has_phone: person.has_phone,
            });
        Ok(Response::new(wire::BatchGetRosterPeopleResponse { people: people.collect() }))
    }

    async fn forget_roster_people(
        &self,
        request: Request<wire::ForgetRosterPeopleRequest>,
    ) -> Result<Response<wire::ForgetRosterPeopleResponse>, Status> {
        self.rosters.forget(&parse_people(&request.get_ref().person_ids)?).await?;
        Ok(Response::new(wire::ForgetRosterPeopleResponse {}))
    }

    async fn list_roster_people(
        &self,
        request: Request<wire::ListRosterPeopleRequest>,
    ) -> Result<Response<wire::ListRosterPeopleResponse>, Status> {
        let (after, before) = parse_list(request.get_ref())?;
        let ids = self.rosters.made_known(after, before).await?;
        let person_ids = ids.iter().map(Uuid::to_string).collect();
        Ok(Response::new(wire::ListRosterPeopleResponse { person_ids }))
    }
}
