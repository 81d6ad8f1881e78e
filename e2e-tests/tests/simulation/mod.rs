//! The simulation with many seeds, and with deliberate bugs that it has to find.

use std::ops::Range;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use e2e_tests::simulation::{Coverage, Failure, Hit, Invariant, Mutant, Plan, Report, run};
use stage::PUBLISH_WINDOW;

/// The number of seeds per test, unless `SIMULATION_SEEDS` is set. Several tests share the seeds, to run in parallel.
const SEEDS: u64 = 50;
/// How often each kind of [`Hit`] has to occur in the seeds of a test. Otherwise the simulation does not cover it.
const HITS_MIN: u64 = 3;
/// The number of seeds that are tried with each deliberate bug.
const MUTANT_SEEDS: u64 = 10;
/// A bug that is not found in them has to be found in this many.
const MUTANT_SEEDS_MAX: u64 = 100;
/// The number of seeds that differ in each run of the tests.
const FRESH_SEEDS: u64 = 20;

fn must_hold(plan: Plan) -> Report {
    run(plan).unwrap_or_else(|failure| panic!("\n{failure}"))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

fn check(part: u64) {
    let (only, seeds) = (number("SIMULATION_SEED"), number("SIMULATION_SEEDS").unwrap_or(SEEDS));
    let (started, mut coverage, mut steps) = (Instant::now(), Coverage::default(), 0);
    for seed in only.map_or(part * seeds..(part + 1) * seeds, |seed| seed..seed + 1) {
        let report = must_hold(Plan { seed, aloud: only.is_some(), ..Plan::default() });
        coverage.add(&report.coverage);
        steps += report.steps;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{steps} steps in {seconds:.1} s, {:.0} per second\n{coverage}", steps as f64 / seconds);
    let rare: Vec<_> = Hit::ALL.iter().filter(|hit| coverage.of(**hit) < HITS_MIN).collect();
    assert!(seeds < SEEDS || only.is_some() || rare.is_empty(), "these occurred too rarely: {rare:?}");
}

macro_rules! seeds {
    ($($name:ident is $part:literal)+) => {
        $(#[test]
        fn $name() {
            check($part);
        })+
    };
}

seeds! {
    seeds_a is 0
    seeds_b is 1
    seeds_c is 2
    seeds_d is 3
    seeds_e is 4
    seeds_f is 5
}

/// To repeat a failure: `SIMULATION_SEED=<the seed that it names> cargo nextest run -p e2e-tests simulation::seeds_a`.
#[test]
fn fresh_seeds_hold_too() {
    let first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    println!("seeds {first} to {}", first + FRESH_SEEDS - 1);
    for seed in first..first + FRESH_SEEDS {
        must_hold(Plan { seed, ..Plan::default() });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let of = |seed| must_hold(Plan { seed, ..Plan::default() });
    assert_eq!(of(7), of(7));
    assert_ne!(of(7).checksum, of(8).checksum);
}

/// The run is long enough to fill the window of unconfirmed frames several times.
#[test]
fn a_long_run_exceeds_the_publish_window() {
    let report = must_hold(Plan { is_long: true, ..Plan::default() });
    println!("{} steps, {} frames\n{}", report.steps, report.longest, report.coverage);
    assert!(report.longest > 4 * PUBLISH_WINDOW);
}

fn check_mutant(mutant: Mutant, expected: &[Invariant]) {
    let failures =
        |seeds: Range<u64>| seeds.filter_map(|seed| run(Plan { seed, mutant: Some(mutant), ..Plan::default() }).err());
    let mut failures_found: Vec<Box<Failure>> = failures(0..MUTANT_SEEDS).collect();
    if failures_found.is_empty() {
        failures_found.extend(failures(MUTANT_SEEDS..MUTANT_SEEDS_MAX).next());
    }
    for failure in &failures_found {
        println!("{failure}\n");
        assert!(expected.contains(&failure.violation.invariant), "found by accident: {}", failure.violation);
    }
    assert!(!failures_found.is_empty(), "{mutant:?} was not found in {MUTANT_SEEDS_MAX} seeds");
}

#[test]
fn a_missing_duplicate_check_is_found() {
    // Either the batch records show it, or the stage itself finds a row that must not exist.
    check_mutant(Mutant::NoDuplicateCheck, &[Invariant::Dense, Invariant::Stopped]);
}

#[test]
fn publishing_before_the_commit_is_found() {
    check_mutant(Mutant::PublishBeforeCommit, &[Invariant::Recorded]);
}

#[test]
fn a_missing_fence_is_found() {
    check_mutant(Mutant::NoFence, &[Invariant::Fence, Invariant::Chain]);
}

#[test]
fn a_publisher_that_does_not_read_back_the_stream_is_found() {
    check_mutant(Mutant::NoScan, &[Invariant::Stuck, Invariant::Recorded]);
}

#[test]
fn a_publisher_that_does_not_notice_another_incarnation_is_found() {
    check_mutant(Mutant::NoIncarnation, &[Invariant::Stuck, Invariant::Recorded]);
}

#[test]
fn resolving_without_a_claim_is_found() {
    check_mutant(Mutant::ResolveWithoutClaim, &[Invariant::Fence, Invariant::Chain]);
}

#[test]
fn resuming_past_a_hole_is_found() {
    check_mutant(Mutant::ResumePastHole, &[Invariant::Stuck]);
}

#[test]
fn applying_past_a_gap_is_found() {
    // Either the batch records show it, or the stage itself finds a row that must not exist.
    check_mutant(Mutant::ApplyPastGap, &[Invariant::Dense, Invariant::Stopped]);
}

#[test]
fn a_skipped_capture_is_found() {
    check_mutant(Mutant::SkippedCapture, &[Invariant::Stopped]);
}

#[test]
fn a_reply_before_the_commit_is_found() {
    // Either nothing is recorded of what was told, or something else is.
    check_mutant(Mutant::ReplyBeforeCommit, &[Invariant::Recorded, Invariant::Repeats]);
}

#[test]
fn giving_back_what_is_gone_is_found() {
    // Either the count of allocated pieces is wrong, or it would fall below zero.
    check_mutant(Mutant::ReleaseTwice, &[Invariant::Stock, Invariant::Stopped]);
}

#[test]
fn allocating_past_the_limit_is_found() {
    check_mutant(Mutant::AllocatePastLimit, &[Invariant::Stock]);
}

#[test]
fn forgetting_who_waits_is_found() {
    check_mutant(Mutant::ForgetWaiting, &[Invariant::Rows]);
}

#[test]
fn a_refund_at_the_rate_of_another_day_is_found() {
    check_mutant(Mutant::TodaysRate, &[Invariant::Money]);
}

#[test]
fn a_second_outcome_is_found() {
    check_mutant(Mutant::SecondOutcome, &[Invariant::Outcomes]);
}
