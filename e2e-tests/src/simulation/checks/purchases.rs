//! Checks of purchases: each is priced as in the model, is emitted once, claims its stock, and always gets the same reply.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contracts::{Constraint, PurchaseRequest};
use money::{Amount, Conversion, Currency, PublishedRate};
use purchase::accept::{AcceptInput, PurchaseRow, Reply};
use purchase::settle::OutcomeRow;
use serde_json::Value;
use stage::{BatchNumber, Event, Record, RequestId};

use super::{Checks, records};
use crate::simulation::coverage::Hit;
use crate::simulation::model::{self, Priced, Purchase, Used, Way, minor_units, units};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

impl Checks {
    /// Checks what a batch of `accept` recorded.
    pub(super) fn accepted(&mut self, record: &Record, scene: &mut Scene<'_>) -> Checked {
        let captured = scene.copied_when.get(&(record.owner.clone(), record.epoch, record.number)).copied();
        for event in records::requests(record)? {
            let (id, data) = (model::text(&event["requestid"])?, &event["data"]);
            let arrived = model::text(&event["time"])?.parse().map_err(|_| model::unreadable(&event))?;
            match event["type"].as_str() {
                Some("SetOffer") => self.offered(data, scene)?,
                Some("RecallStock") => self.recalled(&id, data)?,
                Some("CancelPurchase") => self.cancelled(&id, data, arrived, record)?,
                _ => self.purchase(&id, data, arrived, (record, captured), scene)?,
            }
        }
        Ok(())
    }

    fn purchase(
        &mut self,
        id: &str,
        data: &Value,
        arrived: DateTime<Utc>,
        (record, captured): (&Record, Option<usize>),
        scene: &mut Scene<'_>,
    ) -> Checked {
        let pin = data["captured"]["rates"].as_u64().and_then(|pin| usize::try_from(pin).ok());
        ensure!(pin.is_some() && pin == captured, Price, "{id} captured rates {pin:?}, not {captured:?}");
        let expected = self.model.purchase(id, data, arrived)?.clone();
        self.purchase_is_stored(id, record, &expected)?;
        self.purchase_is_emitted(id, &expected)?;
        self.stock_is_claimed(id, data, &expected)?;
        cover(&expected, scene);
        Ok(())
    }

    fn purchase_is_stored(&mut self, id: &str, record: &Record, expected: &Purchase) -> Checked {
        let key = (RequestId(id.to_owned()),);
        let row = now(self.stores.purchase.get::<PurchaseRow>(&key)).map_err(|error| stopped(&error))?;
        let Some(row) = row else {
            ensure!(false, Recorded, "{id} was recorded and not stored");
            return Ok(());
        };
        ensure!(row.batch == record.number, Recorded, "{id} names batch {}, not {}", row.batch, record.number);
        let constraint = if expected.is_strict() { Constraint::Strict } else { Constraint::Loose };
        let constraint = expected.is_limited().then_some(constraint);
        ensure!(row.constraint == constraint, Price, "{id} is {:?}, not {constraint:?}", row.constraint);
        let reason = row.reason_code.map(|code| code.to_string());
        match &expected.verdict {
            Err(code) => {
                let nothing = row.total.is_none() && row.charged.is_none() && row.conversion.is_none();
                ensure!(reason.as_deref() == Some(code) && nothing, Price, "{id} should be {code}, and is {row:?}");
            }
            Ok(priced) => {
                ensure!(reason.is_none(), Price, "{id} should cost {priced:?}, and is {reason:?}");
                let currency = row.price_currency.map(|currency| currency.to_string());
                let mut same = currency.as_ref() == Some(&priced.currency);
                same &= minor(row.total, row.price_currency) == Some(priced.total);
                same &= minor(row.charged, Some(row.pay_in)) == Some(priced.charged);
                ensure!(same, Price, "{id} should cost {priced:?}, and is {row:?}");
                let way = row.conversion.as_ref().map(way);
                ensure!(way.as_ref() == Some(&priced.way), Price, "{id} should be {:?}, and is {way:?}", priced.way);
            }
        }
        self.purchases.insert(id.to_owned(), row);
        Ok(())
    }

    /// Checks that exactly one fact reports the result of the purchase, with the same amounts. A strict purchase is not
    /// charged yet.
    fn purchase_is_emitted(&self, id: &str, expected: &Purchase) -> Checked {
        let facts = self.facts.get(id).map(Vec::as_slice).unwrap_or_default();
        if expected.is_strict() {
            ensure!(facts.is_empty(), Recorded, "{id} is strict, and was emitted before its stock is held");
            return Ok(());
        }
        ensure!(facts.len() == 1, Recorded, "{id} was emitted {} times", facts.len());
        let (fact, data) = (&facts[0], &facts[0]["data"]);
        ensure!(fact["requestid"] == id, Recorded, "the fact of {id} belongs to {}", fact["requestid"]);
        ensure!(fact["subject"] == expected.account, Recorded, "the fact of {id} goes to {}", fact["subject"]);
        let amount = |money: &Value| {
            let currency = money["currency"].as_str()?;
            Some((units(money["amount"].as_str()?, minor_units(currency))?, currency.to_owned()))
        };
        let same = match &expected.verdict {
            Err(code) => fact["type"] == "PurchaseRejected" && data["reason"]["code"] == *code,
            Ok(Priced { total, currency, charged, .. }) => {
                let pay_in = model::text(&expected.request["pay_in"])?;
                fact["type"] == "PurchaseConfirmed"
                    && amount(&data["total"]) == Some((*total, currency.clone()))
                    && amount(&data["charged"]) == Some((*charged, pay_in))
            }
        };
        ensure!(same, Price, "{id} should be {:?}, and was emitted as {fact}", expected.verdict);
        Ok(())
    }

