//! The point from which reading a broker's stream resumes.

use serde::{Deserialize, Serialize};

use crate::{Producer, Seq};

/// A message that was seen at its offset in a broker's stream.
///
/// A stream loses only its end. So while this very message is still at its offset, everything before it is there too,
/// and reading resumes after it. Otherwise the stream is read from its first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Its offset in the stream.
    pub offset: u64,
    /// The random name of the publishing session that sent it. If the same frame is published again, that is another
    /// message, from another session.
    pub session: String,
    /// The frame it carries; `None` for the session's marker.
    pub frame: Option<(Producer, Seq)>,
}
