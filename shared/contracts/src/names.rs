//! Names and ids: 1 to 64 printable ASCII characters, case-sensitive, with spaces allowed inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stage::{Key, RequestId};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The maximum length of a SKU, customer id or account handle, in characters.
const NAME_MAX: usize = 64;
/// The prefix of a customer's account id, followed by the customer id.
const CUSTOMER: &str = "customer:";
const MERCHANT: &str = "merchant";
const FX: &str = "fx";
const FEES: &str = "fees";
const VOUCHERS: &str = "vouchers";

/// The reason why a text is not a valid name or id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is too short or too long: its length and the maximum, in characters.
    #[error("{0} characters; 1 to {1} are allowed")]
    Length(usize, usize),
    /// The character at this position, counted from 1, is not allowed.
    #[error("character {0} is not printable ASCII")]
    Character(usize),
    /// The text begins or ends with a space. Spaces are allowed only inside.
    #[error("begins or ends with a space")]
    Space,
    /// The text is not the path form of a request id.
    #[error("not a valid id: characters other than letters, digits, `-`, `_` and inner dots must be written as `~XX`")]
    Id,
}

fn check(text: &str, first: u8, longest: usize) -> Result<(), InvalidName> {
    let characters = text.chars().count();
    if !(1..=longest).contains(&characters) {
        return Err(InvalidName::Length(characters, longest));
    }
    if let Some(at) = text.chars().position(|c| !c.is_ascii() || !(first..=0x7E).contains(&(c as u8))) {
        return Err(InvalidName::Character(at + 1));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(InvalidName::Space);
    }
    Ok(())
}

/// Implements conversions from and to text for a newtype around `String` whose text must pass `$check`.
macro_rules! checked_text {
    ($name:ident, $check:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                let check: fn(&str) -> Result<(), InvalidName> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $longest:expr, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        // Invariant: 1 to `$longest` printable ASCII characters.
        pub struct $name(String);

        impl $name {
            /// The maximum length, in characters.
            pub const MAX: usize = $longest;

            /// The name as a string slice.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        checked_text!($name, |text| check(text, b' ', $longest));

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let inside = $longest - 2;
                let description = "Printable ASCII characters, spaces inside allowed. Percent-encoded in a path.";
                let name = text(&format!("^[!-~]([ -~]{{0,{inside}}}[!-~])?$")).examples([$example]);
                name.description(Some(description)).into()
            }
        }

        impl ToSchema for $name {}
    };
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

name!(
    /// A stock keeping unit: the id of a product.
    Sku,
    NAME_MAX,
    "lantern"
);
name!(
    /// The id of a customer.
    CustomerId,
    NAME_MAX,
    "alice"
);
name!(
    /// The id of a ledger account: `customer:{id}`, a claimed handle, or a system account.
    AccountId,
    NAME_MAX + CUSTOMER.len(),
    "customer:alice"
);

impl AccountId {
    /// The account of a customer, which stands for the customer's card.
    pub fn of_customer(customer: &CustomerId) -> Self {
        Self(format!("{CUSTOMER}{customer}"))
    }

    /// The system accounts, which exist from the start: the seller, currency exchange, overdraft fees and vouchers.
    const SYSTEM: [&str; 4] = [MERCHANT, FX, FEES, VOUCHERS];

    /// Whether this is a system account.
    pub fn is_system(&self) -> bool {
        Self::SYSTEM.contains(&self.as_str())
    }

    /// Whether this is a customer's account. It stands for the customer's card and opens on first use.
    pub fn is_customer(&self) -> bool {
        self.0.starts_with(CUSTOMER)
    }

    /// Parses a handle that a client may claim: 1 to 64 characters, not counting the prefix `customer:`.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn handle(text: &str) -> Result<Self, InvalidName> {
        check(text.strip_prefix(CUSTOMER).unwrap_or(text), b' ', NAME_MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// The system account that collects overdraft fees.
    pub fn fees() -> Self {
        Self(FEES.to_owned())
    }

    /// The system account of the seller.
    pub fn merchant() -> Self {
        Self(MERCHANT.to_owned())
    }

    /// The system account that pays for vouchers.
    pub fn vouchers() -> Self {
        Self(VOUCHERS.to_owned())
    }

    /// The system account for currency exchange. It receives the charged amount in one currency and pays the total in
    /// another.
    pub fn fx() -> Self {
        Self(FX.to_owned())
    }

    /// The key that determines the account's partition.
    pub fn key(&self) -> Key {
        Key(self.0.clone())
    }
}

macro_rules! path_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It is the request id in a form that needs no encoding in a path: each character other than letters, digits,
        /// `-`, `_` and inner dots becomes `~` and two hex digits.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Derives the id from the id of the request.
            pub fn of(request: &RequestId) -> Self {
                Self(escape(&request.0))
            }

