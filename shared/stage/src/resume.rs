//! Where to go on reading a broker's stream.

use serde::{Deserialize, Serialize};

use crate::{Producer, Seq};

/// A message that was seen at its place in a broker's stream.
///
/// A stream loses only its end. So while this very message is still at its place, everything before
/// it is there too, and reading goes on behind it. Otherwise the stream is read from its first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Its place in the stream.
    pub offset: u64,
    /// The random name of the publishing session that sent it. The same frame published again is another
    /// message, of another session.
    pub session: String,
    /// The frame in it; `None` for the session's marker.
    pub frame: Option<(Producer, Seq)>,
}
