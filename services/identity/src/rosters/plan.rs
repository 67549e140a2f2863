//! What follows from rows, given who holds their ID numbers: a pure decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;
use zhiyuan_domain::{Mobile, PersonName};

use super::{Problem, Row, Verdict};

/// Who holds an ID number, opened. Not for logs.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) name: PersonName,
    pub(super) phone: Option<Mobile>,
    pub(super) standing: Standing,
}

/// How far somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// On a roster, and nothing else.
    PreRegistered,
    /// The number is claimed for an account that is not active yet: the register knows the name.
    OnTheWay {
        /// Known of a roster besides: stays if the registration comes to nothing.
        on_roster: bool,
        level: i16,
    },
    /// There is an account.
    Registered {
        level: i16,
        /// Whether it can be raised: signed in to, with the phone attached.
        raisable: bool,
    },
}

/// What is to be done, by id.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) verdicts: Vec<std::result::Result<Verdict, Problem>>,
    /// People to be made, with the place of the row that they are made of.
    pub(super) made: BTreeMap<Uuid, usize>,
    /// People who become what a row says.
    pub(super) changed: BTreeMap<Uuid, usize>,
    /// Accounts on the way that are put on a roster.
    pub(super) attached: BTreeMap<Uuid, usize>,
    /// Accounts whose phone the roster lists too: level 1 becomes 2.
    pub(super) raised: BTreeSet<Uuid>,
}

/// Decides. `known` is who holds a number, by its place among the rows; `new` makes ids.
pub(super) fn plan(
    rows: &[std::result::Result<Row, Problem>],
    known: &HashMap<usize, Known>,
    new: impl Fn() -> Uuid,
) -> Plan {
    let mut plan = Plan::default();
    // A number may be in a file twice: the second row finds what the first one made.
    let mut people: HashMap<&str, Known> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let verdict = match row {
            Err(problem) => Err(*problem),
            Ok(row) => {
                let person = people.get(row.id_number.as_str()).or_else(|| known.get(&place));
                let (person, verdict) = match person.cloned() {
                    Some(person) => plan.meet(place, row, person),
                    None => plan.make(place, row, new()),
                };
                people.insert(row.id_number.as_str(), person);
                verdict
            }
        };
        plan.verdicts.push(verdict);
    }
    plan
}

impl Plan {
    fn make(
        &mut self,
        place: usize,
        row: &Row,
        id: Uuid,
    ) -> (Known, std::result::Result<Verdict, Problem>) {
        self.made.insert(id, place);
        let (name, phone) = (row.name.clone(), row.phone.clone());
        let person = Known { id, name, phone, standing: Standing::PreRegistered };
        let verdict = Verdict {
            person_id: Some(id),
            new: true,
            registered: false,
            name_changed: false,
            phone_changed: false,
        };
        (person, Ok(verdict))
    }

