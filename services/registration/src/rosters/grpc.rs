//! `zhiyuan.registration.v1.RosterService`.

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::registration::v1::roster_service_server::RosterService;
use zhiyuan_contracts::registration::v1::{
    CancelRosterImportRequest, CancelRosterImportResponse, CreateRosterImportRequest,
    CreateRosterImportResponse, GetRejectedRosterRowsRequest, GetRejectedRosterRowsResponse,
    GetRosterImportRequest, GetRosterImportResponse, ListRosterImportRowsRequest,
    ListRosterImportRowsResponse, ListRosterImportsRequest, ListRosterImportsResponse,
    ListRosterMembersRequest, ListRosterMembersResponse, RemoveRosterMembersRequest,
    RemoveRosterMembersResponse, StartRosterImportRequest, StartRosterImportResponse,
    UploadRosterPieceRequest, UploadRosterPieceResponse,
};
use zhiyuan_domain::{AccountId, OrganizationCode, Remark};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::form::{NewImport, Removal, command_about, import_of};
use super::listing::Filter;
use super::{Import, Rosters, wire};
use crate::error::Result;

/// `RosterService`.
#[derive(Debug)]
pub(crate) struct RosterRpc {
    rosters: Rosters,
}

impl RosterRpc {
    pub(crate) fn new(rosters: Rosters) -> Self {
        Self { rosters }
    }

    async fn upload(&self, me: AccountId, request: UploadRosterPieceRequest) -> Result<Import> {
        let mut fields = Fields::new();
        let Some(id) = import_of(&mut fields, &request.import_id) else {
            return Err(fields.into_error().into());
        };
        let index = i16::try_from(request.index).unwrap_or(-1);
        self.rosters.upload(me, (id, index), request.data).await
    }

    async fn get(&self, me: AccountId, request: &GetRosterImportRequest) -> Result<Import> {
        let mut fields = Fields::new();
        let id = import_of(&mut fields, &request.import_id);
        let Some(id) = id else { return Err(fields.into_error().into()) };
        self.rosters.get(me, id).await
    }

    async fn start(&self, me: AccountId, request: &StartRosterImportRequest) -> Result<Import> {
        let (request_id, import_id) = (&request.request_id, &request.import_id);
        let method = "registration.StartRosterImport";
        let (command, id) = command_about(request_id, import_id, me, method)?;
        self.rosters.start(me, (&command, id)).await
    }

    async fn cancel(&self, me: AccountId, request: &CancelRosterImportRequest) -> Result<Import> {
        let (request_id, import_id) = (&request.request_id, &request.import_id);
        let method = "registration.CancelRosterImport";
        let (command, id) = command_about(request_id, import_id, me, method)?;
        self.rosters.cancel(me, (&command, id)).await
    }

    async fn list_imports(
        &self,
        me: AccountId,
        request: &ListRosterImportsRequest,
    ) -> Result<ListRosterImportsResponse> {
        let organization = organization(&request.organization_code)?;
        let filter = ["roster_imports", organization.as_str()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (imports, next_page_token) =
            self.rosters.list_imports(me, &organization, &page).await?;
        let imports = imports.iter().map(wire::import).collect();
        Ok(ListRosterImportsResponse { imports, next_page_token })
    }

    async fn list_rows(
        &self,
        me: AccountId,
        request: &ListRosterImportRowsRequest,
    ) -> Result<ListRosterImportRowsResponse> {
        let mut fields = Fields::new();
        let id = import_of(&mut fields, &request.import_id);
        let Some(id) = id else { return Err(fields.into_error().into()) };
        let which = if request.rejected_only { "rejected" } else { "all" };
        let filter = ["roster_rows", &id.to_string(), which];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (rows, next_page_token) =
            self.rosters.list_rows(me, id, request.rejected_only, &page).await?;
        let rows = rows.iter().map(wire::row).collect();
        Ok(ListRosterImportRowsResponse { rows, next_page_token })
    }

    async fn rejected(
        &self,
        me: AccountId,
        request: &GetRejectedRosterRowsRequest,
    ) -> Result<GetRejectedRosterRowsResponse> {
        let mut fields = Fields::new();
        let id = import_of(&mut fields, &request.import_id);
        let offset = usize::try_from(request.offset).ok();
        if offset.is_none() {
            fields.refuse("offset", "OFFSET_NEGATIVE", "起始位置不能为负数");
        }
        let purpose = fields.take("purpose", Remark::parse(&request.purpose));
        let (Some(id), Some(offset), Some(purpose)) = (id, offset, purpose) else {
            return Err(fields.into_error().into());
        };
        let piece = self.rosters.rejected(me, id, offset, &purpose).await?;
        let next = if piece.more { offset + piece.bytes.len() } else { 0 };
        let next_offset = i64::try_from(next).unwrap_or(i64::MAX);
        Ok(GetRejectedRosterRowsResponse { data: piece.bytes, next_offset })
    }

    async fn list_members(
        &self,
        me: AccountId,
        request: &ListRosterMembersRequest,
    ) -> Result<ListRosterMembersResponse> {
        let organization = organization(&request.organization_code)?;
        let which = Filter {
            unregistered_only: request.unregistered_only,
            aged_out_only: request.aged_out_only,
            returned_only: request.returned_only,
        };
        let filter = ["roster_members", organization.as_str(), &which.name()];
        let page = Page::parse(request.page_size, &request.page_token, &filter)?;
        let (members, next_page_token) =
            self.rosters.list_members(me, &organization, which, &page).await?;
        Ok(ListRosterMembersResponse { members, next_page_token })
    }
}

fn organization(code: &str) -> Result<OrganizationCode> {
    let mut fields = Fields::new();
    let organization = fields.take("organization_code", OrganizationCode::parse(code));
    organization.ok_or_else(|| fields.into_error().into())
}

/// The administrator who calls.
fn caller<T>(request: &Request<T>) -> std::result::Result<AccountId, Status> {
    Ok(AccountId::from(PersonIdentity::of(request)?.account_id))
}

#[async_trait]
impl RosterService for RosterRpc {
    async fn create_roster_import(
        &self,
        request: Request<CreateRosterImportRequest>,
    ) -> std::result::Result<Response<CreateRosterImportResponse>, Status> {
        let me = caller(&request)?;
        let new = NewImport::parse(request.get_ref())?;
        let import = Some(wire::import(&self.rosters.create(me, &new).await?));
        Ok(Response::new(CreateRosterImportResponse { import }))
    }

