//! The expected price of a purchase, computed in another way than by the purchase service.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::arithmetic::{decimal, half_even, minor_units, units};
use super::rates::{Rates, Way};

/// The maximum age of a rate, in days.
const STALE_AFTER_DAYS: i64 = 7;
/// The maximum amount of a purchase, in whole units of its currency.
const MONEY_MAX: i128 = 1_000_000_000_000;

/// The final price of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// Amount that the seller gets, in minor units.
    pub total: i128,
    /// Currency of the total.
    pub currency: String,
    /// Amount that the customer pays, in minor units of the currency of the payment.
    pub charged: i128,
    /// Conversion of the total into the charged amount.
    pub way: Way,
    /// Whether a line named its own price.
    pub open_price: bool,
    /// The price of each line, in millionths of `currency`.
    pub lines: Vec<i128>,
    /// The currency of the payment.
    pub pay_in: String,
}

impl Priced {
    /// What is left of the total and of the charged amount if each line counts at a percentage, both summed exactly and
    /// rounded once.
    pub fn worth(&self, percents: &[u64]) -> Option<(i128, i128)> {
        let shares = self.lines.iter().zip(percents).map(|(line, percent)| line * i128::from(*percent));
        let sum = shares.sum();
        let total = half_even(sum, 10_i128.pow(8 - minor_units(&self.currency)));
        Some((total, convert(sum, 8, &self.way, &self.pay_in)?))
    }
}

/// The price, or the reason code of the rejection. `offers` are the terms of each line's offer. `None` if the request
/// is not a purchase.
pub fn price(
    request: &Value,
    offers: &[Option<&Value>],
    at: DateTime<Utc>,
    rates: &Rates,
    captured: usize,
) -> Option<Result<Priced, &'static str>> {
    let lines = request["lines"].as_array()?;
    let into = request["pay_in"].as_str()?;
    let mut sold = Vec::new();
    for (line, offer) in lines.iter().zip(offers) {
        let Some(offer) = offer else {
            return Some(Err("unknown_offer"));
        };
        let own = line.get("unit_price");
        let closed = !offer["open_price"].as_bool()?;
        if own.is_some_and(|own| closed || own["currency"] != offer["price"]["currency"]) {
            return Some(Err("price_not_open"));
        }
        sold.push((line["quantity"].as_i64()?, own.unwrap_or(&offer["price"])));
    }
    let from = sold.first()?.1["currency"].as_str()?;
    let (mut millionths, mut of_lines) = (0, Vec::new());
    for (quantity, price) in &sold {
        if price["currency"].as_str()? != from {
            return Some(Err("mixed_currencies"));
        }
        let line = i128::from(*quantity) * units(price["amount"].as_str()?, 6)?;
        of_lines.push(line);
        millionths += line;
        if millionths > MONEY_MAX * 1_000_000 {
            return Some(Err("amount_too_large"));
        }
    }
    let Some(way) = rates.way(from, into, at, captured) else {
        return Some(Err("no_rate"));
    };
    if way.valid_from().is_some_and(|from| (at.date_naive() - from.date_naive()).num_days() > STALE_AFTER_DAYS) {
        return Some(Err("stale_rate"));
    }
    let total = half_even(millionths, 10_i128.pow(6 - minor_units(from)));
    let charged = convert(millionths, 6, &way, into)?;
    if charged > MONEY_MAX * 10_i128.pow(minor_units(into)) {
        return Some(Err("amount_too_large"));
    }
    let open_price = lines.iter().any(|line| line.get("unit_price").is_some());
    let (currency, pay_in, lines) = (from.to_owned(), into.to_owned(), of_lines);
    Some(Ok(Priced { total, currency, charged, way, open_price, lines, pay_in }))
}

/// Converts a number of units of 10^-`scale` into minor units of another currency, rounded once.
fn convert(amount: i128, scale: u32, way: &Way, into: &str) -> Option<i128> {
    let one = "1".to_owned();
    let (times, by) = match way {
        Way::Same => (&one, &one),
        Way::Direct(used) => (&used.rate, &one),
        Way::Inverse(used) => (&one, &used.rate),
        Way::Cross(base, quote) => (&quote.rate, &base.rate),
    };
    let ((times, times_scale), (by, by_scale)) = (decimal(times)?, decimal(by)?);
    let above = amount * times * 10_i128.pow(by_scale + minor_units(into));
    Some(half_even(above, by * 10_i128.pow(times_scale + scale)))
}
