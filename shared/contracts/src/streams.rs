//! The streams, and the only stages that say anything there.

use stage::{Spread, Stream};

/// All rates have one key, so they are totally ordered.
pub const RATES_KEY: &str = "rates";

/// New and changed exchange rates.
pub const RATES: Stream =
    Stream { name: "rates", service: "exchange-rate", producers: &[("record-rates", Spread::Lanes)] };

/// Purchases and what became of them in the purchase service, by payer.
pub const PURCHASES: Stream =
    Stream { name: "purchases", service: "purchase", producers: &[("accept", Spread::Lanes)] };

/// What the ledger itself is asked to do, by the account that decides: the handle claimed, or the payer.
pub const INSTRUCTIONS: Stream =
    Stream { name: "instructions", service: "ledger", producers: &[("instruct", Spread::Lanes)] };

/// Legs of payments that are still to be posted, by payee.
pub const CREDITS: Stream = Stream { name: "credits", service: "ledger", producers: &[("post", Spread::Every)] };

/// What became of payments, transfers and claims, by payer or handle.
pub const OUTCOMES: Stream = Stream { name: "outcomes", service: "ledger", producers: &[("post", Spread::Every)] };

/// All of them.
pub const STREAMS: [&Stream; 5] = [&RATES, &PURCHASES, &INSTRUCTIONS, &CREDITS, &OUTCOMES];
