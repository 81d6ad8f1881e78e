//! Checks of how purchases are settled: each gets one outcome, a strict one is charged for what it has, and what was paid
//! is what is kept, to the last cent, in `purchase` and in `ledger`.

use std::collections::BTreeSet;

use contracts::{ReasonCode, Status};
use money::{Amount, Currency};
use purchase::settle::{OutcomeRow, SettlementRow, What};
use rules::{Cancellation, Dropped};
use serde_json::Value;
use stage::{FrameRange, Record, RequestId};

use super::Checks;
use crate::simulation::coverage::Hit;
use crate::simulation::model::{self, Priced, Purchase, half_even, minor_units, terms, units};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

/// The facts after which a purchase may be settled.
const ABOUT_PURCHASES: [&str; 5] =
    ["PaymentPosted", "PaymentRefused", "PurchasePlaced", "LinesDecided", "CancellationRequested"];

impl Checks {
    /// Checks what a batch of `settle` wrote.
    pub(super) fn settled(&mut self, record: &Record, ranges: &[FrameRange], scene: &mut Scene<'_>) -> Checked {
        let mut touched = BTreeSet::new();
        for fact in self.facts_of(ranges) {
            let kind = fact["type"].as_str().unwrap_or_default();
            if !ABOUT_PURCHASES.contains(&kind) {
                continue;
            }
            let id = model::text(&fact["data"]["purchase"])?;
            let is_paid = kind.starts_with("Payment") && fact["data"]["is_limited"] != true;
            touched.insert((id, is_paid));
        }
        for (id, is_paid) in touched {
            let key = (RequestId(id.clone()),);
            let store = &self.stores.purchase;
            let outcome = now(store.get::<OutcomeRow>(&key)).map_err(|error| stopped(&error))?;
            let settlement = now(store.get::<SettlementRow>(&key)).map_err(|error| stopped(&error))?;
            ensure!(outcome.is_some() || !is_paid, Outcomes, "{id} was settled and has no outcome");
            let Some(purchase) = self.model.purchases.get(&id).cloned() else {
                ensure!(false, Outcomes, "{id} was settled and is unknown");
                continue;
            };
            if let Some(row) = settlement {
                self.settlement(&id, &purchase, &row, scene)?;
            }
            if let Some(row) = outcome {
                self.outcome(&id, &purchase, row, record, scene)?;
                self.paid_what_it_kept(&id, &purchase)?;
            }
        }
        Ok(())
    }

    /// Checks an outcome: it can be so, and stays as it is.
    fn outcome(
        &mut self,
        id: &str,
        purchase: &Purchase,
        row: OutcomeRow,
        record: &Record,
        scene: &mut Scene<'_>,
    ) -> Checked {
        if let Some(known) = self.outcomes.get(id) {
            ensure!(*known == row, Outcomes, "the outcome of {id} was {known:?} and is {row:?}");
            return Ok(());
        }
        let decided = self.model.ledger.decided.get(&("purchase", id.to_owned()));
        let refused = decided.map(|decided| decided.refused);
        let code = row.reason_code.map(|code| code.to_string());
        let is_charged = self.confirmed(id).is_some();
        let can_be = match (row.status, code.as_deref()) {
            (Status::Settled, None) => refused == Some(None) && self.has_what_it_needs(id, purchase),
            (Status::Rejected, Some("sold_out")) => purchase.is_strict() && !is_charged,
            (Status::Rejected, Some(code)) => refused.flatten() == Some(code),
            (Status::Compensated, Some("sold_out")) => purchase.is_limited() && refused == Some(None),
            _ => false,
        };
        ensure!(
            purchase.verdict.is_ok() && can_be,
            Outcomes,
            "{id} is {} ({code:?}), which it cannot be: its payment was {refused:?}",
            row.status
        );
        let named = (row.partition, row.batch) == (record.owner.partition, record.number);
        ensure!(named, Outcomes, "{id} names another batch than {} of {}", record.number, record.owner);
        self.cover_outcome(id, &row, scene);
        self.outcomes.insert(id.to_owned(), row);
        Ok(())
    }

    /// Whether the lines that were not refused are enough.
    fn has_what_it_needs(&self, id: &str, purchase: &Purchase) -> bool {
        let dropped = self.settlements.get(id).map(|row| &row.state.dropped);
        let refused = dropped.into_iter().flatten().filter(|(_, why)| **why == Dropped::Refused).count();
        refused == 0 || (purchase.is_partial() && refused < purchase.offers.len())
    }

