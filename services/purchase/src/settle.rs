//! `settle`: what finally became of each purchase. Exactly one outcome each, appended, never changed.

use contracts::{Fact, OUTCOMES, PaymentPosted, PaymentRefused, Reason, ReasonCode, Status};
use stage::{
    BatchNumber, Event, Integer, Nullable, Outputs, Partition, Partitioning, RequestId, Row as _, Stage, StageError,
    Stream, Table, Text, WorkingSet,
};

stage::payload! {
    /// What stands in `outcomes`.
    pub enum SettleInput {
        /// A purchase is paid.
        PaymentPosted(PaymentPosted),
        /// A purchase is not paid.
        PaymentRefused(PaymentRefused),
        .. Other
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
    type Input = SettleInput;
    type Output = Fact;
    const NAME: &'static str = "settle";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&OUTCOMES];
    const TABLES: &'static [&'static Table] = &[OutcomeRow::TABLE];

    fn apply(
        &self,
        event: &Event<SettleInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        let (purchase, status, reason) = match &event.fact {
            SettleInput::PaymentPosted(PaymentPosted { purchase }) => (purchase, Status::Settled, None),
            SettleInput::PaymentRefused(PaymentRefused { purchase, reason }) => {
                (purchase, Status::Rejected, Some(reason))
            }
            SettleInput::Other(_) => return Ok(()),
        };
        let (reason_code, reason_detail) = Reason::columns(reason);
        rows.insert(&OutcomeRow {
            purchase: purchase.clone(),
            status,
            reason_code,
            reason_detail,
            partition: out.partition(),
            batch: out.batch(),
        })
    }
}

#[cfg(test)]
mod tests;
