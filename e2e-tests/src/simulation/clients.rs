//! Clients that send random requests, and send each again until they get a reply.

mod commands;
mod stock;

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{LineRequest, OfferTerms, PurchaseRequest};
use exchange_rate::record_rates::{self, Moment, SetRates};
use money::{Currency, Quantity, UnitPrice};
use purchase::accept::{self, RecallStock, SetOffer, SubmitPurchase};
use stage::{Cause, Event, EventId, Key, RequestId, Traceparent};

use super::random::Random;

pub use self::commands::content;

/// The currencies of prices and payments. No rate of the last one is ever published.
const CURRENCIES: [&str; 6] = ["EUR", "GBP", "USD", "JPY", "KWD", "CHF"];
/// The number of currencies with published rates.
const PUBLISHED: usize = 5;
const PRICES: [&str; 10] = ["2.55", "0.125", "0.001", "10", "0.000001", "39.75", "7.995", "0", "1000000000", "9000"];
const SKUS: usize = 6;
const CUSTOMERS: usize = 5;

/// All clients, with the requests they have sent.
#[derive(Debug, Default)]
pub struct Clients {
    sent: Vec<(String, PurchaseRequest)>,
    instructed: Vec<(String, ledger::record_commands::RecordCommandsInput)>,
    recalled: Vec<(String, RecallStock)>,
    /// The number of first offers that were sent.
    first_offers: usize,
    /// The terms that were last sent for each product with limited stock.
    offered: BTreeMap<usize, OfferTerms>,
    /// The product that very many lines were last bought of, until its capacity is raised.
    crowded: Option<usize>,
    requests: u64,
}

