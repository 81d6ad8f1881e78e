//! Exact money arithmetic and exchange rates.
//!
//! - Payments and balances: [`Money`], [`Amount`], [`Currency`].
//! - Prices: [`UnitPrice`] × [`Quantity`], summed exactly in a [`Total`].
//! - Currency conversion: [`Rate`], [`PublishedRate`] and [`Conversion`], looked up in a [`RateBook`].
//!
//! Arithmetic is exact. Only functions with `round_half_even` in their name round an amount of money. The crate uses no
//! floats, no clock and no I/O, so equal input gives equal bytes on every machine and in every replay. JSON represents
//! numbers as plain decimal strings (`"15.30"`), which are validated once, when they are parsed. The limits of the
//! types are chosen so that arithmetic within them can neither overflow nor round.

mod amount;
mod conversion;
mod currency;
mod invalid;
mod money;
mod object;
mod percent;
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
mod weighted_total;

pub use amount::Amount;
pub use conversion::Conversion;
pub use currency::Currency;
pub use invalid::Invalid;
pub use money::Money;
pub use percent::Percent;
pub use published_rate::{PublishedRate, RateSource, RateVersion, STALE_AFTER_DAYS, age_days, is_stale};
pub use quantity::Quantity;
pub use rate::Rate;
pub use rate_book::RateBook;
pub use schema::{above_zero, by_currency, not_negative};
pub use total::Total;
pub use unit_price::UnitPrice;
pub use weighted_total::WeightedTotal;
