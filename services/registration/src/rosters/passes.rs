//! A pass over the rows of an import: to look at them, or to import them. Each step is a
//! transaction, after which somebody else may go on.

use std::collections::HashMap;
use std::time::Instant;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_contracts::identity::v1::{RosterProblem, RosterRow, RosterVerdict};
use zhiyuan_contracts::orgtree::v1::Permission;
use zhiyuan_contracts::registration::v1::{
    RosterFailure, RosterRowFate as Fate, RosterRowProblem as Problem,
};
use zhiyuan_domain::{AccountId, shanghai_date};
use zhiyuan_feed::NewEvent;
use zhiyuan_rpc::Error as RpcError;
use zhiyuan_rpc::authority::{Decision, Lease};

use super::db::{Joining, Standing};
use super::job::LEASE;
use super::judging::{Candidate, Judged, Looker, On, is_month, judge};
use super::people::{AT_ONCE, id_of};
use super::{Counts, Fault, Import, Rosters, State, db, feed};
use crate::error::{Error, Result};

/// How often the reading of a file may begin without an end: over one that ends the process each
/// time, nobody goes on.
const READINGS: i32 = 3;

/// A row that was looked at by itself.
type Looked = std::result::Result<Candidate, Judged>;

impl Rosters {
    /// Carries an import on, as far as it goes.
    pub(super) async fn carry_on(&self, import: &Import, stop: &CancellationToken) -> Result<()> {
        if self.may_go_on(import).await?.is_none() {
            return self.end_by_itself(import).await;
        }
        let people = {
            let reading = self.reading.acquire().await;
            let _reading = reading.map_err(|_closed| Error::from(RpcError::draining()))?;
            let bytes = match self.fetch(import, None).await {
                Err(Error::Roster(Fault::FileGone)) => {
                    return self.fail(import, RosterFailure::Gone).await;
                }
                bytes => bytes?,
            };
            let begun = db::begin_reading(&self.pool, import).await?.ok_or_else(lost)?;
            if begun > READINGS {
                return self.fail(import, RosterFailure::Format).await;
            }
            match self.read_people(import, bytes).await {
                Ok(people) => people,
                Err(failure) => return self.fail(import, failure).await,
            }
        };
        db::end_reading(&self.pool, import).await?;
        self.renew(import).await?;
        let today = shanghai_date(self.clock.now());
        let mut looker = Looker::default();
        let rows = i32::try_from(people.len()).unwrap_or(i32::MAX);
        // Each is looked at, as later rows are compared with those before.
        let looked: Vec<Looked> =
            people.into_iter().map(|person| looker.look(&person, today)).collect();
        let looked = looked.into_iter().filter(|row| number_of(row) > import.done_to);
        if import.state == State::Checking {
            self.set_rows(import, rows).await?;
            self.pass(import, &looked.collect::<Vec<_>>(), stop).await
        } else {
            let good = db::good(&self.pool, import.id, import.done_to).await?;
            let looked = looked.filter(|row| good.contains(&number_of(row)));
            self.pass(import, &looked.collect::<Vec<_>>(), stop).await
        }
    }

    async fn pass(&self, import: &Import, rows: &[Looked], stop: &CancellationToken) -> Result<()> {
        for rows in rows.chunks(AT_ONCE) {
            if stop.is_cancelled() {
                return db::postpone(&self.pool, import, self.clock.now()).await;
            }
            if self.may_go_on(import).await?.is_none() {
                return self.end_by_itself(import).await;
            }
            if import.state == State::Checking {
                self.check(import, rows).await?;
            } else if !self.import(import, rows).await? {
                return self.end_by_itself(import).await;
            }
        }
        self.finish(import).await
    }

