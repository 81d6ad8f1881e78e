//! Returns: what each gives back is worth its lines, and the ledger has posted that amount at most once (exactly once,
//! when all facts are read). No refund is posted without an accepted return.

use std::collections::BTreeMap;

use money::{Amount, Currency, Total};
use stage::{Quiescence, RequestId, Violation};

use crate::accept::ReturnRow;
use crate::settle::ReturnOutcomeRow;

/// Matches returns and posted refunds. Each return must be added before its refund.
#[derive(Debug, Default)]
pub struct Returns {
    /// The amounts that are not posted yet.
    in_flight: BTreeMap<RequestId, (Amount, Currency)>,
    violations: Vec<Violation>,
}

impl Returns {
    /// Adds a return. A rejected one moves no money.
    pub fn returned(&mut self, row: &ReturnRow) {
        if row.reason_code.is_some() {
            return;
        }
        match value(row) {
            Some((total, refunded)) if row.total == Some(total) && row.refunded == Some(refunded) => {
                self.in_flight.insert(row.request_id.clone(), (refunded, row.pay_in));
            }
            _ => self.wrong(format!("return {}", row.request_id), "is not worth its lines".to_owned()),
        }
    }

    /// Adds a posted refund.
    pub fn posted(&mut self, row: &ReturnOutcomeRow) {
        let place = format!("refund of return {}", row.return_id);
        match self.in_flight.remove(&row.return_id) {
            None => self.wrong(place, "is posted, but no accepted return waits for it".to_owned()),
            Some(accepted) if accepted == (row.credit, row.currency) => {}
            Some((amount, currency)) => {
                let what = format!("is posted as {} {}, but accepted as {amount} {currency}", row.credit, row.currency);
                self.wrong(place, what);
            }
        }
    }

    /// The violations, once all rows are added.
    pub fn close(mut self, quiescence: Quiescence) -> Vec<Violation> {
        if quiescence == Quiescence::Reached {
            for id in std::mem::take(&mut self.in_flight).into_keys() {
                self.wrong(
                    format!("return {id}"),
                    "is accepted but not refunded, although nothing is in flight".to_owned(),
                );
            }
        }
        self.violations
    }

    fn wrong(&mut self, place: String, what: String) {
        self.violations.push(Violation { place, what });
    }
}

/// What the lines are worth: to the seller, and to the customer by the stored conversion.
fn value(row: &ReturnRow) -> Option<(Amount, Amount)> {
    let mut total = Total::zero(row.price_currency?);
    for line in &row.lines {
        total.add_line(line.quantity, line.unit_price?).ok()?;
    }
    let refunded = row.conversion.as_ref()?.apply_round_half_even(&total, row.pay_in).ok()?;
    Some((total.round_half_even().amount(), refunded.amount()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use contracts::ReasonCode;
    use money::Conversion;
    use stage::{BatchNumber, Partition};

    use super::*;

    fn accepted(id: &str, total: &str) -> ReturnRow {
        let lines = r#"[{"sku":"A","quantity":3,"unit_price":{"amount":"1.25","currency":"EUR"}}]"#;
        let eur = "EUR".parse().unwrap();
        ReturnRow {
            request_id: RequestId(id.into()),
            content_hash: String::new(),
            customer: "1".parse().unwrap(),
            pay_in: eur,
            occurred_at: DateTime::UNIX_EPOCH,
            reason_code: None,
            reason_detail: None,
            total: Some(total.parse().unwrap()),
            price_currency: Some(eur),
            refunded: Some("3.75".parse().unwrap()),
            conversion: Some(Conversion::Same),
            lines: serde_json::from_str(lines).unwrap(),
            batch: BatchNumber(2),
        }
    }

    fn rejected(id: &str) -> ReturnRow {
        let reason_code = Some(ReasonCode::StaleRate);
        let (total, price_currency, refunded, conversion) = (None, None, None, None);
        ReturnRow { reason_code, total, price_currency, refunded, conversion, ..accepted(id, "3.75") }
    }

    /// Expects violations at these places. A refund is an id and an amount.
    fn check(total: &str, refunds: &[(&str, &str)], quiescence: Quiescence, expected: &[&str]) {
        let mut all = Returns::default();
        all.returned(&accepted("back", total));
        all.returned(&rejected("refused"));
        for (id, credit) in refunds {
            all.posted(&ReturnOutcomeRow {
                return_id: RequestId((*id).into()),
                credit: credit.parse().unwrap(),
                currency: "EUR".parse().unwrap(),
                partition: Partition(0),
                batch: BatchNumber(1),
            });
        }
        let places: Vec<_> = all.close(quiescence).into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn each_accepted_return_is_refunded_once() {
        check("3.75", &[("back", "3.75")], Quiescence::Reached, &[]);
        check("3.75", &[], Quiescence::Pending, &[]);
        check("3.75", &[], Quiescence::Reached, &["return back"]);
        check("3.75", &[("back", "3.75"), ("back", "3.75")], Quiescence::Reached, &["refund of return back"]);
        check("3.75", &[("back", "3.75"), ("refused", "3.75")], Quiescence::Reached, &["refund of return refused"]);
    }

    #[test]
    fn the_ledger_posts_what_was_accepted() {
        check("3.75", &[("back", "3.76")], Quiescence::Reached, &["refund of return back"]);
    }

    #[test]
    fn a_return_is_worth_its_lines() {
        check("3.76", &[], Quiescence::Reached, &["return back"]);
    }
}
