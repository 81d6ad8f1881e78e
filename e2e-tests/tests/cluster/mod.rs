//! Tests with a real RabbitMQ and a real Postgres: each store and transport by itself, and whole clusters.

mod chapter;
mod examples;
mod faults;
pub mod harness;
mod postgres;
mod rabbitmq;
mod readme;
mod traces;
