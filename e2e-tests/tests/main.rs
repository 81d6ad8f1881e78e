//! All tests of the system as a whole, in one binary: it is linked once.

// In helpers of tests, too, a broken expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod cluster;
mod openapi;
mod scenarios;
mod simulation;
mod year;
