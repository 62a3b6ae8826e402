//! The breaker by a clock of numbers, and beside a model that remembers everything.

use proptest::prelude::*;

use super::{
    State::{Closed, HalfOpen, Open},
    *,
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pass(decision: Decision) -> Pass {
    match decision {
        Decision::Allowed(pass) => pass,
        Decision::Rejected { retry_after } => panic!("refused for {retry_after:?}"),
    }
}

/// One call that ends at once.
fn call(breaker: &mut Breaker, now: Duration, succeeds: bool) -> Option<Transition> {
    let (decision, began) = breaker.allow(now);
    let pass = pass(decision);
    let ended = if succeeds {
        breaker.succeeded(pass, now)
    } else {
        breaker.failed(pass, now)
    };
    ended.or(began)
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(Rules::default());
    for _ in 0..5 {
        call(&mut breaker, at(0), false);
    }
    assert_eq!(breaker.state(), Open);
    breaker
}

#[test]
fn five_failures_open_it_for_thirty_seconds_and_one_success_closes_it() {
    let mut breaker = Breaker::new(Rules::default());
    for second in 0..4 {
        assert_eq!(call(&mut breaker, at(second), false), None);
    }
    // A success in between begins the count anew.
    assert_eq!(call(&mut breaker, at(4), true), None);
    for second in 5..9 {
        assert_eq!(call(&mut breaker, at(second), false), None);
    }
    let opened = Transition {
        from: Closed,
        to: Open,
        failures: 5,
    };
    assert_eq!(call(&mut breaker, at(10), false), Some(opened));
    let rejected = |seconds| Decision::Rejected {
        retry_after: at(seconds),
    };
    assert_eq!(breaker.allow(at(10)), (rejected(30), None));
    assert_eq!(breaker.allow(at(39)), (rejected(1), None));
    let (decision, half_opened) = breaker.allow(at(40));
    let half_open = Transition {
        from: Open,
        to: HalfOpen,
        failures: 5,
    };
    assert_eq!(half_opened, Some(half_open));
    // One trial at a time.
    assert_eq!(breaker.allow(at(41)), (rejected(29), None));
    let closed = Transition {
        from: HalfOpen,
        to: Closed,
        failures: 0,
    };
    assert_eq!(breaker.succeeded(pass(decision), at(42)), Some(closed));
    assert_eq!((breaker.state(), breaker.failures()), (Closed, 0));
}

#[test]
fn a_trial_that_fails_opens_it_for_as_long_again() {
    let mut breaker = opened();
    let transition = call(&mut breaker, at(30), false);
    let opened_again = Transition {
        from: HalfOpen,
        to: Open,
        failures: 6,
    };
    assert_eq!(transition, Some(opened_again));
    let retry_after = at(1);
    let rejected = Decision::Rejected { retry_after };
    assert_eq!(breaker.allow(at(59)).0, rejected);
    assert_eq!(
        call(&mut breaker, at(60), true).map(|change| change.to),
        Some(Closed)
    );
}

#[test]
fn the_end_of_a_call_says_nothing_of_a_later_period() {
    let mut breaker = Breaker::new(Rules::default());
    let early = pass(breaker.allow(at(0)).0);
    for _ in 0..5 {
        call(&mut breaker, at(1), false);
    }
    // Neither do calls that were under way when it opened close it, nor do they open it again.
    assert_eq!(breaker.succeeded(early, at(2)), None);
    assert_eq!(breaker.state(), Open);
    let trial = pass(breaker.allow(at(31)).0);
    assert_eq!(breaker.failed(early, at(31)), None);
    assert_eq!(breaker.state(), HalfOpen);
    assert!(breaker.succeeded(trial, at(32)).is_some());
    assert_eq!(breaker.failed(trial, at(33)), None);
    assert_eq!(breaker.failures(), 0);
}

#[test]
fn a_trial_that_is_given_up_or_never_ends_leaves_its_place_to_another() {
    let mut breaker = opened();
    let trial = pass(breaker.allow(at(30)).0);
    assert!(matches!(breaker.allow(at(31)).0, Decision::Rejected { .. }));
    breaker.abandoned(trial);
    let lost = pass(breaker.allow(at(31)).0);
    assert!(matches!(breaker.allow(at(59)).0, Decision::Rejected { .. }));
    let (decision, transition) = breaker.allow(at(60));
    assert_eq!(transition, None, "it is half-open as before");
    // What is lost counts no more, should it come back.
    assert_eq!(breaker.failed(lost, at(61)), None);
    breaker.abandoned(lost);
    assert!(matches!(breaker.allow(at(61)).0, Decision::Rejected { .. }));
    assert!(breaker.succeeded(pass(decision), at(61)).is_some());
}

#[test]
fn rules_of_zero_and_a_clock_that_goes_back_do_no_harm() {
    let rules = Rules {
        failures: 0,
        open_for: Duration::ZERO,
        trials: 0,
    };
    let mut breaker = Breaker::new(rules);
    assert_eq!(
        call(&mut breaker, at(5), false).map(|change| change.to),
        Some(Open)
    );
    assert_eq!(
        call(&mut breaker, at(0), true).map(|change| change.to),
        Some(Closed)
    );
    let mut breaker = opened();
    breaker.allow(at(100));
    let later = at(30);
    assert_eq!(
        breaker.allow(at(0)).0,
        Decision::Rejected { retry_after: later }
    );
}

/// What is done to a breaker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Allow,
    /// The call that is under way at this place of the list, if there is one, ends.
    Succeed(usize),
    Fail(usize),
    Abandon(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..20).prop_map(Step::Wait),
        Just(Step::Allow),
        Just(Step::Allow),
        (0_usize..4).prop_map(Step::Succeed),
        (0_usize..4).prop_map(Step::Fail),
        (0_usize..4).prop_map(Step::Abandon),
    ]
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Success,
    Failure,
    Abandoned,
}

