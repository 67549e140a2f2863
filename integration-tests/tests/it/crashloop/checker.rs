//! Compares the journal with every table.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::journal::{Entry, Journal};
use crate::harness::Site;

/// What the comparison found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) sent: usize,
    pub(super) codes: usize,
    /// Answered: done, or kept and to be done.
    pub(super) acknowledged: usize,
    /// Sent without an answer.
    pub(super) in_doubt: usize,
    /// In doubt, and there.
    pub(super) there: usize,
    pub(super) lost: Vec<String>,
    pub(super) doubled: Vec<String>,
    /// Neither done nor refused.
    pub(super) half: Vec<String>,
}

impl Findings {
    pub(super) const HEAD: &str = "| when | sent | codes acknowledged | acknowledged | in doubt | \
        of these there | lost | doubled | half done |\n|---|---|---|---|---|---|---|---|---|\n";

    pub(super) fn row(&self, when: &str) -> String {
        format!(
            "| {when} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.sent,
            self.codes,
            self.acknowledged,
            self.in_doubt,
            self.there,
            self.lost.len(),
            self.doubled.len(),
            self.half.len(),
        )
    }
}

/// The rows of all tables.
struct Stored {
    /// By `request_id`: enrolment, account, step.
    registrations: BTreeMap<Uuid, (Uuid, Option<Uuid>, String)>,
    /// Number and state.
    volunteers: BTreeMap<Uuid, (String, String)>,
    numbers: BTreeMap<String, Uuid>,
    accounts: BTreeMap<Uuid, String>,
    enrolments: BTreeMap<Uuid, String>,
    /// How many ID numbers an account owns.
    claims: BTreeMap<Uuid, i64>,
    consents: BTreeSet<Uuid>,
    keys: BTreeSet<Uuid>,
    challenges: BTreeSet<Uuid>,
    serials: Vec<(String, i32, i64)>,
}

