//! What has to come of the bookings: the rooms of each night as a sequential program that knows nothing of services.

use std::collections::{BTreeMap, VecDeque};

use super::nights::{Booking, Hotel, Night, rounded_half_even};

/// The rule for a booking that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It gets no room.
    Refuse,
    /// It waits for the nights that are full, if the hotel has enough rooms at all.
    Wait,
}

/// What became of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not been made yet.
    Unknown,
    /// It got no room.
    Refused,
    /// It has its nights, or waits for some of them.
    Accepted,
    /// It was accepted and ended.
    Ended,
}

/// The rooms of one night. Bookings are named by their index.
#[derive(Clone, Debug, Default)]
struct Rooms {
    held: Vec<usize>,
    waiting: VecDeque<usize>,
    most: u64,
    /// Bookings that asked for this night, and the sum of their prices in euro cents.
    asked: u64,
    asked_cents: u64,
    /// Whether a booking was refused because this night was full.
    refused: bool,
}

/// What is left of the nights when everybody has come or cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nights {
    /// Guests above the rooms that there are, summed over the nights: they stand at the desk of a full hotel.
    pub turned_away: u64,
    /// Rooms that stayed empty in nights that had refused somebody.
    pub empty: u64,
    /// What those rooms would have brought in, at the mean price of the bookings for the night, in euro cents.
    pub empty_cents: u64,
}

/// All rooms.
#[derive(Debug)]
pub struct Model {
    /// The number of rooms that may be sold.
    pub limits: Limits,
    when_full: WhenFull,
    nights: BTreeMap<Night, Rooms>,
    fates: Vec<Fate>,
}

/// The number of rooms that may be sold of each hotel.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the resort hotel.
    pub resort: u64,
    /// Of the city hotel.
    pub city: u64,
}

impl Limits {
    /// That of a hotel.
    pub fn of(&self, night: Night) -> u64 {
        match night.hotel {
            Hotel::Resort => self.resort,
            Hotel::City => self.city,
        }
    }
}

impl Model {
    /// Empty hotels, for this many bookings.
    pub fn new(limits: Limits, when_full: WhenFull, bookings: usize) -> Self {
        let fates = vec![Fate::Unknown; bookings];
        Self { limits, when_full, nights: BTreeMap::new(), fates }
    }

    /// A guest books.
    pub fn book(&mut self, index: usize, booking: &Booking) {
        let limit = |night| self.limits.of(night);
        let is_free = |night: Night| {
            let rooms = self.nights.get(&night);
            rooms.map_or(limit(night) > 0, |rooms| rooms.waiting.is_empty() && (rooms.held.len() as u64) < limit(night))
        };
        let fits = booking.nights().all(is_free);
        let waits = self.when_full == WhenFull::Wait && booking.nights().all(|night| limit(night) > 0);
        let places: Vec<_> = booking.nights().map(|night| (night, is_free(night))).collect();
        for (night, is_free) in &places {
            let rooms = self.nights.entry(*night).or_default();
            rooms.asked += 1;
            rooms.asked_cents += u64::from(booking.night_cents);
            rooms.refused |= !is_free && !waits;
        }
        if !fits && !waits {
            self.set(index, Fate::Refused);
            return;
        }
        for (night, is_free) in places {
            let rooms = self.nights.entry(night).or_default();
            if is_free {
                rooms.held.push(index);
                rooms.most = rooms.most.max(rooms.held.len() as u64);
            } else {
                rooms.waiting.push_back(index);
            }
        }
        self.set(index, Fate::Accepted);
    }

    /// A guest cancels, or does not show up. Whoever waits longest gets the room. Returns whether there was something
    /// to end.
    pub fn end(&mut self, index: usize, booking: &Booking) -> bool {
        if self.fate(index) != Fate::Accepted {
            return false;
        }
        for night in booking.nights() {
            let Some(rooms) = self.nights.get_mut(&night) else { continue };
            rooms.waiting.retain(|other| *other != index);
            let before = rooms.held.len();
            rooms.held.retain(|other| *other != index);
            if rooms.held.len() < before {
                rooms.held.extend(rooms.waiting.pop_front());
            }
        }
        self.set(index, Fate::Ended);
        true
    }

    fn set(&mut self, index: usize, fate: Fate) {
        if let Some(known) = self.fates.get_mut(index) {
            *known = fate;
        }
    }

    /// What became of a booking.
    pub fn fate(&self, index: usize) -> Fate {
        self.fates.get(index).copied().unwrap_or(Fate::Unknown)
    }

    /// The number of rooms that are held in a night.
    pub fn held(&self, night: Night) -> u64 {
        self.nights.get(&night).map_or(0, |rooms| rooms.held.len() as u64)
    }

    /// The number of nights for which a booking still waits.
    pub fn waiting(&self, index: usize, booking: &Booking) -> u64 {
        let waits = |night: &Night| self.nights.get(night).is_some_and(|rooms| rooms.waiting.contains(&index));
        booking.nights().filter(waits).count() as u64
    }

    /// The number of nights that reached their limit at some time.
    pub fn nights_at_limit(&self) -> u64 {
        self.nights.iter().filter(|(night, rooms)| rooms.most >= self.limits.of(**night)).count() as u64
    }

    /// What is left of the nights in hotels with this many rooms.
    pub fn left_of(&self, capacities: Limits) -> Nights {
        let mut left = Nights::default();
        for (night, rooms) in &self.nights {
            let (capacity, held) = (capacities.of(*night), rooms.held.len() as u64);
            left.turned_away += held.saturating_sub(capacity);
            if rooms.refused {
                let empty = capacity.saturating_sub(held);
                left.empty += empty;
                left.empty_cents += rounded_half_even(empty * rooms.asked_cents, rooms.asked);
            }
        }
        left
    }

    /// The most rooms that were sold of a night above these capacities.
    pub fn most_above(&self, capacities: Limits) -> u64 {
        let above = |(night, rooms): (&Night, &Rooms)| rooms.most.saturating_sub(capacities.of(*night));
        self.nights.iter().map(above).max().unwrap_or_default()
    }
}
