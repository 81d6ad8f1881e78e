//! All tests of the whole system, in one binary to link only once.

// A panic in a test helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod cluster;
mod openapi;
mod scenarios;
mod simulation;
mod year;
