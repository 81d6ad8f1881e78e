//! The currency in which the customers of a country pay.

use money::Currency;

/// The names of countries in the file, each with its currency. Others (`Unspecified`, `Channel Islands`, …) pay in
/// euros.
const CURRENCIES: [(&str, &str); 18] = [
    ("United Kingdom", "GBP"),
    ("Switzerland", "CHF"),
    ("Norway", "NOK"),
    ("Sweden", "SEK"),
    ("Denmark", "DKK"),
    ("Poland", "PLN"),
    ("Czech Republic", "CZK"),
    ("Lithuania", "LTL"),
    ("Japan", "JPY"),
    ("Australia", "AUD"),
    ("USA", "USD"),
    ("Canada", "CAD"),
    ("Singapore", "SGD"),
    ("Hong Kong", "HKD"),
    ("Israel", "ILS"),
    ("Brazil", "BRL"),
    ("RSA", "ZAR"),
    ("Iceland", "ISK"),
];

/// The currency of a country in 2010 and 2011. The countries with the euro (Germany, France, EIRE, Spain, Netherlands,
/// Belgium, Portugal, Italy, Austria, Finland, Cyprus, Greece, Malta) need no entry: all countries that are not in the
/// table pay in euros.
pub fn currency_of(country: &str) -> Currency {
    let code = CURRENCIES.iter().find(|(label, _)| *label == country).map(|(_, code)| code.parse());
    match code {
        Some(Ok(currency)) => currency,
        Some(Err(_)) => unreachable!("a test checks that the table contains only currencies"),
        None => Currency::EUR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_of_the_table_has_its_currency() {
        for (country, code) in CURRENCIES {
            assert_eq!(currency_of(country).code(), code);
        }
    }

    #[test]
    fn all_other_countries_pay_in_euros() {
        let euro = "Germany,France,EIRE,Spain,Netherlands,Belgium,Portugal,Italy,Austria,Finland,Cyprus,Greece,Malta";
        let others = "Unspecified,Channel Islands,European Community,Bahrain,Lebanon,Saudi Arabia,United Arab Emirates";
        for country in euro.split(',').chain(others.split(',')) {
            assert_eq!(currency_of(country), Currency::EUR, "{country}");
        }
    }
}
