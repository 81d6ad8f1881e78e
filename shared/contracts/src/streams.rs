//! The streams, the only stages that say anything there, and what they say.

use stage::{Partitioning, Payload as _, Stream};

use crate::RatesFact;

/// All rates have one key, so they are totally ordered.
pub const RATES_KEY: &str = "rates";

/// New and changed exchange rates.
pub const RATES: Stream = Stream {
    name: "rates",
    service: "exchange-rate",
    producers: &[("record-rates", Partitioning::Unkeyed)],
    facts: RatesFact::KINDS,
};

/// Purchases and what became of them in the purchase service, by payer.
pub const PURCHASES: Stream = Stream {
    name: "purchases",
    service: "purchase",
    producers: &[("accept", Partitioning::Unkeyed)],
    facts: &["PurchaseConfirmed", "PurchaseRejected"],
};

/// What the ledger itself is asked to do, by the account that decides: the handle claimed, or the payer.
pub const LEDGER_COMMANDS: Stream = Stream {
    name: "ledger-commands",
    service: "ledger",
    producers: &[("record-commands", Partitioning::Unkeyed)],
    facts: &["AccountClaimed", "TransferAccepted", "TransferRejected"],
};

/// Legs of payments that are still to be posted, by payee.
pub const CREDITS: Stream = Stream {
    name: "credits",
    service: "ledger",
    producers: &[("post", Partitioning::Copartitioned)],
    facts: &["LegsRequested"],
};

/// What became of payments, transfers and claims, by payer or handle.
pub const OUTCOMES: Stream = Stream {
    name: "outcomes",
    service: "ledger",
    producers: &[("post", Partitioning::Copartitioned)],
    facts: &[
        "PaymentPosted",
        "PaymentRefused",
        "TransferPosted",
        "TransferRejected",
        "AccountOpened",
        "AccountRejected",
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Fact;

    const STREAMS: [&Stream; 5] = [&RATES, &PURCHASES, &LEDGER_COMMANDS, &CREDITS, &OUTCOMES];

    #[test]
    fn every_fact_stands_in_a_stream_and_nothing_else_does() {
        let stand: BTreeSet<_> = STREAMS.iter().flat_map(|stream| stream.facts).collect();
        assert_eq!(stand, [Fact::KINDS, RatesFact::KINDS].concat().iter().collect());
    }
}
