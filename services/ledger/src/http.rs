//! `POST /accounts`, `GET /accounts/{id}`, `GET /accounts/{id}/entries`, `POST /transfers`, `GET /transfers/{id}`,
//! `GET /trial-balance`.

mod books;
mod instructions;

use actix::Addr;
use actix_web::web::{self, Data, ServiceConfig};
use dataflow::{Store, Waiters, WayIn};

use crate::instruct::Instruct;

pub use self::instructions::waiting_for;

/// What the routes need. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    /// Where to read.
    pub store: Store,
    /// Where requests go in.
    pub instruct: Addr<WayIn<Instruct>>,
    /// Those who wait for a decision.
    pub waiters: Waiters,
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig, ledger: &Ledger) {
    config
        .app_data(Data::new(ledger.clone()))
        .service(web::resource("/accounts").route(web::post().to(instructions::claim)))
        .service(web::resource("/accounts/{id}").route(web::get().to(books::account)))
        .service(web::resource("/accounts/{id}/entries").route(web::get().to(books::entries)))
        .service(web::resource("/transfers").route(web::post().to(instructions::transfer)))
        .service(web::resource("/transfers/{id}").route(web::get().to(instructions::get_transfer)))
        .service(web::resource("/trial-balance").route(web::get().to(books::trial_balance)));
}
