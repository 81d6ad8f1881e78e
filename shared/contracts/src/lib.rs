//! The data contracts between services, and between services and their clients: names, facts, streams, and the JSON of
//! the HTTP APIs. Each message has exactly one struct, defined here.

mod copies;
mod facts;
mod ledger;
mod names;
mod offers;
mod overdraft;
mod purchases;
mod rates;
mod reason;
mod returns;
mod stock;
mod streams;
mod string_enum;
mod time;

pub use copies::LocalCopy;
pub use facts::{
    AccountClaimed, AccountOpened, AccountRejected, Fact, HistoryImported, Leg, LegsRequested, LineSold, PaymentPosted,
    PaymentRefused, PurchaseConfirmed, PurchaseRejected, RatesFact, RatesPublished, TransferAccepted, TransferPosted,
    TransferRejected,
};
pub use ledger::{
    Account, AccountRequest, Entries, Entry, LedgerCommand, Purpose, Side, Transfer, TransferRequest, TransferStatus,
    TrialBalance, TrialLine,
};
pub use names::{AccountId, CustomerId, InvalidName, PurchaseId, ReturnId, Sku, TransferId, request_id};
pub use offers::{CancellationTerms, Compensation, Constraint, InvalidCompensation, Offer, OfferTerms, RecallRequest};
pub use overdraft::{InvalidOverdraft, Overdraft, OverdraftPolicy};
pub use purchases::{
    BatchItemResult, Cancellation, CancellationRequest, CancellationStatus, LineRequest, LineStatus, Milestone,
    NumberedCancellationRequest, NumberedPurchaseRequest, Purchase, PurchaseLine, PurchaseRequest, Status,
};
pub use rates::{AsOf, Imported, RatePut, RateQuote, RateRow, RatesByPair};
pub use reason::{Reason, ReasonCode};
pub use returns::{
    NumberedReturnRequest, Return, ReturnAccepted, ReturnItemResult, ReturnMilestone, ReturnPosted, ReturnRequest,
    ReturnStatus,
};
pub use stock::{
    AllocationState, CancellationRequested, ClaimedLine, Decision, LadderStep, LineDecision, LinesDecided, Place,
    PlannedLine, PurchasePlaced, PurchasePlan, PurchaseRefunded, StockClaimed, StockContinued, StockLimited,
    StockReleased,
};
pub use streams::{ALLOCATIONS, CREDITS, LEDGER_COMMANDS, LINES, OUTCOMES, PURCHASES, RATES, RATES_KEY};
pub use string_enum::UnknownValue;
