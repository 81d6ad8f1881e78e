//! Invariants over all rows of the service, no matter who wrote them: every confirmed purchase has at most one outcome
//! (exactly one, once all facts are read), and there is no outcome without a confirmed purchase.

mod returns;
mod stocks;

use std::collections::BTreeSet;

use stage::{Quiescence, RequestId, Violation};

use crate::accept::PurchaseRow;
use crate::settle::OutcomeRow;

pub use self::returns::Returns;
pub use self::stocks::Stocks;

/// Matches purchases and outcomes. Each purchase must be added before its outcome.
#[derive(Debug, Default)]
pub struct Outcomes {
    in_flight: BTreeSet<RequestId>,
    violations: Vec<Violation>,
}

impl Outcomes {
    /// Adds a purchase. A rejected one already has its outcome.
    pub fn purchase(&mut self, row: &PurchaseRow) {
        if row.reason_code.is_none() {
            self.in_flight.insert(row.request_id.clone());
        }
    }

    /// Adds an outcome.
    pub fn outcome(&mut self, row: &OutcomeRow) {
        if !self.in_flight.remove(&row.purchase) {
            let what = format!("is {}, but no confirmed purchase waits for it", row.status);
            self.violations.push(Violation { place: format!("outcome {}", row.purchase), what });
        }
    }

    /// The number of purchases without an outcome.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The violations, once all rows are added.
    pub fn close(mut self, quiescence: Quiescence) -> Vec<Violation> {
        if quiescence == Quiescence::Reached {
            let what = "is confirmed but has no outcome, although nothing is in flight";
            let open = |purchase| Violation { place: format!("purchase {purchase}"), what: what.to_owned() };
            self.violations.extend(std::mem::take(&mut self.in_flight).into_iter().map(open));
        }
        self.violations
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use contracts::{ReasonCode, Status};
    use stage::{BatchNumber, Partition};

    use super::*;

    fn purchase(id: &str, reason_code: Option<ReasonCode>) -> PurchaseRow {
        PurchaseRow {
            request_id: RequestId(id.into()),
            content_hash: String::new(),
            customer: "1".parse().unwrap(),
            pay_in: "EUR".parse().unwrap(),
            occurred_at: DateTime::UNIX_EPOCH,
            reason_code,
            reason_detail: None,
            total: None,
            price_currency: None,
            charged: None,
            conversion: None,
            lines: Vec::new(),
            offers: Vec::new(),
            constraint: None,
            partial: false,
            batch: BatchNumber(2),
        }
    }

    fn check(outcomes: &[&str], quiescence: Quiescence, expected: &[&str]) {
        let mut all = Outcomes::default();
        all.purchase(&purchase("sold", None));
        all.purchase(&purchase("refused", Some(ReasonCode::StaleRate)));
        for id in outcomes {
            let purchase = RequestId((*id).into());
            all.outcome(&OutcomeRow {
                purchase,
                status: Status::Settled,
                reason_code: None,
                reason_detail: None,
                partition: Partition(0),
                batch: BatchNumber(1),
            });
        }
        let places: Vec<_> = all.close(quiescence).into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn each_confirmed_purchase_has_one_outcome() {
        check(&["sold"], Quiescence::Reached, &[]);
        check(&[], Quiescence::Pending, &[]);
        check(&[], Quiescence::Reached, &["purchase sold"]);
        check(&["sold", "sold"], Quiescence::Reached, &["outcome sold"]);
    }

    #[test]
    fn there_is_no_outcome_without_a_confirmed_purchase() {
        check(&["sold", "refused"], Quiescence::Reached, &["outcome refused"]);
        check(&["sold", "nobody's"], Quiescence::Pending, &["outcome nobody's"]);
    }
}
