//! Rosters: files are uploaded, looked at and imported, and members go off again.

mod checking;
mod ending;
mod going_on;
mod importing;
mod members;
mod refusals;
mod scopes;
mod showing;

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_contracts::registration::v1::roster_service_client::RosterServiceClient;
use zhiyuan_contracts::registration::v1::{
    CancelRosterImportRequest, CreateRosterImportRequest, GetRejectedRosterRowsRequest,
    GetRejectedRosterRowsResponse, GetRosterImportRequest, ListRosterImportRowsRequest,
    ListRosterImportsRequest, ListRosterMembersRequest, RemoveRosterMembersRequest, RosterImport,
    RosterImportRow, RosterImportState, RosterLeavingReason, RosterMember, RosterRowFate,
    StartRosterImportRequest, UploadRosterPieceRequest,
};
use zhiyuan_testkit::{Person, person};

use crate::fake_orgtree::TOWNSHIP;
use crate::harness::{Service, reason};

const PIECE: usize = 128 * 1024;
const BOTH: [Permission; 2] = [Permission::ManageMembers, Permission::Reveal];
/// Who is on which roster, and how often it was told; and what was told, in order.
const MEMBERS: &str = "SELECT count(*) FROM registration.roster_member
                       WHERE organization_code IS NOT NULL";
const EVENTS: &str = "SELECT count(*) FROM registration.outbox
                      WHERE type = 'zhiyuan.registration.v1.RosterMemberChanged'";
/// What was done to rosters, and what came of it.
const ACTS: &str = "SELECT string_agg(concat_ws(' ', action, outcome, purpose), ',' ORDER BY n)
     FROM (SELECT action, outcome, purpose, 1000000 + seq AS n FROM registration.audit_pending
           UNION ALL
           SELECT action, outcome, purpose, index FROM registration.audit_entry) acts
     WHERE action LIKE 'registration.roster.%'";

fn new() -> String {
    Uuid::new_v4().to_string()
}

/// The `n`-th person who is no older than 28.
fn young(n: u32) -> Person {
    // Born after 1998: days since 1990 are counted by the number.
    person(3_500 + n)
}

fn line(n: u32) -> String {
    let Person { name, id_number, mobile } = young(n);
    format!("{name},{id_number},{mobile}\n")
}

/// A file with these people, from row 2 on.
fn file(people: impl IntoIterator<Item = u32>) -> String {
    let lines: String = people.into_iter().map(line).collect();
    format!("姓名,身份证号,手机号\n{lines}")
}

