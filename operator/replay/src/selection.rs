//! Which invoices of the file are sent, and as what.

use crate::days::Days;
use crate::request_kind::RequestKind;
use crate::row::Kind;

/// The invoices that are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their days.
    pub days: Days,
    /// Their kinds.
    pub kinds: Kinds,
}

/// The kinds of invoices that are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// Sales are purchases, and cancellations, which name no sale, are returns.
    #[default]
    SalesAndReturns,
    /// Sales are purchases. Nothing else is sent.
    SalesOnly,
}

impl Kinds {
    /// What an invoice of this kind is sent as, if it is sent.
    pub fn request(self, kind: Kind) -> Option<RequestKind> {
        match (self, kind) {
            (_, Kind::Sale) => Some(RequestKind::Purchase),
            (Self::SalesAndReturns, Kind::Cancellation) => Some(RequestKind::Return),
            (Self::SalesOnly, Kind::Cancellation) | (_, Kind::Adjustment) => None,
        }
    }
}
