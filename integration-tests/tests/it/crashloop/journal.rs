//! What was sent and what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use uuid::Uuid;
use zhiyuan_contracts::registration::v1::{
    RegisterRequest, RegisterResponse, RegistrationState, Volunteer,
};
use zhiyuan_testkit::person;

use crate::harness::client::{ORGANIZATION, PASSWORD, REGION};
use crate::harness::{Client, Refusal};

/// Nobody else in these tests is one of these.
const FIRST: u32 = 200_000;
const FIRST_PHONE: u32 = 3_000_000;
const PAUSE: Duration = Duration::from_millis(50);

/// A form that was sent at least once.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) form: RegisterRequest,
    /// An answer came: the registration is kept, whatever happens.
    pub(super) kept: bool,
    /// The answer was that it is done.
    pub(super) volunteer: Option<Volunteer>,
}

/// What all writers did.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Challenges of codes that were acknowledged.
    codes: Mutex<Vec<Uuid>>,
    /// Refusals that nobody deserved.
    refused: Mutex<Vec<String>>,
    people: AtomicU32,
    /// Those who only ask for a code.
    phones: AtomicU32,
    acknowledged: AtomicUsize,
    over: AtomicBool,
}

impl Journal {
    /// Tells the writers to come to an end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// How many answers said "done" so far.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().values().cloned().collect()
    }

    /// Every other entry.
    pub(super) fn every_other(&self) -> Vec<Entry> {
        self.entries().into_iter().step_by(2).collect()
    }

    pub(super) fn codes(&self) -> Vec<Uuid> {
        self.codes.lock().unwrap().clone()
    }

    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }

    /// Noted before the first byte is sent.
    fn intend(&self, form: &RegisterRequest) {
        let entry = Entry { form: form.clone(), kept: false, volunteer: None };
        self.entries.lock().unwrap().insert(form.request_id.clone(), entry);
    }

    /// Noted once the answer is there.
    pub(super) fn answered(&self, request_id: &str, answer: &RegisterResponse) {
        let mut entries = self.entries.lock().unwrap();
        let entry = entries.get_mut(request_id).unwrap();
        entry.kept = true;
        if answer.state() == RegistrationState::Active && entry.volunteer.is_none() {
            entry.volunteer.clone_from(&answer.volunteer);
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn refuse(&self, refusal: &Refusal) {
        self.refused.lock().unwrap().push(format!("{refusal:?}"));
    }
}

/// Asks for codes, one phone after the other, and does nothing with them: what costs
/// little is acknowledged often.
pub(super) async fn ask(client: Client, journal: std::sync::Arc<Journal>, turn: usize) {
    while !journal.is_over() {
        let n = journal.phones.fetch_add(1, Ordering::Relaxed);
        let phone = person(FIRST_PHONE + n).mobile;
        match client.send_code(client.door(turn), &phone).await {
            Ok(sent) => journal.codes.lock().unwrap().push(sent.challenge_id.parse().unwrap()),
            Err(refusal) => note(&journal, &refusal).await,
        }
    }
}

/// Registers one person after the other. A third of them gives up after one try without
/// an answer, a third after a few, a third not before the end.
pub(super) async fn write(client: Client, journal: std::sync::Arc<Journal>, writer: usize) {
    let consents = client.consents(&client.grpc).await;
    while !journal.is_over() {
        let n = journal.people.fetch_add(1, Ordering::Relaxed);
        let person = person(FIRST + n);
        let door = client.door(writer + n as usize);
        let sent = match client.send_code(door, &person.mobile).await {
            Ok(sent) => sent,
            Err(refusal) => {
                // Somebody else's turn: it is not known whether this one counted.
                note(&journal, &refusal).await;
                continue;
            }
        };
        journal.codes.lock().unwrap().push(sent.challenge_id.parse().unwrap());
        let form = RegisterRequest {
            request_id: Uuid::new_v4().to_string(),
            name: person.name.clone(),
            id_number: person.id_number.clone(),
            region_code: REGION.to_owned(),
            organization_code: ORGANIZATION.to_owned(),
            sms_code: client.simulators.code(&person.mobile).await,
            phone: person.mobile,
            sms_challenge_id: sent.challenge_id,
            password: PASSWORD.to_owned(),
            league_member: true,
            consents: consents.clone(),
            ..RegisterRequest::default()
        };
        journal.intend(&form);
        let tries = [1, 4, u32::MAX][n as usize % 3];
        for _ in 0..tries {
            match client.register(door, &form).await {
                Ok(answer) => {
                    journal.answered(&form.request_id, &answer);
                    break;
                }
                Err(refusal) => note(&journal, &refusal).await,
            }
            if journal.is_over() {
                break;
            }
        }
    }
}

/// Whatever answer is to come again, or is none at all because nobody was left to give
/// one, leaves the call in doubt. Anything else was not deserved.
async fn note(journal: &Journal, refusal: &Refusal) {
    if !refusal.is_transient() && !refusal.reason.is_empty() {
        journal.refuse(refusal);
    }
    tokio::time::sleep(PAUSE).await;
}