/// Everything that happened since a state began, by which the state is decided anew each time.
struct Model {
    rules: Rules,
    state: State,
    since: u64,
    period: u64,
    allowed: u32,
    ends: Vec<End>,
}

impl Model {
    fn go(&mut self, state: State, now: u64) {
        self.state = state;
        (self.since, self.allowed) = (now, 0);
        self.period += 1;
        self.ends.clear();
    }

    fn ended(&self, end: End) -> u32 {
        self.ends.iter().filter(|&&other| other == end).count() as u32
    }

    fn places_taken(&self) -> u32 {
        self.allowed - self.ended(End::Abandoned)
    }

    fn allow(&mut self, now: u64) -> bool {
        let is_over = now - self.since >= self.rules.open_for.as_secs();
        let all_taken = self.places_taken() >= self.rules.trials;
        if is_over && (self.state == Open || self.state == HalfOpen && all_taken) {
            self.go(HalfOpen, now);
        }
        let is_allowed = match self.state {
            Closed => true,
            Open => false,
            HalfOpen => self.places_taken() < self.rules.trials,
        };
        self.allowed += u32::from(is_allowed);
        is_allowed
    }

    fn end(&mut self, period: u64, end: End, now: u64) {
        if period != self.period {
            return;
        }
        self.ends.push(end);
        let shown = self.ends.iter().rev().filter(|&&end| end != End::Abandoned);
        let in_a_row = shown.take_while(|&&end| end == End::Failure).count() as u32;
        match self.state {
            Closed if in_a_row >= self.rules.failures => self.go(Open, now),
            HalfOpen if in_a_row > 0 => self.go(Open, now),
            HalfOpen if self.ended(End::Success) >= self.rules.trials => self.go(Closed, now),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_says(
        steps in prop::collection::vec(any_step(), 1..200),
        failures in 1_u32..5,
        trials in 1_u32..4,
    ) {
        let rules = Rules { failures, trials, open_for: at(30) };
        let mut breaker = Breaker::new(rules);
        let mut model = Model { rules, state: Closed, since: 0, period: 0, allowed: 0, ends: Vec::new() };
        let (mut now, mut calls, mut shown) = (0, Vec::new(), Closed);
        for step in steps {
            let mut end = |index: usize| (index < calls.len()).then(|| calls.remove(index));
            let transition = match step {
                Step::Wait(seconds) => {
                    now += seconds;
                    None
                }
                Step::Allow => {
                    let (decision, transition) = breaker.allow(at(now));
                    let is_allowed = model.allow(now);
                    match decision {
                        Decision::Allowed(pass) => calls.push((pass, model.period)),
                        Decision::Rejected { retry_after } => prop_assert!(retry_after <= rules.open_for),
                    }
                    prop_assert_eq!(matches!(decision, Decision::Allowed(_)), is_allowed);
                    transition
                }
                Step::Succeed(index) => end(index).and_then(|(pass, period)| {
                    model.end(period, End::Success, now);
                    breaker.succeeded(pass, at(now))
                }),
                Step::Fail(index) => end(index).and_then(|(pass, period)| {
                    model.end(period, End::Failure, now);
                    breaker.failed(pass, at(now))
                }),
                Step::Abandon(index) => {
                    if let Some((pass, period)) = end(index) {
                        model.end(period, End::Abandoned, now);
                        breaker.abandoned(pass);
                    }
                    None
                }
            };
            prop_assert_eq!(breaker.state(), model.state);
            // Each change of the state is told, once.
            prop_assert_eq!(transition.map(|change| (change.from, change.to)), (shown != model.state).then_some((shown, model.state)));
            shown = model.state;
        }
    }
}
