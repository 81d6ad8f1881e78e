//! The XML format of one day, of 90 days, and of the whole history. Line breaks and the kind of quotes do not matter.
//!
//! ```text
//! <gesmes:Envelope>                             once; its other gesmes elements have no rates and are skipped
//!   <Cube>                                      once
//!     <Cube time='2025-05-09'>                  a day, each once
//!       <Cube currency='USD' rate='1.1252'/>    units of the currency for one euro, each currency once a day
//! ```
//!
//! The parser reads the file as a stream and accepts exactly this structure: any other element, attribute or text is an
//! error at its place. Therefore nothing nests deeper than four elements outside the skipped ones, no entity is ever
//! expanded, and a file that ends inside an element was cut off.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use money::{Currency, Rate};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::days::{DateForm, Day, Days, History};
use super::error::{EcbError, Place, shortened};

const GESMES: Namespace<'static> = Namespace("http://www.gesmes.org/xml/2002-08-01");
const ECB: Namespace<'static> = Namespace("http://www.ecb.int/vocabulary/2002-08-01/eurofxref");

const ENVELOPE: &str = "`<gesmes:Envelope>`";
const CUBE: &str = "`<Cube>`";
const DAY: &str = "`<Cube time=…>`";
const RATE: &str = "`<Cube currency=… rate=…/>`";

/// Whether a text is XML, by its first character.
pub(super) fn is_xml(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// Parses a whole file. `last` is the last day that it may contain.
///
/// # Errors
/// The [`EcbError`]s about XML.
pub(super) fn parse(text: &str, last: NaiveDate) -> Result<History, EcbError> {
    File::new(text, last).document()
}

/// The elements of the format, by name and namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Envelope,
    /// Any other gesmes element.
    Head,
    Cube,
    Other,
}

/// The start tag of an element, and its place.
struct Tag<'a> {
    name: Name,
    start: BytesStart<'a>,
    place: Place,
}

/// A significant part of the stream. White space and comments between the parts are skipped.
enum Piece<'a> {
    Start(Tag<'a>),
    End,
    Eof,
}

struct File<'a> {
    text: &'a str,
    /// The last allowed day.
    last: NaiveDate,
    reader: NsReader<&'a [u8]>,
    /// The byte offset at which the last piece begins.
    at: usize,
    /// The place at which the last piece begins.
    here: Place,
}

impl<'a> File<'a> {
    fn new(text: &'a str, last: NaiveDate) -> Self {
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        // The reader turns `<a/>` into `<a></a>`, so that the parser handles only one form.
        config.expand_empty_elements = true;
        config.check_comments = true;
        Self { text, last, reader, at: 0, here: Place { line: 1, column: 1 } }
    }

    fn document(&mut self) -> Result<History, EcbError> {
        let Some(root) = self.root()? else {
            return Err(EcbError::MissingPart { place: self.here, element: "the file", missing: ENVELOPE });
        };
        if root.name != Name::Envelope {
            return Err(self.unexpected(&root, ENVELOPE));
        }
        let history = self.envelope()?;
        match self.root()? {
            None => Ok(history),
            Some(tag) => Err(self.unexpected(&tag, "the end of the file")),
        }
    }

