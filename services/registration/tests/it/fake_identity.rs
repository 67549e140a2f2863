//! identity by script: it remembers enrolments as the real one does, and fails when
//! it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::enrolment_service_server::EnrolmentService;
use zhiyuan_contracts::identity::v1::{
    ActivateEnrolmentRequest, ActivateEnrolmentResponse, Applicant, BatchGetApplicantsRequest,
    BatchGetApplicantsResponse, BeginEnrolmentRequest, BeginEnrolmentResponse,
    DecideEnrolmentRequest, DecideEnrolmentResponse, DiscardEnrolmentRequest,
    DiscardEnrolmentResponse, Enrolment, EnrolmentDecision, EnrolmentRefusal, EnrolmentState,
    ErrorReason, GetEnrolmentRequest, GetEnrolmentResponse, ListClaimedEnrolmentsRequest,
    ListClaimedEnrolmentsResponse, RevealApplicantRequest, RevealApplicantResponse,
};
use zhiyuan_rpc::{Code, Error, Fields};

/// What becomes of the next applicant.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Claimed,
    Pending(OffsetDateTime),
    Review(OffsetDateTime),
    /// On the number of this account.
    Claim(OffsetDateTime, Uuid),
    Accepted,
    Refused(EnrolmentRefusal),
    /// `ALREADY_REGISTERED`, with the phone of that account.
    Owns(Uuid),
}

/// How a call fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing was done.
    Before,
    /// It was done, and the answer is lost.
    After,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) enrolments: BTreeMap<String, Enrolment>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) faults: BTreeMap<&'static str, VecDeque<Fault>>,
    pub(crate) calls: Vec<&'static str>,
    /// Calls of a method that are let through, after they were counted.
    pub(crate) gates: BTreeMap<&'static str, Arc<Semaphore>>,
    /// Who may neither look nor decide, as they are the applicant.
    pub(crate) own: Vec<Uuid>,
    /// What was decided, and by whom.
    pub(crate) decided: Vec<(EnrolmentDecision, String)>,
    /// Why somebody looked.
    pub(crate) purposes: Vec<String>,
    /// What the last `BeginEnrolment` carried.
    pub(crate) last_form: Option<BeginEnrolmentRequest>,
    /// What is wrong with the fields of every form: field and reason.
    pub(crate) form_faults: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FakeIdentity(pub(crate) Arc<Mutex<State>>);

impl FakeIdentity {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn decide(&self, verdict: Verdict) {
        self.with(|state| state.verdict = Some(verdict));
    }

    /// Lets the next calls of a method fail.
    pub(crate) fn fail(&self, method: &'static str, faults: &[Fault]) {
        self.with(|state| state.faults.entry(method).or_default().extend(faults));
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        self.with(|state| state.calls.iter().filter(|call| **call == method).count())
    }

    /// Changes the enrolment that there is.
    pub(crate) fn settle(&self, verdict: &Verdict) {
        self.with(|state| {
            for enrolment in state.enrolments.values_mut() {
                *enrolment = judged(&enrolment.enrolment_id, verdict);
            }
        });
    }

    pub(crate) fn states(&self) -> Vec<EnrolmentState> {
        self.with(|state| state.enrolments.values().map(Enrolment::state).collect())
    }

    /// Adds an enrolment that nobody began here.
    pub(crate) fn add(&self, id: Uuid, verdict: &Verdict) {
        let id = id.to_string();
        self.with(|state| state.enrolments.insert(id.clone(), judged(&id, verdict)));
    }

    /// Holds the calls of a method back until there are permits.
    pub(crate) fn hold(&self, method: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.with(|state| state.gates.insert(method, Arc::clone(&gate)));
        gate
    }

    async fn call<T>(
        &self,
        method: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let gate = self.with(|state| {
            state.calls.push(method);
            state.gates.get(method).cloned()
        });
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        self.with(|state| {
            let down = || Status::from(Error::unavailable("told to fail"));
            match state.faults.get_mut(method).and_then(VecDeque::pop_front) {
                None => work(state).map(Response::new),
                Some(Fault::Before) => Err(down()),
                Some(Fault::After) => {
                    let _lost = work(state);
                    Err(down())
                }
            }
        })
    }
}

