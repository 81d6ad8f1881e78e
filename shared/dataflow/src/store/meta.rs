//! The metadata of a store, by which it is not mistaken for another one.

use stage::PartitionCount;

use super::StoreError;

/// The layout version of the fixed tables and of what is stored in them. Any other version is refused.
const FORMAT: &str = "4";

/// The metadata of a store, fixed when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The service that owns the store.
    pub service: &'static str,
    /// The number of partitions of every stream.
    pub partitions: PartitionCount,
}

/// The part of a store's metadata that `look` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMeta {
    /// The number of partitions it was created for.
    pub partitions: u16,
    /// Whether a partition in it was ever claimed.
    pub is_used: bool,
}

impl StoredMeta {
    /// The metadata in these rows of the table `meta`.
    pub(super) fn of(rows: &[(String, String)], is_used: bool) -> Result<Self, StoreError> {
        let value = rows.iter().find(|(key, _)| key == "partitions").map(|(_, value)| value);
        let partitions = value.and_then(|value| value.parse().ok());
        let partitions = partitions.ok_or_else(|| StoreError::Damaged(format!("meta.partitions is {value:?}")))?;
        Ok(Self { partitions, is_used })
    }
}

impl Meta {
    /// The rows of the table `meta`.
    pub(super) fn rows(&self) -> [(&'static str, String); 3] {
        [
            ("format", FORMAT.to_owned()),
            ("service", self.service.to_owned()),
            ("partitions", self.partitions.get().to_string()),
        ]
    }

    /// Compares the stored rows with the expected ones. The error names the difference.
    pub(super) fn check(&self, found: &[(String, String)]) -> Result<(), String> {
        let rows = self.rows();
        for (key, expected) in &rows {
            let value = found.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            if value != Some(expected) {
                let value = value.map_or("nothing", String::as_str);
                let advice = match *key {
                    "format" => ": another version of the program created it; use that version, or start with new data",
                    "service" => ": this is the database of another service; check the configured address",
                    _ => "",
                };
                return Err(format!("meta.{key} is {value}, not {expected}{advice}"));
            }
        }
        if found.len() == rows.len() { Ok(()) } else { Err("meta holds unknown keys".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_another_version_or_service_is_refused_with_what_to_do() {
        let partitions = PartitionCount::new(2).unwrap();
        let meta = Meta { service: "ledger", partitions };
        let check = |changed: &str, value: &str, expected: &str| {
            let mut found: Vec<_> = meta.rows().map(|(key, value)| (key.to_owned(), value)).into();
            assert_eq!(meta.check(&found), Ok(()));
            found.iter_mut().filter(|(key, _)| key == changed).for_each(|(_, stored)| *stored = value.to_owned());
            let error = meta.check(&found).unwrap_err();
            assert!(error.starts_with(&format!("meta.{changed} is {value}, not ")), "{error}");
            assert!(error.ends_with(expected), "{error}");
        };
        check("format", "0", "another version of the program created it; use that version, or start with new data");
        check("service", "purchase", "this is the database of another service; check the configured address");
        check("partitions", "3", "not 2");
    }
}
