//! `award`: one point for each piece of a purchase that was paid.
//!
//! A join of two streams. `purchases` says what was bought, `outcomes` whether it was paid, and nothing orders the one
//! before the other. Each purchase has a row that remembers what has arrived; the points are awarded once both have.

use contracts::{AccountId, CustomerId, OUTCOMES, PURCHASES, PaymentPosted, PurchaseConfirmed};
use serde::{Deserialize, Serialize};
use stage::{
    Event, Flag, Integer, Nullable, Outputs, Partitioning, Payload as _, Producers, ReadSet, RequestId, Row as _,
    Stage, StageError, Stream, Table, Text, WorkingSet,
};

stage::payload! {
    /// The facts that `award` needs of both streams.
    pub enum AwardInput {
        /// What was bought.
        PurchaseConfirmed(PurchaseConfirmed),
        /// It was paid.
        PaymentPosted(PaymentPosted),
        .. Other
    }
}

stage::payload! {
    /// The facts of the stream `points`.
    pub enum PointsFact {
        /// A customer earned points.
        PointsAwarded(PointsAwarded),
    }
}

/// A customer earned points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsAwarded {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The customer.
    pub customer: CustomerId,
    /// The points of this purchase.
    pub points: u64,
    /// All points of the customer, with these.
    pub total: u64,
}

/// Awarded points, keyed by the customer's account.
pub const POINTS: Stream = Stream {
    name: "points",
    service: "loyalty",
    producers: &[("award", Producers::All(Partitioning::Copartitioned))],
    facts: PointsFact::KINDS,
};

stage::row! {
    /// A purchase of which one fact or both have arrived. Of a refused purchase only one ever does.
    pub struct AwardRow: "awards" {
        key {
            /// The id of the purchase request.
            purchase: RequestId => Text,
        }
        value {
            /// The customer, once `purchases` has said what was bought.
            customer: Option<CustomerId> => Nullable<Text>,
            /// The pieces bought, if the customer is known.
            pieces: u64 => Integer,
            /// Whether it was paid.
            is_paid: bool => Flag,
        }
    }
}

stage::row! {
    /// The points of a customer.
    pub struct PointsRow: "points" {
        key {
            /// The customer.
            customer: CustomerId => Text,
        }
        value {
            /// The sum of all awards.
            total: u64 => Integer,
        }
    }
}

/// Awards points.
pub struct Award;

impl Stage for Award {
    type Input = AwardInput;
    type Output = PointsFact;
    const NAME: &'static str = "award";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&PURCHASES, &OUTCOMES];
    const TABLES: &'static [&'static Table] = &[AwardRow::TABLE, PointsRow::TABLE];

    fn read_set(&self, event: &Event<AwardInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        let Some(purchase) = purchase_of(&event.fact) else { return Ok(()) };
        let key = (purchase.clone(),);
        reads.row::<AwardRow>(&key);
        // The customer is in the fact, or in the row that an earlier fact has written: that row is loaded first.
        let customer = match &event.fact {
            AwardInput::PurchaseConfirmed(confirmed) => Some(confirmed.customer.clone()),
            _ if rows.is_loaded::<AwardRow>(&key) => rows.get::<AwardRow>(&key)?.and_then(|row| row.customer),
            _ => None,
        };
        customer.into_iter().for_each(|customer| reads.row::<PointsRow>(&(customer,)));
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<AwardInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<PointsFact>,
    ) -> Result<(), StageError> {
        let Some(purchase) = purchase_of(&event.fact) else { return Ok(()) };
        let before = rows.get::<AwardRow>(&(purchase.clone(),))?;
        let mut award =
            before.unwrap_or(AwardRow { purchase: purchase.clone(), customer: None, pieces: 0, is_paid: false });
        match &event.fact {
            AwardInput::PurchaseConfirmed(confirmed) => {
                award.customer = Some(confirmed.customer.clone());
                award.pieces = confirmed.lines.iter().map(|line| u64::from(line.quantity.get())).sum();
            }
            AwardInput::PaymentPosted(_) => award.is_paid = true,
            AwardInput::Other(_) => {}
        }
        rows.put(&award)?;
        match award.customer {
            Some(customer) if award.is_paid => give(purchase, customer, award.pieces, rows, out),
            Some(_) | None => Ok(()),
        }
    }
}

fn purchase_of(fact: &AwardInput) -> Option<&RequestId> {
    match fact {
        AwardInput::PurchaseConfirmed(PurchaseConfirmed { purchase, .. })
        | AwardInput::PaymentPosted(PaymentPosted { purchase, .. }) => Some(purchase),
        AwardInput::Other(_) => None,
    }
}

fn give(
    purchase: &RequestId,
    customer: CustomerId,
    points: u64,
    rows: &mut WorkingSet,
    out: &mut Outputs<PointsFact>,
) -> Result<(), StageError> {
    let before = rows.get::<PointsRow>(&(customer.clone(),))?.map_or(0, |row| row.total);
    let total = before + points;
    rows.put(&PointsRow { customer: customer.clone(), total })?;
    let key = AccountId::of_customer(&customer).key();
    let fact = PointsAwarded { purchase: purchase.clone(), customer, points, total };
    out.emit(&POINTS, key, PointsFact::PointsAwarded(fact))
}

#[cfg(test)]
mod tests;
