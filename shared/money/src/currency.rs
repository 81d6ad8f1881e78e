use std::fmt;
use std::str::FromStr;

use crate::Invalid;
use crate::invalid::shortened;
use crate::text::serde_as_text;

/// Withdrawn currencies for which the ECB has published rates, with their decimals (from the JDK's currency table).
/// Lists of current currencies no longer contain them, but a purchase of 2005 must still be readable.
const WITHDRAWN: [(&str, u32); 11] = [
    ("BGN", 2),
    ("CYP", 2),
    ("EEK", 2),
    ("HRK", 2),
    ("LTL", 2),
    ("LVL", 2),
    ("MTL", 2),
    ("ROL", 0),
    ("SIT", 2),
    ("SKK", 2),
    ("TRL", 0),
];

/// Withdrawn currencies for which the ECB never published rates (ISO 4217, list three, since about 1980). They are not
/// supported; the list exists for a precise error message.
#[rustfmt::skip]
const WITHDRAWN_UNSUPPORTED: [&str; 81] = [
    "ADP", "AFA", "ANG", "AOK", "AON", "AOR", "ARA", "ARP", "ATS", "AZM", "BAD", "BEF", "BGL", "BOP",
    "BRB", "BRC", "BRE", "BRN", "BRR", "BYB", "BYR", "CSD", "CSK", "CUC", "DDM", "DEM", "ECS", "ESP",
    "FIM", "FRF", "GHC", "GRD", "GWP", "HRD", "IEP", "ILR", "ITL", "LTT", "LUF", "LVR", "MGF", "MRO",
    "MTP", "MXP", "MZM", "NIC", "NLG", "PEI", "PES", "PLZ", "PTE", "ROK", "RUR", "SDD", "SDP", "SLL",
    "SRG", "STD", "SUR", "TJR", "TMM", "TPE", "UAK", "UGS", "UYP", "VEB", "VEF", "XEU", "YDD", "YUD",
    "YUM", "YUN", "ZAL", "ZMK", "ZRN", "ZRZ", "ZWC", "ZWD", "ZWL", "ZWN", "ZWR",
];

/// An ISO 4217 currency such as `GBP`: a current one, or a withdrawn one for which the European Central Bank has
/// published rates. Currencies are written as their code and ordered by it.
///
/// Codes that cannot be used for payments (`XXX`, `XTS`, metals, `XDR`) and other withdrawn currencies (`DEM`) are
/// refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    // Invariant: three upper-case ASCII letters for which `minor_units_of` returns a value.
    code: [u8; 3],
    // Invariant: the result of `minor_units_of` for the code; at most 4.
    minor_units: u8,
}

impl Currency {
    /// The euro, two decimals: the base of all rates that the ECB publishes.
    pub const EUR: Self = Self { code: *b"EUR", minor_units: 2 };
    /// The pound sterling, two decimals.
    pub const GBP: Self = Self { code: *b"GBP", minor_units: 2 };
    /// The United States dollar, two decimals.
    pub const USD: Self = Self { code: *b"USD", minor_units: 2 };
    /// The Japanese yen, no decimals.
    pub const JPY: Self = Self { code: *b"JPY", minor_units: 0 };
    /// The Kuwaiti dinar, three decimals.
    pub const KWD: Self = Self { code: *b"KWD", minor_units: 3 };

    /// Looked at first, because the lists of all currencies are long.
    const COMMON: [Self; 5] = [Self::EUR, Self::GBP, Self::USD, Self::JPY, Self::KWD];

    /// The ISO 4217 code: three upper-case letters.
    #[must_use]
    pub fn code(&self) -> &str {
        let Ok(code) = str::from_utf8(&self.code) else { unreachable!("a currency code is ASCII") };
        code
    }

    /// The number of decimals of an amount in this currency, 0 to 4: 2 for EUR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn minor_units(&self) -> u32 {
        u32::from(self.minor_units)
    }
}

fn minor_units_of(code: &str) -> Option<u32> {
    if let Some((_, minor_units)) = WITHDRAWN.iter().find(|(withdrawn, _)| *withdrawn == code) {
        return Some(*minor_units);
    }
    if WITHDRAWN_UNSUPPORTED.contains(&code) {
        return None;
    }
    iso_currency::Currency::from_code(code)?.exponent().map(u32::from)
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = || {
            let code: [u8; 3] = text.as_bytes().try_into().ok()?;
            if let Some(common) = Self::COMMON.into_iter().find(|common| common.code == code) {
                return Some(common);
            }
            let minor_units = u8::try_from(minor_units_of(text)?).ok()?;
            Some(Self { code, minor_units })
        };
        known().ok_or_else(|| refusal(text))
    }
}

