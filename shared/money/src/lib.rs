//! Money, rates and the one place where a number is rounded.
//!
//! - What a customer sees and an account holds: [`Money`], [`Amount`], [`Currency`].
//! - What a purchase is priced with: [`UnitPrice`] × [`Quantity`], summed exactly in a [`Total`].
//! - What a conversion is made of: [`Rate`], [`PublishedRate`], [`Conversion`], found in a [`RateBook`].
//!
//! Everything is exact until a function whose name says `round_half_even`. There are no floats, no clock and no I/O:
//! equal input gives equal bytes, on every machine and in every replay. Numbers travel as plain decimal strings
//! (`"15.30"`), are checked once, where they are read, and every limit is chosen so that arithmetic within the limits
//! can neither overflow nor round.

mod amount;
mod conversion;
mod currency;
mod invalid;
mod money;
mod object;
mod plain;
mod published_rate;
mod quantity;
mod rate;
mod rate_book;
mod rounding;
mod schema;
mod text;
mod total;
mod unit_price;

pub use amount::Amount;
pub use conversion::Conversion;
pub use currency::Currency;
pub use invalid::Invalid;
pub use money::Money;
pub use published_rate::{PublishedRate, RateSource, RateVersion, STALE_AFTER_DAYS, age_days, is_stale};
pub use quantity::Quantity;
pub use rate::Rate;
pub use rate_book::RateBook;
pub use schema::{above_zero, by_currency, not_negative};
pub use total::Total;
pub use unit_price::UnitPrice;
