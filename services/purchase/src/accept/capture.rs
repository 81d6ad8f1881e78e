//! The versions of everything that a purchase or a return is priced and judged with, fixed once.

use std::collections::BTreeMap;

use contracts::{Compensation, Constraint, LineRequest, OfferTerms, PurchaseRequest, Sku};
use money::RateVersion;
use stage::{ReadSet, StageError, WorkingSet};

use super::limited::LIMITED_LINES_MAX;
use super::{CapturedVersions, OfferRow, offer};
use crate::allocate::StockRow;

/// Reads the current offer of each line, those it may be upgraded to, and the stock that decides at once.
pub(super) fn reads(request: &PurchaseRequest, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
    for line in &request.lines {
        offer::reads(&line.sku, rows, reads)?;
        if !may_be_limited(request) {
            continue;
        }
        offer::reads_with_upgrades(&line.sku, rows, reads)?;
        let current = offer::current(&line.sku, rows)?;
        if current.is_some_and(|OfferRow { terms, .. }| is_refused_by_sight(&terms)) {
            reads.row::<StockRow>(&(line.sku.clone(),));
        }
    }
    Ok(())
}

/// Whether a purchase is small enough to have limited stock. A larger one is rejected, whatever the stock.
fn may_be_limited(request: &PurchaseRequest) -> bool {
    request.lines.len() <= LIMITED_LINES_MAX
}

/// Whether a purchase is refused at once if the visible stock is not enough. A line with another compensation may still
/// be served, and a strict offer is decided by its stock alone.
pub(super) fn is_refused_by_sight(terms: &OfferTerms) -> bool {
    let is_limited = terms.capacity.is_some();
    is_limited && terms.constraint == Constraint::Loose && terms.compensation == [Compensation::Refund]
}

impl CapturedVersions {
    /// The newest versions.
    pub(super) fn of(request: &PurchaseRequest, rates: RateVersion, rows: &WorkingSet) -> Result<Self, StageError> {
        let (mut offers, mut upgrades, mut allocated) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for line in &request.lines {
            let current = offer::current(&line.sku, rows)?;
            offers.push(current.as_ref().map_or(0, |offer| offer.version));
            let terms = current.map(|offer| offer.terms);
            let Some(terms) = terms.filter(|terms| terms.capacity.is_some() && may_be_limited(request)) else {
                continue;
            };
            for (_, sku) in offer::upgrades(&terms) {
                upgrades.insert(sku.clone(), offer::head(sku, rows)?);
            }
            let key = (line.sku.clone(),);
            // It is not loaded if the offer was changed earlier in this batch. Then nothing can be seen of it.
            if is_refused_by_sight(&terms)
                && rows.is_loaded::<StockRow>(&key)
                && let Some(stock) = rows.get::<StockRow>(&key)?
            {
                allocated.insert(line.sku.clone(), stock.allocated);
            }
        }
        Ok(Self { rates, offers, upgrades, allocated })
    }

    /// The newest versions of the offers of these lines, whatever their stock.
    pub(super) fn of_lines(lines: &[LineRequest], rates: RateVersion, rows: &WorkingSet) -> Result<Self, StageError> {
        let offers = lines.iter().map(|line| offer::head(&line.sku, rows)).collect::<Result<_, _>>()?;
        Ok(Self { rates, offers, upgrades: BTreeMap::new(), allocated: BTreeMap::new() })
    }

    /// The terms of each line's offer.
    pub(super) fn terms(
        &self,
        lines: &[LineRequest],
        rows: &WorkingSet,
    ) -> Result<Vec<Option<OfferTerms>>, StageError> {
        let (wanted, versions) = (lines.len(), self.offers.len());
        if wanted != versions {
            return Err(StageError::Rule(format!("{wanted} lines, but captured versions of {versions} offers")));
        }
        let terms = |key| Ok(rows.get::<OfferRow>(&key)?.map(|offer| offer.terms));
        self.rows(lines).take(wanted).map(terms).collect()
    }

    /// The keys of all offers it names.
    pub(super) fn rows(&self, lines: &[LineRequest]) -> impl Iterator<Item = (Sku, u64)> {
        let versions = self.offers.iter().copied().chain(std::iter::repeat(0));
        let lines = lines.iter().zip(versions).map(|(line, version)| (line.sku.clone(), version));
        lines.chain(self.upgrades.iter().map(|(sku, version)| (sku.clone(), *version)))
    }
}