            /// The id of the request.
            pub fn request_id(&self) -> RequestId {
                RequestId(unescape(&self.0))
            }
        }

        checked_text!($name, check_path_id);

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description =
                    "The request id, escaped for a path: `~` and two hex digits stand for other characters.";
                let id = text("^([A-Za-z0-9_.-]|~[0-9A-F]{2}){1,64}$");
                id.description(Some(description)).examples(["my-first"]).into()
            }
        }

        impl ToSchema for $name {}
    };
}

path_id!(
    /// The id of a purchase.
    PurchaseId
);
path_id!(
    /// The id of a return.
    ReturnId
);
path_id!(
    /// The id of a transfer.
    TransferId
);

fn check_path_id(text: &str) -> Result<(), InvalidName> {
    let request = request_id(&unescape(text)).map_err(|_| InvalidName::Id)?;
    if escape(&request.0) == text { Ok(()) } else { Err(InvalidName::Id) }
}

fn escape(request: &str) -> String {
    let dots_only = request.bytes().all(|byte| byte == b'.');
    let escape = |byte: u8| match byte {
        b'.' if dots_only => "~2E".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("~{byte:02X}"),
    };
    request.bytes().map(escape).collect()
}

fn unescape(id: &str) -> String {
    let mut parts = id.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text.extend(u8::from_str_radix(code, 16).map(char::from));
        text.push_str(rest);
    }
    text
}

/// The schema of a handle: 1 to 64 characters, not counting the prefix `customer:`.
pub(crate) fn handle_schema() -> ObjectBuilder {
    let inside = NAME_MAX - 2;
    text(&format!("^({CUSTOMER}[!-~]([ -~]{{0,{inside}}}[!-~])?|(?!{CUSTOMER})[!-~]([ -~]{{0,{inside}}}[!-~])?)$"))
        .description(Some("The account's handle, which is its id."))
        .examples(["alice"])
}

/// The schema of a request id.
pub(crate) fn request_id_schema() -> ObjectBuilder {
    text(&format!("^[!-~]{{1,{NAME_MAX}}}$")).description(Some("The request id, chosen by the client."))
}

/// Parses a request id, which the client chooses: 1 to 64 ASCII characters from 0x21 to 0x7E.
///
/// # Errors
/// [`InvalidName`].
pub fn request_id(text: &str) -> Result<RequestId, InvalidName> {
    check(text, 0x21, NAME_MAX)?;
    Ok(RequestId(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_ascii() {
        assert!("POST".parse::<Sku>().is_ok() && "gift 1/2 %".parse::<Sku>().is_ok());
        assert_eq!("".parse::<Sku>(), Err(InvalidName::Length(0, 64)));
        assert_eq!("x".repeat(65).parse::<Sku>(), Err(InvalidName::Length(65, 64)));
        assert_eq!("caf\u{e9}".parse::<Sku>(), Err(InvalidName::Character(4)));
        assert_eq!(" a".parse::<Sku>(), Err(InvalidName::Space));
        assert_eq!(request_id("a b"), Err(InvalidName::Character(2)));
    }

    #[test]
    fn a_handle_is_a_name_with_or_without_the_customer_prefix() {
        let long = "x".repeat(64);
        for handle in ["alice", "customer:alice", &long, &format!("customer:{long}"), "merchant"] {
            assert_eq!(AccountId::handle(handle).map(|id| id.to_string()).as_deref(), Ok(handle));
        }
        for wrong in ["", "customer:", " alice", "customer: alice", &format!("{long}x"), &format!("customer:{long}x")] {
            assert!(AccountId::handle(wrong).is_err(), "{wrong}");
        }
        assert!(AccountId::fees().is_system() && !AccountId::handle("fee").unwrap().is_system());
    }

    #[test]
    fn an_id_is_its_request_id_escaped_for_a_path() {
        for (request, id) in [
            ("retail-536365", "retail-536365"),
            ("a/b?c#d%e~f", "a~2Fb~3Fc~23d~25e~7Ef"),
            ("..", "~2E~2E"),
            ("v1.2", "v1.2"),
        ] {
            let request = request_id(request).unwrap();
            assert_eq!(PurchaseId::of(&request).to_string(), id);
            assert_eq!(id.parse::<PurchaseId>().unwrap().request_id(), request);
        }
        for wrong in ["", "a b", "a~2f", "a~4", "~41", "..", "a/b"] {
            assert!(wrong.parse::<PurchaseId>().is_err(), "{wrong}");
        }
    }
}
