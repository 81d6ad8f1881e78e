use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};

use crate::Invalid;

/// A serde visitor that parses a JSON string with `FromStr`, without copying it first.
pub(crate) struct Text<T> {
    expected: &'static str,
    result: PhantomData<T>,
}

impl<T> Text<T> {
    pub(crate) fn expecting(expected: &'static str) -> Self {
        Self { expected, result: PhantomData }
    }
}

impl<T: FromStr<Err = Invalid>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Implements serde's traits for a type through `Display` and `FromStr`. The type is a string in JSON, so it can also
/// be a map key. `$expected` describes the type in error messages.
macro_rules! serde_as_text {
    ($type:ty, $expected:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::text::Text::<$type>::expecting($expected))
            }
        }
    };
}
pub(crate) use serde_as_text;