pub(crate) fn judged(id: &str, verdict: &Verdict) -> Enrolment {
    let mut enrolment = Enrolment { enrolment_id: id.to_owned(), ..Default::default() };
    let mut wait = |at: &OffsetDateTime| {
        enrolment.next_retry_time = Some(prost_types::Timestamp {
            seconds: at.unix_timestamp(),
            nanos: at.nanosecond().cast_signed(),
        });
    };
    let state = match verdict {
        Verdict::Claimed => {
            enrolment.account_id = account_of(id).to_string();
            enrolment.masked_name = "汪**".into();
            EnrolmentState::Claimed
        }
        Verdict::Pending(at) => {
            wait(at);
            EnrolmentState::Pending
        }
        Verdict::Review(at) => {
            wait(at);
            EnrolmentState::Review
        }
        Verdict::Claim(at, holder) => {
            wait(at);
            enrolment.claim_against = holder.to_string();
            EnrolmentState::Review
        }
        Verdict::Accepted => EnrolmentState::Accepted,
        Verdict::Refused(refusal) => {
            enrolment.refusal = (*refusal).into();
            EnrolmentState::Refused
        }
        Verdict::Owns(account) => {
            enrolment.account_id = account.to_string();
            enrolment.masked_name = "汪**".into();
            enrolment.refusal = EnrolmentRefusal::AlreadyRegistered.into();
            EnrolmentState::Refused
        }
    };
    enrolment.state = state.into();
    enrolment
}

/// One account for each enrolment.
pub(crate) fn account_of(enrolment_id: &str) -> Uuid {
    let mut bytes = enrolment_id.parse::<Uuid>().unwrap().into_bytes();
    bytes[9] ^= 0x55;
    Uuid::from_bytes(bytes)
}

fn refused(reason: ErrorReason, code: Code) -> Status {
    Error::new(code, reason, "不行").into()
}

fn find(state: &mut State, id: &str) -> Result<Enrolment, Status> {
    let missing = || refused(ErrorReason::EnrolmentNotFound, Code::NotFound);
    state.enrolments.get(id).cloned().ok_or_else(missing)
}

/// What is shown of an applicant.
pub(crate) const SHOWN: (&str, &str) = ("汪𠮷", "11010519491231002X");

/// An applicant who waits, for somebody who may decide.
fn waiting(state: &mut State, id: &str, viewer: &str) -> Result<Enrolment, Status> {
    let enrolment = find(state, id)?;
    if enrolment.state() != EnrolmentState::Review {
        return Err(refused(ErrorReason::EnrolmentNotInReview, Code::Precondition));
    }
    if state.own.contains(&viewer.parse().unwrap()) {
        return Err(refused(ErrorReason::EnrolmentOwn, Code::Forbidden));
    }
    Ok(enrolment)
}

#[async_trait]
impl EnrolmentService for FakeIdentity {
    async fn batch_get_applicants(
        &self,
        request: Request<BatchGetApplicantsRequest>,
    ) -> Result<Response<BatchGetApplicantsResponse>, Status> {
        let BatchGetApplicantsRequest { viewer_account_id, enrolment_ids } = request.into_inner();
        assert!((1..=500).contains(&enrolment_ids.len()));
        self.call("applicants", |state| {
            let own = state.own.contains(&viewer_account_id.parse().unwrap());
            let applicants = enrolment_ids.into_iter().filter(|id| {
                let enrolment = state.enrolments.get(id);
                enrolment.is_some_and(|one| one.state() == EnrolmentState::Review)
            });
            let masked_name = "汪*".to_owned();
            let applicants = applicants
                .map(|enrolment_id| Applicant {
                    enrolment_id,
                    masked_name: masked_name.clone(),
                    own,
                })
                .collect();
            Ok(BatchGetApplicantsResponse { applicants })
        })
        .await
    }

    async fn reveal_applicant(
        &self,
        request: Request<RevealApplicantRequest>,
    ) -> Result<Response<RevealApplicantResponse>, Status> {
        let request = request.into_inner();
        self.call("reveal", |state| {
            waiting(state, &request.enrolment_id, &request.viewer_account_id)?;
            state.purposes.push(request.purpose);
            let (name, id_number) = (SHOWN.0.to_owned(), SHOWN.1.to_owned());
            Ok(RevealApplicantResponse { name, id_number, ..Default::default() })
        })
        .await
    }