    /// Checks that the rows have not changed.
    pub(super) fn rows_unchanged(&self) -> Checked {
        let store = &self.stores.purchase;
        let rows = now(store.rows::<PurchaseRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        ensure!(
            rows.len() == self.purchases.len(),
            Recorded,
            "{} purchases are stored, {} recorded",
            rows.len(),
            self.purchases.len()
        );
        for row in rows {
            let id = &row.request_id.0;
            ensure!(self.purchases.get(id) == Some(&row), Outcomes, "the purchase {id} was changed");
        }
        let rows = now(store.rows::<OutcomeRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        ensure!(rows.len() == self.outcomes.len(), Outcomes, "{} outcomes, not {}", rows.len(), self.outcomes.len());
        for row in rows {
            let id = &row.purchase.0;
            ensure!(self.outcomes.get(id) == Some(&row), Outcomes, "the outcome of {id} was changed");
        }
        Ok(())
    }

    /// Checks that every recorded purchase was sent by a client.
    pub fn only_what_was_sent(&self, sent: &BTreeMap<&str, Vec<&PurchaseRequest>>) -> Checked {
        for (id, purchase) in &self.model.purchases {
            let sent = sent.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
            let asked = sent.iter().any(|sent| serde_json::to_value(sent).is_ok_and(|sent| sent == purchase.request));
            ensure!(asked, Outcomes, "{id} was recorded, but never sent");
        }
        Ok(())
    }

    /// Checks that every confirmed purchase has an outcome, and no other purchase has one.
    pub(super) fn all_have_outcomes(&self) -> Checked {
        let confirmed = self.model.purchases.iter().filter(|(_, purchase)| purchase.verdict.is_ok());
        let confirmed: BTreeSet<_> = confirmed.map(|(id, _)| id).collect();
        let settled: BTreeSet<_> = self.outcomes.keys().collect();
        ensure!(confirmed == settled, Outcomes, "confirmed {confirmed:?}, settled {settled:?}");
        Ok(())
    }

    /// Checks a reply: its content is recorded, and always the same.
    pub fn answered(&self, request: &Event<AcceptInput>, reply: &Reply, scene: &mut Scene<'_>) -> Checked {
        let id = &request.cause.request_id.0;
        match (&request.fact, reply) {
            (AcceptInput::SubmitPurchase(asked), reply) => {
                let content = serde_json::to_value(&asked.request).map_err(|error| stopped(&error))?;
                let Some(known) = self.model.purchases.get(id) else {
                    ensure!(false, Recorded, "{id} got a reply and was not recorded");
                    return Ok(());
                };
                let same = known.request == content;
                ensure!(same == !matches!(reply, Reply::Conflict), Repeats, "the reply to {id} {content} is {reply:?}");
                if let Reply::Purchase(row) = reply {
                    ensure!(self.purchases.get(id) == Some(&**row), Repeats, "the reply to {id} has changed: {row:?}");
                }
                let first = self.purchases.get(id).is_some_and(|row| Some(row.batch) == self.newest_accepted());
                match (same, first) {
                    (false, _) => scene.hit(Hit::Conflict),
                    (true, false) => scene.hit(Hit::SameAgain),
                    (true, true) => {}
                }
            }
            (_, reply) => self.answered_about_stock(request, reply, scene)?,
        }
        Ok(())
    }

    fn newest_accepted(&self) -> Option<BatchNumber> {
        let accept = self.seen.iter().find(|(owner, _)| owner.stage == "accept");
        accept.map(|(_, seen)| seen.last.number)
    }
}

fn cover(purchase: &Purchase, scene: &mut Scene<'_>) {
    let priced = match &purchase.verdict {
        Ok(priced) => priced,
        Err(code) => {
            return scene.hit(match *code {
                "unknown_offer" => Hit::UnknownOffer,
                "price_not_open" => Hit::PriceNotOpen,
                "mixed_currencies" => Hit::MixedCurrencies,
                "amount_too_large" => Hit::AmountTooLarge,
                "no_rate" => Hit::NoRate,
                "sold_out" => Hit::RefusedBySight,
                _ => Hit::StaleRate,
            });
        }
    };
    scene.hit(Hit::Confirmed);
    if priced.open_price {
        scene.hit(Hit::OpenPrice);
    }
    scene.hit(match priced.way {
        Way::Same => Hit::ConvertedSame,
        Way::Direct(_) => Hit::ConvertedDirect,
        Way::Inverse(_) => Hit::ConvertedInverse,
        Way::Cross(_, _) => Hit::ConvertedCross,
    });
}

fn way(conversion: &Conversion) -> Way {
    let used = |rate: &PublishedRate| Used {
        base: rate.base.to_string(),
        quote: rate.quote.to_string(),
        rate: rate.rate.to_string(),
        valid_from: rate.valid_from,
    };
    match conversion {
        Conversion::Same => Way::Same,
        Conversion::Direct(rate) => Way::Direct(used(rate)),
        Conversion::Inverse(rate) => Way::Inverse(used(rate)),
        Conversion::Cross { to_base, to_quote } => Way::Cross(used(to_base), used(to_quote)),
    }
}

fn minor(amount: Option<Amount>, currency: Option<Currency>) -> Option<i128> {
    let currency = currency?;
    units(&amount?.to_string(), minor_units(currency.code()))
}