    /// Finds out what would become of some rows.
    async fn check(&self, import: &Import, rows: &[Looked]) -> Result<()> {
        let asked = rows.iter().filter_map(|row| row.as_ref().ok());
        let verdicts = self.ask(asked.map(|row| wire(row, false)).collect(), true).await?;
        let people = people_of(&verdicts)?;
        let ids: Vec<Uuid> = people.values().copied().collect();
        let standing = by_person(db::standing(&self.pool, &ids).await?);
        let judged = judge_all(import, rows, &verdicts, &people, &standing);

        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction, import).await?;
        db::insert_rows(&mut transaction, import.id, &judged).await?;
        self.progress(&mut transaction, import, rows, &judged).await?;
        Ok(transaction.commit().await?)
    }

    /// Imports some rows, all or none; `false` if whoever began it may not any more.
    ///
    /// Identity is asked twice: who the people are, which changes nothing about those it knows;
    /// and, once it is stored which of them are on this roster, to make of those what their rows
    /// say. Only then are the rows done: until then both are done again, to the same effect.
    async fn import(&self, import: &Import, rows: &[Looked]) -> Result<bool> {
        let asked_at = db::now(&self.pool).await?;
        let candidates = rows.iter().filter_map(|row| row.as_ref().ok());
        let asked = candidates.clone().map(|row| wire(row, false)).collect();
        let verdicts = self.ask(asked, false).await?;
        let people = people_of(&verdicts)?;
        let ids: Vec<Uuid> = people.values().copied().collect();
        let made = verdicts.iter().filter(|verdict| verdict.new);
        let made: Vec<Uuid> =
            made.filter_map(|verdict| people.get(&verdict.row_number).copied()).collect();

        // Identity may have taken its time.
        let Some(lease) = self.may_go_on(import).await? else {
            let mut transaction = self.pool.begin().await?;
            self.disclaim(&mut transaction, &made).await?;
            transaction.commit().await?;
            return Ok(false);
        };
        let mut transaction = self.pool.begin().await?;
        if db::lock_leased(&mut transaction, import).await?.is_none() {
            self.disclaim(&mut transaction, &made).await?;
            transaction.commit().await?;
            return Err(lost());
        }
        let standing = by_person(db::hold(&mut transaction, &ids).await?);
        check_known(&verdicts, &people, &standing, asked_at)?;
        let judged = judge_all(import, rows, &verdicts, &people, &standing);
        let joining = joining(&judged, &verdicts)?;
        let now = self.clock.now();
        let organization = &import.organization;
        let members = db::join(&mut transaction, organization, import.id, &joining, now).await?;
        db::update_rows(&mut transaction, import.id, &judged).await?;
        // Whom the call made is what the row says.
        let here: HashMap<i32, Uuid> = judged
            .iter()
            .filter(|row| row.fate != Fate::Rejected)
            .filter_map(|row| Some((row.row_number, row.person?)))
            .filter(|(_, person)| !made.contains(person))
            .collect();
        if here.is_empty() {
            self.progress(&mut transaction, import, rows, &judged).await?;
        }
        let by = Actor::Person(AccountId::from(import.started_by));
        let record = Record::done(by, "registration.roster.rows_imported");
        let record = record.within(organization.as_str()).with("import", import.id);
        let record = record.with("rows", rows.len()).with("members", members.len());
        self.trail.append_under(&mut transaction, record, &lease).await?;
        let events: Vec<NewEvent> = members.iter().map(feed::changed).collect();
        self.outbox.append(&mut transaction, &events).await?;
        lease.check(Instant::now())?;
        transaction.commit().await?;
        self.outbox.wake();
        if here.is_empty() {
            return Ok(true);
        }
        self.make_as_told(import, candidates, &here).await?;
        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction, import).await?;
        self.progress(&mut transaction, import, rows, &judged).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Has identity make people what their rows say, of those who are on this very roster.
    async fn make_as_told<'a>(
        &self,
        import: &Import,
        rows: impl Iterator<Item = &'a Candidate>,
        here: &HashMap<i32, Uuid>,
    ) -> Result<()> {
        let ids: Vec<Uuid> = here.values().copied().collect();
        let standing = by_person(db::standing(&self.pool, &ids).await?);
        let is_here = |row: &&Candidate| {
            let person = here.get(&row.row_number);
            person.is_some_and(|id| {
                let place = on(import, row.row_number, standing.get(id));
                matches!(place, On::This | On::ThisByThis)
            })
        };
        let rows = rows.filter(is_here).map(|row| wire(row, true)).collect();
        let verdicts = self.ask(rows, false).await?;
        let other = people_of(&verdicts)?.into_iter().any(|(row, id)| here.get(&row) != Some(&id));
        // Ended meanwhile: asked again, it is found who it is now.
        if other {
            Err(RpcError::unavailable("somebody of a roster is another one").into())
        } else {
            Ok(())
        }
    }

    /// Whom nobody knew before, nobody shall know: the import does not go on.
    async fn disclaim(&self, transaction: &mut sqlx::PgConnection, made: &[Uuid]) -> Result<()> {
        db::hold(&mut *transaction, made).await?;
        db::unclaimed(transaction, made, self.clock.now()).await
    }

    async fn ask(&self, rows: Vec<RosterRow>, validate_only: bool) -> Result<Vec<RosterVerdict>> {
        if rows.is_empty() { Ok(Vec::new()) } else { self.people.import(rows, validate_only).await }
    }

    async fn progress(
        &self,
        transaction: &mut sqlx::PgConnection,
        import: &Import,
        rows: &[Looked],
        judged: &[Judged],
    ) -> Result<()> {
        let done_to = rows.iter().map(number_of).max().unwrap_or(import.done_to);
        let until = self.clock.now() + LEASE;
        db::progress(transaction, import.id, done_to, Counts::of(judged), until).await
    }

    /// Whether whoever began the import may still import, and the organization takes it.
    async fn may_go_on(&self, import: &Import) -> Result<Option<Lease>> {
        match self.check_open(&import.organization).await {
            Err(Error::Roster(_closed)) => return Ok(None),
            open => open?,
        }
        let permission = Permission::ManageMembers;
        match self.authority.ask(import.started_by, &import.organization, permission).await? {
            Decision::Allowed(lease) => Ok(Some(lease)),
            Decision::Forbidden | Decision::OutOfScope => Ok(None),
        }
    }

    pub(super) async fn renew(&self, import: &Import) -> Result<()> {
        let until = self.clock.now() + LEASE;
        if db::renew(&self.pool, import, until).await? { Ok(()) } else { Err(lost()) }
    }

    async fn set_rows(&self, import: &Import, rows: i32) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction, import).await?;
        db::set_rows(&mut transaction, import.id, rows).await?;
        Ok(transaction.commit().await?)
    }

    async fn finish(&self, import: &Import) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let locked = lock(&mut transaction, import).await?;
        db::finish(&mut transaction, &locked, self.clock.now()).await?;
        if locked.state == State::Importing {
            let record = of_itself("registration.roster.imported", &locked);
            let record = record.with("rows", locked.rows).with("rejected", locked.counts.rejected);
            self.trail.append(&mut transaction, &record).await?;
        }
        if locked.state == State::Checking {
            // Whoever asks by files who is registered, or elsewhere, is seen to.
            let other = Problem::OnOtherRoster;
            let other = db::count_problem(&mut *transaction, import.id, other).await?;
            let name = Problem::NameDiffers;
            let name = db::count_problem(&mut *transaction, import.id, name).await?;
            let record = of_itself("registration.roster.checked", &locked);
            let record = record.with("rows", locked.rows).with("rejected", locked.counts.rejected);
            let record = record.with("on_other_roster", other).with("name_differs", name);
            self.trail.append(&mut transaction, &record).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Cancels an import whose ground is gone.
    async fn end_by_itself(&self, import: &Import) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let locked = lock(&mut transaction, import).await?;
        let now = self.clock.now();
        db::set_state(&mut transaction, &locked, State::Cancelled, None, now).await?;
        let record = of_itself("registration.roster.import_stopped", &locked);
        self.trail.append(&mut transaction, &record).await?;
        Ok(transaction.commit().await?)
    }

    async fn fail(&self, import: &Import, failure: RosterFailure) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let locked = lock(&mut transaction, import).await?;
        let now = self.clock.now();
        db::set_state(&mut transaction, &locked, State::Failed, Some(failure), now).await?;
        Ok(transaction.commit().await?)
    }
}

