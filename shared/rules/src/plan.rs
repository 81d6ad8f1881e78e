//! The terms that a purchase is settled by.

use chrono::{DateTime, Utc};
use contracts::{Constraint, LineSold, OfferTerms, PlannedLine, PurchasePlan, PurchaseRequest};

use crate::Charge;

/// The plan of a purchase with this price. `offers` are the terms of each line's offer.
pub fn plan(
    request: &PurchaseRequest,
    offers: &[&OfferTerms],
    charge: &Charge,
    occurred_at: DateTime<Utc>,
) -> PurchasePlan {
    let is_strict = |terms: &&OfferTerms| terms.capacity.is_some() && terms.constraint == Constraint::Strict;
    PurchasePlan {
        customer: request.customer.clone(),
        occurred_at,
        total: charge.total,
        charged: charge.charged,
        conversion: charge.conversion.clone(),
        is_strict: offers.iter().any(is_strict),
        partial: request.partial,
        lines: charge.lines.iter().zip(offers).map(|(sold, terms)| planned(sold.clone(), terms)).collect(),
    }
}

/// A sold line with those terms of its offer that matter later.
pub fn planned(sold: LineSold, terms: &OfferTerms) -> PlannedLine {
    PlannedLine {
        sold,
        is_limited: terms.capacity.is_some(),
        voucher_percent: terms.voucher_percent,
        cancellation: terms.cancellation,
        service_date: terms.service_date,
    }
}