    /// Checks the state of a purchase: what was decided before has not changed.
    fn settlement(&mut self, id: &str, purchase: &Purchase, row: &SettlementRow, scene: &mut Scene<'_>) -> Checked {
        let before = self.settlements.insert(id.to_owned(), row.clone());
        if let Some(before) = &before {
            let (old, new) = (&before.state, &row.state);
            let stays = old.dropped.iter().all(|(line, why)| new.dropped.get(line) == Some(why));
            ensure!(stays, Outcomes, "lines of {id} were dropped ({:?}) and are not any more", old.dropped);
            ensure!(row.corrections.starts_with(&before.corrections), Outcomes, "{id} has lost corrections: {row:?}");
            ensure!(old.outcome.is_none() || old.outcome == new.outcome, Outcomes, "{id} changed its outcome: {new:?}");
        }
        for (line, why) in &row.state.dropped {
            let Dropped::Cancelled(percent) = why else { continue };
            let at = self.model.cancellations.get(id);
            let terms = purchase.offers.get(*line as usize);
            let expected = at.zip(terms).and_then(|(at, terms)| terms::refund_percent(terms, *at));
            let same = expected == Some(u64::from(percent.get()));
            ensure!(same, Price, "line {line} of {id} gets back {percent}, not {expected:?}");
        }
        self.corrections_are_emitted(id, purchase, row)?;
        let had = before.as_ref().map_or(0, |before| before.corrections.len());
        for correction in row.corrections.iter().skip(had) {
            self.correction(id, purchase, row, &correction.what, scene)?;
        }
        Ok(())
    }

    /// Checks something new that happened to a purchase.
    fn correction(
        &self,
        id: &str,
        purchase: &Purchase,
        row: &SettlementRow,
        what: &What,
        scene: &mut Scene<'_>,
    ) -> Checked {
        let dropped = &row.state.dropped;
        match what {
            What::Charged(paid) => {
                scene.hit(Hit::ChargedStrict);
                ensure!(purchase.is_strict(), Outcomes, "{id} is loose, and was charged twice");
                for (line, terms) in (0..).zip(&purchase.offers) {
                    let is_limited = terms::is_limited(terms);
                    let has_stock = !is_limited || dropped.contains_key(&line) || self.had_stock(id, line);
                    ensure!(has_stock, Outcomes, "{id} is charged for line {line}, which never had stock");
                }
                let charged = (paid.total.amount(), paid.charged.amount());
                let expected = worth(purchase, Some(row));
                let charged = minor(charged.0, paid.total.currency()).zip(minor(charged.1, paid.charged.currency()));
                ensure!(charged == expected, Money, "{id} is charged {charged:?} for what is worth {expected:?}");
            }
            What::Refunded { credit, voucher, reason } => {
                if reason.code == ReasonCode::StockLost {
                    scene.hit(Hit::StockLost);
                }
                let credit = minor(credit.amount(), credit.currency()).unwrap_or_default();
                let voucher = voucher.and_then(|voucher| minor(voucher.amount(), voucher.currency()));
                let percents = purchase.offers.iter().filter_map(|terms| terms["voucher_percent"].as_i64());
                let mut possible = percents.map(|percent| half_even(credit * i128::from(percent), 100));
                let is_possible = voucher.is_none_or(|voucher| possible.any(|one| one == voucher));
                ensure!(is_possible, Money, "{id} got a voucher of {voucher:?} beside {credit}");
                if voucher.is_some() {
                    scene.hit(Hit::VoucherIssued);
                }
            }
            What::CancellationCompleted => {
                scene.hit(if purchase.is_limited() { Hit::Cancelled } else { Hit::CancelledUnlimited });
            }
            What::CancellationRejected => scene.hit(Hit::NothingToCancel),
        }
        let is_cancellation = matches!(what, What::CancellationCompleted | What::CancellationRejected);
        if is_cancellation && dropped.values().any(|why| *why == Dropped::Lost) {
            scene.hit(Hit::CancelledAfterRecall);
        }
        Ok(())
    }

