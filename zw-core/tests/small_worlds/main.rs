//! Small worlds of three nodes, searched exhaustively: `world/mod.rs` says what such a world is. The example of the same
//! name searches larger ones.

mod world;

use std::time::Duration;
use world::plans::{SABOTAGED, SMALL};
use world::search::{Bound, Report, search};
use world::{Plan, Sight};

/// Larger than any world here; a world that outgrows it fails the test, so its plan is to be made smaller.
const BOUND: Bound = Bound { states: 6_000_000, time: Duration::from_secs(600) };

const SIGHTS: [Sight; 9] = [
    Sight::CommandDelivered,
    Sight::SecondEpoch,
    Sight::ThirdEpoch,
    Sight::Truncated,
    Sight::Overtaken,
    Sight::Raised,
    Sight::PartOnDisk,
    Sight::OldCommandDelivered,
    Sight::TwoLeaders,
];

/// Searches and shows what was found.
fn searched(plan: Plan) -> Report {
    let report = search(plan, BOUND);
    println!("{report}");
    report
}

#[test]
fn every_property_holds_in_every_state() {
    let mut seen = Vec::new();
    for plan in SMALL {
        let report = searched(plan);
        assert!(report.violation.is_none(), "{report}");
        assert!(report.complete, "{report}");
        seen.extend(report.sights.into_keys());
    }
    // A search that came by nothing would find nothing wrong.
    for sight in SIGHTS {
        assert!(seen.contains(&sight), "no world ever showed {sight:?}");
    }
}

#[test]
fn every_sabotage_is_found() {
    for (plan, property) in SABOTAGED {
        let report = searched(plan);
        let found = report.violation.as_ref().map(|(violation, _)| violation.property);
        assert_eq!(found, Some(property), "{report}");
    }
}

#[test]
fn searching_again_finds_the_same() {
    let few = Bound { states: 50_000, ..BOUND };
    for plan in SMALL {
        let [one, other] = [search(plan, few), search(plan, few)];
        assert_eq!((one.moves, one.depth, one.sizes), (other.moves, other.depth, other.sizes), "{}", plan.name);
    }
}
