//! Who the people of rows are; those of whom nobody has heard are made known.
//!
//! What is sealed is opened before the transaction and compared with what is there within it: a
//! key is asked for in another database. Where something has changed in between, the whole of it
//! is looked at anew.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;
use zhiyuan_crypto::keys::DataKey;
use zhiyuan_domain::{Mobile, PersonName, new_id};
use zhiyuan_postgres::again;
use zhiyuan_rpc::{Error as RpcError, chain};

use super::db::{self, Holder, Sealed};
use super::plan::{Known, Plan, Standing, plan};
use super::{Problem, Rosters, Row, Verdict};
use crate::accounts::{LEVEL_REGISTER, LEVEL_ROSTER};
use crate::audit;
use crate::error::{Error, Result};
use crate::feed;
use crate::keys::{self, Column};

/// How often rows are looked at anew that others change at the same time.
const ROUNDS: u32 = 20;

/// What was read of the rows, as a transaction must find it again.
struct Seen {
    versions: Vec<i16>,
    holders: HashMap<Uuid, Holder>,
}

/// What is to be stored, sealed.
#[derive(Default)]
struct Work {
    made: Vec<Sealed>,
    changed: Vec<Sealed>,
    attached: Vec<Sealed>,
    raised: Vec<Uuid>,
    /// The numbers of those who are made: version, index, whose.
    numbers: (Vec<i16>, Vec<Vec<u8>>, Vec<Uuid>),
}

type Verdicts = Vec<std::result::Result<Verdict, Problem>>;

impl Rosters {
    /// Tells who the people of rows are, and makes those known of whom nobody has heard, unless
    /// it only validates. All of it is one transaction.
    ///
    /// # Errors
    /// `CONFLICT`, if others go on changing the same people.
    pub(crate) async fn import(
        &self,
        rows: &[std::result::Result<Row, Problem>],
        validate_only: bool,
    ) -> Result<Verdicts> {
        for _ in 0..ROUNDS {
            if let Some(verdicts) = self.round(rows, validate_only).await? {
                return Ok(verdicts);
            }
        }
        Err(RpcError::conflict("rows of a roster were changed by others all the time").into())
    }

    /// `None` if something has changed meanwhile.
    async fn round(
        &self,
        rows: &[std::result::Result<Row, Problem>],
        validate_only: bool,
    ) -> Result<Option<Verdicts>> {
        let seen = self.look(rows).await?;
        let subjects: Vec<Uuid> = seen.holders.keys().copied().collect();
        let mut keys = self.vault.keys(&subjects).await?;
        let Some(known) = self.open(&seen, &keys)? else { return Ok(None) };
        let mut plan = plan(rows, &known, || new_id(self.clock.as_ref()));
        if validate_only {
            for verdict in plan.verdicts.iter_mut().flatten() {
                verdict.person_id = verdict.person_id.filter(|id| !plan.made.contains_key(id));
            }
            return Ok(Some(plan.verdicts));
        }
        let new: Vec<Uuid> = plan.made.keys().copied().collect();
        if !new.is_empty() {
            // Committed before the people: a key of nobody harms nobody.
            keys.extend(new.iter().copied().zip(self.vault.make_keys(&new).await?));
        }
        let work = self.seal(rows, &plan, &seen, &keys)?;
        let stored = again(Error::is_lost, || self.store(&work, &seen)).await;
        // Known to be made in vain. After an error they may be not: of a COMMIT whose answer was
        // lost nobody knows what became. Those are left to the sweep of keys, which looks.
        if matches!(stored, Ok(false))
            && let Err(error) = self.vault.destroy_keys(&new).await
        {
            tracing::warn!(error = chain(&error), "data keys made in vain are left");
        }
        Ok(stored?.then_some(plan.verdicts))
    }

    /// Reads who holds the numbers of the rows.
    async fn look(&self, rows: &[std::result::Result<Row, Problem>]) -> Result<Seen> {
        let mut conn = self.pool.acquire().await?;
        let versions = keys::db::active_index_keys(&mut conn).await?;
        let (mut places, mut of, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            let Ok(row) = row else { continue };
            for version in &versions {
                places.push(i32::try_from(place).unwrap_or(i32::MAX));
                of.push(*version);
                indexes.push(self.vault.number_index(*version, &row.id_number)?.to_vec());
            }
        }
        let found = db::holders(&mut conn, &places, &of, &indexes).await?;
        Ok(Seen { versions, holders: found.into_iter().map(|one| (one.id, one)).collect() })
    }

