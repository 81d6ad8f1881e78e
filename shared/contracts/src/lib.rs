//! What crosses a border between services, or between a service and its clients: names, facts,
//! streams, and the JSON of the HTTP APIs. One struct per message, defined once.

mod facts;
mod ledger;
mod names;
mod offers;
mod purchases;
mod rates;
mod streams;
mod words;

pub use facts::{
    Fact, HistoryImported, Leg, LegsSaid, LineSold, PaymentPosted, PurchaseConfirmed, PurchaseRejected, RatesPublished,
};
pub use ledger::{Account, Entries, Entry, Side, TrialBalance, TrialLine};
pub use names::{AccountId, CustomerId, InvalidName, PurchaseId, Sku, request_id};
pub use offers::{Constraint, Offer, OfferTerms};
pub use purchases::{
    BatchAnswer, LineRequest, Milestone, NumberedPurchaseRequest, Purchase, PurchaseRequest, Reason, ReasonCode,
    ShownRate, Status,
};
pub use rates::{AsOf, Imported, Quote, RatePut, RateRow, RatesByPair};
pub use streams::{CREDITS, OUTCOMES, PURCHASES, RATES, RATES_KEY, STREAMS};
pub use words::UnknownWord;