impl Clients {
    /// The first rates: a complete history.
    pub fn history(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<record_rates::RecordRatesInput> {
        let first = random.between(4, 14);
        let moments = (0..first).map(|day| moment(midnight(now, -(day as i64) - 1), random, 6)).collect();
        self.rates(now, SetRates { source: parsed("ecb"), moments, completes_history: true })
    }

    /// Rates of one moment: new, late, corrected or unchanged.
    pub fn put_rates(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<record_rates::RecordRatesInput> {
        let day = random.between(0, 14) as i64 - 12;
        let moments = vec![moment(midnight(now, day) + TimeDelta::hours(random.below(2) as i64 * 15), random, 2)];
        self.rates(now, SetRates { source: parsed("manual"), moments, completes_history: random.chance(30) })
    }

    fn rates(&mut self, now: DateTime<Utc>, asked: SetRates) -> Event<record_rates::RecordRatesInput> {
        let id = self.id("rates");
        event(id, "rates", record_rates::RecordRatesInput::SetRates(asked), now)
    }

    /// An offer: new, changed or unchanged.
    pub fn offer(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<accept::AcceptInput> {
        let at = random.below(SKUS);
        let currency = CURRENCIES[if random.chance(900) { at / 2 % PUBLISHED } else { random.below(CURRENCIES.len()) }];
        let unlimited = OfferTerms::unlimited(price(random, currency));
        let terms = OfferTerms { open_price: random.chance(500), ..unlimited };
        let sku = format!("sku-{at}");
        let asked = SetOffer { sku: parsed(&sku), terms };
        event(self.id("offer"), &sku, accept::AcceptInput::SetOffer(asked), now)
    }

    /// A purchase: usually new, sometimes sent before, sometimes other content under an id sent before.
    pub fn purchase(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<accept::AcceptInput> {
        let old = (!self.sent.is_empty()).then(|| random.pick(&self.sent).clone());
        let (id, request) = match old {
            Some((id, request)) if random.chance(150) => (id, request),
            Some((id, _)) if random.chance(60) => (id, self.any_purchase(random, now)),
            _ => (self.id("purchase"), self.any_purchase(random, now)),
        };
        self.sent.push((id.clone(), request.clone()));
        let key = request.customer.to_string();
        event(id, &key, accept::AcceptInput::SubmitPurchase(SubmitPurchase { request, captured: None }), now)
    }

    fn any_purchase(&mut self, random: &mut Random, now: DateTime<Utc>) -> PurchaseRequest {
        if random.chance(550) { self.limited_purchase(random, now) } else { wanted(random, now) }
    }

    /// All purchase requests that were sent, by request id.
    pub fn sent(&self) -> BTreeMap<&str, Vec<&PurchaseRequest>> {
        let mut sent: BTreeMap<&str, Vec<&PurchaseRequest>> = BTreeMap::new();
        self.sent.iter().for_each(|(id, request)| sent.entry(id).or_default().push(request));
        sent
    }

    fn id(&mut self, what: &str) -> String {
        self.requests += 1;
        format!("{what}-{}", self.requests)
    }
}

fn wanted(random: &mut Random, now: DateTime<Utc>) -> PurchaseRequest {
    // Each pair of SKUs has prices in one currency, so that most purchases have, too.
    let group = random.below(SKUS / 2);
    let lines = (0..random.between(1, 4)).map(|_| line(random, group)).collect();
    let currencies = PUBLISHED + usize::from(random.chance(100));
    PurchaseRequest {
        customer: parsed(&format!("c{}", random.below(CUSTOMERS))),
        pay_in: parsed(CURRENCIES[random.below(currencies)]),
        lines,
        occurred_at: random.chance(400).then(|| some_day(random, now)),
        partial: false,
    }
}

fn some_day(random: &mut Random, now: DateTime<Utc>) -> DateTime<Utc> {
    let day = random.between(0, 30) as i64 - 20;
    now + TimeDelta::days(day) + TimeDelta::microseconds(random.below(86_400_000_000) as i64)
}

fn line(random: &mut Random, group: usize) -> LineRequest {
    let of_group = group * 2 + random.below(2);
    let sku = match random.below(50) {
        0 => "nobody's".to_owned(),
        1 | 2 => format!("sku-{}", random.below(SKUS)),
        _ => format!("sku-{of_group}"),
    };
    let quantity: u32 = if random.chance(350) { 1_000_000 } else { random.between(1, 12).try_into().unwrap_or(1) };
    let currency = if random.chance(900) { CURRENCIES[group] } else { "USD" };
    let unit_price = random.chance(150).then(|| price(random, currency));
    let Ok(quantity) = Quantity::new(quantity) else { unreachable!("a quantity of 1 to a million") };
    LineRequest { sku: parsed(&sku), quantity, unit_price }
}

fn price(random: &mut Random, currency: &str) -> UnitPrice {
    let amount = if random.chance(650) {
        format!("{}.{:02}", random.below(60), random.below(100))
    } else {
        (*random.pick(&PRICES)).to_owned()
    };
    let Ok(price) = UnitPrice::parse(&amount, parsed(currency)) else { unreachable!("{amount} is a price") };
    price
}

fn moment(valid_from: DateTime<Utc>, random: &mut Random, pairs: usize) -> Moment {
    let mut moment = Moment { valid_from, rates: BTreeMap::new() };
    for _ in 0..random.between(1, pairs) {
        // Rates of the last currency are rare, so that they become stale.
        let quotes = PUBLISHED - 1 - usize::from(random.chance(900));
        let quote = 1 + random.below(quotes);
        let mut pair = (0, quote);
        if random.chance(250) {
            pair = *random.pick(&[(quote, 0), (1, 2), (2, 1), (3, 1)]);
        }
        let [base, quote]: [Currency; 2] = [pair.0, pair.1].map(|at| parsed(CURRENCIES[at]));
        let rate = match random.below(4) {
            0 => "0.848".to_owned(),
            1 => format!("{}.5", random.between(90, 160)),
            _ => format!("{}.{:04}", random.below(3), random.between(1, 9_999)),
        };
        moment.rates.entry(base).or_default().insert(quote, parsed(&rate));
    }
    moment
}

fn midnight(now: DateTime<Utc>, days: i64) -> DateTime<Utc> {
    let day = now.date_naive() + TimeDelta::days(days);
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The trace id of a request: the same each time it is sent.
pub fn trace_of(request: &str) -> String {
    stage::Digest::default().part(request.as_bytes()).finish().short::<16>()
}

fn event<F>(id: String, key: &str, fact: F, now: DateTime<Utc>) -> Event<F> {
    let traceparent = Traceparent(format!("00-{}-00f067aa0ba902b7-01", trace_of(&id)));
    let cause = Cause { time: now, request_id: RequestId(id), traceparent };
    Event { id: EventId(String::new()), cause, key: Key(key.to_owned()), fact }
}

fn parsed<T: FromStr<Err: Debug> + Display>(text: &str) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(error) => unreachable!("{text} is invalid: {error:?}"),
    }
}