    async fn upload_roster_piece(
        &self,
        request: Request<UploadRosterPieceRequest>,
    ) -> std::result::Result<Response<UploadRosterPieceResponse>, Status> {
        let me = caller(&request)?;
        let import = Some(wire::import(&self.upload(me, request.into_inner()).await?));
        Ok(Response::new(UploadRosterPieceResponse { import }))
    }

    async fn get_roster_import(
        &self,
        request: Request<GetRosterImportRequest>,
    ) -> std::result::Result<Response<GetRosterImportResponse>, Status> {
        let me = caller(&request)?;
        let import = Some(wire::import(&self.get(me, request.get_ref()).await?));
        Ok(Response::new(GetRosterImportResponse { import }))
    }

    async fn list_roster_imports(
        &self,
        request: Request<ListRosterImportsRequest>,
    ) -> std::result::Result<Response<ListRosterImportsResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.list_imports(me, request.get_ref()).await?))
    }

    async fn list_roster_import_rows(
        &self,
        request: Request<ListRosterImportRowsRequest>,
    ) -> std::result::Result<Response<ListRosterImportRowsResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.list_rows(me, request.get_ref()).await?))
    }

    async fn start_roster_import(
        &self,
        request: Request<StartRosterImportRequest>,
    ) -> std::result::Result<Response<StartRosterImportResponse>, Status> {
        let me = caller(&request)?;
        let import = Some(wire::import(&self.start(me, request.get_ref()).await?));
        Ok(Response::new(StartRosterImportResponse { import }))
    }

    async fn cancel_roster_import(
        &self,
        request: Request<CancelRosterImportRequest>,
    ) -> std::result::Result<Response<CancelRosterImportResponse>, Status> {
        let me = caller(&request)?;
        let import = Some(wire::import(&self.cancel(me, request.get_ref()).await?));
        Ok(Response::new(CancelRosterImportResponse { import }))
    }

    async fn get_rejected_roster_rows(
        &self,
        request: Request<GetRejectedRosterRowsRequest>,
    ) -> std::result::Result<Response<GetRejectedRosterRowsResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.rejected(me, request.get_ref()).await?))
    }

    async fn list_roster_members(
        &self,
        request: Request<ListRosterMembersRequest>,
    ) -> std::result::Result<Response<ListRosterMembersResponse>, Status> {
        let me = caller(&request)?;
        Ok(Response::new(self.list_members(me, request.get_ref()).await?))
    }

    async fn remove_roster_members(
        &self,
        request: Request<RemoveRosterMembersRequest>,
    ) -> std::result::Result<Response<RemoveRosterMembersResponse>, Status> {
        let me = caller(&request)?;
        let removal = Removal::parse(request.get_ref())?;
        let removed = self.rosters.remove(me, &removal).await?;
        Ok(Response::new(RemoveRosterMembersResponse { removed }))
    }
}
