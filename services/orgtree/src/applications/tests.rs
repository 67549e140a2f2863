use time::macros::datetime;

use super::*;

const BEGUN: OffsetDateTime = datetime!(2026-11-23 0:00 UTC);
const STEPS: [Step; 7] = [
    Step::Resubmit,
    Step::Withdraw,
    Step::Accept,
    Step::Return,
    Step::Reject,
    Step::Expire,
    Step::Lapse,
];

fn application() -> Application {
    let contacts = Contacts { phone: "13800000000".into(), ..Contacts::default() };
    Application {
        id: Uuid::from_u128(1),
        applicant: Uuid::from_u128(2),
        superior_code: "A".into(),
        superior_gone: false,
        kind: Kind::VolunteerGroup,
        said: Said { name: "暖阳".into(), region_code: None, credit_code: None, contacts },
        purpose: "助老".into(),
        state: State::Submitted,
        revision: 1,
        submitted_at: BEGUN,
        changed_at: BEGUN,
        expires_at: BEGUN + WAITS,
        note: String::new(),
        decided_by: None,
        made: None,
    }
}

#[test]
fn names_and_numbers_are_those_of_the_contract() {
    use zhiyuan_contracts::orgtree::v1::ApplicationState as Wire;
    for state in State::ALL {
        let wire = Wire::try_from(i32::from(state.number())).unwrap();
        assert_eq!(wire.as_str_name(), format!("APPLICATION_STATE_{}", state.name()));
        assert_eq!(State::of_number(state.number()), Some(state));
    }
    assert_eq!((State::of_number(0), State::of_number(8)), (None, None));
}

#[test]
fn every_step_from_every_state_leads_on_or_is_refused() {
    use State::*;
    let with_other_side = Err(Fault::NotWithCaller);
    for (state, expected) in [
        (
            Submitted,
            [
                with_other_side,
                Ok(Withdrawn),
                Ok(Accepted),
                Ok(Returned),
                Ok(Rejected),
                Ok(Expired),
                Ok(Lapsed),
            ],
        ),
        (
            Returned,
            [
                Ok(Submitted),
                Ok(Withdrawn),
                with_other_side,
                with_other_side,
                with_other_side,
                Ok(Expired),
                Ok(Lapsed),
            ],
        ),
    ] {
        assert_eq!(STEPS.map(|step| state.after(step)), expected, "{state:?}");
    }
    for ended in State::ALL.into_iter().filter(|state| !state.is_open()) {
        for step in STEPS {
            assert_eq!(ended.after(step), Err(Fault::Ended(ended)), "{ended:?} {step:?}");
        }
    }
}

#[test]
fn it_waits_for_thirty_days_after_each_step_and_is_over_then() {
    let (mut one, last) = (application(), BEGUN + WAITS - Duration::SECOND);
    assert_eq!(one.standing(last), State::Submitted);
    assert_eq!(one.standing(last + Duration::SECOND), State::Expired);
    let mut late = one.clone();
    let refused = late.step(Step::Accept, BEGUN + WAITS);
    assert_eq!(refused, Err(Fault::Ended(State::Expired)), "before anybody wrote it down");
    assert_eq!(late, one);
    one.step(Step::Return, last).unwrap();
    assert_eq!((one.state, one.revision, one.changed_at), (State::Returned, 2, last));
    assert_eq!(one.expires_at, last + WAITS);
    one.step(Step::Resubmit, last).unwrap();
    assert_eq!((one.state, one.revision), (State::Submitted, 3));
    assert_eq!(one.said.contacts.phone, "13800000000");
    one.step(Step::Expire, last + WAITS).unwrap();
    assert_eq!(one.state, State::Expired);
}

#[test]
fn what_has_ended_says_no_more_whom_to_ask() {
    for step in [Step::Accept, Step::Reject, Step::Withdraw, Step::Expire, Step::Lapse] {
        let mut one = application();
        one.step(step, BEGUN).unwrap();
        assert_eq!(one.said.contacts, Contacts::default(), "{step:?}");
        assert_eq!(one.expires_at, BEGUN + WAITS);
    }
}

#[test]
fn it_ends_with_a_superior_that_nobody_follows() {
    let one = Application { superior_gone: true, ..application() };
    assert_eq!(one.standing(BEGUN), State::Lapsed);
    let refused = one.clone().step(Step::Withdraw, BEGUN);
    assert_eq!(refused, Err(Fault::Ended(State::Lapsed)));
    let accepted = Application { state: State::Accepted, ..one };
    assert_eq!(accepted.standing(BEGUN), State::Accepted, "what was made stays");
}

#[test]
fn debug_shows_nobody() {
    assert_eq!(application().seen(2), Err(Fault::Changed));
    let shown = format!("{:?} {:?}", application(), application().said);
    assert!(!shown.contains("138") && !shown.contains("助老"), "{shown}");
}
