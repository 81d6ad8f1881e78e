//! `settle`: what finally became of each purchase. Exactly one outcome each, appended, never changed.

use contracts::{
    AccountOpened, AccountRejected, Fact, OUTCOMES, PaymentPosted, PaymentRefused, Reason, ReasonCode, Status,
    TransferPosted, TransferRejected,
};
use stage::{
    BatchNumber, Broken, Event, Integer, Nullable, Outputs, Partition, RequestId, Row as _, Rows, Spread, Stage,
    Stream, Table, Text,
};

stage::payload! {
    /// What stands in `outcomes`.
    pub enum Heard {
        /// A purchase is paid.
        PaymentPosted(PaymentPosted),
        /// A purchase is not paid.
        PaymentRefused(PaymentRefused),
        /// Of no purchase.
        TransferPosted(TransferPosted),
        /// Of no purchase.
        TransferRejected(TransferRejected),
        /// Of no purchase.
        AccountOpened(AccountOpened),
        /// Of no purchase.
        AccountRejected(AccountRejected),
    }
}

stage::row! {
    /// The outcome of a purchase that was confirmed: it was paid, or the payment was refused.
    pub struct OutcomeRow: "outcomes" {
        key {
            /// The purchase's request.
            purchase: RequestId => Text,
        }
        value {
            /// What became of it.
            status: Status => Text,
            /// Why, if it was rejected.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The partition of `settle` that wrote this
            partition: Partition => Integer,
            /// and in which of its batches: the batch record knows when.
            batch: BatchNumber => Integer,
        }
    }
}

impl OutcomeRow {
    /// Why it was rejected, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

/// Gathers outcomes.
pub struct Settle;

impl Stage for Settle {
    type Fact = Heard;
    type Said = Fact;
    type Answer = ();
    const NAME: &'static str = "settle";
    const SPREAD: Spread = Spread::Every;
    const READS: &'static [&'static Stream] = &[&OUTCOMES];
    const TABLES: &'static [&'static Table] = &[OutcomeRow::TABLE];

    fn apply(&self, event: &Event<Heard>, rows: &mut Rows, say: &mut Outputs<Fact>) -> Result<(), Broken> {
        let (purchase, status, reason) = match &event.fact {
            Heard::PaymentPosted(PaymentPosted { purchase }) => (purchase, Status::Settled, None),
            Heard::PaymentRefused(PaymentRefused { purchase, reason }) => (purchase, Status::Rejected, Some(reason)),
            Heard::TransferPosted(_)
            | Heard::TransferRejected(_)
            | Heard::AccountOpened(_)
            | Heard::AccountRejected(_) => return Ok(()),
        };
        let (reason_code, reason_detail) = Reason::columns(reason);
        rows.insert(&OutcomeRow {
            purchase: purchase.clone(),
            status,
            reason_code,
            reason_detail,
            partition: say.partition(),
            batch: say.batch(),
        })
    }
}

#[cfg(test)]
mod tests;
