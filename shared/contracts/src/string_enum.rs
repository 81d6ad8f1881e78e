//! Enums whose values are strings.

/// A string that is not a value of the enum.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown value")]
pub struct UnknownValue;

/// Defines an enum with the same string values in JSON, columns and metric labels. The OpenAPI schema includes the doc
/// comments of the enum and its variants.
macro_rules! string_enum {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $value:tt),+ $(,)? }
        $(default $default:ident)?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $meaning])+ #[serde(rename = $value)] $variant),+ }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let description = concat!($($doc,)+ "\n", $("\n- `", $value, "`:", $($meaning,)+)+);
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(description.trim_start()))
                    .enum_values(Some([$($value),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        $(impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $value),+ })
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownValue;

            fn from_str(value: &str) -> Result<Self, $crate::UnknownValue> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownValue),
                }
            }
        }
    };
}

pub(crate) use string_enum;