    /// Opens names and phones; `None` if somebody has gone with the key.
    fn open(
        &self,
        seen: &Seen,
        keys: &HashMap<Uuid, DataKey>,
    ) -> Result<Option<HashMap<usize, Known>>> {
        let mut known = HashMap::new();
        for holder in seen.holders.values() {
            let Some(key) = keys.get(&holder.id) else { return Ok(None) };
            let Some(person) = self.known(holder, key)? else { return Ok(None) };
            known.insert(usize::try_from(holder.place).unwrap_or_default(), person);
        }
        Ok(Some(known))
    }

    fn known(&self, holder: &Holder, key: &DataKey) -> Result<Option<Known>> {
        let id = holder.id;
        let open = |column, sealed: &[u8]| self.vault.open(key, column, id, sealed);
        let corrupt = || Error::Inconsistent("identity.roster_person");
        let (name, phone, standing) = match (&holder.account, &holder.person) {
            (Some(account), person) => {
                let standing = if account.state == "INACTIVE" {
                    let on_roster = person.is_some();
                    Standing::OnTheWay { on_roster, level: account.level }
                } else {
                    let raisable = account.state == "ACTIVE" && account.phone_attached;
                    Standing::Registered { level: account.level, raisable }
                };
                let name = open(Column::AccountName, &account.name)?;
                (name, Some(open(Column::AccountPhone, &account.phone)?), standing)
            }
            (None, Some(person)) => {
                let phone = person.phone.as_deref();
                let phone = phone.map(|phone| open(Column::RosterPhone, phone)).transpose()?;
                (open(Column::RosterName, &person.name)?, phone, Standing::PreRegistered)
            }
            // Gone between the number and its owner.
            (None, None) => return Ok(None),
        };
        let phone = phone.map(|phone| Mobile::parse(&phone).map_err(|_invalid| corrupt()));
        Ok(Some(Known {
            id,
            name: PersonName::parse(&name).map_err(|_invalid| corrupt())?,
            phone: phone.transpose()?,
            standing,
        }))
    }

    fn seal(
        &self,
        rows: &[std::result::Result<Row, Problem>],
        plan: &Plan,
        seen: &Seen,
        keys: &HashMap<Uuid, DataKey>,
    ) -> Result<Work> {
        let newest = seen.newest()?;
        let seal_all = |places: &BTreeMap<Uuid, usize>| {
            let sealed = places.iter().filter_map(|(id, place)| {
                let row = rows.get(*place)?.as_ref().ok()?;
                Some(self.seal_one(*id, row, newest, keys.get(id)))
            });
            sealed.collect::<Result<Vec<_>>>()
        };
        let mut work = Work {
            made: seal_all(&plan.made)?,
            changed: seal_all(&plan.changed)?,
            attached: seal_all(&plan.attached)?,
            raised: plan.raised.iter().copied().collect(),
            numbers: Default::default(),
        };
        for (id, place) in &plan.made {
            let Some(Ok(row)) = rows.get(*place) else { continue };
            for version in &seen.versions {
                work.numbers.0.push(*version);
                work.numbers.1.push(self.vault.number_index(*version, &row.id_number)?.to_vec());
                work.numbers.2.push(*id);
            }
        }
        Ok(work)
    }

    fn seal_one(&self, id: Uuid, row: &Row, newest: i16, key: Option<&DataKey>) -> Result<Sealed> {
        let key = key.ok_or(Error::KeyMissing)?;
        let seal = |column, text: &str| self.vault.seal(key, column, id, text);
        let phone = row.phone.as_ref();
        Ok(Sealed {
            id,
            name: seal(Column::RosterName, row.name.as_str())?,
            id_number: seal(Column::RosterIdNumber, row.id_number.as_str())?,
            phone: phone.map(|phone| seal(Column::RosterPhone, phone.as_e164())).transpose()?,
            phone_index: phone
                .map(|phone| self.vault.phone_index(newest, phone).map(|index| index.to_vec()))
                .transpose()?,
            adopted_by: None,
        })
    }

