//! The saga as a state machine: whatever is heard, in whatever order, by however
//! many at once.

use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zhiyuan_domain::AccountId;

use super::*;

mod world;

const START: OffsetDateTime = datetime!(2026-11-23 4:00 UTC);

fn account(n: u8) -> AccountId {
    AccountId::from(Uuid::from_bytes([n; 16]))
}

fn any_heard() -> impl Strategy<Value = Heard> {
    let at = (-10_i64..800_000).prop_map(|seconds| START + Duration::seconds(seconds));
    prop_oneof![
        Just(Heard::Unknown),
        Just(Heard::Accepted),
        at.clone().prop_map(|retry_at| Heard::Pending { retry_at }),
        at.prop_map(|retry_at| Heard::Review { retry_at, claim: None }),
        (0..3_u8).prop_map(|n| Heard::Claimed { account: account(n) }),
        (0..3_u8).prop_map(|n| Heard::Active { account: account(n) }),
        Just(Heard::Refused { refusal: Refusal::IdNameMismatch }),
        (0..3_u8).prop_map(|n| Heard::Adoptable { account: account(n) }),
        Just(Heard::Discarded),
        Just(Heard::OrganizationStands),
        Just(Heard::OrganizationGone { refusal: Refusal::OrganizationClosed { successor: None } }),
        Just(Heard::Abandoned),
    ]
}

/// A row, and what its transactions do, without a database.
#[derive(Debug)]
struct Model {
    step: Step,
    account: Option<AccountId>,
    refusal: Option<Refusal>,
    volunteers: usize,
    visible: bool,
    next_step_at: Option<OffsetDateTime>,
}

impl Model {
    fn new() -> Self {
        Self {
            step: Step::Started,
            account: None,
            refusal: None,
            volunteers: 0,
            visible: false,
            next_step_at: Some(START + schedule::LEASE),
        }
    }

    /// As `Registrar::apply`: only if the step still is the one that was seen.
    fn apply(&mut self, seen: Step, change: Change, now: OffsetDateTime) {
        if self.step != seen {
            return;
        }
        match &change {
            Change::Claimed { account, .. } => {
                assert_eq!(self.account, None, "claimed twice");
                self.account = Some(*account);
            }
            Change::Registered => self.volunteers += 1,
            Change::Done => self.visible = true,
            Change::Undoing { refusal } | Change::Refused { refusal } => {
                assert_eq!(self.refusal, None, "refused twice");
                self.refusal = Some(refusal.clone());
            }
            Change::Pending { .. } | Change::Review { .. } | Change::Undone => {}
        }
        self.step = change.step();
        self.next_step_at = schedule::after(&change, now);
    }
}

proptest! {
    #[test]
    fn never_leaves_an_end_and_never_makes_two_volunteers(
        // What was heard, how many changes ago the step was read, seconds later.
        told in prop::collection::vec((any_heard(), 0_usize..4, 0_i64..1000), 0..60)
    ) {
        let mut model = Model::new();
        let mut seen = vec![Step::Started];
        let mut now = START;
        for (heard, late, seconds) in told {
            now += Duration::seconds(seconds);
            let step = *seen.iter().rev().nth(late).unwrap_or(&Step::Started);
            let before = (model.step, model.refusal.clone());
            if let Some(change) = follow(step, &heard) {
                model.apply(step, change, now);
            }
            if before.0.is_final() {
                prop_assert_eq!(&(model.step, model.refusal.clone()), &before);
            }
            seen.push(model.step);
            prop_assert!(model.volunteers <= 1);
            prop_assert_eq!(model.visible, model.step == Step::Done);
            let refused = matches!(model.step, Step::Undoing | Step::Refused);
            prop_assert_eq!(model.refusal.is_some(), refused);
            prop_assert_eq!(model.next_step_at.is_none(), model.step.is_final());
            if let Some(next) = model.next_step_at && model.step != before.0 {
                prop_assert!(next > now && next <= now + schedule::LONGEST_WAIT);
            }
        }
    }

    #[test]
    fn an_attempt_that_failed_is_followed_by_another_within_a_quarter_of_an_hour(
        attempts in any::<i32>(), called in 0_i64..100_000
    ) {
        let last_call = START - Duration::seconds(called);
        for step in Step::ALL {
            let next = schedule::after_attempt(step, attempts, last_call, START);
            prop_assert!(next > START && next <= START + schedule::LONGEST_WAIT);
        }
    }

    #[test]
    fn the_client_is_told_a_time_within_the_promise(seconds in -1_000_000_i64..10_000_000) {
        for step in Step::ALL {
            let told = schedule::told(step, START + Duration::seconds(seconds), START);
            let longest =
                if step == Step::Review { Duration::days(7) } else { Duration::minutes(15) };
            prop_assert!(told > START && told <= START + longest);
        }
    }
}

#[test]
fn steps_survive_their_column() {
    for step in Step::ALL {
        assert_eq!(Step::from_column(step.as_column()), Some(step));
    }
    assert_eq!(Step::from_column("GONE"), None);
}

#[test]
fn every_step_that_is_not_final_has_a_way_on() {
    let retry_at = START;
    let heard = [
        Heard::Unknown,
        Heard::Pending { retry_at },
        Heard::Claimed { account: account(1) },
        Heard::Active { account: account(1) },
        Heard::Discarded,
        Heard::OrganizationStands,
    ];
    for step in Step::ALL {
        let goes_on = heard.iter().any(|heard| follow(step, heard).is_some());
        assert_eq!(goes_on, !step.is_final(), "{step:?}");
    }
}

#[test]
fn a_form_on_its_way_is_not_given_up() {
    for heard in [Heard::Unknown, Heard::Accepted] {
        assert_eq!(follow(Step::Started, &heard), None);
    }
    let undone = Change::Undoing { refusal: Refusal::Expired };
    assert_eq!(follow(Step::Started, &Heard::Abandoned), Some(undone));
}

#[test]
fn an_undo_is_not_taken_back() {
    let claimed = Heard::Claimed { account: account(1) };
    assert_eq!(follow(Step::Undoing, &claimed), None);
    assert_eq!(follow(Step::Undoing, &Heard::OrganizationStands), None);
    assert_eq!(follow(Step::Undoing, &Heard::Discarded), Some(Change::Undone));
}

#[test]
fn what_identity_lost_is_undone() {
    let undone = Some(Change::Undoing { refusal: Refusal::Expired });
    for step in [Step::Pending, Step::Review, Step::Registered] {
        assert_eq!(follow(step, &Heard::Unknown), undone, "{step:?}");
    }
}

#[test]
fn an_account_with_a_volunteer_lost_is_adopted() {
    let change = follow(Step::Started, &Heard::Adoptable { account: account(1) });
    assert_eq!(change, Some(Change::Claimed { account: account(1), adopted: true }));
}
