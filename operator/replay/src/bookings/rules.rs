//! The rules of a replay: the rooms of the hotels, and what is promised to whoever wants one.

use chrono::Datelike as _;
use contracts::Constraint;

use super::model::{Limits, WhenFull};
use super::nights::Night;
use crate::arguments::{Bookings, WhenSoldOut};

/// The rules of a replay.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rooms that the hotels have.
    pub rooms: Limits,
    /// Which offers are strict.
    pub strict: StrictShare,
    /// The percentage of rooms that are sold above those that the hotel has.
    pub overbooking: u32,
    /// The voucher of a guest who was charged for a room that is not there, as a percentage of the price.
    pub voucher: u8,
    /// What is done for a guest without a room, in this order.
    pub compensation: Vec<WhenSoldOut>,
}

/// The share of strict offers, in quarters. Whole weeks are strict, so that most stays are within nights of one kind; a
/// booking with a strict night is strict as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrictShare(u8);

impl StrictShare {
    /// All shares: 0, 25, 50, 75 and 100 percent.
    pub const ALL: [Self; 5] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// No offer is strict, or all are.
    pub fn of(constraint: Constraint) -> Self {
        match constraint {
            Constraint::Loose => Self(0),
            Constraint::Strict => Self(4),
        }
    }

    /// The percentage.
    pub fn percent(self) -> u8 {
        self.0 * 25
    }

    /// Whether the offer of a night is strict. Of four weeks in a row, as many are strict as there are quarters.
    pub fn constraint(self, night: Night) -> Constraint {
        let week = night.date.num_days_from_ce().div_euclid(7).rem_euclid(4);
        if week < i32::from(self.0) { Constraint::Strict } else { Constraint::Loose }
    }
}

impl Rules {
    /// The number of rooms that may be sold.
    pub fn limits(&self) -> Limits {
        let limit = |rooms: u64| rooms * (100 + u64::from(self.overbooking)) / 100;
        Limits { resort: limit(self.rooms.resort), city: limit(self.rooms.city) }
    }

    /// What a guest does who finds no room.
    pub fn when_full(&self) -> WhenFull {
        let waits =
            self.strict == StrictShare::of(Constraint::Loose) && self.compensation.contains(&WhenSoldOut::BackOrder);
        if waits { WhenFull::Wait } else { WhenFull::Refuse }
    }
}

impl Bookings {
    /// The rules that were asked for.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            rooms: Limits { resort: self.resort, city: self.city },
            strict: StrictShare::of(self.constraint),
            overbooking: self.overbooking,
            voucher: self.voucher,
            compensation: self.compensation.clone(),
        }
    }
}