fn sha256(bytes: &[u8]) -> String {
    zhiyuan_crypto::digest::unkeyed(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An administrator of an organization who has signed in with a second factor.
struct Secretary<'a> {
    service: &'a Service,
    id: Uuid,
    organization: String,
    client: RosterServiceClient<Channel>,
}

impl<'a> Secretary<'a> {
    async fn new(service: &'a Service) -> Self {
        Self::at(service, TOWNSHIP, &BOTH).await
    }

    async fn at(service: &'a Service, code: &str, may: &[Permission]) -> Self {
        let client = RosterServiceClient::connect(service.address().to_owned()).await.unwrap();
        let (id, organization) = (Uuid::new_v4(), code.to_owned());
        let secretary = Self { service, id, organization, client };
        service.authority.grant(secretary.id, code, may);
        // Nobody is let in before it is known whose tokens count.
        service
            .until("the keys are known", async |_| {
                let answer = secretary.imports().await;
                !matches!(answer, Err(status) if status.code() == Code::Unavailable)
            })
            .await;
        secretary
    }

    fn sign<T>(&self, message: T) -> Request<T> {
        self.service.accounts.sign_twice(&self.id.to_string(), self.service.now(), message)
    }

    fn form(&self, bytes: &[u8]) -> CreateRosterImportRequest {
        CreateRosterImportRequest {
            request_id: new(),
            organization_code: self.organization.clone(),
            file_name: "名册.csv".to_owned(),
            size_bytes: i64::try_from(bytes.len()).unwrap(),
            sha256: sha256(bytes),
        }
    }

    async fn create(&self, form: &CreateRosterImportRequest) -> Result<RosterImport, Status> {
        let answer = self.client.clone().create_roster_import(self.sign(form.clone())).await?;
        Ok(answer.into_inner().import.unwrap())
    }

    async fn put(&self, id: &str, index: i32, data: &[u8]) -> Result<RosterImport, Status> {
        let (import_id, data) = (id.to_owned(), data.to_vec());
        let request = UploadRosterPieceRequest { import_id, index, data };
        let answer = self.client.clone().upload_roster_piece(self.sign(request)).await?;
        Ok(answer.into_inner().import.unwrap())
    }

    async fn get(&self, id: &str) -> Result<RosterImport, Status> {
        let request = GetRosterImportRequest { import_id: id.to_owned() };
        let answer = self.client.clone().get_roster_import(self.sign(request)).await?;
        Ok(answer.into_inner().import.unwrap())
    }

    async fn imports(&self) -> Result<Vec<RosterImport>, Status> {
        let organization_code = self.organization.clone();
        let request = ListRosterImportsRequest { organization_code, ..Default::default() };
        let answer = self.client.clone().list_roster_imports(self.sign(request)).await?;
        Ok(answer.into_inner().imports)
    }

    async fn rows(&self, id: &str, rejected_only: bool) -> Result<Vec<RosterImportRow>, Status> {
        let (mut rows, mut page_token) = (Vec::new(), String::new());
        loop {
            let import_id = id.to_owned();
            let request =
                ListRosterImportRowsRequest { import_id, rejected_only, page_size: 3, page_token };
            let page = self.client.clone().list_roster_import_rows(self.sign(request)).await?;
            let page = page.into_inner();
            rows.extend(page.rows);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(rows);
            }
        }
    }

    async fn start_as(&self, request_id: &str, id: &str) -> Result<RosterImport, Status> {
        let (request_id, import_id) = (request_id.to_owned(), id.to_owned());
        let request = StartRosterImportRequest { request_id, import_id };
        let answer = self.client.clone().start_roster_import(self.sign(request)).await?;
        Ok(answer.into_inner().import.unwrap())
    }

    async fn start(&self, id: &str) -> Result<RosterImport, Status> {
        self.start_as(&new(), id).await
    }

    async fn cancel(&self, id: &str) -> Result<RosterImport, Status> {
        self.cancel_as(&new(), id).await
    }

    async fn cancel_as(&self, request_id: &str, id: &str) -> Result<RosterImport, Status> {
        let (request_id, import_id) = (request_id.to_owned(), id.to_owned());
        let request = CancelRosterImportRequest { request_id, import_id };
        let answer = self.client.clone().cancel_roster_import(self.sign(request)).await?;
        Ok(answer.into_inner().import.unwrap())
    }

    async fn rejected(
        &self,
        id: &str,
        offset: i64,
    ) -> Result<GetRejectedRosterRowsResponse, Status> {
        let (import_id, purpose) = (id.to_owned(), "更正名册".to_owned());
        let request = GetRejectedRosterRowsRequest { import_id, offset, purpose };
        let answer = self.client.clone().get_rejected_roster_rows(self.sign(request)).await?;
        Ok(answer.into_inner())
    }

    async fn list(
        &self,
        mut filter: ListRosterMembersRequest,
    ) -> Result<Vec<RosterMember>, Status> {
        filter.organization_code.clone_from(&self.organization);
        let mut members = Vec::new();
        loop {
            let page = self.client.clone().list_roster_members(self.sign(filter.clone())).await?;
            let page = page.into_inner();
            members.extend(page.members);
            filter.page_token = page.next_page_token;
            if filter.page_token.is_empty() {
                return Ok(members);
            }
        }
    }

    async fn members(&self) -> Vec<RosterMember> {
        self.list(ListRosterMembersRequest::default()).await.unwrap()
    }

    fn removal(&self, people: &[String]) -> RemoveRosterMembersRequest {
        RemoveRosterMembersRequest {
            request_id: new(),
            organization_code: self.organization.clone(),
            person_ids: people.to_vec(),
            reason: RosterLeavingReason::Left.into(),
        }
    }

    async fn remove(&self, removal: &RemoveRosterMembersRequest) -> Result<i32, Status> {
        let answer = self.client.clone().remove_roster_members(self.sign(removal.clone())).await?;
        Ok(answer.into_inner().removed)
    }

    /// Uploads a file to its end.
    async fn upload(&self, bytes: &[u8]) -> RosterImport {
        let form = self.form(bytes);
        let mut import = patiently(async || self.create(&form).await).await;
        for (index, piece) in bytes.chunks(PIECE).enumerate() {
            let index = i32::try_from(index).unwrap();
            import = patiently(async || self.put(&import.id, index, piece).await).await;
        }
        import
    }

    /// Imports what was looked at.
    async fn go_on(&self, id: &str) {
        let request_id = new();
        patiently(async || self.start_as(&request_id, id).await).await;
    }

    /// Waits until an import is in a state; a second passes each time, as what failed is tried
    /// again only later.
    async fn until(&self, id: &str, state: RosterImportState) -> RosterImport {
        self.service
            .until(&format!("{state:?}"), async |service| {
                service.clock.advance(Duration::from_secs(1));
                self.get(id).await.unwrap().state() == state
            })
            .await;
        self.get(id).await.unwrap()
    }

    /// Uploads a file that is looked at then.
    async fn checked(&self, bytes: &[u8]) -> RosterImport {
        let import = self.upload(bytes).await;
        self.until(&import.id, RosterImportState::Checked).await
    }

    /// Imports a file.
    async fn import(&self, bytes: &[u8]) -> RosterImport {
        let import = self.checked(bytes).await;
        self.go_on(&import.id).await;
        self.until(&import.id, RosterImportState::Done).await
    }
}

/// Calls again while a lease is over before its commit: on a busy machine it may be.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, Status>) -> T {
    loop {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => {}
            answer => return answer.unwrap(),
        }
    }
}

/// Rows that are new, registered, unchanged, updated and rejected.
fn counts(import: &RosterImport) -> [i32; 5] {
    let counts = import.counts.unwrap();
    [counts.new, counts.new_registered, counts.unchanged, counts.updated, counts.rejected]
}

fn fates(rows: &[RosterImportRow]) -> Vec<(i32, RosterRowFate)> {
    rows.iter().map(|row| (row.row_number, row.fate())).collect()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (code, expected), "{status:?}");
}
