//! The saga against a model of the world around it: calls are on their way for as long as
//! they like, are carried out twice, late and out of order, and so are their answers;
//! either side dies at any moment. No transition is ever one that the table below does not
//! know, and once the world answers, every saga ends and leaves nothing behind.

use proptest::prelude::*;

use super::{Model, START, account};
use crate::registering::{Change, Heard, Refusal, Step, follow};

/// What may follow what, while no service is restored to an older state. Written down
/// here once more, by hand, from the README.
const LEGAL: [(Step, &[Step]); 8] = [
    (Step::Started, &[Step::Pending, Step::Review, Step::Claimed, Step::Refused, Step::Undoing]),
    (Step::Pending, &[Step::Pending, Step::Review, Step::Claimed, Step::Refused]),
    // Back to waiting: accepted by a person, while the claim of somebody else is in the way.
    (Step::Review, &[Step::Review, Step::Pending, Step::Claimed, Step::Refused]),
    (Step::Claimed, &[Step::Registered, Step::Undoing]),
    (Step::Registered, &[Step::Done]),
    (Step::Done, &[]),
    (Step::Undoing, &[Step::Refused]),
    (Step::Refused, &[]),
];

/// Where identity has the applicant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applicant {
    Unknown,
    Accepted,
    Pending,
    Review,
    Claimed,
    Active,
    Refused,
    Discarded,
}

/// What the register says, or a person in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    None,
    Match,
    Mismatch,
    CannotTell,
    /// A person accepts, and another claim of the number is in the way.
    InTheWay,
}

/// A call on its way.
#[derive(Debug, Clone, Copy)]
enum Call {
    Begin,
    Get { abandoned: bool },
    Organization,
    Activate,
    Discard,
}

/// What happens next; numbers choose among what is on its way.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody looks at the row and makes the call of its step: the client, who has the
    /// form, or the recovery task, maybe a quarter of an hour later.
    Look { form: bool, late: bool },
    /// A call is carried out; it may be carried out again.
    Arrive { which: usize, again: bool },
    /// A call is carried out by half: the code is checked, and identity dies.
    Half { which: usize },
    /// An answer comes back; it may come again.
    Answer { which: usize, again: bool },
    /// All answers are lost: who waited for them has died.
    Crash,
    /// The register answers.
    Decide(Verdict),
    /// The organization is closed.
    Close,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let look = |form: bool| any::<bool>().prop_map(move |late| Event::Look { form, late });
    let arrive =
        (0_usize..8, any::<bool>()).prop_map(|(which, again)| Event::Arrive { which, again });
    let answer =
        (0_usize..8, any::<bool>()).prop_map(|(which, again)| Event::Answer { which, again });
    let verdict = prop_oneof![
        Just(Event::Decide(Verdict::None)),
        Just(Event::Decide(Verdict::Match)),
        Just(Event::Decide(Verdict::Mismatch)),
        Just(Event::Decide(Verdict::CannotTell)),
        Just(Event::Decide(Verdict::InTheWay)),
    ];
    let event = prop_oneof![
        3 => look(true),
        3 => look(false),
        6 => arrive,
        1 => (0_usize..8).prop_map(|which| Event::Half { which }),
        6 => answer,
        1 => Just(Event::Crash),
        2 => verdict,
        1 => Just(Event::Close),
    ];
    prop::collection::vec(event, 0..80)
}

/// identity, orgtree, the register, and one row of registration.
#[derive(Debug)]
struct World {
    row: Model,
    /// How often the client has sent its form.
    sent: usize,
    applicant: Applicant,
    verdict: Verdict,
    organization: bool,
    /// With the step that was seen, and how often the form had been sent by then.
    calls: Vec<(Step, usize, Call)>,
    answers: Vec<(Step, usize, Heard)>,
}

impl World {
    fn new() -> Self {
        Self {
            row: Model::new(),
            sent: 1,
            applicant: Applicant::Unknown,
            verdict: Verdict::None,
            organization: true,
            calls: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Look { form, late } => self.look(form, late),
            Event::Arrive { which, again } => {
                if let Some(call) = pick(&mut self.calls, which, again) {
                    self.carry_out(call);
                }
            }
            Event::Half { which } => {
                let call = pick(&mut self.calls, which, false);
                let begun = matches!(call, Some((_, _, Call::Begin)));
                if begun && self.applicant == Applicant::Unknown {
                    self.applicant = Applicant::Accepted;
                }
            }
            Event::Answer { which, again } => {
                if let Some(answer) = pick(&mut self.answers, which, again) {
                    self.hear(answer);
                }
            }
            Event::Crash => self.answers.clear(),
            Event::Decide(verdict) => {
                self.verdict = verdict;
                self.decide();
            }
            Event::Close => self.organization = false,
        }
        self.check();
    }

    /// As `Registrar::listen`, up to the call.
    fn look(&mut self, form: bool, late: bool) {
        self.sent += usize::from(form);
        let call = match self.row.step {
            Step::Started if form => Call::Begin,
            Step::Started => Call::Get { abandoned: late },
            Step::Pending | Step::Review => Call::Get { abandoned: false },
            Step::Claimed => Call::Organization,
            Step::Registered => Call::Activate,
            Step::Undoing => Call::Discard,
            Step::Done | Step::Refused => return,
        };
        self.calls.push((self.row.step, self.sent, call));
    }

