//! How the ways to and from the broker are, for whoever asks whether the service is ready.

use std::sync::Arc;

/// Hears how a way to or from the broker is, by its name: it works, or why not.
pub type OnLink = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// One way to or from the broker.
#[derive(Clone)]
pub(crate) struct Link {
    name: String,
    on_link: OnLink,
}

impl Link {
    /// It does not work yet.
    pub fn new(name: String, on_link: OnLink) -> Self {
        let link = Self { name, on_link };
        link.fails("not connected to the broker yet".to_owned());
        link
    }

    /// It works.
    pub fn works(&self) {
        (self.on_link)(&self.name, Ok(()));
    }

    /// It does not, and is tried again.
    pub fn fails(&self, why: String) {
        (self.on_link)(&self.name, Err(why));
    }
}
