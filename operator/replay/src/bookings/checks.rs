//! The comparison at the end: every purchase and every offer is read again.
//!
//! Money and limits must always be right. Which of several bookings gets the last room depends on the order in which
//! the partitions look at them; with one partition that is the order of the file, and everything must equal the model.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::{LineStatus, Offer, Status};
use futures_util::{StreamExt, TryStreamExt, stream};
use money::{Currency, Money};
use operator_client::{IN_FLIGHT, ServiceClient, ServiceError};

use super::model::{Fate, Model};
use super::nights::{Booking, Night, decimal, rounded_half_even};
use super::offers;
use super::replay::{BookingResponse, path};
use crate::findings::Findings;

/// What came of the bookings, as the services returned it. Money in euro cents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Bookings with rooms, also those that ended later.
    pub accepted: u64,
    /// Bookings that were refused before the guest was charged.
    pub refused: u64,
    /// Bookings that were charged, and then given back because there was no room.
    pub compensated: u64,
    /// Accepted bookings that wait for rooms at the end.
    pub waiting: u64,
    /// Nights for which they wait.
    pub waiting_nights: u64,
    /// What all guests paid.
    pub charged_cents: u64,
    /// What they got back.
    pub refunded_cents: u64,
    /// The vouchers.
    pub voucher_cents: u64,
}

/// Wrong amounts and broken limits, and differences from the model.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What came of the bookings.
    pub results: Results,
    /// What is wrong in any case.
    pub wrong: Findings,
    /// What differs from the sequential model.
    pub differing: Findings,
}

/// The number of times that everything is read, if something is wrong: a room that a guest gave back may be on its way
/// to the one who waits.
const READS_MAX: u32 = 3;
/// The pause before everything is read again.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads everything again and compares it.
///
/// # Errors
/// [`ServiceError`].
pub async fn compare(
    purchase: &ServiceClient,
    bookings: &[Booking],
    model: &Model,
    voucher_percent: u8,
) -> Result<Comparison, ServiceError> {
    let mut comparison = compare_once(purchase, bookings, model, voucher_percent).await?;
    for _ in 1..READS_MAX {
        if comparison.wrong.count == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        comparison = compare_once(purchase, bookings, model, voucher_percent).await?;
    }
    Ok(comparison)
}

async fn compare_once(
    purchase: &ServiceClient,
    bookings: &[Booking],
    model: &Model,
    voucher_percent: u8,
) -> Result<Comparison, ServiceError> {
    let mut comparison = Comparison::default();
    let mut held: BTreeMap<Night, u64> = BTreeMap::new();
    let read = stream::iter(bookings.iter().enumerate());
    let mut read = read.map(|(index, booking)| get(purchase, index, booking)).buffer_unordered(IN_FLIGHT);
    while let Some((index, booking, response)) = read.try_next().await? {
        let Some(response) = response else {
            comparison.wrong.add(format!("line {}: its purchase does not exist", booking.line));
            continue;
        };
        comparison.booking(index, booking, &response, model, voucher_percent);
        for (night, line) in booking.nights().zip(&response.lines) {
            *held.entry(night).or_default() += u64::from(line.state == Some(LineStatus::Held));
        }
    }
    let mut read =
        stream::iter(offers::nights(bookings)).map(|night| allocated(purchase, night)).buffer_unordered(IN_FLIGHT);
    while let Some((night, allocated)) = read.try_next().await? {
        comparison.night(night, allocated, held.get(&night).copied().unwrap_or_default(), model);
    }
    Ok(comparison)
}

async fn get<'a>(
    purchase: &ServiceClient,
    index: usize,
    booking: &'a Booking,
) -> Result<(usize, &'a Booking, Option<BookingResponse>), ServiceError> {
    Ok((index, booking, purchase.get(&path(booking)).await?))
}

async fn allocated(purchase: &ServiceClient, night: Night) -> Result<(Night, u64), ServiceError> {
    let offer = purchase.get::<Offer>(&offers::path(&night.sku())).await?;
    Ok((night, offer.map_or(0, |offer| offer.allocated)))
}

impl Comparison {
    fn booking(&mut self, index: usize, booking: &Booking, found: &BookingResponse, model: &Model, voucher: u8) {
        let waiting = found.lines.iter().filter(|line| line.state == Some(LineStatus::Queued)).count() as u64;
        let paid = booking.cents();
        let (charged, refunded, vouchers) = match found.status {
            Status::Settled if found.is_ended() => (paid, booking.returned_cents(), 0),
            Status::Settled => (paid, 0, 0),
            Status::Compensated => (paid, paid, rounded_half_even(paid * u64::from(voucher), 100)),
            Status::Rejected if found.is_sold_out() => (0, 0, 0),
            Status::Rejected | Status::Accepted | Status::Confirmed => {
                let why = found.reason.as_ref().map_or("", |reason| reason.detail.as_str());
                return self.wrong.add(format!("line {}: it is {} {why}", booking.line, found.status));
            }
        };
        let results = &mut self.results;
        match found.status {
            Status::Compensated => results.compensated += 1,
            Status::Rejected => results.refused += 1,
            Status::Settled | Status::Accepted | Status::Confirmed => results.accepted += 1,
        }
        results.waiting += u64::from(waiting > 0);
        results.waiting_nights += waiting;
        results.charged_cents += charged;
        results.refunded_cents += refunded;
        results.voucher_cents += vouchers;
        let amounts = [
            ("charged", found.charged, charged),
            ("refunded", found.refunded, refunded),
            ("vouchers", found.vouchers, vouchers),
        ];
        for (what, found, cents) in amounts {
            if found.unwrap_or_else(|| Money::zero(Currency::EUR)) != euros(cents) {
                let found = found.map_or_else(|| "nothing".to_owned(), |money| money.to_string());
                self.wrong.add(format!("line {}: {what} {found} where {} is expected", booking.line, euros(cents)));
            }
        }
        let fate = match found.status {
            Status::Settled if found.is_ended() => Fate::Ended,
            Status::Settled => Fate::Accepted,
            _ => Fate::Refused,
        };
        if fate != model.fate(index) || waiting != model.waiting(index, booking) {
            let expected = model.fate(index);
            self.differing.add(format!("line {}: {fate:?} where the model has {expected:?}", booking.line));
        }
    }

    fn night(&mut self, night: Night, allocated: u64, held: u64, model: &Model) {
        let (sku, limit) = (night.sku(), model.limits.of(night));
        if allocated > limit {
            self.wrong.add(format!("{sku}: {allocated} rooms are allocated where {limit} may be"));
        }
        if allocated != held {
            self.wrong.add(format!("{sku}: {allocated} rooms are allocated, and bookings hold {held}"));
        }
        if allocated != model.held(night) {
            self.differing.add(format!("{sku}: {allocated} rooms are held where the model has {}", model.held(night)));
        }
    }
}

/// An amount of euro cents.
pub fn euros(cents: u64) -> Money {
    match Money::parse(&decimal(cents), Currency::EUR) {
        Ok(money) => money,
        Err(error) => unreachable!("the sums of a file stay far below the limit of money: {error}"),
    }
}