    /// identity asks the register about whom it keeps.
    fn decide(&mut self) {
        let undecided = matches!(self.applicant, Applicant::Pending | Applicant::Review);
        self.applicant = match self.verdict {
            Verdict::Match if undecided => Applicant::Claimed,
            Verdict::Mismatch if undecided => Applicant::Refused,
            Verdict::CannotTell if self.applicant == Applicant::Pending => Applicant::Review,
            Verdict::InTheWay if self.applicant == Applicant::Review => Applicant::Pending,
            _ => self.applicant,
        };
    }

    /// What the other service does; every call can be carried out again.
    fn carry_out(&mut self, (seen, sent, call): (Step, usize, Call)) {
        let closed = Refusal::OrganizationClosed { successor: None };
        let mut abandoned = false;
        match call {
            Call::Begin => {
                if matches!(self.applicant, Applicant::Unknown | Applicant::Accepted) {
                    self.applicant = Applicant::Pending;
                    self.decide();
                }
            }
            Call::Get { abandoned: late } => {
                let kept = !matches!(self.applicant, Applicant::Unknown | Applicant::Accepted);
                abandoned = late && !kept;
            }
            Call::Activate => {
                if self.applicant == Applicant::Claimed {
                    self.applicant = Applicant::Active;
                }
            }
            Call::Discard => {
                assert_ne!(self.applicant, Applicant::Active, "undone and active");
                if self.applicant != Applicant::Refused {
                    self.applicant = Applicant::Discarded;
                }
            }
            Call::Organization => {}
        }
        let heard = match call {
            Call::Organization if self.organization => Heard::OrganizationStands,
            Call::Organization => Heard::OrganizationGone { refusal: closed },
            _ if abandoned => Heard::Abandoned,
            _ => self.told(),
        };
        self.answers.push((seen, sent, heard));
    }

    fn told(&self) -> Heard {
        let account = account(1);
        match self.applicant {
            Applicant::Unknown => Heard::Unknown,
            Applicant::Accepted => Heard::Accepted,
            Applicant::Pending => Heard::Pending { retry_at: START },
            Applicant::Review => Heard::Review { retry_at: START, claim: None },
            Applicant::Claimed => Heard::Claimed { account },
            Applicant::Active => Heard::Active { account },
            Applicant::Refused => Heard::Refused { refusal: Refusal::IdNameMismatch },
            Applicant::Discarded => Heard::Discarded,
        }
    }

    /// As `Registrar::advance` and `Registrar::apply`, once the answer is there.
    fn hear(&mut self, (seen, sent, heard): (Step, usize, Heard)) {
        let Some(change) = follow(seen, &heard) else { return };
        let given_up = seen == Step::Started && matches!(change, Change::Undoing { .. });
        if given_up && sent != self.sent {
            return;
        }
        let from = self.row.step;
        self.row.apply(seen, change, START);
        let to = self.row.step;
        let stayed = from == to;
        let legal = LEGAL.iter().any(|(step, next)| *step == from && next.contains(&to));
        assert!(stayed || legal, "{from:?} to {to:?} on {heard:?}, which was asked at {seen:?}");
    }

    /// What holds at every moment.
    fn check(&self) {
        let (step, applicant) = (self.row.step, self.applicant);
        assert!(self.row.volunteers <= 1, "two volunteers");
        assert!(!self.row.visible || applicant == Applicant::Active, "visible and {applicant:?}");
        if applicant == Applicant::Active {
            assert!(matches!(step, Step::Registered | Step::Done), "active and {step:?}");
        }
        if step == Step::Refused {
            let gone = matches!(applicant, Applicant::Refused | Applicant::Discarded);
            assert!(gone, "refused, and the applicant is {applicant:?}");
        }
    }

    /// The world answers: whatever is on its way arrives, and one after the other looks.
    fn come_to_an_end(&mut self, client: bool, verdict: Verdict) {
        for _ in 0..Step::ALL.len() + 2 {
            while !self.calls.is_empty() {
                self.happen(&Event::Arrive { which: 0, again: false });
            }
            while !self.answers.is_empty() {
                self.happen(&Event::Answer { which: 0, again: false });
            }
            self.happen(&Event::Decide(verdict));
            self.happen(&Event::Look { form: client, late: true });
        }
    }
}

/// Takes something that is on its way, or leaves a copy of it there.
fn pick<T: Clone>(all: &mut Vec<T>, which: usize, again: bool) -> Option<T> {
    let at = which.checked_rem(all.len())?;
    if again { all.get(at).cloned() } else { Some(all.remove(at)) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_saga_ends_once_the_world_answers_and_nothing_late_changes_the_end(
        events in events(),
        client: bool,
        verdict in prop_oneof![Just(Verdict::Match), Just(Verdict::Mismatch)],
    ) {
        let mut world = World::new();
        let mut calls = Vec::new();
        let mut answers = Vec::new();
        for event in &events {
            world.happen(event);
            calls.extend(world.calls.iter().cloned());
            answers.extend(world.answers.iter().cloned());
        }
        world.come_to_an_end(client, verdict);
        let end = (world.row.step, world.applicant);
        prop_assert!(end.0.is_final(), "{end:?}");
        prop_assert_eq!(end.0 == Step::Done, end.1 == Applicant::Active);
        prop_assert_eq!(world.row.volunteers, usize::from(end.0 == Step::Done));

        // All that ever was on its way, once more.
        for call in calls {
            world.carry_out(call);
            world.check();
        }
        for answer in answers {
            world.hear(answer);
            world.check();
        }
        prop_assert_eq!((world.row.step, world.applicant), end);
    }
}

#[test]
fn the_table_knows_every_step() {
    for step in Step::ALL {
        assert_eq!(LEGAL.iter().filter(|(known, _)| *known == step).count(), 1, "{step:?}");
    }
}