impl Counts {
    fn of(judged: &[Judged]) -> Self {
        let mut counts = Self::default();
        for row in judged {
            *match row.fate {
                Fate::Unspecified => continue,
                Fate::New => &mut counts.new,
                Fate::NewRegistered => &mut counts.registered,
                Fate::Unchanged => &mut counts.unchanged,
                Fate::Updated => &mut counts.updated,
                Fate::Rejected => &mut counts.rejected,
            } += 1;
        }
        counts
    }
}

fn of_itself(act: &'static str, import: &Import) -> Record {
    let service = Actor::Service("registration".to_owned());
    Record::done(service, act).within(import.organization.as_str()).with("import", import.id)
}

/// Somebody else goes on with the import, or nobody does.
fn lost() -> Error {
    RpcError::unavailable("the import went on without this task").into()
}

async fn lock(transaction: &mut sqlx::PgConnection, import: &Import) -> Result<Import> {
    db::lock_leased(transaction, import).await?.ok_or_else(lost)
}

fn number_of(row: &Looked) -> i32 {
    match row {
        Ok(candidate) => candidate.row_number,
        Err(judged) => judged.row_number,
    }
}

fn wire(row: &Candidate, update: bool) -> RosterRow {
    RosterRow {
        row_number: row.row_number,
        name: row.name.clone(),
        id_number: row.id_number.clone(),
        phone: row.phone.clone(),
        update,
    }
}

