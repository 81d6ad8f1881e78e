//! `settle`: the final outcome of each confirmed purchase. Each gets exactly one, which is appended and never changed.

use contracts::{Fact, OUTCOMES, PaymentPosted, PaymentRefused, Reason, ReasonCode, Status};
use stage::{
    BatchNumber, Event, Integer, Nullable, Outputs, Partition, Partitioning, RequestId, Row as _, Stage, StageError,
    Stream, Table, Text, WorkingSet,
};

stage::payload! {
    /// The facts that `settle` reads from `outcomes`.
    pub enum SettleInput {
        /// The payment of a purchase was posted.
        PaymentPosted(PaymentPosted),
        /// The payment of a purchase was refused.
        PaymentRefused(PaymentRefused),
        .. Other
    }
}

stage::row! {
    /// The outcome of a purchase that was confirmed: it was paid, or the payment was refused.
    pub struct OutcomeRow: "outcomes" {
        key {
            /// The request id of the purchase.
            purchase: RequestId => Text,
        }
        value {
            /// The outcome: settled or rejected.
            status: Status => Text,
            /// Why it was rejected; none if it was settled.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The partition of `settle` that wrote this row.
            partition: Partition => Integer,
            /// The batch that wrote this row. Its batch record contains the time.
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

/// Stores the outcomes.
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
