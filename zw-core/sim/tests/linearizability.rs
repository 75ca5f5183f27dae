//! The judgement from outside: small histories that everybody knows, an exhaustive search that it must agree with, and
//! worlds with a defect in which it is left alone.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use zw_sim::linearizability::{Action, Call, Finding, Outcome, State, check};
use zw_sim::prng::Prng;
use zw_sim::runner::{Lines, Report, run_world};
use zw_sim::sabotage::Sabotage;
use zw_sim::swarm::Options;

const STEPS: usize = 100_000;

/// A call from `invoked` to `returned`.
fn call(invoked: u64, returned: u64, action: Action, outcome: Outcome) -> Call {
    Call { invoked, returned: Some((returned, outcome)), action }
}

fn create(invoked: u64, returned: u64, value: u32) -> Call {
    call(invoked, returned, Action::Create(value), Outcome::Done(None))
}

fn set(invoked: u64, returned: u64, value: u32, wanted: i32, version: i32) -> Call {
    call(invoked, returned, Action::Set(value, wanted), Outcome::Done(Some(version)))
}

fn read(invoked: u64, returned: u64, found: State) -> Call {
    call(invoked, returned, Action::Read, Outcome::Read(found))
}

fn absent(invoked: u64, returned: u64) -> Call {
    call(invoked, returned, Action::Read, Outcome::Absent)
}

fn unknown(invoked: u64, action: Action) -> Call {
    Call { invoked, returned: None, action }
}

fn holds(calls: &[Call]) -> bool {
    match check(calls.to_vec(), STEPS) {
        Finding::Linearizable => true,
        Finding::Not(_) => false,
        Finding::Unknown => panic!("{calls:?} is small"),
    }
}

#[test]
fn concurrent_calls_may_take_effect_in_either_order() {
    assert!(holds(&[create(1, 4, 1), absent(2, 3)]));
    assert!(holds(&[create(1, 4, 1), read(2, 3, Some((1, 0)))]));
    let both = |first, second| [create(1, 2, 1), set(3, 8, 2, -1, first), set(4, 7, 3, -1, second)];
    assert!(holds(&both(1, 2)) && holds(&both(2, 1)));
    assert!(!holds(&both(1, 1)), "one of them overwrote the other's version");
}

#[test]
fn a_stale_read_is_seen() {
    assert!(!holds(&[create(1, 2, 1), set(3, 4, 2, -1, 1), read(5, 6, Some((1, 0)))]));
    assert!(holds(&[create(1, 2, 1), set(3, 6, 2, -1, 1), read(4, 5, Some((1, 0)))]));
    assert!(!holds(&[create(1, 2, 1), absent(3, 4)]));
}

#[test]
fn two_readers_agree_on_the_order() {
    let start = || vec![create(1, 2, 1), set(3, 20, 2, -1, 1)];
    let new_then_old = [read(4, 5, Some((2, 1))), read(6, 7, Some((1, 0)))];
    let old_then_new = [read(4, 5, Some((1, 0))), read(6, 7, Some((2, 1)))];
    assert!(!holds(&[start(), new_then_old.to_vec()].concat()));
    assert!(holds(&[start(), old_then_new.to_vec()].concat()));
}

#[test]
fn a_lost_update_is_seen() {
    assert!(!holds(&[create(1, 2, 1), set(3, 6, 2, 0, 1), set(4, 5, 3, 0, 1)]), "both compared with version 0");
    let refused = call(4, 5, Action::Set(3, 0), Outcome::BadVersion);
    assert!(holds(&[create(1, 2, 1), set(3, 6, 2, 0, 1), refused.clone()]));
    assert!(!holds(&[create(1, 2, 1), refused, set(6, 7, 2, 0, 1)]), "nobody had changed it");
    assert!(!holds(&[create(1, 2, 1), set(3, 4, 2, -1, 1), create(5, 6, 3)]), "it was there");
}

#[test]
fn an_unknown_outcome_may_come_late_once_or_never() {
    let lost = || vec![create(1, 2, 1), unknown(3, Action::Set(2, -1))];
    assert!(holds(&[lost(), vec![read(4, 5, Some((1, 0)))]].concat()), "never");
    assert!(holds(&[lost(), vec![read(4, 5, Some((1, 0))), read(6, 7, Some((2, 1)))]].concat()), "late");
    assert!(!holds(&[lost(), vec![read(4, 5, Some((2, 1))), read(6, 7, Some((1, 0)))]].concat()), "not undone");
    assert!(!holds(&[lost(), vec![read(4, 5, Some((2, 2)))]].concat()), "not twice");
    assert!(!holds(&[create(1, 2, 1), read(3, 4, Some((2, 1))), unknown(5, Action::Set(2, -1))]), "not before");
}

#[test]
fn a_multi_is_done_at_once() {
    let multi = call(3, 8, Action::All(vec![Action::Delete(-1), Action::Create(2)]), Outcome::Done(None));
    assert!(holds(&[create(1, 2, 1), multi.clone(), read(4, 5, Some((2, 0)))]));
    assert!(!holds(&[create(1, 2, 1), multi, absent(4, 5)]), "nobody sees the middle of it");
    // It changes nothing at once after the create, but is needed later.
    let renew = call(3, 20, Action::All(vec![Action::Delete(-1), Action::Create(2)]), Outcome::Done(None));
    assert!(holds(&[create(1, 2, 1), renew, set(4, 5, 3, -1, 1), set(6, 7, 4, -1, 1)]));
}

