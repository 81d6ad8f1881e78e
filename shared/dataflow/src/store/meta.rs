//! What a store remembers about itself, so that nobody mistakes it for another.

use stage::PartitionCount;

/// What a store remembers about itself, fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The service whose store it is.
    pub service: &'static str,
    /// How many partitions every stream has.
    pub partitions: PartitionCount,
}

/// What `look` saw of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMeta {
    /// How many partitions it was made for.
    pub partitions: u16,
    /// Whether anybody ever owned a partition in it.
    pub is_used: bool,
}

impl Meta {
    /// The rows of the table `meta`; `format` is the layout of the fixed tables.
    pub(super) fn rows(&self, format: &str) -> [(&'static str, String); 3] {
        [
            ("format", format.to_owned()),
            ("service", self.service.to_owned()),
            ("partitions", self.partitions.get().to_string()),
        ]
    }

    /// What is wrong with the rows there are.
    pub(super) fn check(&self, format: &str, found: &[(String, String)]) -> Result<(), String> {
        let rows = self.rows(format);
        for (key, expected) in &rows {
            let value = found.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            if value != Some(expected) {
                let value = value.map_or("nothing", String::as_str);
                return Err(format!("meta.{key} says {value}, not {expected}"));
            }
        }
        if found.len() == rows.len() { Ok(()) } else { Err("meta holds keys that nobody wrote".to_owned()) }
    }
}