    /// The next element at the top level; `None` at the end of the file.
    fn root(&mut self) -> Result<Option<Tag<'a>>, EcbError> {
        match self.next()? {
            Piece::Start(tag) => Ok(Some(tag)),
            // The reader itself refuses an end tag without a start tag.
            Piece::End | Piece::Eof => Ok(None),
        }
    }

    fn envelope(&mut self) -> Result<History, EcbError> {
        let mut days = None;
        while let Some(tag) = self.child(ENVELOPE)? {
            match tag.name {
                Name::Head => self.skip(&tag)?,
                Name::Cube if days.is_none() => {
                    self.attributes(&tag, CUBE, [])?;
                    days = Some(self.days()?);
                }
                Name::Cube | Name::Envelope | Name::Other => {
                    return Err(self.unexpected(&tag, "`</gesmes:Envelope>` or one `<Cube>`"));
                }
            }
        }
        let missing = || EcbError::MissingPart { place: self.here, element: ENVELOPE, missing: CUBE };
        days.map(History::from).ok_or_else(missing)
    }

    fn days(&mut self) -> Result<Days, EcbError> {
        let mut days = Days::until(self.last);
        while let Some(tag) = self.cube(CUBE, DAY)? {
            let place = tag.place;
            let [time] = self.attributes(&tag, DAY, [("time", "`time`")])?;
            let date = DateForm::ISO.read(&time, place)?;
            days.add(Day { date, rates: self.rates()? }, place)?;
        }
        let missing = EcbError::MissingPart { place: self.here, element: CUBE, missing: DAY };
        if days.is_empty() { Err(missing) } else { Ok(days) }
    }

    fn rates(&mut self) -> Result<BTreeMap<Currency, Rate>, EcbError> {
        let mut rates = BTreeMap::new();
        while let Some(tag) = self.cube(DAY, RATE)? {
            let place = tag.place;
            let [currency, rate] = self.attributes(&tag, RATE, [("currency", "`currency`"), ("rate", "`rate`")])?;
            let currency = super::error::currency(&currency, place)?;
            let rate = rate.parse().map_err(|source| EcbError::BadRate { place, currency, source })?;
            if rates.insert(currency, rate).is_some() {
                return Err(EcbError::RepeatedCurrency { place, currency });
            }
            if let Some(tag) = self.child(RATE)? {
                return Err(self.unexpected(&tag, "the end of this element"));
            }
        }
        let missing = EcbError::MissingPart { place: self.here, element: DAY, missing: RATE };
        if rates.is_empty() { Err(missing) } else { Ok(rates) }
    }

    /// The next `<Cube>` within an element; `None` at the end of that element.
    fn cube(&mut self, within: &'static str, expected: &'static str) -> Result<Option<Tag<'a>>, EcbError> {
        match self.child(within)? {
            Some(tag) if tag.name != Name::Cube => Err(self.unexpected(&tag, expected)),
            cube => Ok(cube),
        }
    }

    /// The next element within an element; `None` at the end of the outer one.
    fn child(&mut self, within: &'static str) -> Result<Option<Tag<'a>>, EcbError> {
        match self.next()? {
            Piece::Start(tag) => Ok(Some(tag)),
            Piece::End => Ok(None),
            Piece::Eof => Err(EcbError::Unclosed { place: self.here, within }),
        }
    }

    /// Skips an element with all its content.
    fn skip(&mut self, tag: &Tag<'a>) -> Result<(), EcbError> {
        let end = self.reader.read_to_end(tag.start.name());
        end.map(drop).map_err(|source| self.not_xml(source))
    }

    fn next(&mut self) -> Result<Piece<'a>, EcbError> {
        loop {
            self.advance();
            let (namespace, event) = match self.reader.read_resolved_event() {
                Ok((namespace, event)) => (known(&namespace), event),
                Err(source) => return Err(self.not_xml(source)),
            };
            match event {
                Event::Start(start) | Event::Empty(start) => {
                    let name = name(namespace, start.local_name().as_ref());
                    return Ok(Piece::Start(Tag { name, start, place: self.here }));
                }
                Event::End(_) => return Ok(Piece::End),
                Event::Eof => return Ok(Piece::Eof),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    let end = offset(self.reader.buffer_position());
                    let found = format!("`{}`", shortened(self.text.get(self.at..end).unwrap_or_default().trim()));
                    return Err(EcbError::Unexpected { place: self.here, found, expected: "an element" });
                }
                Event::DocType(_) => return Err(EcbError::DocumentType { place: self.here }),
            }
        }
    }

    /// The values of the attributes of an element, which must have exactly these. Each attribute has its name and the
    /// text that an error shows for it.
    fn attributes<const N: usize>(
        &self,
        tag: &Tag<'a>,
        element: &'static str,
        names: [(&'static str, &'static str); N],
    ) -> Result<[String; N], EcbError> {
        let place = tag.place;
        let not_xml = |source| EcbError::NotXml { place, source };
        let mut values = [const { String::new() }; N];
        let mut seen = [false; N];
        for attribute in tag.start.attributes() {
            let attribute = attribute.map_err(|source| not_xml(source.into()))?;
            let key = attribute.key.as_ref();
            let Some(index) = names.iter().position(|(name, _)| *name == key) else {
                let found = format!("the attribute `{}`", shortened(key));
                return Err(EcbError::Unexpected { place, found, expected: element });
            };
            values[index] = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?.into_owned();
            seen[index] = true;
        }
        match names.iter().zip(seen).find(|(_, seen)| !seen) {
            Some(((_, missing), _)) => Err(EcbError::MissingPart { place, element, missing }),
            None => Ok(values),
        }
    }

    fn unexpected(&self, tag: &Tag<'a>, expected: &'static str) -> EcbError {
        let is_foreign = tag.name == Name::Other && ["Envelope", "Cube"].contains(&tag.start.local_name().as_ref());
        let namespace = if is_foreign { " of another namespace" } else { "" };
        let found = format!("`<{}>`{namespace}", shortened(tag.start.name().as_ref()));
        EcbError::Unexpected { place: tag.place, found, expected }
    }

    fn not_xml(&self, source: quick_xml::Error) -> EcbError {
        let to = offset(self.reader.error_position());
        let place = after(self.here, self.text.get(self.at..to).unwrap_or_default());
        EcbError::NotXml { place, source }
    }

    /// Moves `at` and `here` to the position of the reader.
    fn advance(&mut self) {
        let to = offset(self.reader.buffer_position());
        self.here = after(self.here, self.text.get(self.at..to).unwrap_or_default());
        self.at = to;
    }
}

/// The place at the end of a text that begins at `start`.
fn after(start: Place, text: &str) -> Place {
    text.chars().fold(start, |Place { line, column }, next| match next {
        '\n' => Place { line: line + 1, column: 1 },
        _ => Place { line, column: column + 1 },
    })
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// The namespaces of the format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    Gesmes,
    Ecb,
    Other,
}

fn known(namespace: &ResolveResult<'_>) -> Vocabulary {
    match namespace {
        ResolveResult::Bound(GESMES) => Vocabulary::Gesmes,
        ResolveResult::Bound(ECB) => Vocabulary::Ecb,
        ResolveResult::Bound(_) | ResolveResult::Unbound | ResolveResult::Unknown(_) => Vocabulary::Other,
    }
}

fn name(vocabulary: Vocabulary, local: &str) -> Name {
    match vocabulary {
        Vocabulary::Gesmes if local == "Envelope" => Name::Envelope,
        Vocabulary::Gesmes => Name::Head,
        Vocabulary::Ecb if local == "Cube" => Name::Cube,
        Vocabulary::Ecb | Vocabulary::Other => Name::Other,
    }
}