    /// Checks that every charge and refund of a purchase is a fact, with the same amounts.
    fn corrections_are_emitted(&self, id: &str, purchase: &Purchase, row: &SettlementRow) -> Checked {
        let facts = self.facts.get(id).map(Vec::as_slice).unwrap_or_default();
        let count = |kind: &str| facts.iter().filter(|fact| fact["type"] == kind).count();
        let charged = usize::from(!purchase.is_strict() || row.charged().is_some());
        let confirmed = count("PurchaseConfirmed");
        ensure!(confirmed == charged, Outcomes, "{id} is charged {confirmed} times, not {charged} times");
        let refunded: Vec<_> = facts.iter().filter(|fact| fact["type"] == "PurchaseRefunded").collect();
        let returned = row.returned();
        let emitted: Vec<_> = refunded.iter().filter_map(|fact| amount(&fact["data"]["credit"])).collect();
        let noted: Vec<_> =
            returned.refunds.iter().filter_map(|credit| minor(credit.amount(), credit.currency())).collect();
        ensure!(emitted == noted, Money, "{id} has refunds {noted:?} and emitted {emitted:?}");
        let emitted: Vec<_> = refunded.iter().filter_map(|fact| amount(&fact["data"]["voucher"])).collect();
        let noted: Vec<_> =
            returned.vouchers.iter().filter_map(|voucher| minor(voucher.amount(), voucher.currency())).collect();
        ensure!(emitted == noted, Money, "{id} has vouchers {noted:?} and emitted {emitted:?}");
        Ok(())
    }

    /// Checks that a purchase with an outcome has paid what its kept lines are worth: what it was charged less its
    /// refunds, on both sides of its conversion.
    fn paid_what_it_kept(&self, id: &str, purchase: &Purchase) -> Checked {
        let (paid, expected) = (self.paid(id), self.expected(id, purchase));
        ensure!(expected == Some(paid), Money, "{id} has paid {paid:?} for what is worth {expected:?}");
        Ok(())
    }

    /// The purchases that have lost stock after their outcome, and are not cancelled.
    pub fn have_lost_stock(&self) -> Vec<String> {
        let has_lost = |row: &SettlementRow| row.state.dropped.values().any(|why| *why == Dropped::Lost);
        let rows = self.settlements.iter().filter(|(_, row)| row.state.cancellation.is_none() && has_lost(row));
        rows.map(|(id, _)| id.clone()).collect()
    }

    /// What a purchase was charged less its refunds, by its facts: for the seller and for the customer. A payment that
    /// was refused moved nothing.
    fn paid(&self, id: &str) -> (i128, i128) {
        let decided = self.model.ledger.decided.get(&("purchase", id.to_owned()));
        let is_posted = decided.is_some_and(|decided| decided.refused.is_none());
        let charge = self.confirmed(id).filter(|_| is_posted).map(|data| (&data["total"], &data["charged"]));
        let (total, charged) = charge.map_or((0, 0), |(total, charged)| {
            (amount(total).unwrap_or_default(), amount(charged).unwrap_or_default())
        });
        let facts = self.facts.get(id).map(Vec::as_slice).unwrap_or_default();
        let refunds = facts.iter().filter(|fact| fact["type"] == "PurchaseRefunded").map(|fact| &fact["data"]);
        refunds.fold((total, charged), |(total, charged), data| {
            let of = |name: &str| amount(&data[name]).unwrap_or_default();
            (total - of("of_total"), charged - of("credit"))
        })
    }

    /// What the kept lines of a purchase with an outcome are worth: for the seller and for the customer.
    fn expected(&self, id: &str, purchase: &Purchase) -> Option<(i128, i128)> {
        match self.outcomes.get(id)?.status {
            Status::Settled => worth(purchase, self.settlements.get(id)),
            Status::Rejected | Status::Compensated => Some((0, 0)),
            Status::Accepted | Status::Confirmed => None,
        }
    }

    /// The fact that charges a purchase.
    fn confirmed(&self, id: &str) -> Option<&Value> {
        let facts = self.facts.get(id).map(Vec::as_slice).unwrap_or_default();
        facts.iter().find(|fact| fact["type"] == "PurchaseConfirmed").map(|fact| &fact["data"])
    }

