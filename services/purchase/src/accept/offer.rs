//! Setting offers, and taking lost pieces out of them.

use contracts::{ALLOCATIONS, Compensation, Fact, OfferTerms, Sku, StockLimited};
use stage::{Key, Outputs, ReadSet, RequestId, StageError, WorkingSet};

use super::{OfferHeadRow, OfferRow, RecallRow, RecallStock, Reply, SetOffer};

/// The number of the current version of an offer; 0 if there is none.
pub(super) fn head(sku: &Sku, rows: &WorkingSet) -> Result<u64, StageError> {
    Ok(rows.get::<OfferHeadRow>(&(sku.clone(),))?.map_or(0, |head| head.version))
}

/// The current version of an offer, if it is loaded already.
pub(super) fn current(sku: &Sku, rows: &WorkingSet) -> Result<Option<OfferRow>, StageError> {
    if !rows.is_loaded::<OfferHeadRow>(&(sku.clone(),)) {
        return Ok(None);
    }
    let key = (sku.clone(), head(sku, rows)?);
    if rows.is_loaded::<OfferRow>(&key) { rows.get::<OfferRow>(&key) } else { Ok(None) }
}

/// Reads the number of the current version first, then that version.
pub(super) fn reads(sku: &Sku, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
    reads.row::<OfferHeadRow>(&(sku.clone(),));
    if rows.is_loaded::<OfferHeadRow>(&(sku.clone(),)) {
        reads.row::<OfferRow>(&(sku.clone(), head(sku, rows)?));
    }
    Ok(())
}

/// The products that the steps of a ladder upgrade to, each with its place in the ladder.
pub(super) fn upgrades(terms: &OfferTerms) -> impl Iterator<Item = (usize, &Sku)> {
    terms.compensation.iter().enumerate().filter_map(|(at, step)| match step {
        Compensation::Upgrade(sku) => Some((at, sku)),
        Compensation::BackOrder | Compensation::Refund => None,
    })
}

/// Reads the current version of an offer and of those that it upgrades to. A purchase in the same batch may need them.
pub(super) fn reads_with_upgrades(sku: &Sku, rows: &WorkingSet, set: &mut ReadSet) -> Result<(), StageError> {
    reads(sku, rows, set)?;
    current(sku, rows)?.map_or(Ok(()), |offer| upgrade_reads(&offer.terms, rows, set))
}

/// Reads the current versions of the offers that these terms upgrade to.
pub(super) fn upgrade_reads(terms: &OfferTerms, rows: &WorkingSet, set: &mut ReadSet) -> Result<(), StageError> {
    upgrades(terms).try_for_each(|(_, sku)| reads(sku, rows, set))
}

/// Sets the terms. Setting the same terms again changes nothing.
pub(super) fn set(request: &SetOffer, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<Reply, StageError> {
    for (at, sku) in upgrades(&request.terms) {
        if head(sku, rows)? == 0 {
            return Ok(Reply::UnknownUpgrade(at));
        }
    }
    let before = current(&request.sku, rows)?;
    if let Some(offer) = before.as_ref().filter(|offer| offer.terms == request.terms) {
        return Ok(Reply::Offer(offer.clone()));
    }
    let is_limited = |terms: &OfferTerms| terms.capacity.is_some();
    let concerns_stock = is_limited(&request.terms) || before.is_some_and(|offer| is_limited(&offer.terms));
    let offer = next_version(&request.sku, request.terms.clone(), rows)?;
    if concerns_stock {
        limit(&offer, false, out)?;
    }
    Ok(Reply::Offer(offer))
}

/// Takes lost pieces out of an offer, in a new version. What is allocated above what is left is taken back.
pub(super) fn recall(
    request: &RecallStock,
    request_id: &RequestId,
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<Reply, StageError> {
    if let Some(recall) = rows.get::<RecallRow>(&(request_id.clone(),))? {
        let is_same = recall.sku == request.sku && recall.quantity == request.quantity;
        return Ok(if is_same { Reply::Recall(recall) } else { Reply::Conflict });
    }
    let Some(OfferRow { terms, .. }) = current(&request.sku, rows)? else { return Ok(Reply::UnknownOffer) };
    let left = terms.capacity.and_then(|capacity| capacity.checked_sub(request.quantity));
    let Some(left) = left else { return Ok(Reply::RecallAboveCapacity(terms.capacity)) };
    let offer = next_version(&request.sku, OfferTerms { capacity: Some(left), ..terms }, rows)?;
    limit(&offer, true, out)?;
    let (sku, quantity, version) = (offer.sku, request.quantity, offer.version);
    let recall = RecallRow { request_id: request_id.clone(), sku, quantity, version };
    rows.insert(&recall)?;
    Ok(Reply::Recall(recall))
}

fn next_version(sku: &Sku, terms: OfferTerms, rows: &mut WorkingSet) -> Result<OfferRow, StageError> {
    let offer = OfferRow { sku: sku.clone(), version: head(sku, rows)? + 1, terms };
    rows.insert(&offer)?;
    rows.put(&OfferHeadRow { sku: sku.clone(), version: offer.version })?;
    Ok(offer)
}

fn limit(offer: &OfferRow, is_recall: bool, out: &mut Outputs<Fact>) -> Result<(), StageError> {
    let OfferRow { sku, version, terms } = offer;
    let limited = StockLimited { sku: sku.clone(), version: *version, limit: terms.limit(), is_recall };
    out.emit(&ALLOCATIONS, Key(sku.to_string()), Fact::StockLimited(limited))
}
