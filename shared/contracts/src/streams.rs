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

/// Legs of transfers that are still to be posted, by payee.
pub const CREDITS: Stream = Stream { name: "credits", service: "ledger", producers: &[("post", Spread::Every)] };

/// What became of payments, by payer.
pub const OUTCOMES: Stream = Stream { name: "outcomes", service: "ledger", producers: &[("post", Spread::Every)] };

/// All of them.
pub const STREAMS: [&Stream; 4] = [&RATES, &PURCHASES, &CREDITS, &OUTCOMES];