    fn meet(
        &mut self,
        place: usize,
        row: &Row,
        mut person: Known,
    ) -> (Known, std::result::Result<Verdict, Problem>) {
        let id = person.id;
        let name_changed = person.name != row.name;
        let same_phone = row.phone.is_some() && person.phone == row.phone;
        let registered = matches!(person.standing, Standing::Registered { .. });
        // A roster without phones takes none away.
        let phone_changed = person.standing == Standing::PreRegistered
            && row.phone.is_some()
            && person.phone != row.phone;
        let new = false;
        let verdict = Verdict { person_id: Some(id), new, registered, name_changed, phone_changed };
        match &mut person.standing {
            Standing::PreRegistered => {
                if row.update && (name_changed || phone_changed) {
                    let list = if self.made.contains_key(&id) {
                        &mut self.made
                    } else {
                        &mut self.changed
                    };
                    list.insert(id, place);
                    person.name = row.name.clone();
                    if phone_changed {
                        person.phone.clone_from(&row.phone);
                    }
                }
            }
            // The register knows better.
            Standing::OnTheWay { .. } | Standing::Registered { .. } if name_changed => {
                return (person, Err(Problem::NameDiffers));
            }
            Standing::OnTheWay { on_roster, level } => {
                if !*on_roster {
                    self.attached.insert(id, place);
                    *on_roster = true;
                }
                if row.update && same_phone && *level == 1 {
                    self.raised.insert(id);
                }
            }
            Standing::Registered { level, raisable } => {
                if row.update && same_phone && *level == 1 && *raisable {
                    self.raised.insert(id);
                }
            }
        }
        (person, Ok(verdict))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use time::macros::date;

    use super::*;
    use zhiyuan_domain::IdNumber;

    const NUMBER: &str = "341882199912310019";

    fn row(name: &str, phone: &str, update: bool) -> std::result::Result<Row, Problem> {
        Ok(Row {
            name: PersonName::parse(name).unwrap(),
            id_number: IdNumber::parse(NUMBER, date!(2026 - 11 - 23)).unwrap(),
            phone: Mobile::parse(phone).ok(),
            update,
        })
    }

    fn decide(rows: &[std::result::Result<Row, Problem>], standing: Option<Standing>) -> Plan {
        let mut known = HashMap::new();
        if let Some(standing) = standing {
            let (name, phone) = (PersonName::parse("汪洋"), Mobile::parse("13855512345"));
            let (id, phone) = (Uuid::from_u128(7), phone.ok());
            known.insert(0, Known { id, name: name.unwrap(), phone, standing });
        }
        let next = Cell::new(100);
        plan(rows, &known, || Uuid::from_u128(next.replace(next.get() + 1)))
    }

    fn told(plan: &Plan) -> Vec<(u128, bool, bool, bool)> {
        let told = |verdict: &std::result::Result<Verdict, Problem>| {
            let verdict = verdict.as_ref().unwrap();
            let id = verdict.person_id.unwrap().as_u128();
            (id, verdict.new, verdict.registered, verdict.name_changed)
        };
        plan.verdicts.iter().map(told).collect()
    }

    #[test]
    fn who_is_in_a_file_twice_is_one_person() {
        let rows = [row("汪洋", "", false), Err(Problem::Phone), row("汪阳", "", false)];
        let twice = decide(&rows, None);
        assert_eq!(twice.verdicts[1], Err(Problem::Phone));
        assert_eq!(twice.verdicts[0].as_ref().unwrap().person_id, Some(Uuid::from_u128(100)));
        let second = twice.verdicts[2].as_ref().unwrap();
        assert_eq!(second.person_id, Some(Uuid::from_u128(100)));
        assert!(!second.new && second.name_changed);
        assert_eq!(twice.made, BTreeMap::from([(Uuid::from_u128(100), 0)]));
        // With `update` it is made of the later row.
        let later = decide(&[row("汪洋", "", false), row("汪阳", "", true)], None);
        assert_eq!(later.made, BTreeMap::from([(Uuid::from_u128(100), 1)]));
        assert!(later.changed.is_empty());
    }

    #[test]
    fn who_is_pre_registered_becomes_what_the_row_says_only_if_asked_for() {
        let standing = Some(Standing::PreRegistered);
        let kept = decide(&[row("汪阳", "", false)], standing);
        assert_eq!(told(&kept), [(7, false, false, true)]);
        assert!(kept.changed.is_empty());
        let changed = decide(&[row("汪阳", "", true)], standing);
        assert_eq!(changed.changed, BTreeMap::from([(Uuid::from_u128(7), 0)]));
        let phone = decide(&[row("汪洋", "13855512346", true)], standing);
        assert_eq!(told(&phone), [(7, false, false, false)]);
        assert_eq!(phone.changed.len(), 1);
        let same = decide(&[row("汪洋", "13855512345", true)], standing);
        assert!(same.changed.is_empty(), "nothing is written for nothing");
        let told = |plan: &Plan| plan.verdicts[0].as_ref().unwrap().phone_changed;
        assert!(told(&phone) && !told(&same));
        let none = decide(&[row("汪洋", "", true)], standing);
        assert!(none.changed.is_empty() && !told(&none), "a roster without phones takes none away");
    }

    #[test]
    fn an_account_is_raised_once_and_only_by_its_name_and_phone() {
        let account = |level, raisable| Some(Standing::Registered { level, raisable });
        let elsewhere = [row("汪洋", "13855512345", false)];
        assert!(decide(&elsewhere, account(1, true)).raised.is_empty(), "on another roster");
        let same = [row("汪洋", "13855512345", true)];
        assert_eq!(decide(&same, account(1, true)).raised.len(), 1);
        assert!(decide(&same, account(2, true)).raised.is_empty());
        assert!(decide(&same, account(1, false)).raised.is_empty());
        for phone in ["", "13855512346"] {
            let other = decide(&[row("汪洋", phone, true)], account(1, true));
            assert_eq!(told(&other), [(7, false, true, false)]);
            assert!(other.raised.is_empty() && other.changed.is_empty());
        }
        let differs = decide(&[row("汪阳", "13855512345", true)], account(1, true));
        assert_eq!(differs.verdicts, [Err(Problem::NameDiffers)]);
        assert!(differs.raised.is_empty());
    }

    #[test]
    fn an_account_on_the_way_is_put_on_the_roster() {
        let way = |on_roster| Some(Standing::OnTheWay { on_roster, level: 1 });
        let rows = [row("汪洋", "13855512345", true), row("汪洋", "13855512345", false)];
        assert!(decide(&rows[1..], way(true)).raised.is_empty(), "on another roster");
        let put = decide(&rows[..1], way(false));
        assert_eq!(told(&put), [(7, false, false, false)]);
        assert_eq!((put.attached.len(), put.raised.len()), (1, 1));
        assert!(decide(&rows[..1], way(true)).attached.is_empty());
        let differs = decide(&[row("汪阳", "", false)], way(false));
        assert_eq!(differs.verdicts, [Err(Problem::NameDiffers)]);
        assert!(differs.attached.is_empty());
    }
}
