//! Hotels, bookings and their nights.

use std::fmt;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use contracts::{CancellationTerms, Sku};
use money::Percent;

/// A cancellation returns everything until a week before the night, and half of it after that.
const WEEK_S: u32 = 7 * 24 * 60 * 60;
const LATE_PERCENT: u16 = 50;
/// The time of day of everything that happens, in UTC: the file has only days.
const NOON: NaiveTime = match NaiveTime::from_hms_opt(12, 0, 0) {
    Some(noon) => noon,
    None => NaiveTime::MIN,
};

/// One of the two hotels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hotel {
    /// The resort hotel.
    Resort,
    /// The city hotel.
    City,
}

impl fmt::Display for Hotel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hotel::Resort => "resort",
            Hotel::City => "city",
        })
    }
}

/// A night in a hotel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Night {
    /// The hotel.
    pub hotel: Hotel,
    /// The day on which it begins.
    pub date: NaiveDate,
}

impl Night {
    /// The product that a guest buys: `resort:2016-08-15`.
    pub fn sku(self) -> Sku {
        match Sku::try_from(format!("{}:{}", self.hotel, self.date)) {
            Ok(sku) => sku,
            Err(error) => unreachable!("a hotel and a date are a valid name: {error}"),
        }
    }
}

/// A booking of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The line of the file, from 1 with the header.
    pub line: u64,
    /// The hotel.
    pub hotel: Hotel,
    /// The day on which it was made.
    pub made_on: NaiveDate,
    /// Its first night.
    pub arrival: NaiveDate,
    /// The number of nights, at least 1.
    pub nights: u16,
    /// The price of a night, in euro cents.
    pub night_cents: u32,
    /// The day on which it was cancelled, or the guest did not show up.
    pub ended_on: Option<NaiveDate>,
}

impl Booking {
    /// Its nights.
    pub fn nights(&self) -> impl Iterator<Item = Night> + '_ {
        let dates = self.arrival.iter_days().take(self.nights.into());
        dates.map(|date| Night { hotel: self.hotel, date })
    }

    /// What all nights cost, in euro cents.
    pub fn cents(&self) -> u64 {
        u64::from(self.night_cents) * u64::from(self.nights)
    }

    /// What a guest who cancels gets back, in euro cents: the price less what is kept of each night, which is rounded
    /// once, half to even.
    pub fn returned_cents(&self) -> u64 {
        let at = self.ended_on.map_or(DateTime::<Utc>::MAX_UTC, noon);
        let returned = |night: Night| u64::from(terms().refund_percent(Some(night.date), at).get());
        let hundredths: u64 = self.nights().map(|night| u64::from(self.night_cents) * (100 - returned(night))).sum();
        self.cents() - rounded_half_even(hundredths, 100)
    }
}

/// What a cancellation returns.
pub fn terms() -> CancellationTerms {
    let late_refund_percent = Percent::new(LATE_PERCENT).unwrap_or_default();
    CancellationTerms { refund_percent: Percent::ALL, until_s_before: WEEK_S, late_refund_percent }
}

/// The time on a day at which everything of it happens.
pub fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NOON).and_utc()
}

/// The day that is this many days before another; `None` before the calendar begins.
pub fn days_before(day: NaiveDate, days: u64) -> Option<NaiveDate> {
    day.checked_sub_days(Days::new(days))
}

/// A quotient, rounded half to even.
pub fn rounded_half_even(dividend: u64, divisor: u64) -> u64 {
    let (whole, rest) = (dividend / divisor, dividend % divisor);
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}

/// An amount of cents, as it is sent.
pub fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
