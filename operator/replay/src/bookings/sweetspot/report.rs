//! The result, as JSON with stable names.

use money::Money;
use serde::Serialize;

use crate::bookings::summary::Summary;
use crate::findings::Findings;

/// What came of the bookings under some terms.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The share of strict offers.
    pub strict_percent: u8,
    /// The percentage of rooms that are sold above those that the hotel has.
    pub overbooking_percent: u32,
    /// Bookings with rooms, also those that ended later.
    pub accepted: u64,
    /// Bookings that were refused before the guest was charged.
    pub refused: u64,
    /// Bookings that were charged, and given back because there was no room.
    pub compensated: u64,
    /// Bookings that were compensated, of 10,000.
    pub apologies_per_10_000: u64,
    /// Bookings that were refused, of 10,000.
    pub refusals_per_10_000: u64,
    /// The vouchers: the money for apologies.
    pub vouchers: Money,
    /// Rooms that stayed empty in nights that had refused somebody.
    pub empty_rooms: u64,
    /// What they would have brought in, at the mean price of the bookings for the night.
    pub lost_to_empty_rooms: Money,
    /// Guests above the hotel's rooms on the night itself, summed over the nights.
    pub turned_away: u64,
    /// Wrong amounts, broken limits, and differences from the sequential model.
    pub findings: Findings,
    /// From the first booking to the last outcome, in milliseconds.
    pub playing_ms: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of bookings in each cell.
    pub bookings: u64,
    /// Their nights.
    pub nights: u64,
    /// The rooms of the resort hotel.
    pub resort_rooms: u64,
    /// The rooms of the city hotel.
    pub city_rooms: u64,
    /// The voucher, as a percentage of the price.
    pub voucher_percent: u8,
    /// The cells, by share and then by overbooking.
    pub cells: Vec<Cell>,
}

impl Cell {
    /// What the summary of a replay says of these terms.
    pub fn of(strict_percent: u8, overbooking_percent: u32, summary: Summary) -> Self {
        let per_10_000 = |count: u64| count * 10_000 / summary.bookings.max(1);
        let mut findings = summary.wrong;
        findings.count += summary.differing.count;
        findings.first.extend(summary.differing.first);
        Self {
            strict_percent,
            overbooking_percent,
            accepted: summary.accepted,
            refused: summary.refused,
            compensated: summary.compensated,
            apologies_per_10_000: per_10_000(summary.compensated),
            refusals_per_10_000: per_10_000(summary.refused),
            vouchers: summary.vouchers,
            empty_rooms: summary.empty_rooms,
            lost_to_empty_rooms: summary.lost_to_empty_rooms,
            turned_away: summary.turned_away,
            findings,
            playing_ms: summary.playing_ms,
        }
    }
}