    async fn decide_enrolment(
        &self,
        request: Request<DecideEnrolmentRequest>,
    ) -> Result<Response<DecideEnrolmentResponse>, Status> {
        let request = request.into_inner();
        let id = request.enrolment_id.clone();
        self.call("decide", |state| {
            let decided = (request.decision(), request.decided_by.clone());
            if state.decided.contains(&decided) {
                return Ok(DecideEnrolmentResponse { enrolment: Some(find(state, &id)?) });
            }
            waiting(state, &id, &request.decided_by)?;
            let verdict = match request.decision() {
                EnrolmentDecision::Unspecified => panic!("no decision"),
                EnrolmentDecision::Accept => Verdict::Claimed,
                EnrolmentDecision::NameMismatch => {
                    Verdict::Refused(EnrolmentRefusal::IdNameMismatch)
                }
                EnrolmentDecision::NumberNotFound => Verdict::Refused(EnrolmentRefusal::IdNotFound),
            };
            state.decided.push(decided);
            let enrolment = judged(&id, &verdict);
            state.enrolments.insert(id, enrolment.clone());
            Ok(DecideEnrolmentResponse { enrolment: Some(enrolment) })
        })
        .await
    }

    async fn begin_enrolment(
        &self,
        request: Request<BeginEnrolmentRequest>,
    ) -> Result<Response<BeginEnrolmentResponse>, Status> {
        let form = request.into_inner();
        self.call("begin", |state| {
            let mut fields = Fields::new();
            for (field, reason) in &state.form_faults {
                fields.refuse(field, reason, "请更改");
            }
            fields.finish()?;
            let verdict = state.verdict.clone().unwrap_or(Verdict::Claimed);
            let known = state.enrolments.entry(form.enrolment_id.clone());
            let enrolment = known.or_insert_with(|| judged(&form.enrolment_id, &verdict));
            if enrolment.state() == EnrolmentState::Accepted {
                *enrolment = judged(&form.enrolment_id, &verdict);
            }
            let enrolment = Some(enrolment.clone());
            state.last_form = Some(form);
            Ok(BeginEnrolmentResponse { enrolment })
        })
        .await
    }

    async fn get_enrolment(
        &self,
        request: Request<GetEnrolmentRequest>,
    ) -> Result<Response<GetEnrolmentResponse>, Status> {
        let id = request.into_inner().enrolment_id;
        self.call("get", |state| Ok(GetEnrolmentResponse { enrolment: Some(find(state, &id)?) }))
            .await
    }

    async fn activate_enrolment(
        &self,
        request: Request<ActivateEnrolmentRequest>,
    ) -> Result<Response<ActivateEnrolmentResponse>, Status> {
        let id = request.into_inner().enrolment_id;
        self.call("activate", |state| {
            let mut enrolment = find(state, &id)?;
            if !matches!(enrolment.state(), EnrolmentState::Claimed | EnrolmentState::Active) {
                return Err(refused(ErrorReason::EnrolmentNotClaimed, Code::Precondition));
            }
            enrolment.state = EnrolmentState::Active.into();
            state.enrolments.insert(id, enrolment.clone());
            Ok(ActivateEnrolmentResponse { enrolment: Some(enrolment) })
        })
        .await
    }

    async fn discard_enrolment(
        &self,
        request: Request<DiscardEnrolmentRequest>,
    ) -> Result<Response<DiscardEnrolmentResponse>, Status> {
        let id = request.into_inner().enrolment_id;
        self.call("discard", |state| {
            let known = state.enrolments.get(&id).map(Enrolment::state);
            if known == Some(EnrolmentState::Active) {
                return Err(refused(ErrorReason::EnrolmentActive, Code::Precondition));
            }
            if known != Some(EnrolmentState::Refused) {
                let tombstone = Enrolment {
                    enrolment_id: id.clone(),
                    state: EnrolmentState::Discarded.into(),
                    ..Default::default()
                };
                state.enrolments.insert(id.clone(), tombstone);
            }
            Ok(DiscardEnrolmentResponse { enrolment: state.enrolments.get(&id).cloned() })
        })
        .await
    }

    async fn list_claimed_enrolments(
        &self,
        request: Request<ListClaimedEnrolmentsRequest>,
    ) -> Result<Response<ListClaimedEnrolmentsResponse>, Status> {
        let token = request.into_inner().page_token;
        self.call("list", |state| {
            // One on a page, so that pages are followed.
            let mut claimed = state
                .enrolments
                .values()
                .filter(|one| one.state() == EnrolmentState::Claimed && one.enrolment_id > token);
            let enrolments: Vec<Enrolment> = claimed.next().cloned().into_iter().collect();
            let more = claimed.next().is_some();
            let last = enrolments.last().map(|one| one.enrolment_id.clone());
            let next_page_token = last.filter(|_| more).unwrap_or_default();
            Ok(ListClaimedEnrolmentsResponse { enrolments, next_page_token })
        })
        .await
    }
}
