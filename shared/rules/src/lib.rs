//! The business rules as plain functions over plain structs, without stages, databases or clocks.
//!
//! - [`quote`]: the price of a purchase, or why it is rejected.
//! - [`plan`]: the terms that a purchase is settled by.
//! - [`Stock`]: what is allocated of a product, and who waits for it.
//! - [`Settlement`]: the state of a purchase whose stock is limited, or that was cancelled, and what follows from each
//!   event.
//! - [`Payment`]: the legs of a payment and of a refund.
//! - [`AccountTerms`]: what an account may pay.
//!
//! The stages call them with their rows.

mod account;
mod payment;
mod plan;
mod quote;
mod settlement;
mod stock;

pub use account::{AccountTerms, Allowance, Authorization, authorize, is_daily_payment};
pub use payment::Payment;
pub use plan::{plan, planned};
pub use quote::{Charge, Quote, quote};
pub use settlement::{
    Action, Cancellation, Dropped, LineState, LineStock, Paid, PaymentState, PurchaseEvent, Refund, Settlement,
};
pub use stock::{Claimed, QUEUE_MAX, Released, Served, Stock, claim};
