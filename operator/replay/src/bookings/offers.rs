//! The offers of the nights.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Compensation, Offer, OfferTerms, Sku};
use futures_util::{StreamExt, TryStreamExt, stream};
use money::{Currency, Percent, UnitPrice};
use operator_client::{IN_FLIGHT, ServiceClient, ServiceError};

use super::nights::{Booking, Night, terms};
use super::rules::Rules;
use crate::arguments::WhenSoldOut;

/// The price of a night that no booking sets itself.
const LIST_PRICE: &str = "100.00";

/// Why the offers could not be set.
#[derive(Debug, thiserror::Error)]
pub enum OffersError {
    /// The bookings were replayed before, with other rules.
    #[error(
        "{sku} is already offered on other terms; replay into new data (make clean-data), or with the same options"
    )]
    Other {
        /// The first product with other terms.
        sku: Sku,
    },
    /// The service is unavailable, or refuses a request.
    #[error("stopped while setting offers, before any booking; run it again to continue")]
    Service(#[from] ServiceError),
}

/// All nights that somebody books.
pub fn nights(bookings: &[Booking]) -> BTreeSet<Night> {
    bookings.iter().flat_map(Booking::nights).collect()
}

/// Offers the nights, and returns the number of offers that had to be set. If one of them is there with other terms,
/// nothing is set.
///
/// # Errors
/// [`OffersError`].
pub async fn set(purchase: &ServiceClient, rules: &Rules, nights: &BTreeSet<Night>) -> Result<u64, OffersError> {
    let wanted: BTreeMap<Sku, OfferTerms> = nights.iter().map(|night| (night.sku(), offer(rules, *night))).collect();
    let missing: Vec<_> = stream::iter(&wanted)
        .map(async |(sku, terms)| match purchase.get::<Offer>(&path(sku)).await? {
            None => Ok(Some((sku, terms))),
            Some(offer) if offer.terms == *terms => Ok(None),
            Some(_) => Err(OffersError::Other { sku: sku.clone() }),
        })
        .buffer_unordered(IN_FLIGHT)
        .try_filter_map(async |missing| Ok(missing))
        .try_collect()
        .await?;
    let set = stream::iter(&missing).map(async |(sku, terms)| purchase.put(&path(sku), terms).await);
    set.buffer_unordered(IN_FLIGHT).try_for_each(async |()| Ok(())).await?;
    Ok(missing.len() as u64)
}

/// The path of an offer.
pub fn path(sku: &Sku) -> String {
    format!("/offers/{}", web::segment::encode(sku.as_str()))
}

fn offer(rules: &Rules, night: Night) -> OfferTerms {
    let price = match UnitPrice::parse(LIST_PRICE, Currency::EUR) {
        Ok(price) => price,
        Err(error) => unreachable!("the list price is valid: {error}"),
    };
    let compensation = rules.compensation.iter().map(|step| match step {
        WhenSoldOut::BackOrder => Compensation::BackOrder,
        WhenSoldOut::Refund => Compensation::Refund,
    });
    OfferTerms {
        capacity: Some(rules.rooms.of(night)),
        constraint: rules.strict.constraint(night),
        overbooking_percent: rules.overbooking,
        voucher_percent: Percent::new(rules.voucher).unwrap_or_default(),
        open_price: true,
        compensation: compensation.collect(),
        service_date: Some(night.date),
        cancellation: terms(),
        ..OfferTerms::unlimited(price)
    }
}
