//! The argument `--constraint`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use contracts::Constraint;

/// Parses `loose` or `strict`. The help shows what each means.
pub fn constraint_parser() -> impl TypedValueParser<Value = Constraint> {
    let values = [
        PossibleValue::new("loose").help("Charge at once, and put right afterwards what was over-sold"),
        PossibleValue::new("strict").help("Allocate first, then charge"),
    ];
    PossibleValuesParser::new(values).try_map(|value| value.parse::<Constraint>())
}
