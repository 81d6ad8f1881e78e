//! The business rules as plain functions over plain structs, without stages, databases or clocks.
//!
//! - [`Stock`]: what is allocated of a product, and who waits for it.
//! - [`Settlement`]: the state of a purchase whose stock is limited, or that was cancelled, and what follows from each
//!   event.
//!
//! The stages of the purchase service call them with their rows.

mod settlement;
mod stock;

pub use settlement::{
    Action, Cancellation, Dropped, LineState, LineStock, Paid, Payment, PurchaseEvent, Refund, Settlement,
};
pub use stock::{Claimed, QUEUE_MAX, Released, Served, Stock, claim};
