//! identity by script, as far as rosters go: it keeps files and people as the real one does,
//! and fails, or waits, when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::roster_service_server::RosterService;
use zhiyuan_contracts::identity::v1::{
    BatchGetRosterPeopleRequest, BatchGetRosterPeopleResponse, DeleteRosterFileRequest,
    DeleteRosterFileResponse, ErrorReason, ForgetRosterPeopleRequest, ForgetRosterPeopleResponse,
    GetRosterPieceRequest, GetRosterPieceResponse, ImportRosterRowsRequest,
    ImportRosterRowsResponse, ListRosterPeopleRequest, ListRosterPeopleResponse,
    PutRosterPieceRequest, PutRosterPieceResponse, RosterPerson, RosterProblem, RosterVerdict,
};
use zhiyuan_domain::Clock;
use zhiyuan_rpc::wire::from_timestamp;
use zhiyuan_rpc::{Code, Error};

/// People of a page.
pub(crate) const PAGE: usize = 2;
/// Of everybody: nobody here is too old.
pub(crate) const ENDS_IN: &str = "2035-05";

/// Somebody whom identity knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) phone: String,
    pub(crate) registered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) pieces: BTreeMap<(String, i32), Vec<u8>>,
    /// By their ID numbers.
    pub(crate) people: BTreeMap<String, Person>,
    /// Who was shown a file, and why.
    pub(crate) shown: Vec<(String, String)>,
    /// Accounts whose level was raised: the rows of rosters they are on.
    pub(crate) raised: Vec<String>,
    /// How many rows came in a call that changes something.
    pub(crate) imported: Vec<usize>,
    /// What is wrong with the owner of a number.
    pub(crate) problems: BTreeMap<String, RosterProblem>,
    pub(crate) forgotten: Vec<Uuid>,
    pub(crate) calls: BTreeMap<&'static str, usize>,
    /// Calls of a method that fail, without an effect or after it.
    pub(crate) faults: BTreeMap<&'static str, VecDeque<bool>>,
    gates: BTreeMap<&'static str, Arc<Semaphore>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FakeRosters(Arc<Mutex<State>>);

impl FakeRosters {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// Holds the calls of a method back, after they were counted, until there are permits.
    pub(crate) fn hold(&self, method: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.with(|state| state.gates.insert(method, Arc::clone(&gate)));
        gate
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        self.with(|state| state.calls.get(method).copied().unwrap_or_default())
    }

    /// Lets calls of a method fail, before or after they have their effect.
    pub(crate) fn fail(&self, method: &'static str, after: &[bool]) {
        self.with(|state| state.faults.entry(method).or_default().extend(after));
    }

    /// Somebody who has registered.
    pub(crate) fn register(&self, id_number: &str, name: &str) -> Uuid {
        self.know(id_number, name, true)
    }

    pub(crate) fn know(&self, id_number: &str, name: &str, registered: bool) -> Uuid {
        let id = new_id();
        let person = Person { id, name: name.to_owned(), phone: String::new(), registered };
        self.with(|state| state.people.insert(id_number.to_owned(), person));
        id
    }

    /// Somebody who has not registered, made known by a clock.
    pub(crate) fn know_at(&self, clock: &dyn Clock, id_number: &str) -> Uuid {
        let id = zhiyuan_domain::new_id(clock);
        let person = Person { id, name: "散客".into(), phone: String::new(), registered: false };
        self.with(|state| state.people.insert(id_number.to_owned(), person));
        id
    }

    async fn call<T>(
        &self,
        method: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let gate = self.with(|state| {
            *state.calls.entry(method).or_default() += 1;
            state.gates.get(method).cloned()
        });
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        self.with(|state| {
            let down = || Status::from(Error::unavailable("told to fail"));
            match state.faults.get_mut(method).and_then(VecDeque::pop_front) {
                None => work(state).map(Response::new),
                Some(false) => Err(down()),
                Some(true) => {
                    let _lost = work(state);
                    Err(down())
                }
            }
        })
    }
}

fn new_id() -> Uuid {
    zhiyuan_domain::new_id(&zhiyuan_domain::SystemClock)
}

fn gone() -> Status {
    Error::new(Code::NotFound, ErrorReason::RosterFileNotFound, "没有").into()
}

#[async_trait]
impl RosterService for FakeRosters {
    async fn put_roster_piece(
        &self,
        request: Request<PutRosterPieceRequest>,
    ) -> Result<Response<PutRosterPieceResponse>, Status> {
        let request = request.into_inner();
        self.call("put", |state| {
            let piece = state.pieces.entry((request.file_id, request.index));
            if *piece.or_insert(request.data.clone()) == request.data {
                return Ok(PutRosterPieceResponse {});
            }
            let reason = ErrorReason::RosterPieceDiffers;
            Err(Error::new(Code::Precondition, reason, "不同").into())
        })
        .await
    }

