//! The offers that the purchases need, each with an open price: in that year nearly every product has several prices.

use std::collections::BTreeMap;

use contracts::{Offer, OfferTerms, Sku};
use futures_util::{StreamExt, TryStreamExt, stream};
use money::UnitPrice;
use operator_client::{IN_FLIGHT, ServiceClient, ServiceError};

/// Makes sure that every product in `wanted` has a suitable offer, and returns the number of offers that had to be set.
/// A suitable offer stays as it is, so running again changes nothing.
///
/// # Errors
/// [`ServiceError`].
pub async fn set(purchase: &ServiceClient, wanted: &BTreeMap<Sku, UnitPrice>) -> Result<u64, ServiceError> {
    stream::iter(wanted)
        .map(|(sku, price)| set_one(purchase, sku, *price))
        .buffer_unordered(IN_FLIGHT)
        .try_fold(0, async |count, set| Ok(count + set))
        .await
}

async fn set_one(purchase: &ServiceClient, sku: &Sku, price: UnitPrice) -> Result<u64, ServiceError> {
    let path = format!("/offers/{}", web::segment::encode(sku.as_str()));
    let there = purchase.get::<Offer>(&path).await?;
    if there.is_some_and(|offer| serves(&offer.terms, price)) {
        return Ok(0);
    }
    let terms = OfferTerms { open_price: true, ..OfferTerms::unlimited(price) };
    purchase.put(&path, &terms).await.map(|()| 1)
}

fn serves(terms: &OfferTerms, price: UnitPrice) -> bool {
    terms.open_price && terms.capacity.is_none() && terms.price.currency() == price.currency()
}