/// Tries every order of every subset: slow, and too simple to be wrong.
fn exhaustive(calls: &[Call], taken: u32, state: State) -> bool {
    let left = |index: &usize| taken & (1 << index) == 0;
    if (0..calls.len()).filter(left).all(|index| calls[index].returned.is_none()) {
        return true;
    }
    let ends = |index: usize| calls[index].returned.map_or(u64::MAX, |(end, _)| end);
    (0..calls.len()).filter(left).any(|index| {
        let first = (0..calls.len()).filter(left).all(|other| ends(other) > calls[index].invoked);
        first && naive_step(&calls[index], state).is_some_and(|after| exhaustive(calls, taken | (1 << index), after))
    })
}

/// The register once more, written apart from the product of the search.
fn naive_step(call: &Call, state: State) -> Option<State> {
    let fits = |wanted: i32| state.is_some_and(|(_, version)| wanted == -1 || wanted == version);
    let done = match call.action {
        Action::Create(value) => state.is_none().then_some(Some((value, 0))),
        Action::Set(value, wanted) => fits(wanted).then(|| state.map(|(_, version)| (value, version + 1))),
        Action::Delete(wanted) => fits(wanted).then_some(None),
        Action::All(ref actions) => actions.iter().try_fold(state, |state, action| {
            naive_step(&Call { invoked: 0, returned: None, action: action.clone() }, state)
        }),
        _ => Some(state),
    };
    match call.returned {
        None => done,
        Some((_, Outcome::Done(told))) => {
            done.filter(|after| told.is_none() || after.map(|(_, version)| version) == told)
        }
        Some((_, Outcome::Read(found))) => (found == state).then_some(state),
        Some((_, Outcome::Absent)) => state.is_none().then_some(state),
        Some((_, Outcome::Present)) => state.is_some().then_some(state),
        Some((_, Outcome::BadVersion)) => (state.is_some() && done.is_none()).then_some(state),
    }
}

/// Seven calls whose outcomes are mostly those of some order, and sometimes anything.
fn random_history(prng: &mut Prng) -> Vec<Call> {
    let mut moments: Vec<u64> = (0..14).collect();
    prng.shuffle(&mut moments);
    let mut state: State = None;
    let mut calls = Vec::new();
    for pair in moments.chunks_exact(2) {
        let wanted = prng.pick(&[-1, -1, 0, 1]);
        let value = u32::try_from(prng.below(3)).unwrap();
        let action = match prng.below(7) {
            0 => Action::Create(value),
            1 | 2 => Action::Set(value, wanted),
            3 => Action::Delete(wanted),
            4 => Action::All(vec![Action::Delete(wanted), Action::Create(value)]),
            5 => Action::All(vec![Action::Set(value, wanted), Action::Set(1, -1)]),
            _ => Action::Read,
        };
        let guess = Call { invoked: pair[0].min(pair[1]), returned: None, action };
        let outcome = match (naive_step(&guess, state), &guess.action) {
            (_, Action::Read) => state.map_or(Outcome::Absent, |found| Outcome::Read(Some(found))),
            (Some(after), Action::Set(..)) => {
                state = after;
                Outcome::Done(after.map(|(_, version)| version))
            }
            (Some(after), _) => {
                state = after;
                Outcome::Done(None)
            }
            (None, Action::Create(_)) => Outcome::Present,
            (None, Action::All(_)) => continue,
            (None, _) => state.map_or(Outcome::Absent, |_| Outcome::BadVersion),
        };
        let returned = (!prng.chance(200)).then_some((pair[0].max(pair[1]), outcome));
        calls.push(Call { returned, ..guess });
    }
    calls
}

#[test]
fn it_agrees_with_an_exhaustive_search() {
    let mut prng = Prng::new(7);
    let (mut linearizable, mut not) = (0, 0);
    for _ in 0..4_000 {
        let history = random_history(&mut prng);
        let expected = exhaustive(&history, 0, None);
        assert_eq!(holds(&history), expected, "{history:#?}");
        if expected { linearizable += 1 } else { not += 1 }
    }
    assert!(linearizable > 400 && not > 400, "{linearizable} of one kind, {not} of the other");
}

/// Seeds with this defect and a zxid oracle that only takes notes, up to the first that fails.
fn alone(sabotage: Sabotage, seeds: u64) -> Vec<Report> {
    let mut reports = Vec::new();
    for seed in 0..seeds {
        let mut options = Options { is_zxid_silent: true, ..Options::of(seed, Some(sabotage)) };
        // Something stale shows only where somebody wrote just before, so all meet at few paths.
        options.clients.paths = 1;
        reports.push(run_world(options, Lines::Drop));
        if reports.last().is_some_and(|report| report.failure.is_some()) {
            break;
        }
    }
    reports
}

#[test]
fn it_finds_defects_alone_and_never_where_the_other_oracle_sees_none() {
    for sabotage in [Sabotage::LocalBarrier, Sabotage::AnswerEarly, Sabotage::ImpatientBarrier] {
        let reports = alone(sabotage, 60);
        let last = reports.last().unwrap();
        let (_, violation) = last.failure.as_ref().unwrap_or_else(|| panic!("{sabotage:?} is not found"));
        assert_eq!(violation.property, "Linearizability", "{sabotage:?}: {violation}");
        assert!(last.silenced.is_some(), "{sabotage:?}: the other oracle saw nothing of {violation}");
    }
}
