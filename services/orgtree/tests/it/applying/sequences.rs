//! Whatever several people do, one after the other: every answer is the one of a model that has
//! nothing but states, and what is kept is whole.

#![expect(clippy::indexing_slicing, reason = "whatever is out of range fails the test")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use zhiyuan_contracts::orgtree::v1::{ApplicationDecision, ApplicationState};
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    applicant, correct, corrects, decide, decides, mine, on_province, person_at, submit, submits,
    withdraw,
};
use crate::authority::{Suite, account, refusal};

/// Somebody who applies and administers nothing; somebody who does both; a third.
const APPLICANTS: [u128; 3] = [21, 22, 23];
/// At the superior, above it, beside it, below it; and one of those who apply.
const DECIDERS: [(u128, &str); 5] =
    [(31, "A-1"), (32, "A"), (33, "A-2"), (34, "A-1-1"), (22, "A-1")];
const DAYS: u64 = 11;

#[derive(Debug, Clone, Copy)]
enum Act {
    Submit { by: usize },
    Correct { by: usize, which: usize, stale: bool },
    Withdraw { by: usize, which: usize },
    Decide { by: usize, which: usize, how: ApplicationDecision, stale: bool },
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let how = prop::sample::select(vec![
        ApplicationDecision::Accept,
        ApplicationDecision::Return,
        ApplicationDecision::Return,
        ApplicationDecision::Reject,
    ]);
    let stale = prop::bool::weighted(0.15);
    prop_oneof![
        5 => (0..3_usize).prop_map(|by| Act::Submit { by }),
        4 => (0..3_usize, 0..64_usize, stale)
            .prop_map(|(by, which, stale)| Act::Correct { by, which, stale }),
        2 => (0..3_usize, 0..64_usize).prop_map(|(by, which)| Act::Withdraw { by, which }),
        7 => (0..5_usize, 0..64_usize, how, stale)
            .prop_map(|(by, which, how, stale)| Act::Decide { by, which, how, stale }),
        1 => Just(Act::Wait),
    ]
}

/// An application, as the model has it.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    by: usize,
    state: ApplicationState,
    revision: u64,
    /// Days since the last step.
    waited: u64,
    day: u64,
}

impl Known {
    fn is_open(&self) -> bool {
        matches!(self.state, ApplicationState::Submitted | ApplicationState::Returned)
    }

    /// What is answered to somebody who wants to bring it from one state to another.
    fn go(
        &mut self,
        from: &[ApplicationState],
        to: ApplicationState,
        seen: u64,
    ) -> Result<(), &'static str> {
        if !self.is_open() {
            return Err("APPLICATION_ENDED");
        }
        if !from.contains(&self.state) {
            return Err("APPLICATION_NOT_WITH_CALLER");
        }
        if seen != self.revision {
            return Err("APPLICATION_CHANGED");
        }
        (self.state, self.revision, self.waited) = (to, self.revision + 1, 0);
        Ok(())
    }
}

struct Model {
    day: u64,
    made: u32,
    known: Vec<Known>,
}

impl Model {
    fn may_submit(&self, by: usize) -> Result<(), &'static str> {
        let own = || self.known.iter().filter(|one| one.by == by);
        if own().filter(|one| one.is_open()).count() >= 3 {
            return Err("APPLICATIONS_TOO_MANY");
        }
        if own().filter(|one| one.day == self.day).count() >= 5 {
            return Err("APPLICATIONS_TOO_MANY_TODAY");
        }
        Ok(())
    }

    fn wait(&mut self) {
        self.day += DAYS;
        for one in self.known.iter_mut().filter(|one| one.is_open()) {
            one.waited += DAYS;
            if one.waited >= 30 {
                one.state = ApplicationState::Expired;
            }
        }
    }
}

fn reason<T>(answer: Result<T, tonic::Status>) -> Result<T, String> {
    answer.map_err(|status| refusal(&status).1)
}

