//! What organizations tell their people: guides, activities, news.
//!
//! Here is how an article goes from one state to the next: no database, no clock.

mod db;
mod fault;
mod form;
mod grpc;
mod records;
mod writing;

use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use fault::Fault;
pub(crate) use grpc::News;

/// What an article is about. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Guide = 1,
    Activity = 2,
    News = 3,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Guide, Self::Activity, Self::News];

    fn number(self) -> i16 {
        self as i16
    }

    fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Where an article stands. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Draft = 1,
    Published = 2,
    Withdrawn = 3,
}

impl State {
    const ALL: [Self; 3] = [Self::Draft, Self::Published, Self::Withdrawn];

    fn number(self) -> i16 {
        self as i16
    }

    fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Where a step leads to: the one table.
    fn after(self, step: Step) -> Result<Self, Fault> {
        match (self, step) {
            (Self::Withdrawn, _) => Err(Fault::Withdrawn),
            (Self::Published, Step::Publish) => Err(Fault::Published),
            (Self::Draft, Step::Publish) => Ok(Self::Published),
            (same, Step::Update) => Ok(same),
            (Self::Draft | Self::Published, Step::Withdraw) => Ok(Self::Withdrawn),
        }
    }
}

/// What is done with an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Update,
    Publish,
    Withdraw,
}

/// What an article says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    kind: Kind,
    title: String,
    /// May be empty.
    summary: String,
    /// Markdown; empty in a list.
    body: String,
    pinned: bool,
}

/// An article.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Article {
    id: Uuid,
    organization_code: String,
    organization_name: String,
    content: Content,
    state: State,
    revision: i64,
    publication: Option<Publication>,
    changed_at: OffsetDateTime,
}

/// That an article was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Publication {
    /// In the order of publication.
    id: Uuid,
    at: OffsetDateTime,
}

impl Article {
    /// Takes a step that may be taken.
    fn step(&mut self, step: Step, now: OffsetDateTime) -> Result<(), Fault> {
        self.state = self.state.after(step)?;
        self.revision += 1;
        self.changed_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_goes_one_way() {
        use State::{Draft, Published, Withdrawn};
        for (from, step, to) in [
            (Draft, Step::Update, Ok(Draft)),
            (Draft, Step::Publish, Ok(Published)),
            (Draft, Step::Withdraw, Ok(Withdrawn)),
            (Published, Step::Update, Ok(Published)),
            (Published, Step::Publish, Err(Fault::Published)),
            (Published, Step::Withdraw, Ok(Withdrawn)),
            (Withdrawn, Step::Update, Err(Fault::Withdrawn)),
            (Withdrawn, Step::Publish, Err(Fault::Withdrawn)),
            (Withdrawn, Step::Withdraw, Err(Fault::Withdrawn)),
        ] {
            assert_eq!(from.after(step), to, "{from:?} {step:?}");
        }
    }
}