    fn cover_outcome(&self, id: &str, row: &OutcomeRow, scene: &mut Scene<'_>) {
        let state = self.settlements.get(id).map(|row| &row.state);
        let dropped = |why: Dropped| state.is_some_and(|state| state.dropped.values().any(|one| *one == why));
        match (row.status, row.reason_code) {
            (Status::Compensated, _) => scene.hit(Hit::Compensated),
            (Status::Rejected, Some(ReasonCode::SoldOut)) => scene.hit(Hit::SoldOutStrict),
            (Status::Rejected, _)
                if state.is_some_and(|state| state.lines.values().any(|line| line.released.is_some())) =>
            {
                scene.hit(Hit::RefusedWithStock);
            }
            (Status::Settled, _) if dropped(Dropped::Refused) => scene.hit(Hit::PartlySettled),
            _ => {}
        }
    }

    /// Checks that nothing is left to do, and that the ledger moved for each purchase what it has paid.
    pub(super) fn all_is_settled(&self) -> Checked {
        let mut live = self.live_lines();
        for (id, purchase) in self.model.purchases.iter().filter(|(_, purchase)| purchase.verdict.is_ok()) {
            let Ok(priced) = &purchase.verdict else { continue };
            let settlement = self.settlements.get(id);
            for (line, terms) in (0..).zip(&purchase.offers) {
                let is_kept = !settlement.is_some_and(|row| row.state.dropped.contains_key(&line));
                let expected = u32::from(is_kept && terms::is_limited(terms));
                let has = live.remove(&(id.clone(), line)).unwrap_or_default();
                ensure!(has == expected, Stock, "line {line} of {id} has {has} allocations, not {expected}");
            }
            self.money_agrees(id, purchase, priced)?;
            let is_over = settlement.is_some_and(SettlementRow::is_cancellation_over);
            let is_cancelled = self.model.cancellations.contains_key(id);
            ensure!(is_over == is_cancelled, Outcomes, "{id}: cancelled is {is_cancelled}, settled is {is_over}");
            let completed = settlement.filter(|row| row.state.cancellation == Some(Cancellation::Completed));
            let is_all_dropped = completed.is_none_or(|row| row.state.dropped.len() == purchase.offers.len());
            ensure!(is_all_dropped, Outcomes, "{id} is cancelled and keeps lines");
        }
        ensure!(live.is_empty(), Stock, "these lines have stock, and no purchase: {live:?}");
        Ok(())
    }

    /// Checks that the accounts of the customer and of the merchant moved by what a purchase has paid.
    fn money_agrees(&self, id: &str, purchase: &Purchase, priced: &Priced) -> Checked {
        let Some((total, charged)) = self.expected(id, purchase) else {
            ensure!(false, Outcomes, "{id} has no outcome");
            return Ok(());
        };
        let returned = self.settlements.get(id).map(SettlementRow::returned).unwrap_or_default();
        let vouchers = returned.vouchers.iter().filter_map(|money| minor(money.amount(), money.currency())).sum();
        let of = |account: &str, currency: &str| self.books.of_purchase(id, account, currency);
        let mut moved = vec![
            (of(&purchase.account, &priced.pay_in), (-charged, vouchers)),
            (of("merchant", &priced.currency), (total, 0)),
        ];
        if priced.pay_in != priced.currency {
            moved.push((of("fx", &priced.pay_in), (charged, 0)));
            moved.push((of("fx", &priced.currency), (-total, 0)));
        }
        let agrees = moved.iter().all(|(moved, expected)| moved == expected);
        ensure!(agrees, Money, "the ledger moved for {id} (moved, expected): {moved:?}");
        Ok(())
    }
}

/// What the lines that are not dropped are worth, and the share of cancelled ones that is not returned.
fn worth(purchase: &Purchase, row: Option<&SettlementRow>) -> Option<(i128, i128)> {
    let percent = |line: u32| match row.and_then(|row| row.state.dropped.get(&line)) {
        None => 100,
        Some(Dropped::Cancelled(returned)) => 100 - u64::from(returned.get()),
        Some(Dropped::Refused | Dropped::Lost | Dropped::Released) => 0,
    };
    let percents: Vec<_> = (0..).zip(&purchase.offers).map(|(line, _)| percent(line)).collect();
    purchase.verdict.as_ref().ok()?.worth(&percents)
}

/// An amount of money in JSON, in minor units.
fn amount(money: &Value) -> Option<i128> {
    units(money["amount"].as_str()?, minor_units(money["currency"].as_str()?))
}

fn minor(amount: Amount, currency: Currency) -> Option<i128> {
    units(&amount.to_string(), minor_units(currency.code()))
}