    async fn get_roster_piece(
        &self,
        request: Request<GetRosterPieceRequest>,
    ) -> Result<Response<GetRosterPieceResponse>, Status> {
        let request = request.into_inner();
        self.call("get", |state| {
            if !request.viewer_account_id.is_empty() {
                state.shown.push((request.viewer_account_id, request.purpose));
            }
            let data = state.pieces.get(&(request.file_id, request.index)).cloned();
            Ok(GetRosterPieceResponse { data: data.ok_or_else(gone)? })
        })
        .await
    }

    async fn delete_roster_file(
        &self,
        _request: Request<DeleteRosterFileRequest>,
    ) -> Result<Response<DeleteRosterFileResponse>, Status> {
        Err(Error::method_not_found().into())
    }

    async fn import_roster_rows(
        &self,
        request: Request<ImportRosterRowsRequest>,
    ) -> Result<Response<ImportRosterRowsResponse>, Status> {
        let request = request.into_inner();
        assert!((1..=500).contains(&request.rows.len()));
        let method = if request.validate_only { "validate" } else { "import" };
        self.call(method, |state| {
            if !request.validate_only {
                state.imported.push(request.rows.len());
            }
            let mut verdicts = Vec::new();
            for row in request.rows {
                let mut verdict =
                    RosterVerdict { row_number: row.row_number, ..Default::default() };
                if let Some(problem) = state.problems.get(&row.id_number) {
                    verdict.set_problem(*problem);
                    verdicts.push(verdict);
                    continue;
                }
                verdict.ends_in = ENDS_IN.to_owned();
                match state.people.get_mut(&row.id_number) {
                    Some(person) => {
                        verdict.person_id = person.id.to_string();
                        verdict.registered = person.registered;
                        verdict.name_changed = person.name != row.name;
                        verdict.phone_changed = !person.registered
                            && !row.phone.is_empty()
                            && person.phone != row.phone;
                        if row.update && !request.validate_only {
                            if person.registered {
                                state.raised.push(row.id_number);
                            } else {
                                person.name = row.name;
                                if verdict.phone_changed {
                                    person.phone = row.phone;
                                }
                            }
                        }
                    }
                    None => {
                        verdict.new = true;
                        if !request.validate_only {
                            let id = new_id();
                            verdict.person_id = id.to_string();
                            let (name, phone) = (row.name, row.phone);
                            let person = Person { id, name, phone, registered: false };
                            state.people.insert(row.id_number, person);
                        }
                    }
                }
                verdicts.push(verdict);
            }
            Ok(ImportRosterRowsResponse { verdicts })
        })
        .await
    }

    async fn batch_get_roster_people(
        &self,
        request: Request<BatchGetRosterPeopleRequest>,
    ) -> Result<Response<BatchGetRosterPeopleResponse>, Status> {
        let ids = request.into_inner().person_ids;
        self.call("names", |state| {
            let found = |id: &String| {
                let person = state.people.values().find(|one| one.id.to_string() == *id)?;
                let first = person.name.chars().next()?;
                Some(RosterPerson {
                    person_id: id.clone(),
                    masked_name: format!("{first}**"),
                    registered: person.registered,
                    has_phone: !person.phone.is_empty(),
                })
            };
            Ok(BatchGetRosterPeopleResponse { people: ids.iter().filter_map(found).collect() })
        })
        .await
    }

    async fn forget_roster_people(
        &self,
        request: Request<ForgetRosterPeopleRequest>,
    ) -> Result<Response<ForgetRosterPeopleResponse>, Status> {
        let ids = request.into_inner().person_ids;
        self.call("forget", |state| {
            for id in &ids {
                let id = id.parse().unwrap();
                state.people.retain(|_, person| person.registered || person.id != id);
                state.forgotten.push(id);
            }
            Ok(ForgetRosterPeopleResponse {})
        })
        .await
    }

    async fn list_roster_people(
        &self,
        request: Request<ListRosterPeopleRequest>,
    ) -> Result<Response<ListRosterPeopleResponse>, Status> {
        let request = request.into_inner();
        let before = from_timestamp(&request.made_before.unwrap()).unwrap();
        let before = zhiyuan_domain::least_id_of(before).to_string();
        self.call("list", |state| {
            let people = state.people.values().filter(|person| !person.registered);
            let mut person_ids: Vec<String> = people
                .map(|person| person.id.to_string())
                .filter(|id| *id > request.after_person_id && *id < before)
                .collect();
            person_ids.sort();
            person_ids.truncate(PAGE);
            Ok(ListRosterPeopleResponse { person_ids })
        })
        .await
    }
}
