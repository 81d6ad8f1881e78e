//! Requests about limited stock: offers with a capacity, purchases, cancellations and recalls.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{Compensation, Constraint, LineRequest, OfferTerms, PurchaseRequest};
use money::Quantity;
use purchase::accept::{AcceptInput, CancelPurchase, RecallStock, SetOffer};
use serde_json::json;
use stage::Event;

use super::{CUSTOMERS, Clients, event, parsed, price, some_day};
use crate::simulation::random::Random;

/// Products with limited stock, all priced in euros.
const ROOMS: [&str; 3] = ["room-0", "room-1", "room-2"];
/// The number of products with unlimited stock that are priced in euros: `sku-0` and `sku-1`.
const UNLIMITED: usize = 2;
/// What is tried for a line without stock. `{}` is another product.
const LADDERS: [&[&str]; 6] = [
    &["refund"],
    &["back_order"],
    &["back_order", "refund"],
    &["upgrade:{}", "refund"],
    &["upgrade:{}", "back_order"],
    &["upgrade:{}", "upgrade:sku-0", "refund"],
];
/// A capacity that is not raised any more, so that it sells out.
const LARGE: u64 = 16;
/// The number of purchases that most cancellations are about: the newest ones.
const RECENT: usize = 10;

impl Clients {
    /// The next of the first offers: of the products that are priced in euros. `None` if all of them were offered.
    pub fn first_offer(&mut self, random: &mut Random, now: DateTime<Utc>) -> Option<Event<AcceptInput>> {
        let next = self.first_offers;
        if next == UNLIMITED + ROOMS.len() {
            return None;
        }
        self.first_offers += 1;
        if next < UNLIMITED {
            let terms = OfferTerms::unlimited(price(random, "EUR"));
            let sku = format!("sku-{next}");
            let asked = AcceptInput::SetOffer(SetOffer { sku: parsed(&sku), terms });
            return Some(event(self.id("offer"), &sku, asked, now));
        }
        let room = next - UNLIMITED;
        let terms = terms(random, room, now);
        Some(self.offers(room, terms, now))
    }

