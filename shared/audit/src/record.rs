//! What happened, as the code that does it tells.

use std::fmt;

use zhiyuan_domain::AccountId;

/// Characters of the name of an actor, of a code, of an action.
const NAME: usize = 64;
/// Pairs of details.
const DETAILS: usize = 16;
/// Characters of the key of a detail.
const DETAIL_KEY: usize = 32;
/// Characters of the value of a detail.
const DETAIL_VALUE: usize = 128;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person who is signed in.
    Person(AccountId),
    /// A system of somebody else, by the name of its account.
    ServiceAccount(String),
    /// A service of the suite, of its own accord.
    Service(String),
    /// Somebody with the rights of an operator: see [`operator`](crate::operator).
    Operator(String),
}

impl Actor {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "PERSON",
            Self::ServiceAccount(_) => "SERVICE_ACCOUNT",
            Self::Service(_) => "SERVICE",
            Self::Operator(_) => "OPERATOR",
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Person(id) => id.to_string(),
            Self::ServiceAccount(name) | Self::Service(name) | Self::Operator(name) => name.clone(),
        }
    }

    /// From the columns of a row.
    pub(crate) fn parse(kind: &str, name: String) -> Option<Self> {
        match kind {
            "PERSON" => AccountId::parse(&name).ok().map(Self::Person),
            "SERVICE_ACCOUNT" => Some(Self::ServiceAccount(name)),
            "SERVICE" => Some(Self::Service(name)),
            "OPERATOR" => Some(Self::Operator(name)),
            _ => None,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused to the actor, and nothing was done. Its record needs a transaction of
    /// its own.
    Refused,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::Refused => "REFUSED",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Done, Self::Refused].into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What happened: who did what to whom, and why.
///
/// Nothing in it is personal but ids: it is kept longer than what it tells of.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) actor: Actor,
    pub(crate) action: &'static str,
    pub(crate) subject: Option<AccountId>,
    pub(crate) organization: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) details: Vec<(&'static str, String)>,
}

impl Record {
    /// Characters of a purpose, at most; whoever takes one from a person refuses longer
    /// ones, and line breaks, before.
    pub const PURPOSE_MAX: usize = 200;

    /// An act that was done. `action` is a stable name with dots, such as
    /// `identity.session.revoked`.
    #[must_use]
    pub fn done(actor: Actor, action: &'static str) -> Self {
        Self::new(actor, action, Outcome::Done)
    }

    /// An act that was refused.
    #[must_use]
    pub fn refused(actor: Actor, action: &'static str) -> Self {
        Self::new(actor, action, Outcome::Refused)
    }

    fn new(actor: Actor, action: &'static str, outcome: Outcome) -> Self {
        Self {
            actor,
            action,
            subject: None,
            organization: None,
            purpose: None,
            outcome,
            details: Vec::new(),
        }
    }

    /// Says whose data it was about.
    #[must_use]
    pub fn about(self, subject: AccountId) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Says which organization it was about, or done for, by its code.
    #[must_use]
    pub fn within(self, organization: impl Into<String>) -> Self {
        Self { organization: Some(organization.into()), ..self }
    }

    /// Says why, in the words of the actor.
    #[must_use]
    pub fn because(self, purpose: impl Into<String>) -> Self {
        Self { purpose: Some(purpose.into()), ..self }
    }

    /// Adds a detail, such as how many rows; nothing personal.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.details.push((key, value.to_string()));
        self
    }

    /// Whether all of it is within its limits.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let stated = |text: &str, most| !text.is_empty() && fits(text, most);
        if !stated(&self.actor.name(), NAME) {
            return Err(Fault::Actor);
        }
        if !is_action(self.action) {
            return Err(Fault::Action);
        }
        if self.organization.as_deref().is_some_and(|code| !stated(code, NAME)) {
            return Err(Fault::Organization);
        }
        if self.purpose.as_deref().is_some_and(|text| !stated(text, Self::PURPOSE_MAX)) {
            return Err(Fault::Purpose);
        }
        let detail = |(key, value): &(&str, String)| {
            is_word(key) && fits(key, DETAIL_KEY) && fits(value, DETAIL_VALUE)
        };
        if self.details.len() > DETAILS || !self.details.iter().all(detail) {
            return Err(Fault::Details);
        }
        Ok(())
    }
}

/// Without the purpose, which is a person's own words, and the details.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("actor", &self.actor)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a record: always a defect of the code that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the actor of an audit record has no name, or too long a one")]
    Actor,
    #[error("the action of an audit record is no name with dots")]
    Action,
    #[error("the organization of an audit record is no code")]
    Organization,
    #[error("the purpose of an audit record is empty, too long, or has line breaks")]
    Purpose,
    #[error("the details of an audit record are too many or too long")]
    Details,
}

fn fits(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}

fn is_action(text: &str) -> bool {
    text.len() <= NAME && text.contains('.') && text.split('.').all(is_word)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::done(
            Actor::Operator("zhiyuan_orgtree_owner".into()),
            "orgtree.organizations.loaded",
        )
    }

    #[test]
    fn takes_what_is_within_the_limits() {
        let full = record()
            .about(AccountId::from(uuid::Uuid::from_u128(7)))
            .within("A".repeat(64))
            .because("核".repeat(200));
        let full = (0..16).fold(full, |full, _| full.with("rows", "9".repeat(128)));
        assert_eq!(full.check(), Ok(()));
        assert_eq!(record().check(), Ok(()));
        assert_eq!(record().with("empty", "").check(), Ok(()));
    }

    #[test]
    fn refuses_what_is_too_long_empty_or_on_two_lines() {
        let by = |name: &str| Record::done(Actor::Service(name.into()), "a.b");
        let acts = |action| Record::done(Actor::Service("x".into()), action);
        let many = (0..17).fold(record(), |many, _| many.with("rows", 1));
        for (record, fault) in [
            (by(""), Fault::Actor),
            (by(&"x".repeat(65)), Fault::Actor),
            (by("a\nb"), Fault::Actor),
            (acts(""), Fault::Action),
            (acts("loaded"), Fault::Action),
            (acts("orgtree..loaded"), Fault::Action),
            (acts("orgtree.Loaded"), Fault::Action),
            (record().within(""), Fault::Organization),
            (record().within("A".repeat(65)), Fault::Organization),
            (record().because(""), Fault::Purpose),
            (record().because("核".repeat(201)), Fault::Purpose),
            (record().because("a\nb"), Fault::Purpose),
            (record().with("", 1), Fault::Details),
            (record().with("Rows", 1), Fault::Details),
            (record().with("rows", "9".repeat(129)), Fault::Details),
            (record().with("rows", "a\0b"), Fault::Details),
            (many, Fault::Details),
        ] {
            assert_eq!(record.check(), Err(fault), "{record:?}");
        }
    }

    #[test]
    fn an_actor_is_read_back_as_it_was_written() {
        let id = AccountId::from(uuid::Uuid::from_u128(9));
        for actor in [
            Actor::Person(id),
            Actor::ServiceAccount("platform".into()),
            Actor::Service("registration".into()),
            Actor::Operator("postgres".into()),
        ] {
            assert_eq!(Actor::parse(actor.kind(), actor.name()), Some(actor));
        }
        assert_eq!(Actor::parse("PERSON", "postgres".into()), None);
        assert_eq!(Actor::parse("GHOST", "postgres".into()), None);
    }

    #[test]
    fn debug_keeps_the_words_of_a_person_to_itself() {
        let text = format!("{:?}", record().because("张三来电").with("phone", "13800000000"));
        assert!(!text.contains("张三") && !text.contains("138"), "{text}");
    }
}
