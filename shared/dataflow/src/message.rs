//! The format of a frame in a broker: the body as in the journal, compressed when that pays, and headers with simple
//! scalar values, so that any tool can show them.

use std::collections::BTreeMap;
use std::io::Read as _;

use stage::{Frame, Producer, ResumePoint, Seq, StreamPartition};

/// The type of the first message of a stream, and of each session that publishes to it.
pub const MARKER: &str = "marker";
/// The media type of a frame's body.
pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";
/// The content encoding of a compressed body.
pub const ZSTD: &str = "zstd";

/// The header with the incarnation of a stream, which changes when the stream is deleted and recreated.
const INCARNATION: &str = "incarnation";
/// The header with the publishing session: a random text for each attachment of a publisher.
const SESSION: &str = "session";

/// The minimum size in bytes of a body to compress: below it there is little to gain.
const COMPRESS_FROM_BYTES: usize = 1_024;
/// The fastest compression level: it shrinks bodies to a fifth in a few microseconds.
const COMPRESSION_LEVEL: i32 = 1;
/// The maximum size in bytes of a decompressed body. A message with a longer body is not a frame. This is the limit of
/// a request, with room for what is added to it.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A message in a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerMessage {
    /// Its type; only a marker has one.
    pub kind: Option<String>,
    /// The encoding of its body, if it is compressed.
    pub encoding: Option<String>,
    /// Its headers.
    pub headers: BTreeMap<String, Scalar>,
    /// Its body.
    pub body: Vec<u8>,
    /// Its offset in the stream; 0 in a message to be published.
    pub offset: u64,
}

