//! The tables of `settle`.

use contracts::{Reason, ReasonCode, ReturnPosted, Status};
use money::{Amount, Currency, Money};
use rules::{Cancellation, Paid, Settlement};
use serde::{Deserialize, Serialize};
use stage::{BatchNumber, Decimal, Integer, Json, Nullable, Outputs, Partition, Payload, RequestId, Text};

stage::row! {
    /// The outcome of a purchase that was not rejected at once.
    pub struct OutcomeRow: "outcomes" {
        key {
            /// The request id of the purchase.
            purchase: RequestId => Text,
        }
        value {
            /// The outcome: settled, rejected or compensated.
            status: Status => Text,
            /// Why it was rejected or compensated; none if it was settled.
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

stage::row! {
    /// The refund of a return, as the ledger posted it. Never changed.
    pub struct ReturnOutcomeRow: "return_outcomes" {
        key {
            /// The request id of the return.
            return_id: RequestId => Text,
        }
        value {
            /// The amount that was credited to the customer.
            credit: Amount => Decimal,
            /// Its currency.
            currency: Currency => Text,
            /// The partition of `settle` that wrote this row.
            partition: Partition => Integer,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

stage::row! {
    /// A purchase with limited stock or a cancellation.
    pub struct SettlementRow: "settlements" {
        key {
            /// The request id of the purchase.
            purchase: RequestId => Text,
        }
        value {
            /// Its state.
            state: Settlement => Json,
            /// What happened to it beside its outcome, in order.
            corrections: Vec<Correction> => Json,
            /// The partition of `settle` that writes this row.
            partition: Partition => Integer,
        }
    }
}

/// Something that happened to a purchase beside its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// The batch in which it happened. Its batch record contains the time.
    pub batch: BatchNumber,
}

/// What happened to a purchase beside its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The stock was held, and the customer is charged.
    Charged(Paid),
    /// Money was returned.
    Refunded {
        /// The amount.
        credit: Money,
        /// The voucher beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        voucher: Option<Money>,
        /// Why.
        reason: Reason,
    },
    /// The cancellation is complete: all stock is given back.
    CancellationCompleted,
    /// There was nothing to cancel.
    CancellationRejected,
}

impl OutcomeRow {
    pub(super) fn new<F: Payload>(
        purchase: &RequestId,
        status: Status,
        reason: Option<&Reason>,
        out: &Outputs<F>,
    ) -> Self {
        let (reason_code, reason_detail) = Reason::columns(reason);
        let (partition, batch) = (out.partition(), out.batch());
        Self { purchase: purchase.clone(), status, reason_code, reason_detail, partition, batch }
    }

    /// Why it was rejected or compensated, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

impl ReturnOutcomeRow {
    pub(super) fn new<F: Payload>(posted: &ReturnPosted, out: &Outputs<F>) -> Self {
        Self {
            return_id: posted.return_id.clone(),
            credit: posted.credit.amount(),
            currency: posted.credit.currency(),
            partition: out.partition(),
            batch: out.batch(),
        }
    }
}

impl SettlementRow {
    pub(super) fn new<F: Payload>(purchase: &RequestId, state: Settlement, out: &Outputs<F>) -> Self {
        Self { purchase: purchase.clone(), state, corrections: Vec::new(), partition: out.partition() }
    }

    /// What the customer was charged once the stock was held; none if the ingress stage charged at once.
    pub fn charged(&self) -> Option<Paid> {
        self.corrections.iter().find_map(|correction| match correction.what {
            What::Charged(charged) => Some(charged),
            What::Refunded { .. } | What::CancellationCompleted | What::CancellationRejected => None,
        })
    }

    /// Whether there was a cancellation that has its end.
    pub fn is_cancellation_over(&self) -> bool {
        matches!(self.state.cancellation, Some(Cancellation::Completed | Cancellation::Rejected))
    }

    /// All refunds and vouchers.
    pub fn returned(&self) -> Returned {
        let mut returned = Returned::default();
        for correction in &self.corrections {
            if let What::Refunded { credit, voucher, .. } = &correction.what {
                returned.refunds.push(*credit);
                returned.vouchers.extend(voucher);
            }
        }
        returned
    }
}

/// What a customer got back of a purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The refunds, in order.
    pub refunds: Vec<Money>,
    /// The vouchers, in order.
    pub vouchers: Vec<Money>,
}