/// Who the rows are about, as far as that is known, by their numbers.
fn people_of(verdicts: &[RosterVerdict]) -> Result<HashMap<i32, Uuid>> {
    let known = verdicts.iter().filter(|verdict| !verdict.person_id.is_empty());
    known.map(|verdict| Ok((verdict.row_number, id_of(&verdict.person_id)?))).collect()
}

fn by_person(standing: Vec<Standing>) -> HashMap<Uuid, Standing> {
    standing.into_iter().map(|one| (one.person_id, one)).collect()
}

fn on(import: &Import, row_number: i32, standing: Option<&Standing>) -> On {
    let Some(one) = standing else { return On::None };
    match one.organization_code.as_deref() {
        None => On::None,
        Some(code) if code != import.organization.as_str() => On::Other,
        Some(_) if (one.import_id, one.row_number) == (Some(import.id), Some(row_number)) => {
            On::ThisByThis
        }
        Some(_) => On::This,
    }
}

fn judge_all(
    import: &Import,
    rows: &[Looked],
    verdicts: &[RosterVerdict],
    people: &HashMap<i32, Uuid>,
    standing: &HashMap<Uuid, Standing>,
) -> Vec<Judged> {
    let of_itself = rows.iter().filter_map(|row| row.as_ref().err()).cloned();
    let told = verdicts.iter().map(|verdict| {
        let person = people.get(&verdict.row_number).copied();
        let standing = person.and_then(|id| standing.get(&id));
        judge(verdict, person, on(import, verdict.row_number, standing))
    });
    of_itself.chain(told).collect()
}

/// Whether identity still knows those whom it told of: it may have been asked to forget them
/// while it answered, or their accounts were closed.
///
/// # Errors
/// `UNAVAILABLE`: asked again, it makes them known again.
fn check_known(
    verdicts: &[RosterVerdict],
    people: &HashMap<i32, Uuid>,
    standing: &HashMap<Uuid, Standing>,
    asked_at: OffsetDateTime,
) -> Result<()> {
    let going = |verdict: &RosterVerdict| {
        let one = people.get(&verdict.row_number).and_then(|id| standing.get(id));
        one.is_some_and(|one| {
            // Who has registered stays, whoever asks.
            let forgetting = one.forgetting && !verdict.registered;
            let gone = one.gone_at.is_some_and(|at| at >= asked_at);
            one.organization_code.is_none() && (forgetting || gone)
        })
    };
    if verdicts.iter().any(going) {
        return Err(RpcError::unavailable("somebody of a roster is being forgotten").into());
    }
    Ok(())
}

fn joining(judged: &[Judged], verdicts: &[RosterVerdict]) -> Result<Vec<Joining>> {
    let verdicts: HashMap<i32, &RosterVerdict> =
        verdicts.iter().map(|verdict| (verdict.row_number, verdict)).collect();
    let new = judged.iter().filter(|row| matches!(row.fate, Fate::New | Fate::NewRegistered));
    new.map(|row| {
        let verdict = verdicts.get(&row.row_number).ok_or(Error::Contract("verdicts"))?;
        debug_assert_eq!(verdict.problem(), RosterProblem::Unspecified);
        if !is_month(&verdict.ends_in) {
            return Err(Error::Contract("ends_in"));
        }
        Ok(Joining {
            person_id: row.person.ok_or(Error::Contract("person_id"))?,
            ends_in: verdict.ends_in.clone(),
            row_number: row.row_number,
        })
    })
    .collect()
}