/// The reason why `text` is not a supported currency.
fn refusal(text: &str) -> Invalid {
    let upper = text.to_ascii_uppercase();
    if upper != text && minor_units_of(&upper).is_some() {
        Invalid::CurrencyInLowerCase { code: upper }
    } else if WITHDRAWN_UNSUPPORTED.contains(&text) {
        Invalid::WithdrawnCurrency { code: text.to_owned() }
    } else {
        Invalid::NotACurrency { code: shortened(text) }
    }
}

impl TryFrom<&str> for Currency {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

serde_as_text!(Currency, "the code of a currency, such as \"EUR\"");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Currency, WITHDRAWN, WITHDRAWN_UNSUPPORTED, minor_units_of};

    fn check(code: &str, minor_units: Option<u32>) {
        let known = Currency::try_from(code);
        assert_eq!(known.as_ref().ok().map(Currency::minor_units), minor_units, "{code:?}");
        match known {
            Ok(currency) => assert_eq!(currency.code(), code),
            Err(error) => assert_eq!(error.to_string(), format!("`{code}` is not an ISO 4217 currency")),
        }
    }

    #[test]
    fn current_currencies_have_the_decimals_of_iso_4217() {
        check("EUR", Some(2));
        check("JPY", Some(0));
        check("KWD", Some(3));
        check("CLF", Some(4));
        check("RUB", Some(2));
        check("VES", Some(2));
    }

    #[test]
    fn every_code_the_ecb_ever_published_is_a_currency() {
        let columns = "USD,JPY,BGN,CYP,CZK,DKK,EEK,GBP,HUF,LTL,LVL,MTL,PLN,ROL,RON,SEK,SIT,SKK,CHF,ISK,NOK,HRK,RUB,TRL,TRY,AUD,\
                       BRL,CAD,CNY,HKD,IDR,ILS,INR,KRW,MXN,MYR,NZD,PHP,SGD,THB,ZAR";
        for code in columns.split(',') {
            assert!(Currency::try_from(code).is_ok(), "{code}");
        }
        for (code, minor_units) in WITHDRAWN {
            check(code, Some(minor_units));
        }
    }

    #[test]
    fn a_code_that_cannot_be_used_for_payments_is_refused() {
        for code in ["XXX", "XTS", "XAU", "XDR", "ABC", "xxx", "dem", "EU", "EURO", "", " EUR", "€", "E\0R"] {
            check(code, None);
        }
    }

    #[test]
    fn the_error_says_that_a_code_is_in_lower_case_or_its_currency_is_withdrawn() {
        let error = |code: &str| code.parse::<Currency>().unwrap_err().to_string();
        for code in ["eur", "Eur", "eUR"] {
            assert_eq!(error(code), "ISO 4217 currency codes are upper case: write EUR");
        }
        assert_eq!(error("hrk"), "ISO 4217 currency codes are upper case: write HRK");
        for code in WITHDRAWN_UNSUPPORTED {
            assert_eq!(error(code), format!("{code} is a withdrawn currency and can no longer be used for payments"));
        }
        assert!(WITHDRAWN_UNSUPPORTED.is_sorted() && WITHDRAWN_UNSUPPORTED.contains(&"DEM"));
        assert!(WITHDRAWN.iter().all(|(code, _)| !WITHDRAWN_UNSUPPORTED.contains(code)));
    }

    #[test]
    fn each_constant_equals_the_currency_parsed_from_its_code() {
        for constant in Currency::COMMON {
            assert_eq!(Currency::try_from(constant.code()), Ok(constant));
            assert_eq!(minor_units_of(constant.code()), Some(constant.minor_units()));
        }
    }

    #[test]
    fn a_currency_is_a_json_string_and_an_ordered_map_key() {
        let json = r#"{"EUR":"GBP","JPY":"KWD"}"#;
        let map: BTreeMap<Currency, Currency> = serde_json::from_str(json).unwrap();
        assert_eq!(map, BTreeMap::from([(Currency::JPY, Currency::KWD), (Currency::EUR, Currency::GBP)]));
        assert_eq!(serde_json::to_string(&map).unwrap(), json);
        let error = serde_json::from_str::<Currency>("978").unwrap_err().to_string();
        assert!(error.contains("expected the code of a currency"), "{error}");
    }
}
