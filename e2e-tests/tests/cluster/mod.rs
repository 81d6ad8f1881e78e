//! What a cluster is made of, each against the real engine, and all of it together.

mod chapter;
mod faults;
pub mod harness;
mod postgres;
mod rabbitmq;
mod readme;
mod traces;