/// The reason why a message is not a frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFrame {
    /// A header is missing or invalid.
    #[error("the header {0} is missing or invalid")]
    Header(&'static str),
    /// The body cannot be decoded.
    #[error("the body is not {0}")]
    Body(&'static str),
}

impl BrokerMessage {
    /// The first message of a session. In an empty stream it is the stream's first message.
    pub fn marker(incarnation: &str, session: &str) -> Self {
        let headers = [(INCARNATION, incarnation), (SESSION, session)];
        let headers = headers.map(|(name, value)| (name.to_owned(), Scalar::Text(value.to_owned())));
        Self { kind: Some(MARKER.to_owned()), headers: headers.into(), ..Self::default() }
    }

    /// A frame as a session publishes it to this incarnation of a stream.
    pub fn of_frame(frame: &Frame, incarnation: &str, session: &str) -> Self {
        let text = |text: &dyn ToString| Scalar::Text(text.to_string());
        let number = |number: u64| Scalar::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let headers = [
            ("producer", text(&frame.producer)),
            ("seq", number(frame.seq.0)),
            ("previous", text(&frame.previous)),
            ("hash", text(&frame.hash)),
            ("facts", number(frame.facts as u64)),
            (INCARNATION, text(&incarnation)),
            (SESSION, text(&session)),
        ];
        let plain = frame.body.as_bytes();
        let packed =
            if plain.len() < COMPRESS_FROM_BYTES { None } else { zstd::bulk::compress(plain, COMPRESSION_LEVEL).ok() };
        let encoding = packed.as_ref().map(|_| ZSTD.to_owned());
        let body = packed.unwrap_or_else(|| plain.to_vec());
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { kind: None, encoding, headers, body, offset: 0 }
    }

    /// Whether it is a marker: it carries no frame, and only names the stream's incarnation and the new session.
    pub fn is_marker(&self) -> bool {
        self.kind.as_deref() == Some(MARKER)
    }

    /// The incarnation of the stream it was published to, if the message names it.
    pub fn incarnation(&self) -> Option<&str> {
        self.text(INCARNATION).ok()
    }

    /// The session that published it, if the message names it.
    pub fn session(&self) -> Option<&str> {
        self.text(SESSION).ok()
    }

    /// The resume point at this message; `None` when it is neither a frame nor a marker.
    pub fn resume_point(&self) -> Option<ResumePoint> {
        let frame = if self.is_marker() { None } else { Some((self.producer().ok()?, self.seq().ok()?)) };
        Some(ResumePoint { offset: self.offset, session: self.session()?.to_owned(), frame })
    }

    /// The frame in the message. Its hash shows whether it is intact.
    ///
    /// # Errors
    /// [`NoFrame`].
    pub fn frame(&self, target: &StreamPartition) -> Result<Frame, NoFrame> {
        let header = NoFrame::Header;
        let plain = match self.encoding.as_deref() {
            None => self.body.clone(),
            Some(ZSTD) => unpacked(&self.body)?,
            Some(_) => return Err(NoFrame::Body("in a supported encoding")),
        };
        Ok(Frame {
            producer: self.producer()?,
            target: target.clone(),
            seq: self.seq()?,
            previous: self.text("previous")?.parse().map_err(|_| header("previous"))?,
            hash: self.text("hash")?.parse().map_err(|_| header("hash"))?,
            facts: usize::try_from(self.number("facts")?).map_err(|_| header("facts"))?,
            body: String::from_utf8(plain).map_err(|_| NoFrame::Body("UTF-8"))?,
        })
    }

    fn producer(&self) -> Result<Producer, NoFrame> {
        self.text("producer")?.parse().map_err(|_| NoFrame::Header("producer"))
    }

    fn seq(&self) -> Result<Seq, NoFrame> {
        self.number("seq").map(Seq)
    }

    fn text(&self, name: &'static str) -> Result<&str, NoFrame> {
        match self.headers.get(name) {
            Some(Scalar::Text(text)) => Ok(text),
            Some(Scalar::Number(_)) | None => Err(NoFrame::Header(name)),
        }
    }

    fn number(&self, name: &'static str) -> Result<u64, NoFrame> {
        match self.headers.get(name) {
            Some(Scalar::Number(number)) => u64::try_from(*number).map_err(|_| NoFrame::Header(name)),
            Some(Scalar::Text(_)) | None => Err(NoFrame::Header(name)),
        }
    }
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, NoFrame> {
    let broken = |_| NoFrame::Body("zstd");
    let decoder = zstd::Decoder::new(packed).map_err(broken)?;
    let mut plain = Vec::new();
    let read = decoder.take(BODY_BYTES_MAX + 1).read_to_end(&mut plain).map_err(broken)?;
    if read as u64 > BODY_BYTES_MAX { Err(NoFrame::Body("of a valid length")) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Hash, Partition, Producer};

    fn target() -> StreamPartition {
        StreamPartition::new("purchases", Partition(1))
    }

    fn frame(body: &str) -> Frame {
        Frame::seal(Producer::new("accept", Partition(0)), target(), Seq(7), Hash([3; 32]), 2, body.to_owned())
    }

    #[test]
    fn a_frame_survives_the_round_trip_compressed_or_not() {
        for (body, packed) in [("[]".to_owned(), false), (format!("[{}]", "1,".repeat(2_000)), true)] {
            let message = BrokerMessage::of_frame(&frame(&body), "life", "one");
            assert_eq!((message.encoding.is_some(), message.body.len() < body.len()), (packed, packed));
            assert_eq!(message.incarnation(), Some("life"));
            assert_eq!(message.frame(&target()), Ok(frame(&body)));
        }
    }

    #[test]
    fn a_resume_point_holds_the_offset_the_session_and_the_frame() {
        let at = |message: BrokerMessage| BrokerMessage { offset: 7, ..message }.resume_point();
        let point = |frame| Some(ResumePoint { offset: 7, session: "one".to_owned(), frame });
        let producer = Producer::new("accept", Partition(0));
        assert_eq!(at(BrokerMessage::of_frame(&frame("[]"), "life", "one")), point(Some((producer, Seq(7)))));
        assert_eq!(at(BrokerMessage::marker("life", "one")), point(None));
        assert_eq!(at(BrokerMessage::default()), None);
    }

    #[test]
    fn the_error_names_why_a_message_is_not_a_frame() {
        let good = BrokerMessage::of_frame(&frame("[]"), "life", "one");
        let with = |name: &str, value| {
            let mut message = good.clone();
            message.headers.insert(name.to_owned(), value);
            message.frame(&target())
        };
        let text = |text: &str| Scalar::Text(text.to_owned());
        assert_eq!(with("producer", text("accept")), Err(NoFrame::Header("producer")));
        assert_eq!(with("seq", text("7")), Err(NoFrame::Header("seq")));
        assert_eq!(with("seq", Scalar::Number(-1)), Err(NoFrame::Header("seq")));
        assert_eq!(with("hash", text("xyz")), Err(NoFrame::Header("hash")));
        assert_eq!(BrokerMessage::marker("life", "one").frame(&target()), Err(NoFrame::Header("producer")));
        let body = |encoding: Option<&str>, body: &[u8]| {
            let encoding = encoding.map(str::to_owned);
            BrokerMessage { encoding, body: body.to_vec(), ..good.clone() }.frame(&target())
        };
        assert_eq!(body(None, b"\xff"), Err(NoFrame::Body("UTF-8")));
        assert_eq!(body(Some(ZSTD), b"random"), Err(NoFrame::Body("zstd")));
        assert_eq!(body(Some("gzip"), b"[]"), Err(NoFrame::Body("in a supported encoding")));
    }

    #[test]
    fn a_body_that_decompresses_without_end_is_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; 17 << 20], 1).unwrap();
        let message = BrokerMessage {
            encoding: Some(ZSTD.to_owned()),
            body: bomb,
            ..BrokerMessage::of_frame(&frame("[]"), "life", "one")
        };
        assert_eq!(message.frame(&target()), Err(NoFrame::Body("of a valid length")));
    }
}
