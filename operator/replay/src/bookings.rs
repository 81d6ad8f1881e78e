//! `unbundled replay bookings`: sends two years of real hotel bookings, with more guests than rooms, as a client that
//! plays one day after the other.
//!
//! A booking is a purchase of its nights: all of them or none. Each night of a hotel is an offer with the hotel's rooms
//! as its capacity. A day has three phases, and each waits for its outcomes: what ends that day is cancelled, the day's
//! bookings are sent in the order of the file, and those that end on the day they were made are cancelled
//! ([`replay`]). Meanwhile a sequential model ([`model`]) computes what has to come of it, and at the end all purchases
//! and offers are read and compared with it ([`checks`]).
//!
//! Guarantee: a booking's request id is a function of its line, so the replay can be stopped anywhere and run again.

mod checks;
mod command;
mod file;
mod model;
mod nights;
mod offers;
mod replay;
mod rules;
mod summary;
mod sweetspot;
#[cfg(test)]
mod tests;

pub use command::run;
pub use sweetspot::{Cell, Sweetspot, SweetspotArguments, Terms};
