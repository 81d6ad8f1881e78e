//! All tests of the system as a whole, in one binary: it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod scenarios;
mod simulation;
mod year;
