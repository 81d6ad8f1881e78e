//! `POST /accounts`, `GET /accounts/{id}`, `GET /accounts/{id}/entries`, `POST /transfers`, `GET /transfers/{id}`,
//! `GET /trial-balance`.

mod books;
mod commands;

use ::web::{Api, endpoints};
use actix::Addr;
use dataflow::{Ingress, Store, Waiters};

use crate::SERVICE;
use crate::record_commands::RecordCommands;

pub use self::commands::wake;

/// What the routes need. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    /// Where to read.
    pub store: Store,
    /// Where requests go in.
    pub record_commands: Addr<Ingress<RecordCommands>>,
    /// Those who wait for a decision.
    pub waiters: Waiters,
}

const DESCRIPTION: &str = "Double entry in several currencies: every debit has its credit, in each currency by itself. \
                            It learns of purchases because it listens, and says what became of their payment.";

/// What the service serves; the handlers find `Ledger`.
pub fn api() -> Api {
    let endpoints = endpoints![
        commands::claim,
        books::account,
        books::entries,
        commands::transfer,
        commands::get_transfer,
        books::trial_balance
    ];
    Api::new(SERVICE, DESCRIPTION, endpoints)
}
