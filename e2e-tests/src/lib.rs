//! Tests of the system as a whole.

pub mod simulation;
