//! What the kept lines of a purchase are worth. Refunds are differences of two such values, so their sum is exact,
//! however each of them was rounded.

use contracts::{PurchasePlan, Reason};
use money::{Invalid, Money, Percent, WeightedTotal};
use serde::{Deserialize, Serialize};

use super::{Dropped, Settlement};

/// An amount of a purchase on both sides of its conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paid {
    /// What the customer pays, in the currency that the customer pays in.
    pub charged: Money,
    /// What the seller gets, in the currency of the prices.
    pub total: Money,
}

impl Paid {
    /// How much it is above another amount of the same purchase, on both sides. `None` if it is equal.
    pub fn above(self, value: Self) -> Option<(Money, Money)> {
        let difference = self.charged.minus(value.charged).zip(self.total.minus(value.total));
        difference.filter(|(charged, total)| !charged.amount().is_zero() || !total.amount().is_zero())
    }
}

/// Money to return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// What the customer gets back.
    pub credit: Money,
    /// What the seller gives back.
    pub of_total: Money,
    /// A voucher beside it.
    pub voucher: Option<Money>,
    /// Why.
    pub reason: Reason,
}

impl Settlement {
    /// The value of what is kept; none if the terms are not known.
    ///
    /// # Errors
    /// [`Invalid`] when the terms contradict themselves.
    pub fn kept_value(&self) -> Result<Option<Paid>, Invalid> {
        self.plan.as_ref().map(|plan| self.value(plan)).transpose()
    }

    /// The value of what is kept, and of the share of cancelled lines that is not returned: summed exactly, converted
    /// once, rounded once.
    pub(super) fn value(&self, plan: &PurchasePlan) -> Result<Paid, Invalid> {
        let mut value = WeightedTotal::zero(plan.total.currency());
        for (number, line) in plan.numbered() {
            let percent = match self.dropped.get(&number) {
                None => Percent::ALL,
                Some(Dropped::Cancelled(returned)) => returned.rest(),
                Some(Dropped::Refused | Dropped::Lost | Dropped::Released) => Percent::ZERO,
            };
            value.add_line(line.quantity(), line.unit_price(), percent)?;
        }
        let charged = plan.conversion.apply_weighted_round_half_even(&value, plan.charged.currency())?;
        Ok(Paid { charged, total: value.round_half_even() })
    }
}
