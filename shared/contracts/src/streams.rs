//! The streams, the only stages that emit to them, and the facts they contain.

use stage::{Partitioning, Payload as _, Producers, Stream};

use crate::RatesFact;

/// The key of all rates. They share one key, so they are totally ordered.
pub const RATES_KEY: &str = "rates";

/// New and changed exchange rates.
pub const RATES: Stream = Stream {
    name: "rates",
    service: "exchange-rate",
    producers: &[("record-rates", Producers::All(Partitioning::Unkeyed))],
    facts: RatesFact::KINDS,
};

/// Confirmed, rejected and refunded purchases, and returns, keyed by payer.
pub const PURCHASES: Stream = Stream {
    name: "purchases",
    service: "purchase",
    producers: &[("accept", Producers::All(Partitioning::Unkeyed)), ("settle", Producers::SamePartition)],
    facts: &["PurchaseConfirmed", "PurchaseRejected", "PurchaseRefunded", "ReturnAccepted"],
};

/// Claims, releases and limits of stock, keyed by SKU.
pub const ALLOCATIONS: Stream = Stream {
    name: "allocations",
    service: "purchase",
    producers: &[
        ("accept", Producers::All(Partitioning::Unkeyed)),
        ("settle", Producers::All(Partitioning::Copartitioned)),
        ("allocate", Producers::All(Partitioning::Copartitioned)),
    ],
    facts: &["StockClaimed", "StockReleased", "StockLimited", "StockContinued"],
};

/// What is known of purchases with limited stock or a cancellation, keyed by payer.
pub const LINES: Stream = Stream {
    name: "lines",
    service: "purchase",
    producers: &[
        ("accept", Producers::All(Partitioning::Unkeyed)),
        ("allocate", Producers::All(Partitioning::Copartitioned)),
    ],
    facts: &["PurchasePlaced", "LinesDecided", "CancellationRequested"],
};

/// Ledger commands, keyed by the account that decides: the claimed handle or the payer.
pub const LEDGER_COMMANDS: Stream = Stream {
    name: "ledger-commands",
    service: "ledger",
    producers: &[("record-commands", Producers::All(Partitioning::Unkeyed))],
    facts: &["AccountClaimed", "TransferAccepted", "TransferRejected"],
};

/// Legs of payments that are still to be posted, keyed by payee.
pub const CREDITS: Stream = Stream {
    name: "credits",
    service: "ledger",
    producers: &[("post", Producers::All(Partitioning::Copartitioned))],
    facts: &["LegsRequested"],
};

/// Outcomes of payments, returns, transfers and claims, keyed by payer or handle.
pub const OUTCOMES: Stream = Stream {
    name: "outcomes",
    service: "ledger",
    producers: &[("post", Producers::SamePartition)],
    facts: &[
        "PaymentPosted",
        "PaymentRefused",
        "ReturnPosted",
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

    const STREAMS: [&Stream; 7] = [&RATES, &PURCHASES, &ALLOCATIONS, &LINES, &LEDGER_COMMANDS, &CREDITS, &OUTCOMES];

    #[test]
    fn the_streams_contain_every_fact_and_nothing_else() {
        let in_streams: BTreeSet<_> = STREAMS.iter().flat_map(|stream| stream.facts).collect();
        assert_eq!(in_streams, [Fact::KINDS, RatesFact::KINDS].concat().iter().collect());
    }
}