    /// An offer with a capacity: changed, raised or unchanged. Sometimes its stock is unlimited.
    pub fn limited_offer(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<AcceptInput> {
        let crowded = self.crowded.take();
        let room = crowded.unwrap_or_else(|| random.below(ROOMS.len()));
        let raised = self.offered.get(&room).filter(|_| crowded.is_some() || random.chance(500)).cloned();
        let terms = match raised {
            Some(terms) if terms.capacity.is_none_or(|capacity| capacity < LARGE) => {
                let is_large = crowded.is_some() || random.chance(150);
                let more = if is_large { random.between(60, 120) } else { random.between(1, 4) } as u64;
                OfferTerms { capacity: terms.capacity.map(|capacity| capacity + more), ..terms }
            }
            _ => terms(random, room, now),
        };
        self.offers(room, terms, now)
    }

    fn offers(&mut self, room: usize, terms: OfferTerms, now: DateTime<Utc>) -> Event<AcceptInput> {
        self.offered.insert(room, terms.clone());
        let sku = ROOMS[room];
        event(self.id("offer"), sku, AcceptInput::SetOffer(SetOffer { sku: parsed(sku), terms }), now)
    }

    /// A purchase of one to three lines, some of which may be enough; rarely one of very many lines of the same product,
    /// whose capacity is raised next.
    pub fn limited_purchase(&mut self, random: &mut Random, now: DateTime<Utc>) -> PurchaseRequest {
        let crowd = if random.chance(180) { self.crowd(random) } else { None };
        let lines = match crowd {
            Some(room) => vec![line(ROOMS[room], 1); random.between(65, 110)],
            None => (0..random.between(1, 3)).map(|_| any_line(random)).collect(),
        };
        let pay_in = ["EUR", "EUR", "GBP", "JPY", "KWD"][random.below(5)];
        let customer = parsed(&format!("c{}", random.below(CUSTOMERS)));
        let occurred_at = random.chance(250).then(|| some_day(random, now));
        PurchaseRequest { customer, pay_in: parsed(pay_in), lines, occurred_at, partial: random.chance(500) }
    }

    /// A product for very many lines, most of which have to wait. `None` if nobody can wait for any.
    fn crowd(&mut self, random: &mut Random) -> Option<usize> {
        let waits = |terms: &OfferTerms| {
            let is_small = terms.capacity.is_some_and(|capacity| (1..LARGE).contains(&capacity));
            is_small && terms.constraint == Constraint::Loose && terms.compensation.contains(&Compensation::BackOrder)
        };
        let can_wait: Vec<_> = self.offered.iter().filter(|(_, terms)| waits(terms)).map(|(room, _)| *room).collect();
        self.crowded = (!can_wait.is_empty()).then(|| *random.pick(&can_wait));
        self.crowded
    }

    /// Whether very many lines of a product were bought, and its capacity was not raised since.
    pub fn has_crowd(&self) -> bool {
        self.crowded.is_some()
    }

    /// A recall: new, sent before, or other content under an id sent before.
    pub fn recall(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<AcceptInput> {
        let recall =
            RecallStock { sku: parsed(ROOMS[random.below(ROOMS.len())]), quantity: random.between(1, 3) as u64 };
        let old = (!self.recalled.is_empty()).then(|| random.pick(&self.recalled).clone());
        let (id, recall) = match old {
            Some(same) if random.chance(100) => same,
            Some((id, _)) if random.chance(50) => (id, recall),
            _ => (self.id("recall"), recall),
        };
        self.recalled.push((id.clone(), recall.clone()));
        event(id, "recall", AcceptInput::RecallStock(recall), now)
    }

    /// A cancellation of this purchase.
    pub fn cancels(&self, purchase: String, now: DateTime<Utc>) -> Event<AcceptInput> {
        event(purchase, "cancellation", AcceptInput::CancelPurchase(CancelPurchase { occurred_at: None }), now)
    }

    /// A cancellation of one of these purchases; if there are none, of any that was sent.
    pub fn cancellation(&mut self, random: &mut Random, now: DateTime<Utc>, of: &[String]) -> Event<AcceptInput> {
        let recent = &self.sent[self.sent.len() - RECENT.min(self.sent.len())..];
        let among = if random.chance(700) { recent } else { &self.sent };
        let id = match (of, among) {
            ([], []) => "nobody's".to_owned(),
            ([], among) => random.pick(among).0.clone(),
            (of, _) => random.pick(of).clone(),
        };
        let day = TimeDelta::days(random.between(0, 4) as i64 - 2);
        let occurred_at = random.chance(300).then_some(now + day);
        event(id, "cancellation", AcceptInput::CancelPurchase(CancelPurchase { occurred_at }), now)
    }
}

fn any_line(random: &mut Random) -> LineRequest {
    let sku =
        if random.chance(120) { ["sku-0", "sku-1"][random.below(UNLIMITED)] } else { ROOMS[random.below(ROOMS.len())] };
    line(sku, i64::try_from(random.between(1, 3)).unwrap_or(1))
}

fn line(sku: &str, pieces: i64) -> LineRequest {
    let Ok(quantity) = Quantity::new(pieces) else { unreachable!("{pieces} is a quantity") };
    LineRequest { sku: parsed(sku), quantity, unit_price: None }
}

fn terms(random: &mut Random, room: usize, now: DateTime<Utc>) -> OfferTerms {
    let other = ROOMS[(room + random.between(1, ROOMS.len() - 1)) % ROOMS.len()];
    let ladder = random.pick(&LADDERS).iter().map(|step| step.replace("{}", other));
    let capacity = random.chance(920).then(|| random.below(12));
    let cancellation = json!({
        "refund_percent": random.pick(&[100, 80, 50, 33]),
        "until_s_before": random.pick(&[0, 3_600, 86_400]),
        "late_refund_percent": random.pick(&[0, 25]),
    });
    let day = now.date_naive() + TimeDelta::days(random.between(0, 4) as i64 - 1);
    let terms = json!({
        "price": price(random, "EUR"),
        "capacity": capacity,
        "constraint": if random.chance(350) { "strict" } else { "loose" },
        "overbooking_percent": random.pick(&[0, 0, 50, 100]),
        "voucher_percent": random.pick(&[0, 10, 33]),
        "compensation": ladder.collect::<Vec<_>>(),
        "service_date": random.chance(400).then_some(day),
        "cancellation": cancellation,
    });
    let Ok(terms) = serde_json::from_value(terms) else { unreachable!("these are valid terms") };
    terms
}
