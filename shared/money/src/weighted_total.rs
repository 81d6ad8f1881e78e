use crate::rounding::divide_round_half_even;
use crate::{Currency, Invalid, Money, Percent, Quantity, Total, UnitPrice};

/// The exact, unrounded total of lines that count at a percentage of their price, such as the lines of a purchase that
/// was cancelled for half of its money: zero to [`Total::LIMIT`], at most eight decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeightedTotal {
    whole: Total,
    // Invariant: 0 to 99 hundredths of a millionth of the currency.
    hundredths: i128,
}

impl WeightedTotal {
    /// An empty total in this currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { whole: Total::zero(currency), hundredths: 0 }
    }

    /// Adds `percent` of `quantity` × `unit_price` exactly. On an error the total stays unchanged.
    ///
    /// # Errors
    /// [`Invalid::OtherCurrency`], [`Invalid::TotalTooLarge`].
    pub fn add_line(&mut self, quantity: Quantity, unit_price: UnitPrice, percent: Percent) -> Result<(), Invalid> {
        let mut line = Total::zero(self.whole.currency());
        line.add_line(quantity, unit_price)?;
        let hundredths = self.hundredths + line.millionths() * i128::from(percent.get());
        self.whole.add_millionths(hundredths / 100)?;
        self.hundredths = hundredths % 100;
        Ok(())
    }

    /// The currency of the total.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.whole.currency()
    }

    /// The total rounded to the minor unit of its own currency, half to even.
    #[must_use]
    pub fn round_half_even(self) -> Money {
        let unit = 10_i128.pow(UnitPrice::MAX_SCALE - self.currency().minor_units());
        let rounded = divide_round_half_even(self.whole.millionths() * 100 + self.hundredths, unit * 100);
        let Some(money) = Money::from_minor_units(rounded, self.currency()) else {
            unreachable!("the limit of a total is the limit of money, which is a whole number")
        };
        money
    }

    /// The whole millionths, and the hundredths of a millionth that remain.
    pub(crate) fn parts(self) -> (i128, i128) {
        (self.whole.millionths(), self.hundredths)
    }
}

impl From<Total> for WeightedTotal {
    fn from(whole: Total) -> Self {
        Self { whole, hundredths: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::WeightedTotal;
    use crate::{Currency, Percent, Quantity, UnitPrice};

    fn check(lines: &[(i64, &str, u16)], rounded: &str) {
        let mut total = WeightedTotal::zero(Currency::GBP);
        for (quantity, price, percent) in lines {
            let price = UnitPrice::parse(price, Currency::GBP).unwrap();
            total.add_line(Quantity::new(*quantity).unwrap(), price, Percent::new(*percent).unwrap()).unwrap();
        }
        assert_eq!(total.round_half_even().to_string(), rounded);
    }

    #[test]
    fn a_line_counts_at_its_percentage_and_the_sum_is_rounded_once() {
        check(&[(1, "10.00", 100), (2, "5.00", 50)], "15.00 GBP");
        check(&[(1, "10.00", 0)], "0.00 GBP");
        check(&[(1, "0.01", 50)], "0.00 GBP");
        check(&[(1, "0.01", 50), (1, "0.02", 50)], "0.02 GBP");
        check(&[(1, "0.000001", 1); 100], "0.00 GBP");
        check(&[(1, "0.125", 100), (1, "0.000001", 1)], "0.13 GBP");
    }

    #[test]
    fn hundredths_of_a_millionth_are_carried() {
        let mut total = WeightedTotal::zero(Currency::GBP);
        let price = UnitPrice::parse("0.000001", Currency::GBP).unwrap();
        for _ in 0..250 {
            total.add_line(Quantity::new(1).unwrap(), price, Percent::new(1_u16).unwrap()).unwrap();
        }
        assert_eq!(total.parts(), (2, 50));
    }
}
