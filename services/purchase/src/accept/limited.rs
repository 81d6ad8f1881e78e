//! Purchases with limited stock: the plan they are settled by, and the claims of their lines.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::{
    ALLOCATIONS, AccountId, ClaimedLine, Compensation, Constraint, Fact, LINES, LadderStep, OfferTerms, PurchasePlaced,
    PurchasePlan, Reason, ReasonCode, Sku, StockClaimed,
};
use rules::Charge;
use stage::{Key, Outputs, Partition, RequestId, StageError, WorkingSet};

use super::capture::is_refused_by_sight;
use super::{CapturedVersions, OfferRow, SubmitPurchase};

/// The maximum number of lines of a purchase with limited stock. Each decision about one of them rewrites the state of
/// the whole purchase.
pub(super) const LIMITED_LINES_MAX: usize = 200;

/// A purchase with limited stock.
pub(super) struct Limited {
    plan: PurchasePlan,
    claims: Vec<ClaimedLine>,
    /// The limits of the products whose lines are refused as soon as their stock can be seen to be gone.
    limits: BTreeMap<Sku, u64>,
}

impl Limited {
    /// What a purchase needs of limited stock. `None` if all of it is unlimited.
    pub fn of(
        submission: &SubmitPurchase,
        captured: &CapturedVersions,
        offers: &[Option<OfferTerms>],
        charge: &Charge,
        occurred_at: DateTime<Utc>,
        rows: &WorkingSet,
    ) -> Result<Option<Self>, StageError> {
        let offers: Vec<_> = offers.iter().flatten().collect();
        if offers.iter().all(|terms| terms.capacity.is_none()) {
            return Ok(None);
        }
        let plan = rules::plan(&submission.request, &offers, charge, occurred_at);
        let (mut claims, mut limits) = (Vec::new(), BTreeMap::new());
        for ((number, line), (terms, version)) in plan.numbered().zip(offers.iter().zip(&captured.offers)) {
            if line.is_limited && plan.lines.len() <= LIMITED_LINES_MAX {
                let ladder = ladder(&line.sold.sku, *version, terms, captured, rows)?;
                claims.push(ClaimedLine { line: number, quantity: line.quantity(), step: 0, ladder });
            }
            if let Some(limit) = terms.limit().filter(|_| is_refused_by_sight(terms)) {
                limits.insert(line.sold.sku.clone(), limit);
            }
        }
        Ok(Some(Self { plan, claims, limits }))
    }

    /// Whether its stock is allocated before it is charged.
    pub fn is_strict(&self) -> bool {
        self.plan.is_strict
    }

    /// How its stock is allocated.
    pub fn constraint(&self) -> Constraint {
        if self.plan.is_strict { Constraint::Strict } else { Constraint::Loose }
    }

    /// Why a purchase is refused before anybody allocates for it.
    pub fn refusal(&self, captured: &CapturedVersions) -> Option<Reason> {
        let lines = self.plan.lines.len();
        if lines > LIMITED_LINES_MAX {
            let detail = format!("{lines} lines; a purchase with limited stock may have {LIMITED_LINES_MAX}");
            return Some(Reason { code: ReasonCode::TooManyLines, detail });
        }
        self.refused_by_sight(captured)
    }

    /// Why a loose purchase is refused although its stock was not asked for: what could be seen of it is not enough.
    /// One that takes some of its lines is not refused.
    fn refused_by_sight(&self, captured: &CapturedVersions) -> Option<Reason> {
        if self.plan.is_strict || self.plan.partial {
            return None;
        }
        let mut wanted = BTreeMap::new();
        for (_, line) in self.plan.numbered() {
            *wanted.entry(&line.sold.sku).or_insert(0) += u64::from(line.quantity().get());
        }
        let gone = self.limits.iter().find(|(sku, limit)| {
            let allocated = captured.allocated.get(*sku).copied().unwrap_or_default();
            allocated + wanted.get(sku).copied().unwrap_or_default() > **limit
        });
        gone.map(|(sku, _)| Reason { code: ReasonCode::SoldOut, detail: format!("{sku} is sold out") })
    }

    /// Publishes the plan to who settles the purchase, and the claims to who allocates, one fact for each partition.
    pub fn publish(self, purchase: &RequestId, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        let (is_strict, whole) = (self.plan.is_strict, !self.plan.partial);
        let customer = self.plan.customer.clone();
        let mut by_partition: BTreeMap<Partition, (Key, Vec<ClaimedLine>)> = BTreeMap::new();
        for claim in self.claims {
            let Some(step) = claim.ladder.first() else { continue };
            let key = Key(step.sku.to_string());
            by_partition.entry(out.partition_of(&key)).or_insert_with(|| (key, Vec::new())).1.push(claim);
        }
        for (key, lines) in by_partition.into_values() {
            let (purchase, customer) = (purchase.clone(), customer.clone());
            let claimed = StockClaimed { purchase, customer, whole, descends: !is_strict, lines };
            out.emit(&ALLOCATIONS, key, Fact::StockClaimed(claimed))?;
        }
        let placed = PurchasePlaced { purchase: purchase.clone(), plan: self.plan };
        out.emit(&LINES, AccountId::of_customer(&customer).key(), Fact::PurchasePlaced(placed))
    }
}

/// What is tried for a line, by the captured terms. A refund is what remains when no step is left.
fn ladder(
    sku: &Sku,
    version: u64,
    terms: &OfferTerms,
    captured: &CapturedVersions,
    rows: &WorkingSet,
) -> Result<Vec<LadderStep>, StageError> {
    let own = LadderStep { sku: sku.clone(), version, limit: terms.limit(), waits: false };
    let mut ladder = vec![own.clone()];
    for step in &terms.compensation {
        match step {
            Compensation::Refund => {}
            Compensation::BackOrder => ladder.push(LadderStep { waits: true, ..own.clone() }),
            Compensation::Upgrade(to) => {
                let version = captured.upgrades.get(to).copied().unwrap_or_default();
                let offer = rows.get::<OfferRow>(&(to.clone(), version))?;
                let offer = offer.ok_or_else(|| StageError::Rule(format!("{to} has no version {version}")))?;
                ladder.push(LadderStep { sku: to.clone(), version, limit: offer.terms.limit(), waits: false });
            }
        }
    }
    Ok(ladder)
}
