//! `POST /accounts`, `GET /accounts/{id}`, `GET /accounts/{id}/entries`, `POST /transfers`, `GET /transfers/{id}`,
//! `GET /trial-balance`.

mod books;
mod commands;

use ::web::{Api, endpoints};
use actix::Addr;
use dataflow::{Ingress, Results, Store};

use crate::SERVICE;
use crate::post::DecisionRow;
use crate::record_commands::RecordCommands;

pub use self::commands::wake;

/// The state of the HTTP handlers. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    /// The service's store, for reads.
    pub store: Store,
    /// The ingress actor, for commands.
    pub record_commands: Addr<Ingress<RecordCommands>>,
    /// The decisions about requests, and the clients that wait for them.
    pub results: Results<DecisionRow>,
}

const DESCRIPTION: &str = "Double entry in several currencies: every debit has its credit, in each currency by itself. \
                            It reads the purchases from their stream and publishes the outcomes of their payments.";

/// The HTTP API of the service. Its handlers take `Ledger` as application data.
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
