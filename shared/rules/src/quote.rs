//! The price of a purchase or a return, or the reason why it is rejected. The same in every deployment.

use chrono::{DateTime, Utc};
use contracts::{LineRequest, LineSold, OfferTerms, Reason, ReasonCode};
use money::{
    Conversion, Currency, Money, RateBook, RateVersion, STALE_AFTER_DAYS, Total, UnitPrice, age_days, is_stale,
};

/// A final price. What a return gives back is the price of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The amount that the seller gets, or gives back.
    pub total: Money,
    /// The amount that the customer pays, or gets back.
    pub charged: Money,
    /// How `total` was converted to `charged`.
    pub conversion: Conversion,
    /// The sold or returned lines.
    pub lines: Vec<LineSold>,
}

/// The quote for a request: its price, or why it is rejected.
pub type Quote = Result<Charge, Reason>;

/// Prices lines that are paid in this currency: summed exactly, converted once, rounded once.
///
/// `offers` are the terms of each line's offer. A refusal is a reply, not an error.
pub fn quote(
    lines: &[LineRequest],
    pay_in: Currency,
    offers: &[Option<OfferTerms>],
    occurred_at: DateTime<Utc>,
    rates: &RateBook,
    captured: RateVersion,
) -> Quote {
    let lines = lines.iter().zip(offers);
    let lines = lines.map(|(line, offer)| sell(line, offer.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let total = sum(&lines)?;
    let (from, into) = (total.currency(), pay_in);
    let conversion = rates.as_of(from, into, occurred_at, captured);
    let conversion = conversion.ok_or_else(|| {
        refused(ReasonCode::NoRate, format!("no rate from {from} to {into} was known for {occurred_at}"))
    })?;
    if let Some(valid_from) = conversion.valid_from()
        && is_stale(valid_from, occurred_at)
    {
        let age = age_days(valid_from, occurred_at);
        let detail = format!(
            "the newest rate from {from} to {into} was {age} days old at {occurred_at}; {STALE_AFTER_DAYS} are allowed"
        );
        return Err(refused(ReasonCode::StaleRate, detail));
    }
    let charged = conversion.apply_round_half_even(&total, into);
    let charged = charged.map_err(|error| refused(ReasonCode::AmountTooLarge, error.to_string()))?;
    Ok(Charge { total: total.round_half_even(), charged, conversion, lines })
}

fn sell(line: &LineRequest, offer: Option<&OfferTerms>) -> Result<LineSold, Reason> {
    let sku = &line.sku;
    let offer = offer.ok_or_else(|| refused(ReasonCode::UnknownOffer, format!("nobody offers {sku}")))?;
    let unit_price = match line.unit_price {
        None => offer.price,
        Some(price) => own_price(line, price, offer)?,
    };
    Ok(LineSold { sku: sku.clone(), quantity: line.quantity, unit_price })
}

fn own_price(line: &LineRequest, price: UnitPrice, offer: &OfferTerms) -> Result<UnitPrice, Reason> {
    let sku = &line.sku;
    let offered = offer.price.currency();
    if !offer.open_price {
        return Err(refused(ReasonCode::PriceNotOpen, format!("{sku} is sold at the price of its offer only")));
    }
    if price.currency() != offered {
        return Err(refused(ReasonCode::PriceNotOpen, format!("{sku} is sold in {offered} only")));
    }
    Ok(price)
}

fn sum(lines: &[LineSold]) -> Result<Total, Reason> {
    let Some(first) = lines.first() else {
        return Err(refused(ReasonCode::UnknownOffer, "there are no lines".to_owned()));
    };
    let currency = first.unit_price.currency();
    let mut total = Total::zero(currency);
    for line in lines {
        let other = line.unit_price.currency();
        if other != currency {
            let detail = format!("{} is priced in {currency}, {} in {other}", first.sku, line.sku);
            return Err(refused(ReasonCode::MixedCurrencies, detail));
        }
        let added = total.add_line(line.quantity, line.unit_price);
        added.map_err(|error| refused(ReasonCode::AmountTooLarge, error.to_string()))?;
    }
    Ok(total)
}

fn refused(code: ReasonCode, detail: String) -> Reason {
    Reason { code, detail }
}

#[cfg(test)]
mod tests;