    /// Stores it; `false`, and nothing is stored, if what it rests on has changed. Accounts are
    /// locked before people, and people before numbers, by everybody.
    async fn store(&self, work: &Work, seen: &Seen) -> Result<bool> {
        let now = self.clock.now();
        let newest = seen.newest()?;
        let mut tx = self.pool.begin().await?;
        if keys::db::lock_active_index_keys(&mut tx).await? != seen.versions {
            return Ok(false);
        }
        if !work.raised.is_empty() || !work.attached.is_empty() {
            let Some(enrolments) = seen.accounts_as_seen(&mut tx, work).await? else {
                return Ok(false);
            };
            let attached: Vec<Sealed> = work
                .attached
                .iter()
                .map(|person| person.of_enrolment(enrolments.get(&person.id).copied()))
                .collect();
            let stored = db::insert(&mut tx, &attached, newest, now).await?;
            if usize::try_from(stored) != Ok(attached.len()) {
                return Ok(false);
            }
        }
        if !work.changed.is_empty() {
            if !seen.people_as_seen(&mut tx, work).await? {
                return Ok(false);
            }
            db::update(&mut tx, &work.changed, newest, now).await?;
        }
        if !work.made.is_empty() {
            db::insert(&mut tx, &work.made, newest, now).await?;
            let (versions, indexes, ids) = &work.numbers;
            let stored = db::insert_numbers(&mut tx, versions, indexes, ids).await?;
            if usize::try_from(stored) != Ok(ids.len()) {
                // Somebody else was first with one of them.
                return Ok(false);
            }
        }
        self.raise(&mut tx, &work.raised).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(true)
    }

    /// Level 1 becomes 2: name and number match the register, and a roster lists the phone too.
    async fn raise(&self, tx: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let told = db::raise(&mut *tx, ids, LEVEL_ROSTER).await?;
        for (id, _) in &told {
            let record = audit::by_identity(*id, "identity.account.level_raised");
            let record = record.with("from", LEVEL_REGISTER).with("to", LEVEL_ROSTER);
            self.trail.append(&mut *tx, &record).await?;
        }
        let events: Vec<_> = told
            .into_iter()
            .map(|(id, revision)| feed::account_changed(id, revision, LEVEL_ROSTER))
            .collect();
        Ok(self.outbox.append(tx, &events).await?)
    }
}

impl Sealed {
    /// As somebody whose number that enrolment has claimed.
    fn of_enrolment(&self, enrolment_id: Option<Uuid>) -> Self {
        Self {
            id: self.id,
            name: self.name.clone(),
            id_number: self.id_number.clone(),
            phone: self.phone.clone(),
            phone_index: self.phone_index.clone(),
            adopted_by: enrolment_id,
        }
    }
}

impl Seen {
    fn newest(&self) -> Result<i16> {
        self.versions.last().copied().ok_or(Error::Inconsistent("identity.index_key"))
    }

    /// Locks the accounts concerned; their enrolments, if they are as they were seen.
    async fn accounts_as_seen(
        &self,
        tx: &mut PgConnection,
        work: &Work,
    ) -> Result<Option<HashMap<Uuid, Uuid>>> {
        let mut ids = work.raised.clone();
        ids.extend(work.attached.iter().map(|person| person.id));
        ids.sort_unstable();
        ids.dedup();
        let locked = db::lock_accounts(tx, &ids).await?;
        let as_seen = |one: &db::Locked| {
            one.account.is_some()
                && self.holders.get(&one.id).is_some_and(|seen| seen.account == one.account)
        };
        if locked.len() != ids.len() || !locked.iter().all(as_seen) {
            return Ok(None);
        }
        Ok(Some(locked.into_iter().map(|one| (one.id, one.enrolment_id)).collect()))
    }

    /// Locks the people concerned; whether they are as they were seen.
    async fn people_as_seen(&self, tx: &mut PgConnection, work: &Work) -> Result<bool> {
        let ids: Vec<Uuid> = work.changed.iter().map(|person| person.id).collect();
        let locked = db::lock(tx, &ids).await?;
        let as_seen = |(id, person): &(Uuid, db::Person)| {
            self.holders.get(id).is_some_and(|seen| seen.person.as_ref() == Some(person))
        };
        Ok(locked.len() == ids.len() && locked.iter().all(as_seen))
    }
}