impl Stored {
    async fn of(site: &Site) -> Self {
        let mut main = site.main_database().await;
        let mut keys = site.key_database().await;
        macro_rules! rows {
            ($database:expr, $sql:literal) => {
                sqlx::query_as($sql).fetch_all(&mut $database).await.unwrap()
            };
        }
        type Registration = (Uuid, Uuid, Option<Uuid>, String);
        let registrations: Vec<Registration> = rows!(
            main,
            "SELECT request_id, enrolment_id, account_id, step FROM registration.registration"
        );
        let volunteers: Vec<(Uuid, String, String)> =
            rows!(main, "SELECT volunteer_id, volunteer_number, state FROM registration.volunteer");
        let numbers: Vec<(String, Uuid)> =
            rows!(main, "SELECT volunteer_number, volunteer_id FROM registration.volunteer_number");
        let accounts: Vec<(Uuid, String)> =
            rows!(main, "SELECT account_id, state FROM identity.account");
        let enrolments: Vec<(Uuid, String)> =
            rows!(main, "SELECT enrolment_id, state FROM identity.enrolment");
        let claims: Vec<(Uuid, i64)> =
            rows!(main, "SELECT account_id, count(*) FROM identity.number GROUP BY account_id");
        let consents: Vec<(Uuid,)> =
            rows!(main, "SELECT DISTINCT account_id FROM identity.consent_entry WHERE given");
        let challenges: Vec<(Uuid,)> =
            rows!(main, "SELECT challenge_id FROM identity.sms_challenge");
        let serials = rows!(
            main,
            "SELECT region_code, last, (SELECT count(*) FROM registration.volunteer_number n
                                        WHERE n.volunteer_number LIKE s.region_code || '%')
             FROM registration.volunteer_serial s"
        );
        let subjects: Vec<(Uuid,)> = rows!(keys, "SELECT subject FROM keys.data_key");
        let ids = |rows: Vec<(Uuid,)>| rows.into_iter().map(|row| row.0).collect();
        Self {
            registrations: registrations
                .into_iter()
                .map(|(request, enrolment, account, step)| (request, (enrolment, account, step)))
                .collect(),
            volunteers: volunteers
                .into_iter()
                .map(|(id, number, state)| (id, (number, state)))
                .collect(),
            numbers: numbers.into_iter().collect(),
            accounts: accounts.into_iter().collect(),
            enrolments: enrolments.into_iter().collect(),
            claims: claims.into_iter().collect(),
            consents: ids(consents),
            keys: ids(subjects),
            challenges: ids(challenges),
            serials,
        }
    }

    /// What is missing of a registration that was acknowledged as done.
    fn missing(&self, entry: &Entry) -> Vec<&'static str> {
        let request: Uuid = entry.form.request_id.parse().unwrap();
        let Some(volunteer) = &entry.volunteer else {
            let kept = self.registrations.contains_key(&request);
            return if kept { Vec::new() } else { vec!["registration"] };
        };
        let id: Uuid = volunteer.id.parse().unwrap();
        let saga = self.registrations.get(&request);
        let enrolment = saga.and_then(|(enrolment, ..)| self.enrolments.get(enrolment));
        let number = &volunteer.volunteer_number;
        let stored = self.volunteers.get(&id);
        [
            ("registration", saga.is_some_and(|saga| saga.1 == Some(id) && saga.2 == "DONE")),
            ("volunteer", stored == Some(&(number.clone(), "ACTIVE".to_owned()))),
            ("volunteer number", self.numbers.get(number) == Some(&id)),
            ("enrolment", enrolment.is_some_and(|state| state == "ACTIVE")),
            ("account", self.accounts.get(&id).is_some_and(|state| state == "ACTIVE")),
            ("claim", self.claims.contains_key(&id)),
            ("consent", self.consents.contains(&id)),
            ("data key", self.keys.contains(&id)),
        ]
        .into_iter()
        .filter_map(|(what, there)| (!there).then_some(what))
        .collect()
    }

    /// What there is twice, or belongs to nobody.
    fn doubled(&self, sent: &BTreeSet<Uuid>) -> Vec<String> {
        let mut doubled = Vec::new();
        let mut owners: BTreeMap<Uuid, usize> = BTreeMap::new();
        for (request, (_, account, _)) in &self.registrations {
            if !sent.contains(request) {
                doubled.push(format!("registration {request} was sent by nobody"));
            }
            if let Some(account) = account {
                *owners.entry(*account).or_default() += 1;
            }
        }
        let of_one = |id: &Uuid| owners.get(id) == Some(&1);
        let volunteers = self.volunteers.keys().filter(|id| !of_one(id));
        doubled.extend(volunteers.map(|id| format!("volunteer {id} is not of one registration")));
        for (id, count) in &self.claims {
            if *count != 1 {
                doubled.push(format!("account {id} owns {count} ID numbers"));
            }
        }
        for (number, id) in &self.numbers {
            if self.volunteers.get(id).is_none_or(|volunteer| volunteer.0 != *number) {
                doubled.push(format!("{number} is not the number of {id}"));
            }
        }
        doubled
    }

    /// What is neither done nor undone.
    fn half(&self) -> Vec<String> {
        let mut half = Vec::new();
        for (request, (enrolment, account, step)) in &self.registrations {
            let applicant = self.enrolments.get(enrolment).map(String::as_str);
            let whole = match step.as_str() {
                "DONE" => account.is_some() && applicant == Some("ACTIVE"),
                "REFUSED" => matches!(applicant, Some("DISCARDED" | "REFUSED")),
                // A person decides, and whoever asks is told so.
                "REVIEW" => applicant == Some("REVIEW"),
                _ => false,
            };
            if !whole {
                half.push(format!("registration {request}: {step}, enrolment {applicant:?}"));
            }
        }
        let known: BTreeSet<Uuid> =
            self.registrations.values().map(|(enrolment, ..)| *enrolment).collect();
        let strays = self.enrolments.keys().filter(|id| !known.contains(id));
        half.extend(strays.map(|id| format!("enrolment {id} is of no registration")));
        for (id, state) in &self.accounts {
            let volunteer = self.volunteers.get(id).map(|volunteer| volunteer.1.as_str());
            if state != "ACTIVE" || volunteer != Some("ACTIVE") || !self.claims.contains_key(id) {
                half.push(format!("account {id}: {state}, volunteer {volunteer:?}"));
            }
        }
        let alone = self.volunteers.keys().filter(|id| !self.accounts.contains_key(id));
        half.extend(alone.map(|id| format!("volunteer {id} has no account")));
        for (region, last, given) in &self.serials {
            if i64::from(*last) != *given {
                half.push(format!("{region}: {given} numbers, and the last is {last}"));
            }
        }
        half
    }
}

/// What is neither done nor undone, nor waits for a person.
pub(crate) async fn half_done(site: &Site) -> Vec<String> {
    Stored::of(site).await.half()
}

/// Compares the journal with all tables.
pub(super) async fn check(site: &Site, journal: &Journal) -> Findings {
    let stored = Stored::of(site).await;
    let entries = journal.entries();
    let codes = journal.codes();
    let mut findings = Findings { sent: entries.len(), codes: codes.len(), ..Findings::default() };
    for id in codes {
        if !stored.challenges.contains(&id) {
            findings.lost.push(format!("code {id}"));
        }
    }
    let mut sent = BTreeSet::new();
    for entry in &entries {
        let request: Uuid = entry.form.request_id.parse().unwrap();
        sent.insert(request);
        if entry.kept {
            findings.acknowledged += 1;
            let missing = stored.missing(entry);
            if !missing.is_empty() {
                findings.lost.push(format!("registration {request}: no {missing:?}"));
            }
        } else {
            findings.in_doubt += 1;
            findings.there += usize::from(stored.registrations.contains_key(&request));
        }
    }
    findings.doubled = stored.doubled(&sent);
    findings.half = stored.half();
    findings
}
