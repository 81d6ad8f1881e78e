//! Checks of the requests about stock that are no purchases: offers, recalls and cancellations.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::Sku;
use purchase::accept::{AcceptInput, CancellationRow, OfferHeadRow, OfferRow, RecallRow, Reply};
use serde_json::Value;
use stage::{Event, Record, RequestId};

use super::Checks;
use crate::simulation::coverage::Hit;
use crate::simulation::model::{self, Purchase, terms};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

/// The recalls and cancellations that were recorded, by request id.
#[derive(Debug, Default)]
pub(super) struct Requests {
    recalls: BTreeMap<String, RecallRow>,
    cancellations: BTreeMap<String, CancellationRow>,
}

impl Checks {
    /// Checks an offer that was recorded.
    pub(super) fn offered(&mut self, asked: &Value, scene: &mut Scene<'_>) -> Checked {
        let version = self.model.offer(asked)?;
        if version > 1 {
            scene.hit(Hit::OfferChanged);
        }
        self.offer_is_stored(&asked["sku"], &asked["terms"], version)
    }

    /// Checks a recall that was recorded: it is an offer with what is left.
    pub(super) fn recalled(&mut self, id: &str, asked: &Value) -> Checked {
        let (version, terms) = self.model.recall(asked)?;
        let terms = terms.clone();
        self.offer_is_stored(&asked["sku"], &terms, version)?;
        let key = (RequestId(id.to_owned()),);
        let row = now(self.stores.purchase.get::<RecallRow>(&key)).map_err(|error| stopped(&error))?;
        let Some(row) = row else {
            ensure!(false, Recorded, "{id} was recorded and not stored");
            return Ok(());
        };
        let same =
            row.version == version as u64 && asked["sku"] == row.sku.as_str() && asked["quantity"] == row.quantity;
        ensure!(same, Recorded, "the recall {asked} is stored as {row:?}");
        let known = self.requests.recalls.insert(id.to_owned(), row);
        ensure!(known.is_none(), Repeats, "the recall {id} was recorded twice");
        Ok(())
    }

    /// Checks a cancellation that was recorded. It is published if there is something that could be cancelled.
    pub(super) fn cancelled(&mut self, id: &str, asked: &Value, arrived: DateTime<Utc>, record: &Record) -> Checked {
        let at = self.model.cancel(id, asked, arrived)?;
        let key = (RequestId(id.to_owned()),);
        let row = now(self.stores.purchase.get::<CancellationRow>(&key)).map_err(|error| stopped(&error))?;
        let Some(row) = row.filter(|row| row.occurred_at == at && row.batch == record.number) else {
            ensure!(false, Recorded, "the cancellation of {id} was recorded and not stored");
            return Ok(());
        };
        self.requests.cancellations.insert(id.to_owned(), row);
        let purchase = &self.model.purchases[id];
        let emitted = self.accepted_facts(id, "CancellationRequested").count();
        let expected = usize::from(purchase.verdict.is_ok());
        ensure!(emitted == expected, Recorded, "the cancellation of {id} was emitted {emitted} times, not {expected}");
        Ok(())
    }

    fn offer_is_stored(&self, sku: &Value, expected: &Value, version: usize) -> Checked {
        let sku: Sku = model::text(sku)?.parse().map_err(|error| stopped(&error))?;
        let version = version as u64;
        let row =
            now(self.stores.purchase.get::<OfferRow>(&(sku.clone(), version))).map_err(|error| stopped(&error))?;
        let terms = row.map(|row| serde_json::to_value(row.terms)).transpose().map_err(|error| stopped(&error))?;
        ensure!(terms.as_ref() == Some(expected), Recorded, "offer {sku} {version} is stored as {terms:?}");
        let head = now(self.stores.purchase.get::<OfferHeadRow>(&(sku.clone(),))).map_err(|error| stopped(&error))?;
        ensure!(head.is_some_and(|head| head.version >= version), Recorded, "the newest version of {sku} was lost");
        Ok(())
    }

    /// The facts of this kind that `accept` emitted about the stock of a purchase.
    fn accepted_facts(&self, id: &str, kind: &'static str) -> impl Iterator<Item = &Value> {
        let facts = self.stock_facts.get(id).map(Vec::as_slice).unwrap_or_default();
        facts.iter().filter(move |fact| fact["type"] == kind).map(|fact| &fact["data"])
    }

