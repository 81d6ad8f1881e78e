//! What an invoice is sent as, and where to.

use contracts::{PurchaseId, Purpose, ReturnId};
use stage::RequestId;

/// What an invoice is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// A purchase.
    Purchase,
    /// A return.
    Return,
}

impl RequestKind {
    /// The path of a batch of such requests.
    pub fn batch_path(self) -> &'static str {
        match self {
            Self::Purchase => "/purchases/batch",
            Self::Return => "/returns/batch",
        }
    }

    /// The path of what became of a request.
    pub fn path(self, id: &RequestId) -> String {
        match self {
            Self::Purchase => format!("/purchases/{}", PurchaseId::of(id)),
            Self::Return => format!("/returns/{}", ReturnId::of(id)),
        }
    }

    /// The purpose of its entries in the ledger.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Purchase => Purpose::Purchase,
            Self::Return => Purpose::Return,
        }
    }
}
