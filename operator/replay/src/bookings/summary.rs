//! The result of a replay of bookings, as JSON with stable names or as text.

use std::fmt::{self, Display, Formatter};

use money::Money;
use serde::Serialize;

use super::file::Unsent;
use crate::findings::Findings;
use crate::summary::findings;

/// The result of a replay of bookings. A second run has the same result, except `offers_set` and times.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The file.
    pub file: String,
    /// Bookings that were sent.
    pub bookings: u64,
    /// Their nights.
    pub nights: u64,
    /// Lines that were not sent.
    pub unsent: Unsent,
    /// The number of offers that had to be set.
    pub offers_set: u64,
    /// Bookings with rooms, also those that ended later.
    pub accepted: u64,
    /// Bookings that were refused before the guest was charged.
    pub refused: u64,
    /// Bookings that were charged, and given back because there was no room.
    pub compensated: u64,
    /// Accepted bookings that were cancelled, or whose guest did not show up.
    pub cancelled: u64,
    /// Accepted bookings that still wait for a room.
    pub waiting: u64,
    /// Nights for which they wait.
    pub waiting_nights: u64,
    /// What guests paid.
    pub charged: Money,
    /// What they got back.
    pub refunded: Money,
    /// The vouchers they got: the money for apologies.
    pub vouchers: Money,
    /// Nights that were full at some time, as the model has it.
    pub nights_at_limit: u64,
    /// The most rooms that were sold of a night above the hotel's rooms, as the model has it.
    pub most_over_sold: u64,
    /// Guests above the hotel's rooms on the night itself, summed over the nights, as the model has it.
    pub turned_away: u64,
    /// Rooms that stayed empty in nights that had refused somebody, as the model has it.
    pub empty_rooms: u64,
    /// What they would have brought in, at the mean price of the bookings for the night.
    pub lost_to_empty_rooms: Money,
    /// Guests to whom the hotel had to apologize (charged, and no room or a place in the queue), of 10,000 bookings.
    pub apologies_per_10_000: u64,
    /// Wrong amounts, broken limits, and everything else that must not be.
    pub wrong: Findings,
    /// Differences from the sequential model. With several partitions they are no mistake.
    pub differing: Findings,
    /// Whether they count as mistakes: the system has one partition.
    pub must_equal_the_model: bool,
    /// From the first booking to the last outcome, in milliseconds.
    pub playing_ms: u64,
    /// Reading and comparing everything at the end, in milliseconds.
    pub checking_ms: u64,
}

impl Summary {
    /// Whether everything is as it has to be.
    pub fn is_clean(&self) -> bool {
        self.wrong.count == 0 && (self.differing.count == 0 || !self.must_equal_the_model)
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, value: &dyn Display, more: &str| writeln!(f, "  {what:<12}{value:>12} {more}");
        line("bookings", &self.bookings, &format!("of {} nights, {} offers set", self.nights, self.offers_set))?;
        let Unsent { without_a_night, negative_price } = self.unsent;
        line(
            "not sent",
            &(without_a_night + negative_price),
            &format!("{without_a_night} without a night, {negative_price} with a negative price"),
        )?;
        line("accepted", &self.accepted, &format!("{} of them cancelled later", self.cancelled))?;
        line("refused", &self.refused, "before anything was charged")?;
        line("compensated", &self.compensated, "charged, and given back for want of a room")?;
        line("waiting", &self.waiting, &format!("for {} nights", self.waiting_nights))?;
        line("charged", &self.charged, "")?;
        line("refunded", &self.refunded, "")?;
        line("vouchers", &self.vouchers, "the money for apologies")?;
        line("apologies", &self.apologies_per_10_000, "per 10,000 bookings")?;
        line("full nights", &self.nights_at_limit, &format!("at most {} rooms over-sold", self.most_over_sold))?;
        line("turned away", &self.turned_away, "guests above the rooms of a night, on the night itself")?;
        line(
            "empty rooms",
            &self.empty_rooms,
            &format!("in nights that had refused somebody: {} lost", self.lost_to_empty_rooms),
        )?;
        line("took", &(self.playing_ms + self.checking_ms), &format!("ms, {} of them to check", self.checking_ms))?;
        findings(f, "are wrong", &self.wrong)?;
        let why = if self.must_equal_the_model { "" } else { ", which is no mistake with several partitions" };
        findings(f, &format!("differ from the order of the file{why}"), &self.differing)?;
        if self.is_clean() {
            writeln!(f, "  every amount and every limit is as a program of its own computes it")?;
        }
        Ok(())
    }
}
