use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A share in whole percent: 0 to 100. JSON represents it as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u16")]
pub struct Percent(
    // Invariant: 0 to 100.
    u16,
);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ALL: Self = Self(100);

    /// Converts any number.
    ///
    /// # Errors
    /// [`Invalid::TooLarge`].
    pub fn new(percent: impl Into<u64>) -> Result<Self, Invalid> {
        let percent = percent.into();
        let within = u16::try_from(percent).ok().filter(|percent| *percent <= 100);
        within.map(Self).ok_or(Invalid::TooLarge { value: percent.into(), limit: 100 })
    }

    /// The number of percent, 0 to 100.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// What is left of the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100 - self.0)
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<u64> for Percent {
    type Error = Invalid;

    fn try_from(percent: u64) -> Result<Self, Invalid> {
        Self::new(percent)
    }
}

impl From<Percent> for u16 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Percent;

    #[test]
    fn a_percentage_is_at_most_the_whole() {
        assert_eq!(serde_json::from_str::<Percent>("30").unwrap().rest(), Percent::new(70_u16).unwrap());
        assert!(Percent::new(101_u16).is_err());
        for wrong in ["-1", "101", "1.5", "\"1\"", "18446744073709551615"] {
            assert!(serde_json::from_str::<Percent>(wrong).is_err(), "{wrong}");
        }
    }
}
