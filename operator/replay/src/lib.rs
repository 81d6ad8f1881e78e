//! `unbundled replay`: sends real data through the HTTP API of a running system, as a client that must not lose or
//! duplicate anything, and then compares the results with its own arithmetic. `bookings` has the hotel bookings;
//! everything else is about the year of a shop.
//!
//! Steps: read the file to its end (`source`, `lines`, `survey`); set the offers it needs (`offers`); read it again and
//! send it in batches, in order, one at a time (`batch`, `sending`); request each purchase until it has its outcome
//! (`settling`); read the ledger (`books`) and compare (`comparing`).
//!
//! Guarantee: a request's id is a function of its invoice, so the replay can be stopped anywhere and run again: nothing
//! is done twice, and the summary is that of one undisturbed run. Nothing of a broken file is sent.
//!
//! It never looks into a database, never asks the services what to expect of them, and never holds the file in memory.

mod arguments;
mod batch;
mod bookings;
mod books;
mod columns;
mod command;
mod comparing;
mod country;
mod days;
mod encoding;
mod expected;
mod file;
mod findings;
mod form;
mod invoice;
mod lines;
mod london;
mod ndjson;
mod offers;
mod outcome;
mod packing;
mod passes;
mod place;
mod purchase;
mod request_kind;
mod row;
mod scaled;
mod selection;
mod sending;
mod settling;
mod shape;
mod sheet;
mod source;
mod summary;
mod survey;
#[cfg(test)]
mod tests;
mod workbook;

pub use arguments::{Bookings, Replay, Retail};
pub use bookings::{Cell, Sweetspot, SweetspotArguments, Terms};
pub use command::{SERVICES, run};
