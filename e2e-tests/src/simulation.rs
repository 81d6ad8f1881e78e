//! The whole system in one thread, from one seed.
//!
//! The simulation runs all stages of all services with stores and a broker in memory. It drives the production code
//! ([`dataflow::Owner`], [`dataflow::Session`]) at random: who takes a turn, what a client requests, what is lost,
//! damaged or repeated, who crashes or freezes, and where. After each step it checks the invariants against the stores
//! and the streams. At the end the faults stop, the system comes to rest, and everything must equal the result of an
//! independent model. There is no clock, no thread and no unordered map, so a failing seed always fails:
//! `SIMULATION_SEED=17 cargo nextest run -p e2e-tests simulation::seeds`.

mod broker;
mod capturing;
mod checks;
mod clients;
mod coverage;
mod derivation;
mod faulty;
mod mistaken_broker;
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

/// The result of a run without a violation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of steps.
    pub steps: u64,
    /// Checksum of everything that happened: equal runs have equal checksums.
    pub checksum: u64,
    /// Number of frames of the longest journal, that is of one producer for one stream partition.
    pub longest: u64,
    /// How often each event occurred.
    pub coverage: Coverage,
}

/// A run that found a violation.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Seed of the run.
    pub seed: u64,
    /// Step in which the violation was found.
    pub step: u64,
    /// The invariant that does not hold, and where.
    pub violation: Violation,
    /// The last lines of the notes of the run.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let Self { seed, step, violation, .. } = self;
        writeln!(f, "seed {seed}, step {step}: {violation}")?;
        write!(f, "to reproduce: SIMULATION_SEED={seed} cargo nextest run -p e2e-tests simulation::seeds_a")
    }
}

/// Runs the simulation according to a plan.
///
/// # Errors
/// [`Failure`] if an invariant does not hold or the code panics.
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
            Violation { invariant: Invariant::Stopped, what: format!("panicked: {}", what.unwrap_or_default()) }
        }
    };
    let lines = notes.lines.into_iter().collect();
    Err(Box::new(Failure { seed: plan.seed, step: notes.step, violation, lines }))
}
