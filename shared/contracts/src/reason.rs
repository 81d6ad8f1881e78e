//! Why a request was rejected for a business reason.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::string_enum::string_enum;

string_enum!(
    /// The reason code of a rejection or a refund.
    pub enum ReasonCode {
        /// No offer exists for the product.
        UnknownOffer = "unknown_offer",
        /// A line sets its own price, but the offer has no open price or is in another currency.
        PriceNotOpen = "price_not_open",
        /// The prices of the lines are in different currencies.
        MixedCurrencies = "mixed_currencies",
        /// The total, or the amount to charge, is above the limit.
        AmountTooLarge = "amount_too_large",
        /// No exchange rate was valid at that time.
        NoRate = "no_rate",
        /// The newest exchange rate at that time was too old: its UTC date was more than 7 days earlier, regardless of
        /// the time of day.
        StaleRate = "stale_rate",
        /// The purchase has limited stock and more than 200 lines.
        TooManyLines = "too_many_lines",
        /// The stock was gone.
        SoldOut = "sold_out",
        /// Stock that a line had was lost.
        StockLost = "stock_lost",
        /// The customer cancelled.
        Cancelled = "cancelled",
        /// The customer's account was not authorized to pay the amount.
        PaymentRefused = "payment_refused",
        /// An account of the transfer does not exist.
        UnknownAccount = "unknown_account",
        /// The payer's account may not go that far below zero.
        Overdrawn = "overdrawn",
        /// The payer's account may not pay that much in a day.
        DailyLimit = "daily_limit",
        /// The handle belongs to another account.
        HandleTaken = "handle_taken",
    }
);

/// The reason of a rejection, as a code for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The reason code, for programs.
    pub code: ReasonCode,
    /// The explanation, for people.
    pub detail: String,
}

impl Reason {
    /// Reads a reason from the two columns of a row. `None` if there is no code.
    pub fn of_columns(code: Option<ReasonCode>, detail: Option<&str>) -> Option<Self> {
        code.map(|code| Self { code, detail: detail.unwrap_or_default().to_owned() })
    }

    /// The values of the two columns of a row.
    pub fn columns(reason: Option<&Self>) -> (Option<ReasonCode>, Option<String>) {
        reason.map(|reason| (reason.code, reason.detail.clone())).unzip()
    }
}