async fn play(suite: &Suite, model: &mut Model, act: Act) {
    let what = format!("{act:?}");
    match act {
        Act::Wait => {
            suite.clock.advance(Duration::from_hours(24 * DAYS));
            model.wait();
        }
        Act::Submit { by } => {
            model.made += 1;
            let request = submits("A-1", &format!("第{}队", model.made));
            let answer = submit(&mut applicant(suite, APPLICANTS[by]), request).await;
            let (answer, expected) = (reason(answer), model.may_submit(by));
            assert_eq!(answer.as_ref().map(drop).map_err(String::as_str), expected, "{what}");
            if let Ok(made) = answer {
                model.known.push(Known {
                    id: made.application_id,
                    by,
                    state: ApplicationState::Submitted,
                    revision: 1,
                    waited: 0,
                    day: model.day,
                });
            }
        }
        Act::Correct { by, which, stale } => {
            let Some(which) = which.checked_rem(model.known.len()) else { return };
            let name = format!("第{}队", model.made + 1_000);
            let one = &mut model.known[which];
            let seen = if stale { one.revision + 1 } else { one.revision };
            let request = corrects(&one.id, &seen.to_string(), &name);
            let answer = correct(&mut applicant(suite, APPLICANTS[by]), request).await;
            let expected = if one.by == by {
                one.go(&[ApplicationState::Returned], ApplicationState::Submitted, seen)
            } else {
                Err("APPLICATION_NOT_FOUND")
            };
            let answer = reason(answer).map(drop);
            assert_eq!(
                answer.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e),
                "{what}"
            );
        }
        Act::Withdraw { by, which } => {
            let Some(which) = which.checked_rem(model.known.len()) else { return };
            let one = &mut model.known[which];
            let answer = withdraw(&mut applicant(suite, APPLICANTS[by]), &one.id).await;
            let open = [ApplicationState::Submitted, ApplicationState::Returned];
            let expected = if one.by == by {
                one.go(&open, ApplicationState::Withdrawn, one.revision)
            } else {
                Err("APPLICATION_NOT_FOUND")
            };
            let answer = reason(answer);
            assert_eq!(
                answer.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e),
                "{what}"
            );
        }
        Act::Decide { by, which, how, stale } => {
            let Some(which) = which.checked_rem(model.known.len()) else { return };
            let one = &mut model.known[which];
            let (who, at) = DECIDERS[by];
            let seen = if stale { one.revision + 1 } else { one.revision };
            let code = format!("A-1-V{which}");
            let request = decides(&one.id, &seen.to_string(), how, &code);
            let answer = decide(&mut person_at(suite, &suite.service, who, true), request).await;
            let to = match how {
                ApplicationDecision::Accept => ApplicationState::Accepted,
                ApplicationDecision::Return => ApplicationState::Returned,
                _ => ApplicationState::Rejected,
            };
            let expected = match at {
                "A-2" | "A-1-1" => Err("APPLICATION_NOT_FOUND"),
                _ if APPLICANTS[one.by] == who => Err("APPLICATION_OWN"),
                _ => one.go(&[ApplicationState::Submitted], to, seen),
            };
            let answer = reason(answer).map(drop);
            assert_eq!(
                answer.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn one_organization_for_each_accepted_application_and_never_by_the_applicant() {
    let suite = on_province().await;
    let pool = suite.database.pool().await;
    for (who, at) in DECIDERS {
        suite.make(account(who), at, TypedRole::Administrator).await;
    }
    let mut runner = TestRunner::deterministic();
    let acts = prop::collection::vec(act(), 260).new_tree(&mut runner).unwrap().current();
    let mut model = Model { day: 0, made: 0, known: Vec::new() };
    for act in acts {
        play(&suite, &mut model, act).await;
    }
    for one in &model.known {
        let seen = mine(&mut applicant(&suite, APPLICANTS[one.by]), &one.id).await.unwrap();
        assert_eq!(seen.state(), one.state, "{one:?}");
    }
    let reached = |state| model.known.iter().filter(|one| one.state == state).count();
    for state in [
        ApplicationState::Accepted,
        ApplicationState::Rejected,
        ApplicationState::Withdrawn,
        ApplicationState::Expired,
    ] {
        assert!(reached(state) > 0, "nothing was ever {state:?}");
    }
    let groups: Vec<(String, i64)> = sqlx::query_as(
        "SELECT o.code, (SELECT count(*) FROM orgtree.application a
                         JOIN orgtree.authority_grant g ON g.grant_id = a.grant_id
                         WHERE a.organization_code = o.code AND a.state = 3
                           AND g.organization_code = o.code AND g.account_id = a.applicant
                           AND g.granted_by = a.decided_by AND g.granted_by <> a.applicant)
         FROM orgtree.organization o WHERE o.kind = 9",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(groups.len(), reached(ApplicationState::Accepted));
    assert!(groups.iter().all(|(_, accepted)| *accepted == 1), "{groups:?}");
    suite.stop().await;
}
