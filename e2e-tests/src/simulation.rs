//! The whole system in one thread, from one seed.
//!
//! All stages of all services on the memory deployment, driven by the production rule
//! ([`dataflow::Owner`], [`stage::PublishWindow`]) and by chance: who takes a turn, what a client asks for,
//! what gets lost, damaged, repeated, who dies or freezes and where. After each step the invariants are
//! checked against the stores and the streams; at the end everything comes to rest, and all of it is
//! what an independent model says. There is no clock, no thread, and no map without an order, so a seed
//! that fails fails again: `SIMULATION_SEED=17 cargo nextest run -p e2e-tests simulation::seeds`.

mod checks;
mod clients;
mod coverage;
mod derivation;
mod model;
mod publisher;
mod random;
mod scene;
mod seat;
mod violation;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::coverage::{Coverage, Hit};
pub use self::scene::{Mutant, Plan};
pub use self::violation::{Invariant, Violation};

use self::scene::{Notes, Scene};
use self::world::World;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many steps it took.
    pub steps: u64,
    /// A checksum of all that happened: equal ranges have equal ones.
    pub checksum: u64,
    /// The most frames that one producer has said to one target.
    pub longest: u64,
    /// What happened.
    pub coverage: Coverage,
}

/// A run that found a violation.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Of this run.
    pub seed: u64,
    /// In this step.
    pub step: u64,
    /// What does not hold.
    pub violation: Violation,
    /// What happened last.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let Self { seed, step, violation, .. } = self;
        writeln!(f, "seed {seed}, step {step}: {violation}")?;
        write!(f, "again: SIMULATION_SEED={seed} cargo nextest run -p e2e-tests simulation::seeds_a")
    }
}

/// Runs what is planned.
///
/// # Errors
/// [`Failure`] when an invariant does not hold, or the code panics.
pub fn run(plan: Plan) -> Result<Report, Box<Failure>> {
    let mut notes = Notes { aloud: plan.aloud, ..Notes::default() };
    let ended = catch_unwind(AssertUnwindSafe(|| World::new(Scene::new(plan, &mut notes)).run()));
    let violation = match ended {
        Ok(Ok(longest)) => {
            let Notes { step: steps, checksum, coverage, .. } = notes;
            return Ok(Report { steps, checksum, longest, coverage });
        }
        Ok(Err(violation)) => violation,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|&what| what.to_owned()));
            Violation { invariant: Invariant::Stopped, what: format!("it panicked: {}", what.unwrap_or_default()) }
        }
    };
    let lines = notes.lines.into_iter().collect();
    Err(Box::new(Failure { seed: plan.seed, step: notes.step, violation, lines }))
}