    /// Checks that a purchase claims the stock of its limited lines, each once, and that its terms are published once.
    pub(super) fn stock_is_claimed(&self, id: &str, asked: &Value, purchase: &Purchase) -> Checked {
        let visible = asked["captured"]["allocated"].as_object();
        for (sku, pieces) in visible.into_iter().flatten() {
            self.was_allocated(sku, pieces.as_u64().unwrap_or(u64::MAX))?;
        }
        let placed: Vec<_> = self.accepted_facts(id, "PurchasePlaced").map(|data| &data["plan"]).collect();
        let expected = usize::from(purchase.is_limited());
        ensure!(placed.len() == expected, Recorded, "{id} was placed {} times, not {expected} times", placed.len());
        let limited = (0..).zip(&purchase.offers).filter(|(_, terms)| terms::is_limited(terms));
        let limited: Vec<u64> = limited.map(|(line, _)| line).collect();
        let mut claimed = Vec::new();
        for claim in self.accepted_facts(id, "StockClaimed") {
            let is_set = |name: &str| claim[name] == true;
            let (whole, descends) = (!purchase.is_partial(), !purchase.is_strict());
            let same = is_set("whole") == whole && is_set("descends") == descends;
            ensure!(same, Price, "{id} claims with other terms than its own: {claim}");
            for line in claim["lines"].as_array().into_iter().flatten() {
                let number = line["line"].as_u64().unwrap_or(u64::MAX);
                let wanted = &purchase.request["lines"][usize::try_from(number).unwrap_or(usize::MAX)];
                let same = line["ladder"][0]["sku"] == wanted["sku"] && line["quantity"] == wanted["quantity"];
                ensure!(same, Price, "{id} claims {line} for {wanted}");
                claimed.push(number);
            }
        }
        claimed.sort_unstable();
        ensure!(claimed == limited, Recorded, "{id} claims stock for the lines {claimed:?}, not {limited:?}");
        Ok(())
    }

    /// Checks that the rows have not changed.
    pub(super) fn requests_unchanged(&self) -> Checked {
        let store = &self.stores.purchase;
        let rows = now(store.rows::<RecallRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.request_id.0.clone(), row)).collect();
        ensure!(rows == self.requests.recalls, Recorded, "recalls were changed: {rows:?}");
        let rows = now(store.rows::<CancellationRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.purchase.0.clone(), row)).collect();
        ensure!(rows == self.requests.cancellations, Recorded, "cancellations were changed: {rows:?}");
        Ok(())
    }

    /// Checks the reply to an offer, a recall or a cancellation: it is recorded, and always the same.
    pub(super) fn answered_about_stock(
        &self,
        request: &Event<AcceptInput>,
        reply: &Reply,
        scene: &mut Scene<'_>,
    ) -> Checked {
        let id = &request.cause.request_id.0;
        let versions = |sku: &Sku| self.model.offers.get(sku.as_str()).map(Vec::as_slice).unwrap_or_default();
        let is_right = match (&request.fact, reply) {
            (AcceptInput::SetOffer(asked), Reply::Offer(row)) => {
                let at = usize::try_from(row.version).unwrap_or_default().wrapping_sub(1);
                let terms = serde_json::to_value(&row.terms).map_err(|error| stopped(&error))?;
                let recorded = versions(&asked.sku).get(at).is_some_and(|version| version.terms == terms);
                recorded && row.terms == asked.terms
            }
            (AcceptInput::SetOffer(asked), Reply::UnknownUpgrade(at)) => asked.terms.compensation.len() > *at,
            (AcceptInput::RecallStock(asked), Reply::Recall(row)) => {
                let same = row.sku == asked.sku && row.quantity == asked.quantity;
                same && self.requests.recalls.get(id) == Some(row)
            }
            (AcceptInput::RecallStock(asked), Reply::Conflict) => {
                let known = self.requests.recalls.get(id);
                known.is_some_and(|row| row.sku != asked.sku || row.quantity != asked.quantity)
            }
            (AcceptInput::RecallStock(asked), Reply::RecallAboveCapacity(capacity)) => {
                scene.hit(Hit::RecallAboveCapacity);
                let had_it = |version: &model::Version| version.terms["capacity"].as_u64() == *capacity;
                versions(&asked.sku).iter().any(had_it) && capacity.is_none_or(|capacity| capacity < asked.quantity)
            }
            // The reply may be older than what was recorded meanwhile.
            (AcceptInput::RecallStock(_), Reply::UnknownOffer)
            | (AcceptInput::CancelPurchase(_), Reply::UnknownPurchase) => true,
            (AcceptInput::CancelPurchase(_), Reply::Cancellation(purchase, row)) => {
                self.purchases.get(id) == Some(&**purchase) && self.requests.cancellations.get(id) == Some(row)
            }
            _ => false,
        };
        ensure!(is_right, Repeats, "the reply to {request:?} is {reply:?}");
        Ok(())
    }
}
